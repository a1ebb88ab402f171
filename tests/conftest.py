"""What all tests share: an isolated cache, the command line as a user starts it, the runtime."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from ingot.console import Console
from ingot.engine.runtime import RuntimeImage, ensure_runtime

REPOSITORY = Path(__file__).resolve().parent.parent

Ingot = Callable[..., "subprocess.CompletedProcess[str]"]


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
