"""Opening files that people hand us, and naming parts of them without reading them.

A Segment is either bytes or a region of a file, so that an entry of any size, a split GGUF
joined into one included, can be planned without a temporary file.
"""

from __future__ import annotations

import os
import shlex
import stat
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, cast

from ingot.errors import InputError


@dataclass(frozen=True)
class FileRegion:
    """``length`` bytes of the file ``path`` from byte ``offset``."""

    path: Path
    offset: int
    length: int


Segment = bytes | FileRegion


def segment_size(segment: Segment) -> int:
    """Size in bytes."""
    return segment.length if isinstance(segment, FileRegion) else len(segment)


def total_size(segments: Iterable[Segment]) -> int:
    """Size of all ``segments`` in bytes."""
    return sum(segment_size(segment) for segment in segments)


@contextmanager
def open_input(path: Path) -> Iterator[tuple[BinaryIO, int]]:
    """Open a regular file for reading; give the stream and the size in bytes.

    Raises InputError (``file-missing``, ``file-is-folder``, ``file-not-regular``,
    ``file-unreadable``). A FIFO or device is refused without waiting for a writer.
    """
    try:
        fd = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except FileNotFoundError as error:
        raise InputError(
            f"{path}: there is no such file", hint="check the path", code="file-missing"
        ) from error
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        raise InputError(
            f"{path}: cannot be opened: {reason}",
            hint="check its permissions",
            code="file-unreadable",
        ) from error
    try:
        size = _regular_size(path, os.fstat(fd))
        with open(fd, "rb", buffering=0, closefd=False) as raw:
            yield cast(BinaryIO, raw), size
    finally:
        os.close(fd)


def _folder_hint(path: Path) -> str:
    """What to do with a folder that was given as a model."""
    if os.path.exists(path / "config.json"):
        return f"make a GGUF of it: ingot convert {shlex.quote(str(path))} -o NAME.gguf"
    return "give a .gguf file in it; 'ingot convert' makes one of a Hugging Face checkpoint"


def _regular_size(path: Path, status: os.stat_result) -> int:
    if stat.S_ISDIR(status.st_mode):
        raise InputError(
            f"{path}: is a folder, not a file",
            hint=_folder_hint(path),
            code="file-is-folder",
        )
    if not stat.S_ISREG(status.st_mode):
        raise InputError(
            f"{path}: is not a regular file",
            hint="write it to a file first: pipes and devices cannot be read twice",
            code="file-not-regular",
        )
    return status.st_size
