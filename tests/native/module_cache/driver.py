"""The module cache as a small program of its own, for tests that attack it."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from tests.native.compiled import RUNTIME, compiled

SOURCES = (
    Path(__file__).with_name("driver.cc"),
    *(
        RUNTIME / f"{name}.cc"
        for name in (
            "module_cache",
            "entry_folder",
            "private_folder_posix",
            "sealed_file_posix",
            "sha256",
            "sha256_ni",
        )
    ),
)
HEADERS = tuple(source.with_suffix(".h") for source in SOURCES) + tuple(
    RUNTIME / f"{name}.h" for name in ("private_folder", "sealed_file")
)
NOBODY = 65534
KEY = "ab" * 32
OTHER = "cd" * 32
TEMPORARY = ".ingot-tmp-"

root_only = pytest.mark.skipif(os.geteuid() != 0, reason="gives files to other users")


def compiled_driver(engine: Path) -> Path:
    """The driver, compiled once for these sources. ``engine`` lends its SHA-256."""
    vendor = engine / "vendor"
    lent = (f"-I{vendor}/hash", "-O2", f"{vendor}/hash/sha256/sha256.c")
    flags = (f"-I{vendor}", "-msha", "-msse4.1")
    headers = [path for path in HEADERS if path.exists()]
    return compiled("module-cache-driver", SOURCES, headers, flags, c=lent)


@dataclass(frozen=True)
class Answer:
    """What one run of the driver printed."""

    lines: tuple[tuple[str, str], ...]
    returncode: int

    @property
    def notes(self) -> list[str]:
        """The lines that a user would have seen."""
        return [value for word, value in self.lines if word == "note"]

    def get(self, word: str) -> str | None:
        """The value of the last line that begins with ``word``."""
        return next((value for w, value in reversed(self.lines) if w == word), None)


def parse(text: str, returncode: int = 0) -> Answer:
    """Lines ``WORD VALUE``."""
    pairs = (line.partition(" ") for line in text.splitlines())
    return Answer(tuple((word, value) for word, _, value in pairs), returncode)


@dataclass(frozen=True)
class Driver:
    """The driver with its cache folder, user and environment."""

    program: Path
    folder: Path | None = None
    uid: int | None = None
    env: Mapping[str, str] = field(default_factory=dict)
    under: Sequence[str | Path] = ()  # a program that runs it: strace, …

    def command(self, *words: str | Path) -> list[str]:
        """The command line."""
        place = [] if self.folder is None else ["--cache-dir", str(self.folder)]
        read = [str(word) for word in words[:1] if word == "--read"]
        whole: list[str | Path] = [*self.under, self.program, *read, *place, *words[len(read) :]]
        return [str(word) for word in whole]

    def start(self, *words: str | Path) -> subprocess.Popen[str]:
        """Start it, with pipes."""
        return subprocess.Popen(
            self.command(*words),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            user=self.uid,
            group=self.uid,
            extra_groups=None if self.uid is None else [],
            env={"PATH": os.environ["PATH"], **self.env},
        )

    def __call__(self, *words: str | Path, timeout: float = 30) -> Answer:
        """Run it to its end; stdin is empty."""
        with self.start(*words) as process:
            try:
                text, _ = process.communicate(timeout=timeout)
            finally:
                process.kill()
        return parse(text, process.returncode)


def sha256(path: Path) -> str:
    """Of a file, hexadecimal."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


def entry(driver: Driver, key: str = KEY, suffix: str = ".so") -> Path:
    """Where the cache keeps something."""
    assert driver.folder is not None
    return driver.folder / "modules" / f"{key}{suffix}"


def temporaries(driver: Driver) -> list[str]:
    """What is half-made anywhere in the cache."""
    assert driver.folder is not None
    return [path.name for path in driver.folder.rglob(f"{TEMPORARY}*")]


def strace(*injections: str) -> tuple[str, ...]:
    """Run under strace, which makes system calls fail or kill."""
    strace = shutil.which("strace")
    assert strace, "strace is missing"
    return (strace, "-qq", "-f", "-o", "/dev/null", *(w for i in injections for w in ("-e", i)))


def altered(path: Path) -> None:
    """Change one bit of a module."""
    data = bytearray(path.read_bytes())
    data[1000] ^= 1
    path.write_bytes(data)
