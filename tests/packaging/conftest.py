"""Wheels and the single binary, made by ./dev as a contributor makes them."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Protocol

import pytest

from ingot.engine.image import RuntimeImage
from tests.conftest import REPOSITORY


class Do(Protocol):
    """Run a command in the checkout, with exactly ``env`` where that is given."""

    def __call__(
        self,
        *argv: str | os.PathLike[str],
        env: Mapping[str, str] | None = None,
        cwd: Path = REPOSITORY,
        check: bool = True,
    ) -> subprocess.CompletedProcess[str]: ...


@pytest.fixture(scope="session")
def do() -> Do:
    """See Do; what failed is shown."""

    def call(
        *argv: str | os.PathLike[str],
        env: Mapping[str, str] | None = None,
        cwd: Path = REPOSITORY,
        check: bool = True,
    ) -> subprocess.CompletedProcess[str]:
        done = subprocess.run(
            [os.fspath(word) for word in argv],
            env=None if env is None else dict(env),
            cwd=cwd,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
            timeout=600,
        )
        assert not check or done.returncode == 0, done.stdout + done.stderr
        return done

    return call


@pytest.fixture(scope="session")
def tools(do: Do) -> Path:
    """The Python that has build and PyInstaller: that of ./dev wheel and ./dev freeze."""
    done = do(sys.executable, REPOSITORY / "builder" / "bootstrap.py", "package")
    return Path(done.stdout.strip())


@pytest.fixture(scope="session")
def demo(do: Do, runtime_image: RuntimeImage, tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """The demo executable as the checkout makes it."""
    path = tmp_path_factory.mktemp("demo") / "pystdlib"
    do(sys.executable, "-P", "-m", "ingot", "demo", "-o", path)
    return path.read_bytes()


@pytest.fixture
def bare(tmp_path: Path) -> dict[str, str]:
    """The environment of a machine with no compiler, no Python and no cache."""
    (tmp_path / "bin").mkdir()
    return {"PATH": str(tmp_path / "bin"), "INGOT_CACHE": str(tmp_path / "cache")}
