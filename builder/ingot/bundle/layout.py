"""Where everything in an executable lies. Pure: sizes in, offsets out; nothing is touched."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ingot.bundle.format import (
    END_SIZE,
    EOCD64_SIZE,
    LOCATOR_SIZE,
    MANIFEST_NAME,
    MODEL_ALIGNMENT,
    MODULE_ALIGNMENT,
    PAGE,
    STORED,
    align,
)
from ingot.bundle.manifest import MODULE, WEIGHTS
from ingot.bundle.records import (
    EXTRA_MAX,
    LOCAL_SIZE,
    LOCAL_ZIP64_SIZE,
    PADDING_MIN,
    U32,
    Record,
    central_header,
)


@dataclass(frozen=True)
class Item:
    """An entry to be placed: ``size`` bytes that take ``stored`` bytes in the file."""

    name: str
    role: str
    method: int
    size: int
    stored: int


@dataclass(frozen=True)
class Layout:
    """Records still without CRCs, in file order; offsets and sizes in bytes."""

    program_size: int
    manifest: Record
    records: tuple[Record, ...]
    directory_offset: int
    directory_size: int
    file_size: int


def alignment_of(role: str) -> int:
    """The number of bytes at a multiple of which the data of an entry begins; 1 if anywhere."""
    if role in WEIGHTS:
        return MODEL_ALIGNMENT
    return MODULE_ALIGNMENT if role == MODULE else 1


def plan_layout(program_size: int, manifest_size: int, items: Sequence[Item]) -> Layout:
    """Place the manifest and ``items``, which come in the format's order."""
    manifest = Record(
        name=MANIFEST_NAME,
        method=STORED,
        crc32=0,
        size=manifest_size,
        stored=manifest_size,
        header_offset=align(program_size, PAGE),
        extra=0,
        zip64=False,
    )
    at = manifest.data_offset + manifest_size
    records = []
    for item in items:
        record = _place(item, at)
        records.append(record)
        at = record.data_offset + record.stored
    directory_size = sum(len(central_header(record)) for record in (manifest, *records))
    return Layout(
        program_size=program_size,
        manifest=manifest,
        records=tuple(records),
        directory_offset=at,
        directory_size=directory_size,
        file_size=at + directory_size + EOCD64_SIZE + LOCATOR_SIZE + END_SIZE,
    )


def _place(item: Item, at: int) -> Record:
    zip64 = item.role in WEIGHTS or max(item.size, item.stored) >= U32
    extra = LOCAL_ZIP64_SIZE if zip64 else 0
    alignment = alignment_of(item.role)
    fixed = LOCAL_SIZE + len(item.name.encode())
    padding = -(at + fixed + extra) % alignment
    if 0 < padding < PADDING_MIN:
        padding += alignment
    # An extra field has at most 65,535 bytes; the rest of the padding comes before the header.
    gap = max(0, extra + padding - EXTRA_MAX)
    return Record(
        name=item.name,
        method=item.method,
        crc32=0,
        size=item.size,
        stored=item.stored,
        header_offset=at + gap,
        extra=extra + padding - gap,
        zip64=zip64,
    )
