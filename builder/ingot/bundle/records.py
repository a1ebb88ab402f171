"""ZIP records of the kind that format.py describes: packing them, and parsing them strictly.

Sources: PKWARE APPNOTE 6.3.10, sections 4.3.7 (local header), 4.3.12 (central directory), 4.3.14
to 4.3.16 (end records), 4.5.3 (ZIP64 extra field).
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass

from ingot.bundle.format import EOCD64_SIZE, NAME_MAX, TAIL_SIZE
from ingot.errors import IntegrityError

U16 = 0xFFFF
U32 = 0xFFFFFFFF
LOCAL_SIZE = 30
LOCAL_ZIP64_SIZE = 20
PADDING_ID = 0xD935
PADDING_MIN = 6
EXTRA_MAX = U16

_LOCAL = struct.Struct("<4s5H3I2H")
_CENTRAL = struct.Struct("<4s6H3I5H2I")
_EOCD64 = struct.Struct("<4sQ2H2I4Q")
_LOCATOR = struct.Struct("<4sIQI")
_EOCD = struct.Struct("<4s4H2IH")
_LOCAL_MAGIC, _CENTRAL_MAGIC = b"PK\x03\x04", b"PK\x01\x02"
_EOCD64_MAGIC, _LOCATOR_MAGIC, _EOCD_MAGIC = b"PK\x06\x06", b"PK\x06\x07", b"PK\x05\x06"

_ZIP64_ID = 0x0001
_FLAG_UTF8 = 0x800
_MADE_BY_UNIX = 3 << 8 | 45
_VERSION, _VERSION_ZIP64 = 20, 45
_DOS_TIME, _DOS_DATE = 0, 1 << 5 | 1  # 1980-01-01 00:00:00
_MODE_0644 = 0o100644 << 16


@dataclass(frozen=True)
class Record:
    """One ZIP entry: sizes and offsets in bytes; ``extra`` is the local extra field's length."""

    name: str
    method: int
    crc32: int
    size: int
    stored: int
    header_offset: int
    extra: int
    zip64: bool

    @property
    def data_offset(self) -> int:
        """Where the data begins."""
        return self.header_offset + LOCAL_SIZE + len(self.name.encode()) + self.extra


def local_header(record: Record, alignment: int) -> bytes:
    """The local header with its extra field, ``record.data_offset - record.header_offset`` long."""
    name = record.name.encode()
    extra = b""
    stored, size = record.stored, record.size
    if record.zip64:
        extra = struct.pack("<2H2Q", _ZIP64_ID, 16, size, stored)
        stored = size = U32
    padding = record.extra - len(extra)
    if padding:
        body = padding - 4
        extra += struct.pack("<3H", PADDING_ID, body, min(alignment, 1 << 15)) + bytes(body - 2)
    head = _LOCAL.pack(
        _LOCAL_MAGIC,
        _VERSION_ZIP64 if record.zip64 else _VERSION,
        _flags(name),
        record.method,
        _DOS_TIME,
        _DOS_DATE,
        record.crc32,
        stored,
        size,
        len(name),
        len(extra),
    )
    return head + name + extra


def central_header(record: Record) -> bytes:
    """The central directory's record."""
    name = record.name.encode()
    stored, size, offset = record.stored, record.size, record.header_offset
    wide: list[int] = []
    if record.zip64:
        wide = [size, stored, offset]
        stored = size = offset = U32
    elif offset >= U32:
        wide = [offset]
        offset = U32
    extra = struct.pack(f"<2H{len(wide)}Q", _ZIP64_ID, 8 * len(wide), *wide) if wide else b""
    head = _CENTRAL.pack(
        _CENTRAL_MAGIC,
        _MADE_BY_UNIX,
        _VERSION_ZIP64 if wide else _VERSION,
        _flags(name),
        record.method,
        _DOS_TIME,
        _DOS_DATE,
        record.crc32,
        stored,
        size,
        len(name),
        len(extra),
        0,
        0,
        0,
        _MODE_0644,
        offset,
    )
    return head + name + extra


def end_records(count: int, directory_offset: int, directory_size: int, tail: bytes) -> bytes:
    """ZIP64 end record, locator and end record with ``tail`` as its comment."""
    wide = _EOCD64.pack(
        _EOCD64_MAGIC,
        EOCD64_SIZE - 12,
        _MADE_BY_UNIX,
        _VERSION_ZIP64,
        0,
        0,
        count,
        count,
        directory_size,
        directory_offset,
    )
    locator = _LOCATOR.pack(_LOCATOR_MAGIC, 0, directory_offset + directory_size, 1)
    end = _EOCD.pack(_EOCD_MAGIC, 0, 0, U16, U16, U32, U32, len(tail))
    return wide + locator + end + tail


def parse_end(raw: bytes, at: int) -> tuple[int, int, int]:
    """Number of entries, offset and size of the central directory.

    ``raw`` is the file's end from the ZIP64 end record on, which must lie at ``at``.
    """
    if len(raw) < EOCD64_SIZE:
        raise _broken("the end records are missing")
    fields = _EOCD64.unpack(raw[:EOCD64_SIZE])
    count, size, offset = fields[7], fields[8], fields[9]
    # The sum first: one beyond 64 bits could not even be rendered for the comparison.
    if offset + size != at or raw != end_records(count, offset, size, raw[-TAIL_SIZE:]):
        raise _broken("the end records are not as Ingot writes them")
    return count, offset, size


def parse_central(raw: bytes, count: int) -> Iterator[Record]:
    """The records of a central directory; the local extra field's length is still unknown (0)."""
    at = 0
    for _ in range(count):
        head = raw[at : at + _CENTRAL.size]
        if len(head) < _CENTRAL.size:
            raise _broken("the central directory ends early")
        fields = _CENTRAL.unpack(head)
        name_size, extra_size = fields[10], fields[11]
        end = at + _CENTRAL.size + name_size + extra_size
        if fields[0] != _CENTRAL_MAGIC or name_size > NAME_MAX or end > len(raw):
            raise _broken("the central directory is malformed")
        body = raw[at + _CENTRAL.size : end]
        record = _central_record(fields, body[:name_size], body[name_size:])
        if central_header(record) != raw[at:end]:
            raise _broken(f"the central directory's record of {record.name!r} is not canonical")
        yield record
        at = end
    if at != len(raw):
        raise _broken("the central directory has more entries than it says")


def _central_record(fields: tuple[int, ...], raw_name: bytes, extra: bytes) -> Record:
    method, crc = fields[4], fields[7]
    stored, size, offset = fields[8], fields[9], fields[16]
    try:
        name = raw_name.decode("utf-8")
    except UnicodeDecodeError:
        raise _broken("an entry's name is not UTF-8") from None
    zip64 = size == U32
    if zip64 and len(extra) == 28:
        size, stored, offset = struct.unpack("<3Q", extra[4:])
    elif offset == U32 and len(extra) == 12:
        (offset,) = struct.unpack("<Q", extra[4:])
    return Record(name, method, crc, size, stored, offset, 0, zip64)


def local_extra(raw: bytes, record: Record) -> int:
    """Length of the extra field, from the first 30 bytes of ``record``'s local header.

    The caller renders the header with it (``local_header``) and compares every byte.
    """
    if len(raw) < LOCAL_SIZE:
        raise _broken(f"the local header of {record.name!r} is cut off")
    extra = int(struct.unpack_from("<H", raw, LOCAL_SIZE - 2)[0])
    base = LOCAL_ZIP64_SIZE if record.zip64 else 0
    if extra != base and extra < base + PADDING_MIN:
        raise _broken(f"the local header of {record.name!r} has an unknown extra field")
    return extra


def _flags(name: bytes) -> int:
    return 0 if name.isascii() else _FLAG_UTF8


def _broken(what: str) -> IntegrityError:
    return IntegrityError(what, code="zip-structure")
