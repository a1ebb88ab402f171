"""What is recorded in an executable after it was built: every entry is taken over as it is.

The bytes are those that a build which knew it all before would have given.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

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


def record(
    path: Path,
    progress: Progress,
    *,
    tests: tuple[RecordedTest, ...] | None = None,
    answers: Mapping[str, Any] | None = None,
) -> Manifest:
    """Write into the manifest of the executable ``path`` how tests ended, or what it answers.

    None leaves what stands there. The file is replaced in one step, and not at all if nothing is
    new. Raises what ``open_bundle`` and ``write_bundle`` do.
    """
    path = path.resolve()  # of a link, what it points to is replaced
    with open_bundle(path) as bundle:
        old = bundle.manifest.about
        new = replace(
            old,
            tests=old.tests if tests is None else tests,
            answers=old.answers if answers is None else answers,
        )
        if new == old:
            return bundle.manifest
        return write_bundle(path, replace(_contents(bundle), about=new), progress)


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
