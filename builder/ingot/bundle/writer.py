"""Writing an executable: plan, then one pass that copies and hashes, then the small parts, then
put under its name. What the bytes mean is format.py's business; where they lie, layout.py's.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path

from ingot.bundle.copying import Copier, Digest, Job
from ingot.bundle.deflate import Packed, pack
from ingot.bundle.digest import LEAF_SIZE, chunk_count, crc32, sha256
from ingot.bundle.format import DEFLATED, STORED, name_problem, tail
from ingot.bundle.inputs import FileRegion, Segment, total_size
from ingot.bundle.layout import Item, Layout, alignment_of, plan_layout
from ingot.bundle.manifest import (
    DEFLATABLE,
    HASHES,
    MODULE,
    WEIGHTS,
    Description,
    Entry,
    GpuFacts,
    Manifest,
)
from ingot.bundle.output import OutputFile
from ingot.bundle.records import Record, central_header, end_records, local_header
from ingot.console import Progress, Step
from ingot.errors import InputError, IntegrityError

_WORST_NUMBER = (1 << 63) - 1
_WORST_CRC = (1 << 32) - 1
_NO_HASH = "0" * 64
_OVERHEAD = 1024  # bytes, more than the two headers of an entry


@dataclass(frozen=True)
class Source:
    """An entry to be written. ``expected`` is what its content must hash to, if that is known:
    the sha256 for plain entries, the tree's root for weights. ``deflated`` is the content of a
    small entry, deflated before.
    """

    name: str
    role: str
    segments: tuple[Segment, ...]
    target: str | None = None
    expected: str | None = None
    gpu: GpuFacts | None = None
    deflated: FileRegion | None = None


@dataclass(frozen=True)
class Last:
    """The last entry, whose content follows from all others: ``make`` gets the manifest without it,
    with every hash, when they have been written.
    """

    name: str
    role: str
    make: Callable[[Manifest], bytes]


@dataclass(frozen=True)
class Contents:
    """Everything that goes into one executable."""

    about: Description
    program: Source
    sources: tuple[Source, ...]
    last: Last | None = None


@dataclass(frozen=True)
class _Plan:
    """A placed executable; sources, entries and records run parallel, in file order.

    The last entry is not placed yet: ``room`` is how many bytes it will take at most.
    """

    contents: Contents
    sources: tuple[Source, ...]
    packed: dict[str, Packed]
    entries: tuple[Entry, ...]
    layout: Layout
    room: int


def write_bundle(output: Path, contents: Contents, progress: Progress) -> Manifest:
    """Write the executable ``output``, replacing what is there; return its manifest.

    The caller has validated the inputs and the output (``check_output``). Raises InputError
    (``disk-full``, ``output-too-large``, ``output-unwritable``, ``input-changed``, …) and
    IntegrityError ``entry-damaged`` when a source is not what it is expected to be. Whatever
    happens, a partial file never has the output's name.
    """
    plan = _plan(contents)
    title = f"Writing {output.name}"
    with progress.step(title) as step, OutputFile(output) as out:
        try:
            manifest = _fill(out.fd, output, plan, step)
            step.update(1, 1, "giving it its name")
            out.commit()
        except OSError as error:
            raise _explain(error, output, plan.layout.file_size) from error
    return manifest


def leaves_name(model_name: str) -> str:
    """The entry with the chunk hashes of the weights ``model_name``."""
    return f"hashes/{model_name.rsplit('/', 1)[-1]}.sha256"


def _plan(contents: Contents) -> _Plan:
    sources = _ordered(contents.sources)
    for source in sources:
        problem = name_problem(source.name)
        if problem:
            raise InputError(f"the entry name {source.name!r} {problem}", code="entry-name")
    small = [source for source in sources if source.role in DEFLATABLE]
    with ThreadPoolExecutor(max_workers=min(8, os.cpu_count() or 1)) as pool:
        results = pool.map(lambda source: pack(source.segments, source.deflated), small)
        packed = {source.name: done for source, done in zip(small, results, strict=True)}
    for source in small:
        _expect(source, packed[source.name].sha256)
    items = tuple(_item(source, packed.get(source.name)) for source in sources)
    draft = _draft(contents, sources, items)
    layout = plan_layout(total_size(contents.program.segments), len(draft.encode()), items)
    placed = draft.entries[: len(items)]
    # Made once without hashes, too: what cannot be made is to be known before gigabytes are copied.
    last = contents.last
    room = _OVERHEAD + len(last.make(replace(draft, entries=placed))) if last else 0
    return _Plan(contents, sources, packed, placed, layout, room)


def _ordered(sources: Sequence[Source]) -> tuple[Source, ...]:
    """The format's order, hashes entries included (their bytes are made while copying)."""
    weights = [s for role in WEIGHTS for s in sources if s.role == role]
    hashes = [
        Source(
            leaves_name(s.name), HASHES, (bytes(LEAF_SIZE * chunk_count(total_size(s.segments))),)
        )
        for s in weights
    ]
    rest = [
        source
        for role in (MODULE, *DEFLATABLE)
        for source in sorted((s for s in sources if s.role == role), key=_by_name)
    ]
    return (*weights, *sorted(hashes, key=_by_name), *rest)


def _by_name(source: Source) -> str:
    return source.name


def _item(source: Source, packed: Packed | None) -> Item:
    if packed is not None:
        return Item(source.name, source.role, packed.method, packed.size, len(packed.data))
    size = total_size(source.segments)
    return Item(source.name, source.role, STORED, size, size)


def _draft(contents: Contents, sources: Sequence[Source], items: Sequence[Item]) -> Manifest:
    """The manifest with the longest possible number in every place, to know its size."""
    entries = [_entry(source, item) for source, item in zip(sources, items, strict=True)]
    last = contents.last
    if last is not None:
        item = Item(last.name, last.role, DEFLATED, _WORST_NUMBER, _WORST_NUMBER)
        entries.append(_entry(Source(last.name, last.role, ()), item))
    return Manifest(contents.about, _WORST_NUMBER, _WORST_NUMBER, _NO_HASH, tuple(entries))


def _entry(source: Source, item: Item) -> Entry:
    """Not placed, not hashed."""
    return Entry(
        name=item.name,
        role=item.role,
        method=item.method,
        offset=_WORST_NUMBER,
        size=item.size,
        stored=item.stored,
        crc32=_WORST_CRC,
        sha256=None if item.role in WEIGHTS else _NO_HASH,
        target=source.target,
        leaves=leaves_name(item.name) if item.role in WEIGHTS else None,
        gpu=source.gpu,
    )


def _fill(fd: int, output: Path, plan: _Plan, step: Step) -> Manifest:
    layout = plan.layout
    jobs = [Job("program", plan.contents.program.segments, 0)]
    copied = [plan.contents.program]
    for source, record in zip(plan.sources, layout.records, strict=True):
        if source.role in WEIGHTS or source.role == MODULE:
            tree = source.role in WEIGHTS
            jobs.append(Job(source.name, source.segments, record.data_offset, tree))
            copied.append(source)
    with Copier(jobs, fd) as copier:
        os.ftruncate(fd, layout.file_size)
        shared = copier.clone()
        _check_space(fd, output, layout.file_size + plan.room - shared)
        digests = copier.run(step)
    results = {source.name: digest for source, digest in zip(copied, digests, strict=True)}
    for source in copied:
        digest = results[source.name]
        _expect(source, digest.sha256 or sha256(digest.leaves))
    return _write_small_parts(fd, plan, digests[0], results)


def _write_small_parts(
    fd: int, plan: _Plan, program: Digest, results: dict[str, Digest]
) -> Manifest:
    """Headers, hashes, deflated entries, the manifest and the central directory."""
    leaves = {leaves_name(name): digest.leaves for name, digest in results.items()}
    done, records = [], []
    for entry, placed in zip(plan.entries, plan.layout.records, strict=True):
        data = plan.packed[entry.name].data if entry.name in plan.packed else None
        if entry.role == HASHES:
            data = leaves[entry.name]
        crc, digest = _hashes(entry, plan, results, leaves)
        records.append(_write_entry(fd, entry, replace(placed, crc32=crc), data))
        done.append(replace(entry, offset=placed.data_offset, crc32=crc, sha256=digest))
    manifest = Manifest(
        about=plan.contents.about,
        file_size=plan.layout.file_size,
        program_size=plan.layout.program_size,
        program_sha256=program.sha256 or _NO_HASH,
        entries=tuple(done),
    )
    layout = plan.layout
    if plan.contents.last is not None:
        manifest, layout, record = _write_last(fd, plan.contents.last, plan, manifest)
        records.append(record)
    _write_manifest(fd, manifest, layout, records)
    return manifest


def _write_last(
    fd: int, last: Last, plan: _Plan, manifest: Manifest
) -> tuple[Manifest, Layout, Record]:
    """Behind all others, none of which it moves: only now is it known how long it is."""
    source = Source(last.name, last.role, (last.make(manifest),))
    packed = pack(source.segments)
    item = _item(source, packed)
    before = [Item(e.name, e.role, e.method, e.size, e.stored) for e in manifest.entries]
    old = plan.layout
    layout = plan_layout(old.program_size, old.manifest.size, [*before, item])
    record = replace(layout.records[-1], crc32=packed.crc32)
    entry = replace(
        _entry(source, item),
        offset=record.data_offset,
        crc32=packed.crc32,
        sha256=packed.sha256,
    )
    _write_entry(fd, entry, record, packed.data)
    entries = (*manifest.entries, entry)
    return replace(manifest, file_size=layout.file_size, entries=entries), layout, record


def _write_entry(fd: int, entry: Entry, record: Record, data: bytes | None) -> Record:
    """The local header, and ``data`` unless it was copied before."""
    if data is not None:
        _write(fd, data, record.data_offset)
    _write(fd, local_header(record, alignment_of(entry.role)), record.header_offset)
    return record


def _hashes(
    entry: Entry, plan: _Plan, results: dict[str, Digest], leaves: dict[str, bytes]
) -> tuple[int, str | None]:
    """CRC-32 and sha256 of an entry's uncompressed content."""
    if entry.role == HASHES:
        return crc32(leaves[entry.name]), sha256(leaves[entry.name])
    if entry.name in plan.packed:
        return plan.packed[entry.name].crc32, plan.packed[entry.name].sha256
    return results[entry.name].crc32, results[entry.name].sha256


def _write_manifest(fd: int, manifest: Manifest, layout: Layout, records: Sequence[Record]) -> None:
    raw = manifest.encode(layout.manifest.size)
    first = replace(layout.manifest, crc32=crc32(raw))
    _write(fd, local_header(first, 1) + raw, first.header_offset)
    directory = b"".join(central_header(record) for record in (first, *records))
    end = end_records(
        len(records) + 1,
        layout.directory_offset,
        len(directory),
        tail(first.data_offset, len(raw), sha256(raw)),
    )
    _write(fd, directory + end, layout.directory_offset)


def _write(fd: int, data: bytes, offset: int) -> None:
    view = memoryview(data)
    while view:
        count = os.pwrite(fd, view, offset)
        view, offset = view[count:], offset + count


def _expect(source: Source, actual: str) -> None:
    if source.expected is not None and source.expected != actual:
        origin = next((s.path for s in source.segments if isinstance(s, FileRegion)), source.name)
        raise IntegrityError(
            f"{origin}: {source.name} is damaged: its hash is not what it should be",
            hint="get the file again; 'ingot verify' says which bytes of an executable are damaged",
            code="entry-damaged",
        )


def _check_space(fd: int, output: Path, needed: int) -> None:
    status = os.fstatvfs(fd)
    available = status.f_bavail * status.f_frsize
    if needed > available:
        raise _disk_full(output, needed, available)


def _disk_full(output: Path, needed: int, available: int) -> InputError:
    return InputError(
        f"{output}: the disk is full: {needed} bytes are needed, {available} are available",
        hint="make room, or choose an output on another disk with -o",
        code="disk-full",
    )


def _explain(error: OSError, output: Path, size: int) -> InputError:
    """Turn a failed write into words. Reading errors have been turned before."""
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        status = os.statvfs(output.parent)
        return _disk_full(output, size, status.f_bavail * status.f_frsize)
    if error.errno == errno.EFBIG:
        return InputError(
            f"{output}: {size} bytes are more than a file may have here",
            hint="choose an output on another file system with -o, or raise 'ulimit -f'",
            code="output-too-large",
        )
    return InputError(
        f"{output}: cannot be written: {error.strerror}",
        hint="choose another output",
        code="output-unwritable",
    )
