"""A model's kernel set, as the engine gives it, and the files that the engine is asked about."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from ingot.bundle.inputs import FileRegion, Segment, open_input
from ingot.engine.image import RuntimeImage
from ingot.engine.judge import Files, judge_model
from ingot.errors import InputError, ToolchainError
from ingot.gguf.join import Weights
from ingot.gguf.kernels import KernelSet
from ingot.gguf.reader import read_gguf_from

_COPIED = 1 << 20


def ask_kernels(
    runtime: RuntimeImage, model: Path, args: Sequence[str] = (), *, name: str | None = None
) -> KernelSet:
    """The kernel set of the GGUF ``model`` (of a split one, its first part).

    ``name`` is how errors call it; its path if None. For ``args`` and the errors see judge_model;
    an engine that cannot be asked is InputError ``no-kernel-set``.
    """
    name = name or str(model)
    try:
        return judge_model(runtime, Files((model, name)), args).kernels
    except ToolchainError as error:
        raise InputError(
            f"{name}: no kernel set: {error.message}", hint=error.hint, code="no-kernel-set"
        ) from error


@contextmanager
def engine_file(weights: Weights) -> Iterator[Path]:
    """A file from which the engine can load ``weights``: themselves, or the header of the joined
    GGUF.
    """
    if len(weights.files) == 1:
        yield weights.files[0]
        return
    with tempfile.NamedTemporaryFile(prefix="ingot-header-", suffix=".gguf") as copy:
        left = weights.gguf.data_at
        for segment in weights.segments:
            left -= _copy_start(segment, left, copy)
        copy.truncate(weights.size)
        copy.flush()
        yield Path(copy.name)


def _copy_start(segment: Segment, limit: int, to: IO[bytes]) -> int:
    """Append at most ``limit`` bytes of ``segment``; say how many."""
    if isinstance(segment, bytes):
        return to.write(segment[:limit])
    count = min(segment.length, limit)
    with open_input(segment.path) as (stream, _size):
        for at in range(0, count, _COPIED):
            piece = min(_COPIED, count - at)
            to.write(os.pread(stream.fileno(), piece, segment.offset + at))
    return count


@contextmanager
def header_of(region: FileRegion) -> Iterator[Path]:
    """A temporary file with the header of the GGUF at ``region`` and its size, without its weights.

    The rest is a hole and takes no space. Raises InputError, also when the GGUF is not sound.
    """
    with open_input(region.path) as (stream, _size):
        gguf = read_gguf_from(
            stream, name=str(region.path), start=region.offset, size=region.length
        )
    with tempfile.NamedTemporaryFile(prefix="ingot-header-", suffix=".gguf") as copy:
        _copy_start(region, gguf.data_at, copy)
        copy.truncate(region.length)
        copy.flush()
        yield Path(copy.name)
