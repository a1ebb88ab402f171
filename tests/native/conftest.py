"""Real executables for the tests of the runtime: cast once per option set, then shared."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from ingot.console import NullProgress
from ingot.engine.runtime import RuntimeImage
from ingot.recipe.build import build
from ingot.recipe.plan import Recipe
from tests.models import DEMO

Cast = Callable[..., Path]
Run = Callable[..., "subprocess.CompletedProcess[bytes]"]


@pytest.fixture(scope="session")
def cast(runtime_image: RuntimeImage, tmp_path_factory: pytest.TempPathFactory) -> Cast:
    """``cast(model, runtime=…, **Recipe fields)`` builds an executable from a GGUF, once per argument set."""
    made: dict[object, Path] = {}

    def make(model: Path, *, runtime: RuntimeImage = runtime_image, name: str = "hello", **options: object) -> Path:
        key = (model, id(runtime), name, tuple(sorted((k, repr(v)) for k, v in options.items())))
        if key not in made:
            output = tmp_path_factory.mktemp("cast") / name
            recipe = Recipe(model=model, output=output, name=name, **options)  # type: ignore[arg-type]
            made[key] = build(recipe, runtime, NullProgress()).path
        return made[key]

    return make


@pytest.fixture(scope="session")
def hello(cast: Cast) -> Path:
    """The demo model as an executable. Never modified: copy it first."""
    return cast(DEMO)


@pytest.fixture(scope="session")
def run() -> Run:
    """Run an executable without a terminal; bytes out, so that nothing is hidden by decoding."""

    def call(
        *argv: str | os.PathLike[str],
        input: bytes = b"",
        env: Mapping[str, str] | None = None,
        cwd: Path | None = None,
        timeout: float = 120,
    ) -> subprocess.CompletedProcess[bytes]:
        return subprocess.run(
            [os.fspath(part) for part in argv],
            input=input,
            env=None if env is None else dict(env),
            cwd=cwd,
            capture_output=True,
            check=False,
            timeout=timeout,
        )

    return call
