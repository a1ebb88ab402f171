"""Placing entries: aligned, in order, without overlaps, whatever the sizes."""

from __future__ import annotations

import zipfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ingot.bundle.format import CHUNK, align
from ingot.bundle.layout import Item, alignment_of, plan_layout
from ingot.bundle.records import (
    EXTRA_MAX,
    central_header,
    end_records,
    local_extra,
    local_header,
    parse_central,
    parse_end,
)
from ingot.errors import IntegrityError

TERABYTE = 1 << 40
TAIL = b"t" * 107


def items(sizes: list[int], names: list[str], role: str) -> list[Item]:
    return [Item(name, role, 0, size, size) for name, size in zip(names, sizes, strict=False)]


@given(
    st.integers(1, 1 << 24),
    st.integers(2, 1 << 20),
    st.lists(st.integers(1, 3 * TERABYTE), min_size=1, max_size=4),
    st.lists(st.integers(0, 1 << 33), min_size=1, max_size=6),
    st.integers(1, 240),
)
@settings(max_examples=300, deadline=None)
def test_everything_is_aligned_ordered_and_reachable(
    program: int, manifest: int, weights: list[int], modules: list[int], name_length: int
) -> None:
    names = [f"models/{n}{'m' * name_length}" for n in range(len(weights))]
    parts = [Item(n, "model", 0, s, s) for n, s in zip(names, weights, strict=True)]
    parts += [Item(f"modules/{i}", "module", 0, s, s) for i, s in enumerate(modules)]
    parts += [Item("ui/x", "ui", 8, 100, 50)]
    layout = plan_layout(program, manifest, parts)
    assert layout.manifest.header_offset == align(program, 4096)
    at = layout.manifest.data_offset + manifest
    for item, record in zip(parts, layout.records, strict=True):
        assert 0 <= record.header_offset - at < 65536 + 64
        assert record.data_offset % alignment_of(item.role) == 0
        assert record.extra <= EXTRA_MAX
        assert len(local_header(record, alignment_of(item.role))) == (
            record.data_offset - record.header_offset
        )
        at = record.data_offset + record.stored
    assert layout.directory_offset == at
    assert layout.file_size == at + layout.directory_size + 56 + 20 + 22 + 107


@given(
    st.integers(0, 1 << 45),
    st.integers(0, 1 << 45),
    st.sampled_from(["models/ü", "a"]),
    st.booleans(),
)
@settings(deadline=None)
def test_the_central_directory_comes_back(
    size: int, program: int, name: str, weights: bool
) -> None:
    item = Item(name, "model" if weights else "module", 0, size, size)
    layout = plan_layout(program, 10, [item])
    written = (layout.manifest, *layout.records)
    raw = b"".join(central_header(record) for record in written)
    parsed = list(parse_central(raw, 2))
    for ours, theirs in zip(written, parsed, strict=True):
        header = local_header(ours, 4096)
        assert local_extra(header[:30], theirs) == ours.extra
        assert (theirs.name, theirs.size, theirs.stored, theirs.header_offset, theirs.zip64) == (
            ours.name,
            ours.size,
            ours.stored,
            ours.header_offset,
            ours.zip64,
        )


def test_terabytes_are_read_by_the_standard_library(tmp_path: Path) -> None:
    layout = plan_layout(10_000_000, 10, [Item("models/a", "model", 0, 5 * TERABYTE, 5 * TERABYTE)])
    directory = b"".join(central_header(r) for r in (layout.manifest, *layout.records))
    end = end_records(2, layout.directory_offset, len(directory), TAIL)

    path = tmp_path / "sparse"
    with path.open("wb") as file:
        file.seek(layout.directory_offset)
        file.write(directory + end)
    assert path.stat().st_size == layout.file_size
    with zipfile.ZipFile(path) as archive:
        info = archive.getinfo("models/a")
        assert info.file_size == 5 * TERABYTE
        assert info.header_offset == layout.records[0].header_offset
        assert info.date_time == (1980, 1, 1, 0, 0, 0)


def test_broken_directories_are_refused() -> None:
    layout = plan_layout(0, 10, items([5], ["a"], "module"))
    raw = b"".join(central_header(r) for r in (layout.manifest, *layout.records))
    for bad, count in (
        (raw[:-1], 2),
        (raw, 1),
        (raw, 3),
        (raw + b"x", 2),
        (b"PK\x05\x06" + raw[4:], 2),
        (raw[:38] + b"\xff" + raw[39:], 2),  # other attributes
        (raw[:12] + b"\x01" + raw[13:], 2),  # another time
        (raw[:8] + b"\x09" + raw[9:], 2),  # encrypted, with a data descriptor
    ):
        with pytest.raises(IntegrityError) as caught:
            list(parse_central(bad, count))
        assert caught.value.code == "zip-structure"


@pytest.mark.parametrize("at", range(0, 56 + 20 + 22, 3))
def test_every_byte_of_the_end_records_counts(at: int) -> None:
    raw = end_records(3, 1000, 200, TAIL)
    assert parse_end(raw, 1200) == (3, 1000, 200)
    with pytest.raises(IntegrityError):
        parse_end(raw[:at] + bytes([raw[at] ^ 0x41]) + raw[at + 1 :], 1200)


def test_chunks_are_four_mebibytes() -> None:
    assert CHUNK == 4 * 1024 * 1024
