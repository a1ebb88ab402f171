"""Reading executables, treated as hostile. The format and its limits are described in format.py.

``open_bundle`` proves the structure: the tail, the manifest and its hash, the file's size, and
that the ZIP records say exactly what the manifest says. The content is ``verify``'s business.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NoReturn

from ingot.bundle.deflate import SMALL_MAX, inflate
from ingot.bundle.digest import crc32, sha256
from ingot.bundle.format import (
    DEFLATED,
    DIRECTORY_MAX,
    END_SIZE,
    EOCD64_SIZE,
    LOCATOR_SIZE,
    MANIFEST_MAX,
    MANIFEST_NAME,
    MODEL_ALIGNMENT,
    PAGE,
    STORED,
    TAIL_SIZE,
    parse_tail,
)
from ingot.bundle.inputs import FileRegion, open_input
from ingot.bundle.layout import alignment_of
from ingot.bundle.manifest import Entry, Manifest, decode
from ingot.bundle.records import (
    LOCAL_SIZE,
    Record,
    local_extra,
    local_header,
    parse_central,
    parse_end,
)
from ingot.errors import IngotError, InputError, IntegrityError

_GAP_MAX = 2 * MODEL_ALIGNMENT
_NO_OFFSET = 1 << 63  # records have unsigned offsets, the system signed ones
_RESCUE_LIMIT = 256 << 20  # how far into a truncated file its manifest is looked for


@dataclass(frozen=True)
class Bundle:
    """An open executable whose structure is sound. ``records`` include the manifest's, first."""

    path: Path
    fd: int
    manifest: Manifest
    records: tuple[Record, ...]
    manifest_sha256: str

    def region(self, entry: Entry) -> FileRegion:
        """Where the entry's stored bytes are."""
        return FileRegion(self.path, entry.offset, entry.stored)

    def read(self, entry: Entry) -> bytes:
        """The content of a small entry, checked. Raises IntegrityError ``entry-damaged``."""
        if max(entry.size, entry.stored) > SMALL_MAX:
            raise InputError(f"{self.path}: {entry.name} is too large to be read at once")
        data = _pread(self.fd, entry.stored, entry.offset)
        if entry.method == DEFLATED:
            data = inflate(data, entry.size, entry.name)
        if entry.sha256 != sha256(data):
            raise IntegrityError(
                f"{self.path}: {entry.name} is damaged: its hash is not what it should be",
                hint="get the executable again",
                code="entry-damaged",
            )
        return data


def is_bundle(path: Path) -> bool:
    """Whether ``path`` ends like an executable made by Ingot, or begins like a truncated one."""
    with open_input(path) as (stream, size):
        fd = stream.fileno()
        if _pread(fd, 4, 0) == b"GGUF":
            return False
        end = _pread(fd, TAIL_SIZE, max(0, size - TAIL_SIZE))
        return parse_tail(end) is not None or _find_manifest(fd, size) is not None


@contextmanager
def open_bundle(path: Path) -> Iterator[Bundle]:
    """Open an executable and check its structure.

    Raises InputError ``not-a-bundle`` for another kind of file, IntegrityError
    (``bundle-truncated``, ``manifest-damaged``, ``manifest-invalid``, ``zip-structure``,
    ``format-version``) for a damaged executable.
    """
    with open_input(path) as (stream, size):
        fd = stream.fileno()
        try:
            manifest, first, digest = _read_manifest(path, fd, size)
            records = _read_records(fd, size, manifest, first)
        except IntegrityError as error:
            raise _named(error, path) from error
        except OSError as error:
            raise InputError(
                f"{path}: cannot be read: {error.strerror}", code="file-unreadable"
            ) from error
        yield Bundle(path, fd, manifest, records, digest)


def _read_manifest(path: Path, fd: int, size: int) -> tuple[Manifest, int, str]:
    """The manifest, the offset of its data and its hash."""
    found = parse_tail(_pread(fd, TAIL_SIZE, size - TAIL_SIZE)) if size > TAIL_SIZE else None
    if found is None:
        _refuse(path, fd, size)
    offset, length, expected = found
    if length > MANIFEST_MAX or offset + length > size:
        raise _damaged("manifest-damaged", "the tail points outside the file")
    raw = _pread(fd, length, offset)
    actual = sha256(raw)
    if actual != expected:
        raise _damaged("manifest-damaged", "the manifest was altered: its hash differs")
    manifest = decode(raw)
    if manifest.file_size != size:
        raise _damaged(
            "bundle-truncated", f"has {size} bytes, its manifest says {manifest.file_size}"
        )
    return manifest, offset, actual


def _refuse(path: Path, fd: int, size: int) -> NoReturn:
    """No tail: tell a truncated executable from a file of another kind."""
    raw = _find_manifest(fd, size)
    if raw is None:
        raise InputError(
            f"{path}: is not an executable made by Ingot",
            hint="make one with: ingot build MODEL.gguf -o NAME",
            code="not-a-bundle",
        )
    try:
        should = decode(raw).file_size
    except IntegrityError:
        raise _damaged("bundle-truncated", "its end is missing") from None
    if size < should:
        raise _damaged("bundle-truncated", f"is truncated: {size} of {should} bytes are there")
    raise _damaged("bundle-truncated", f"was changed at its end ({size} bytes, not {should})")


def _find_manifest(fd: int, size: int) -> bytes | None:
    """The manifest of an executable without a tail: its local header is at a multiple of 4,096."""
    name = MANIFEST_NAME.encode()
    for at in range(0, min(size, _RESCUE_LIMIT), PAGE):
        head = os.pread(fd, LOCAL_SIZE + len(name), at)
        if head.startswith(b"PK\x03\x04") and head.endswith(name):
            length = int.from_bytes(head[18:22], "little")
            return os.pread(fd, min(length, MANIFEST_MAX), at + len(head))
    return None


def _read_records(fd: int, size: int, manifest: Manifest, first: int) -> tuple[Record, ...]:
    """Parse the ZIP structure and hold it against the manifest."""
    end_at = size - EOCD64_SIZE - LOCATOR_SIZE - END_SIZE
    if end_at < 0:
        raise _damaged("zip-structure", "the file is too short for a ZIP archive")
    count, offset, length = parse_end(_pread(fd, size - end_at, end_at), end_at)
    if length > DIRECTORY_MAX or count != len(manifest.entries) + 1:
        raise _damaged("zip-structure", "the central directory does not match the manifest")
    records = []
    at = manifest.program_size
    for index, bare in enumerate(parse_central(_pread(fd, length, offset), count)):
        entry = manifest.entries[index - 1] if index else None
        record = _read_local(fd, bare, entry)
        if record.header_offset < at or record.data_offset + record.stored > offset:
            raise _damaged("zip-structure", f"{record.name!r} overlaps something else")
        if record.header_offset - at > _GAP_MAX:
            raise _damaged("zip-structure", f"there is a hole before {record.name!r}")
        _compare(record, entry, first)
        at = record.data_offset + record.stored
        records.append(record)
    if at != offset:
        raise _damaged("zip-structure", "there is a hole before the central directory")
    raw = _pread(fd, records[0].size, first)
    if records[0].crc32 != crc32(raw):
        raise _damaged("zip-structure", "the CRC of the manifest is wrong")
    return tuple(records)


def _read_local(fd: int, bare: Record, entry: Entry | None) -> Record:
    """Complete the record with its local extra field's length; check the header byte for byte."""
    extra = local_extra(_pread(fd, LOCAL_SIZE, bare.header_offset), bare)
    record = replace(bare, extra=extra)
    expected = local_header(record, alignment_of(entry.role) if entry else 1)
    if _pread(fd, len(expected), record.header_offset) != expected:
        raise _damaged("zip-structure", f"the local header of {record.name!r} was altered")
    return record


def _compare(record: Record, entry: Entry | None, manifest_offset: int) -> None:
    if entry is None:
        same = (record.name, record.method, record.data_offset) == (
            MANIFEST_NAME,
            STORED,
            manifest_offset,
        )
    else:
        same = (
            record.name,
            record.method,
            record.crc32,
            record.size,
            record.stored,
            record.data_offset,
        ) == (entry.name, entry.method, entry.crc32, entry.size, entry.stored, entry.offset)
        same = same and entry.offset % alignment_of(entry.role) == 0
    if not same:
        raise _damaged(
            "zip-structure", f"the ZIP records and the manifest disagree about {record.name!r}"
        )


def _pread(fd: int, length: int, offset: int) -> bytes:
    if offset >= _NO_OFFSET:
        return b""
    data = os.pread(fd, length, offset)
    while len(data) < length:
        more = os.pread(fd, length - len(data), offset + len(data))
        if not more:
            return data
        data += more
    return data


def _damaged(code: str, what: str) -> IntegrityError:
    return IntegrityError(what, hint="get the executable again", code=code)


def _named(error: IngotError, path: Path) -> IntegrityError:
    return IntegrityError(f"{path}: {error.message}", hint=error.hint, code=error.code)
