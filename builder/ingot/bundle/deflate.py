"""Small entries in memory: DEFLATE both ways, with bounds."""

from __future__ import annotations

import os
import zlib
from collections.abc import Sequence
from dataclasses import dataclass

from ingot.bundle.digest import crc32, sha256
from ingot.bundle.format import DEFLATED, STORED
from ingot.bundle.inputs import FileRegion, Segment, open_input, total_size
from ingot.errors import InputError, IntegrityError

# Licences and the web page's files are far below this; nothing larger is taken into memory.
SMALL_MAX = 64 << 20


@dataclass(frozen=True)
class Packed:
    """An entry as it lies in the file: ``data``; sizes and hashes are of the content."""

    method: int
    data: bytes
    size: int
    crc32: int
    sha256: str


def pack(segments: Sequence[Segment], ready: Segment | None = None) -> Packed:
    """Read and deflate a small entry; it is stored where deflating gains nothing.

    ``ready`` is what ``deflate`` made of the same content earlier, to save the time. It is
    inflated and compared; if it differs it counts for nothing.
    """
    content = read_small(segments)
    deflated = _checked(ready, content) if ready is not None else None
    if deflated is None:
        deflated = deflate(content)
    smaller = len(deflated) < len(content)
    return Packed(
        method=DEFLATED if smaller else STORED,
        data=deflated if smaller else content,
        size=len(content),
        crc32=crc32(content),
        sha256=sha256(content),
    )


def deflate(content: bytes, effort: int = 1) -> bytes:
    """Raw DEFLATE, as entries have it.

    By a pinned zopfli and not by zlib, which is another in every Python: zlib-ng's output differs.
    A megabyte takes some two seconds with ``effort`` 1, and twice that with 3, for one byte in 200.
    """
    from zopfli import zlib as zopfli  # here, because readers never need it

    splits = 4 if effort == 1 else 15
    wrapped: bytes = zopfli.compress(content, numiterations=effort, blocksplittingmax=splits)
    return wrapped[2:-4]  # without zlib's header and checksum


def _checked(ready: Segment, content: bytes) -> bytes | None:
    data = read_small([ready])
    try:
        return data if inflate(data, len(content), "") == content else None
    except IntegrityError:
        return None


def read_small(segments: Sequence[Segment]) -> bytes:
    """The bytes of ``segments``; InputError ``file-too-large`` beyond 64 MiB."""
    if total_size(segments) > SMALL_MAX:
        where = next((s.path for s in segments if isinstance(s, FileRegion)), "an entry")
        raise InputError(f"{where}: has more than {SMALL_MAX} bytes", code="file-too-large")
    return b"".join(_bytes(segment) for segment in segments)


def inflate(data: bytes, size: int, name: str) -> bytes:
    """Inflate to exactly ``size`` bytes; never produces more. Raises IntegrityError."""
    engine = zlib.decompressobj(wbits=-15)
    try:
        content = engine.decompress(data, size + 1)
    except zlib.error as error:
        raise _damaged(name) from error
    if len(content) != size or not engine.eof or engine.unused_data:
        raise _damaged(name)
    return content


def _bytes(segment: Segment) -> bytes:
    if not isinstance(segment, FileRegion):
        return segment
    with open_input(segment.path) as (stream, _size):
        data = os.pread(stream.fileno(), segment.length, segment.offset)
    if len(data) != segment.length:
        raise InputError(f"{segment.path}: became shorter meanwhile", code="input-changed")
    return data


def _damaged(name: str) -> IntegrityError:
    return IntegrityError(f"{name} is damaged: its compressed data is broken", code="entry-damaged")
