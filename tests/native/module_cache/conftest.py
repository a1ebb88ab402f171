"""A cache of its own for each test, in a place that every user can reach."""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.native.module_cache.driver import (
    Driver,
    compiled_driver,
)


@pytest.fixture(scope="session")
def program(engine_source: Path) -> Iterator[Path]:
    """The driver where every user can run it."""
    folder = Path(tempfile.mkdtemp())
    folder.chmod(0o755)
    yield Path(shutil.copy(compiled_driver(engine_source), folder / "driver"))
    shutil.rmtree(folder)


@pytest.fixture
def place() -> Iterator[Path]:
    """An empty folder that every user can reach; pytest's own are for this user alone."""
    folder = Path(tempfile.mkdtemp())
    folder.chmod(0o755)
    yield folder
    shutil.rmtree(folder)


@pytest.fixture
def driver(program: Path, place: Path) -> Driver:
    return Driver(program, place / "cache")


@pytest.fixture
def module(place: Path) -> Path:
    """What a compiler made."""
    path = place / "made.so"
    path.write_bytes(bytes(range(256)) * 1024)
    return path


@pytest.fixture
def mounted(place: Path) -> Iterator[Callable[[str], Path]]:
    """Mount a small file system with some options."""
    target = place / "mounted"
    target.mkdir()

    def mount(options: str) -> Path:
        done = subprocess.run(
            ["mount", "-t", "tmpfs", "-o", options, "tmpfs", target], capture_output=True
        )
        if done.returncode != 0:
            pytest.skip("cannot mount here")
        return target

    yield mount
    subprocess.run(["umount", target], capture_output=True)
