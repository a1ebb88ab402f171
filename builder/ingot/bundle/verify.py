"""Checking the content of an executable: every byte of it, with the damaged places named."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from ingot.bundle.copying import Copier, Digest, Job
from ingot.bundle.deflate import SMALL_MAX, inflate
from ingot.bundle.digest import LEAF_SIZE, crc32, sha256
from ingot.bundle.format import CHUNK, DEFLATED
from ingot.bundle.inputs import FileRegion
from ingot.bundle.manifest import HASHES, WEIGHTS, Entry
from ingot.bundle.reader import Bundle
from ingot.console import Progress
from ingot.errors import IntegrityError

_PROGRAM = "program"


@dataclass(frozen=True)
class Finding:
    """Something damaged: bytes ``first`` up to, not including, ``last`` of the executable."""

    entry: str
    first: int
    last: int
    what: str


def verify(bundle: Bundle, progress: Progress) -> tuple[Finding, ...]:
    """Check every entry, the program and the padding; an empty result means all is well."""
    manifest = bundle.manifest
    jobs = [Job(_PROGRAM, (FileRegion(bundle.path, 0, manifest.program_size),), 0)]
    jobs += [
        Job(entry.name, (bundle.region(entry),), entry.offset, entry.role in WEIGHTS)
        for entry in manifest.entries
    ]
    title = f"Verifying {bundle.path.name}"
    with progress.step(title) as step, Copier(jobs, None) as copier:
        digests = copier.run(step)
    findings = list(_check_program(bundle, digests[0]))
    for entry, digest in zip(manifest.entries, digests[1:], strict=True):
        findings += _check_entry(bundle, entry, digest)
    findings += _check_padding(bundle)
    return tuple(findings)


def _check_program(bundle: Bundle, digest: Digest) -> Iterator[Finding]:
    if digest.sha256 != bundle.manifest.program_sha256:
        yield Finding(_PROGRAM, 0, bundle.manifest.program_size, "the program differs")


def _check_entry(bundle: Bundle, entry: Entry, digest: Digest) -> Iterator[Finding]:
    if entry.role in WEIGHTS:
        yield from _check_weights(bundle, entry, digest)
        return
    content, crc = digest.sha256, digest.crc32
    if entry.method == DEFLATED and max(entry.size, entry.stored) > SMALL_MAX:
        yield _whole(entry, "a compressed entry of this size is not Ingot's")
        return
    if entry.method == DEFLATED:
        try:
            raw = inflate(os.pread(bundle.fd, entry.stored, entry.offset), entry.size, entry.name)
            content, crc = sha256(raw), crc32(raw)
        except IntegrityError:
            content = None
    if content != entry.sha256 or crc != entry.crc32:
        yield _whole(entry, "the content differs")


def _check_weights(bundle: Bundle, entry: Entry, digest: Digest) -> Iterator[Finding]:
    """Name the damaged chunks, neighbours as one range."""
    hashes = bundle.manifest.entry(entry.leaves or "")
    assert hashes is not None and hashes.role == HASHES  # decode() made sure
    if hashes.size != len(digest.leaves):
        yield _whole(entry, "the number of chunk hashes is wrong")
        return
    leaves = os.pread(bundle.fd, hashes.size, hashes.offset)
    if sha256(leaves) != hashes.sha256:
        return  # Reported for the hashes themselves; they can't tell which weights are right.
    bad = [
        number
        for number in range(len(leaves) // LEAF_SIZE)
        if _leaf(leaves, number) != _leaf(digest.leaves, number)
    ]
    for first, last in _ranges(bad):
        begin = entry.offset + first * CHUNK
        end = min(entry.offset + last * CHUNK, entry.offset + entry.size)
        yield Finding(entry.name, begin, end, "the weights differ")
    if not bad and digest.crc32 != entry.crc32:
        yield _whole(entry, "the CRC is wrong")


def _check_padding(bundle: Bundle) -> Iterator[Finding]:
    """What belongs to nobody must be zero, so that nothing can hide there."""
    at = bundle.manifest.program_size
    for record in bundle.records:
        gap = os.pread(bundle.fd, record.header_offset - at, at)
        if gap.count(0) != record.header_offset - at:
            yield Finding(
                "padding", at, record.header_offset, f"the padding before {record.name} is not zero"
            )
        at = record.data_offset + record.stored


def _ranges(numbers: Sequence[int]) -> Iterator[tuple[int, int]]:
    start = 0
    for index, number in enumerate(numbers):
        if index + 1 == len(numbers) or numbers[index + 1] != number + 1:
            yield numbers[start], number + 1
            start = index + 1


def _leaf(leaves: bytes, number: int) -> bytes:
    return leaves[number * LEAF_SIZE : (number + 1) * LEAF_SIZE]


def _whole(entry: Entry, what: str) -> Finding:
    return Finding(entry.name, entry.offset, entry.offset + entry.stored, what)
