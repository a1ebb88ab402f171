"""An executable again, with another description: every entry is taken over as it is.

The bytes are those that a build with that description would have given.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from ingot.bundle.format import DEFLATED
from ingot.bundle.inputs import FileRegion
from ingot.bundle.manifest import (
    DEFLATABLE,
    HASHES,
    MODULE,
    SBOM,
    WEIGHTS,
    Entry,
    Manifest,
    RecordedTest,
)
from ingot.bundle.reader import Bundle, open_bundle
from ingot.bundle.writer import Contents, Last, Source, write_bundle
from ingot.console import Progress


def record_tests(path: Path, tests: tuple[RecordedTest, ...], progress: Progress) -> Manifest:
    """Write into the manifest of the executable ``path`` how ``tests`` ended; replaced in one step.

    Nothing is written if that stands there already. Raises what ``open_bundle`` and
    ``write_bundle`` do.
    """
    path = path.resolve()  # of a link, what it points to is replaced
    with open_bundle(path) as bundle:
        about = bundle.manifest.about
        if about.tests == tests:
            return bundle.manifest
        contents = replace(_contents(bundle), about=replace(about, tests=tests))
        return write_bundle(path, contents, progress)


def _contents(bundle: Bundle) -> Contents:
    manifest = bundle.manifest
    size, digest = manifest.program_size, manifest.program_sha256
    program = Source("program", "program", (FileRegion(bundle.path, 0, size),), expected=digest)
    sources = [_source(bundle, e) for e in manifest.entries if e.role not in (HASHES, SBOM)]
    last = [_as_it_is(bundle, entry) for entry in manifest.with_role(SBOM)]
    return Contents(manifest.about, program, tuple(sources), last[0] if last else None)


def _as_it_is(bundle: Bundle, entry: Entry) -> Last:
    """Last again: a manifest is padded for numbers that are not known of the last entry."""
    content = bundle.read(entry)
    return Last(entry.name, entry.role, lambda _manifest: content)


def _source(bundle: Bundle, entry: Entry) -> Source:
    region = bundle.region(entry)
    if entry.role in DEFLATABLE:
        ready = region if entry.method == DEFLATED else None
        return Source(entry.name, entry.role, (bundle.read(entry),), deflated=ready)
    assert entry.role in (*WEIGHTS, MODULE)
    leaves = bundle.manifest.entry(entry.leaves) if entry.leaves else None
    digest = leaves.sha256 if leaves else entry.sha256
    return Source(
        entry.name, entry.role, (region,), target=entry.target, expected=digest, gpu=entry.gpu
    )
