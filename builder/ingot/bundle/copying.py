"""Copying and hashing entries in one pass, on all cores, in small reused buffers.

Each unit of work (4 MiB of weights, or one whole small entry) is read, hashed and written by one
thread; the system calls and both hashes release the interpreter's lock. Where the file system
shares extents (btrfs, XFS), weights are cloned first and then only read. Else one thread has the
kernel copy them in long steps while the others hash the source; else they go through a buffer. The
source may change under us: its size and time are compared before and after.
"""

from __future__ import annotations

import itertools
import os
import threading
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

from ingot.bundle.digest import Hasher, chunk_count, combine_crcs
from ingot.bundle.format import CHUNK
from ingot.bundle.inputs import FileRegion, Segment, segment_size, total_size
from ingot.bundle.rawio import (
    CLONE_BLOCK,
    changed,
    clone_range,
    copy_in_kernel,
    read_all,
    start_writeback,
    write_all,
)
from ingot.console import Step
from ingot.errors import InputError

# Small enough to stay in the L2 cache between read and hash. CPU seconds for 2 GiB, read, hashed
# and written: 4.1 with 512 KiB, 5.2 with 1 MiB, 5.7 with 4 MiB, 7.1 with 256 KiB.
BUFFER = 512 << 10
MAX_THREADS = 16
# Bytes per copy_file_range call for weights, and the least that is worth a thread of its own.
# Medians for 4 GiB, copied and hashed on two cores with memory that the host had already backed:
# 5.5 s (cp and sync: 5.6), where every thread copying its own 4 MiB took 6.5 s.
BULK_STEP = 64 << 20
_REPORT_SECONDS = 0.1


@dataclass(frozen=True)
class Job:
    """One entry's data: ``segments`` go to ``offset``; ``tree`` asks for a hash per chunk."""

    name: str
    segments: tuple[Segment, ...]
    offset: int
    tree: bool = False

    @property
    def size(self) -> int:
        """Bytes."""
        return total_size(self.segments)


@dataclass(frozen=True)
class Digest:
    """What was copied: sha256 as lowercase hex for a plain job, leaves for a tree."""

    size: int
    crc32: int
    sha256: str | None = None
    leaves: bytes = b""


@dataclass
class _State:
    """A job under way. ``starts`` are the segments' offsets inside it."""

    job: Job
    size: int
    starts: list[int]
    placed: list[tuple[int, int]] = field(default_factory=list)  # only to be hashed
    crcs: list[int] = field(default_factory=list)
    leaves: list[bytes] = field(default_factory=list)
    sha256: str | None = None

    def digest(self) -> Digest:
        if self.job.tree:
            crc = combine_crcs(self.crcs, self.size)
            return Digest(self.size, crc, leaves=b"".join(self.leaves))
        return Digest(self.size, self.crcs[0], self.sha256)


@dataclass(frozen=True)
class _Run:
    """Part of a unit inside one segment: ``inside`` counts in the segment, ``at`` in the job."""

    segment: Segment
    inside: int
    at: int
    count: int
    placed: bool


@dataclass(frozen=True)
class _Bulk:
    """A large region on its way to ``target``, an offset in the file."""

    region: FileRegion
    target: int


class Copier:
    """Copies ``jobs`` into the file ``fd``; with ``fd`` None it only hashes them.

    Use as a context manager: it holds the source files open. ``clone`` is a separate step so
    that the caller can check the free space between it and ``run``.
    """

    def __init__(self, jobs: Sequence[Job], fd: int | None) -> None:
        self._fd = fd
        self._states = [_state(job) for job in jobs]
        self._sources: dict[Path, tuple[int, os.stat_result]] = {}
        self._units = self._plan_units()
        self._stop = threading.Event()
        self._next = itertools.count()
        self._copied = 0
        self._error: BaseException | None = None
        self._guard = threading.Lock()
        # One writer at a time: the kernel locks the file anyway and its waiters spin. CPU seconds
        # for 2 GiB with two threads, median of seven: 3.3 with this lock, 4.0 without.
        self._writing = threading.Lock()

    def __enter__(self) -> Self:
        try:
            for state in self._states:
                for segment in state.job.segments:
                    if isinstance(segment, FileRegion) and segment.path not in self._sources:
                        self._open(segment.path)
        except BaseException:
            self._close()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self._close()

    def clone(self) -> int:
        """Share extents with the sources where possible; return how many bytes are shared."""
        shared = 0
        if self._fd is None:
            return 0
        for state in self._states:
            if not state.job.tree:
                continue
            for start, segment in zip(state.starts, state.job.segments, strict=True):
                if not isinstance(segment, FileRegion):
                    continue
                cloned = self._clone_region(state.job.offset + start, segment)
                if cloned is None:
                    return shared  # This pair of files cannot; the others are no different.
                if cloned[1] > cloned[0]:
                    first, last = (at - state.job.offset for at in cloned)
                    state.placed.append((first, last))
                    shared += last - first
        return shared

    def run(self, step: Step) -> list[Digest]:
        """Copy and hash everything; one Digest per job, in order.

        Raises InputError ``input-changed``, and OSError from reading or writing.
        """
        total = sum(state.size for state in self._states)
        threads = self._threads()
        try:
            for thread in threads:
                thread.start()
            for thread in threads:
                while thread.is_alive():
                    thread.join(_REPORT_SECONDS)
                    step.update(self._copied, total)
        except BaseException:
            self._stop.set()
            for thread in threads:
                if thread.ident is not None:
                    thread.join()
            raise
        if self._error is not None:
            raise self._error
        self._check_unchanged()
        return [state.digest() for state in self._states]

    def _threads(self) -> list[threading.Thread]:
        """One per core. With a bulk copy under way more would take its core away from it."""
        count = min(MAX_THREADS, max(2, len(os.sched_getaffinity(0))))
        bulk = self._plan_bulk()
        if not bulk:
            count += 1  # One may wait to write.
        plans = [bulk] + [[] for _ in range(count - 1)]
        return [threading.Thread(target=self._work, args=(plan,), daemon=True) for plan in plans]

    def _open(self, path: Path) -> None:
        try:
            fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        except OSError as error:
            raise InputError(
                f"{path}: cannot be opened: {error.strerror}", code="file-unreadable"
            ) from error
        self._sources[path] = (fd, os.fstat(fd))
        os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_SEQUENTIAL)

    def _close(self) -> None:
        for fd, _status in self._sources.values():
            os.close(fd)
        self._sources.clear()

    def _plan_units(self) -> list[tuple[_State, int, int, int]]:
        """(state, index, start, length): big chunks first come, first served, in file order."""
        units = []
        for state in self._states:
            if not state.job.tree:
                state.crcs = [0]
                units.append((state, 0, 0, state.size))
                continue
            count = chunk_count(state.size)
            state.crcs, state.leaves = [0] * count, [b""] * count
            for index in range(count):
                start = index * CHUNK
                units.append((state, index, start, min(CHUNK, state.size - start)))
        return units

    def _plan_bulk(self) -> list[_Bulk]:
        """Large regions that the kernel can copy; from then on they count as placed.

        The first step is made here: whether these two file systems can do it shows in no other
        way.
        """
        if self._fd is None:
            return []
        plan: list[_Bulk] = []
        for state in self._states:
            if not state.job.tree or state.placed:
                continue
            for start, segment in zip(state.starts, state.job.segments, strict=True):
                if not isinstance(segment, FileRegion) or segment.length < BULK_STEP:
                    continue
                bulk = _Bulk(segment, state.job.offset + start)
                source = self._sources[segment.path][0]
                if not copy_in_kernel(
                    source, segment.offset, self._fd, bulk.target, min(BULK_STEP, segment.length)
                ):
                    return plan
                state.placed.append((start, start + segment.length))
                plan.append(bulk)
        return plan

    def _copy_bulk(self, plan: Sequence[_Bulk]) -> None:
        """What is left of the planned regions, beside the threads that hash."""
        for bulk in plan:
            for done in range(BULK_STEP, bulk.region.length, BULK_STEP):
                if self._stop.is_set():
                    return
                self._copy_step(bulk, done, min(BULK_STEP, bulk.region.length - done))

    def _copy_step(self, bulk: _Bulk, done: int, count: int) -> None:
        assert self._fd is not None
        source, region = self._sources[bulk.region.path][0], bulk.region
        target = bulk.target + done
        if not self._copy_in_kernel(source, region.offset + done, target, count):
            buffer = memoryview(bytearray(BUFFER))
            for at in range(0, count, BUFFER):
                data = buffer[: min(BUFFER, count - at)]
                read_all(region.path, source, data, region.offset + done + at)
                self._write(data, target + at)
        start_writeback(self._fd, target, count)

    def _work(self, bulk: Sequence[_Bulk]) -> None:
        buffer = memoryview(bytearray(BUFFER))
        try:
            self._copy_bulk(bulk)
            while not self._stop.is_set():
                number = next(self._next)
                if number >= len(self._units):
                    return
                self._copy_unit(*self._units[number], buffer)
        except BaseException as error:  # noqa: BLE001 - handed to the thread that waits in run()
            self._stop.set()
            with self._guard:
                self._error = self._error or error

    def _copy_unit(
        self, state: _State, index: int, start: int, length: int, buffer: memoryview
    ) -> None:
        hasher = Hasher()
        for run in self._runs(state, start, length):
            if isinstance(run.segment, FileRegion):
                self._copy_region(state, run, run.segment, hasher, buffer)
            else:
                data = memoryview(run.segment)[run.inside : run.inside + run.count]
                hasher.update(data)
                self._write(data, state.job.offset + run.at)
            if self._stop.is_set():
                return
        if self._fd is not None and not state.placed:
            start_writeback(self._fd, state.job.offset + start, length)
        state.crcs[index] = hasher.crc
        if state.job.tree:
            state.leaves[index] = hasher.digest()
        else:
            state.sha256 = hasher.hexdigest()

    def _runs(self, state: _State, start: int, length: int) -> Iterator[_Run]:
        """Cut one unit where segments and placed ranges begin and end."""
        at, end = start, start + length
        while at < end:
            number = bisect_right(state.starts, at) - 1
            segment = state.job.segments[number]
            inside = at - state.starts[number]
            count = min(end - at, segment_size(segment) - inside)
            placed = False
            for first, last in state.placed:
                if first <= at < last:
                    placed, count = True, min(count, last - at)
                elif at < first:
                    count = min(count, first - at)
            yield _Run(segment, inside, at, count, placed)
            at += count

    def _copy_region(
        self, state: _State, run: _Run, region: FileRegion, hasher: Hasher, buffer: memoryview
    ) -> None:
        """Copy inside the kernel if it can and hash what arrived; else read, hash and write."""
        source, offset = self._sources[region.path][0], region.offset + run.inside
        target = state.job.offset + run.at
        write = not run.placed and self._fd is not None
        if write and self._copy_in_kernel(source, offset, target, run.count):
            assert self._fd is not None
            source, offset, write = self._fd, target, False
        done = 0
        while done < run.count and not self._stop.is_set():
            data = buffer[: min(BUFFER, run.count - done)]
            read_all(region.path, source, data, offset + done)
            hasher.update(data)
            if write:
                self._write(data, target + done)
            done += len(data)
            with self._guard:
                self._copied += len(data)

    def _copy_in_kernel(self, source: int, offset: int, target: int, count: int) -> bool:
        assert self._fd is not None
        with self._writing:
            return copy_in_kernel(source, offset, self._fd, target, count)

    def _write(self, data: memoryview, target: int) -> None:
        if self._fd is not None:
            with self._writing:
                write_all(self._fd, data, target)

    def _clone_region(self, target: int, region: FileRegion) -> tuple[int, int] | None:
        """Clone the whole blocks of ``region``; (first, last) byte in the target, None if it can't.

        Both offsets and the length have to be multiples of the file system's block.
        """
        if (target - region.offset) % CLONE_BLOCK:
            return target, target
        first = -(-target // CLONE_BLOCK) * CLONE_BLOCK
        last = (target + region.length) // CLONE_BLOCK * CLONE_BLOCK
        if last <= first:
            return target, target
        source = self._sources[region.path][0]
        assert self._fd is not None
        cloned = clone_range(source, region.offset + first - target, self._fd, first, last - first)
        return (first, last) if cloned else None

    def _check_unchanged(self) -> None:
        for path, (fd, before) in self._sources.items():
            now = os.fstat(fd)
            if (now.st_size, now.st_mtime_ns) != (before.st_size, before.st_mtime_ns):
                raise changed(path)


def _state(job: Job) -> _State:
    starts, at = [], 0
    for segment in job.segments:
        starts.append(at)
        at += segment_size(segment)
    return _State(job, at, starts)
