"""Taking entries out of an executable, checked while they are copied.

Names come from the manifest, which may come from anybody: they were checked when it was read, and
nothing is written through a symbolic link inside the output folder.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from ingot.bundle.copying import Copier, Job
from ingot.bundle.digest import sha256
from ingot.bundle.format import DEFLATED, MANIFEST_NAME
from ingot.bundle.manifest import WEIGHTS, Entry
from ingot.bundle.output import OutputFile, check_output
from ingot.bundle.reader import Bundle
from ingot.console import Progress, Step
from ingot.errors import InputError, IntegrityError

_MODE = 0o666


@dataclass(frozen=True)
class Extracted:
    """One file that was written; ``size`` in bytes."""

    name: str
    path: Path
    size: int


def select(bundle: Bundle, names: Sequence[str]) -> tuple[Entry, ...]:
    """The entries called ``names`` (whole, or their last part if that is unique); all if none.

    Raises InputError ``no-such-entry``.
    """
    if not names:
        return bundle.manifest.entries
    chosen: dict[str, Entry] = {}
    for name in names:
        found = bundle.manifest.entry(name)
        if found is None:
            same = [e for e in bundle.manifest.entries if e.name.rsplit("/", 1)[-1] == name]
            found = same[0] if len(same) == 1 else None
        if found is None:
            raise InputError(
                f"{bundle.path}: has no entry {name!r}",
                hint=f"list the entries with: ingot inspect {bundle.path}",
                code="no-such-entry",
            )
        chosen[found.name] = found
    return tuple(chosen.values())


def extract(
    bundle: Bundle, entries: Sequence[Entry], folder: Path, *, force: bool, progress: Progress
) -> tuple[Extracted, ...]:
    """Write ``entries`` below ``folder``; return what was written.

    All outputs are checked before the first is written, and when one cannot be written, those that
    replaced nothing are removed. Raises InputError (those of ``check_output``,
    ``output-through-link``) and IntegrityError ``entry-damaged``.
    """
    for entry in entries:
        _check_path(folder, entry.name, force)
    done: list[Extracted] = []
    created: list[Path] = []
    with progress.step(f"Extracting from {bundle.path.name}") as step:
        try:
            for entry in entries:
                path = folder / entry.name
                replaces = path.exists()
                created += _make_folders(path.parent)
                _extract(bundle, entry, path, step)
                done.append(Extracted(entry.name, path, entry.size))
                created += [] if replaces else [path]
        except BaseException:
            _remove(created)
            raise
    return tuple(done)


def _extract(bundle: Bundle, entry: Entry, path: Path, step: Step) -> None:
    try:
        with OutputFile(path, _MODE) as out:
            _write(bundle, entry, out.fd, step)
            out.commit()
    except OSError as error:
        raise InputError(
            f"{path}: cannot be written: {error.strerror}",
            hint="choose another folder with -o",
            code="output-unwritable",
        ) from error


def _make_folders(folder: Path) -> list[Path]:
    """Those that were not there, the outermost first. Raises InputError ``output-unwritable``."""
    missing = [path for path in (folder, *folder.parents) if not path.exists()][::-1]
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        _remove([path for path in missing if path.exists()])
        raise InputError(
            f"{folder}: cannot be made: {error.strerror}",
            hint="choose another folder with -o",
            code="output-unwritable",
        ) from error
    return missing


def _remove(created: list[Path]) -> None:
    for path in reversed(created):
        try:
            path.rmdir() if path.is_dir() else path.unlink()
        except OSError:
            continue  # Somebody else put something in it, or took it away.


def _check_path(folder: Path, name: str, force: bool) -> None:
    assert name != MANIFEST_NAME
    path = folder
    for part in name.split("/"):
        path = path / part
        if path.is_symlink():
            raise InputError(
                f"{path}: is a symbolic link",
                hint="extract into an empty folder with -o",
                code="output-through-link",
            )
    if path.parent.is_dir():
        check_output(path, (), force=force)


def _write(bundle: Bundle, entry: Entry, fd: int, step: Step) -> None:
    if entry.method == DEFLATED:
        content = memoryview(bundle.read(entry))
        at = 0
        while at < len(content):
            at += os.pwrite(fd, content[at:], at)
        return
    tree = entry.role in WEIGHTS
    job = Job(entry.name, (bundle.region(entry),), 0, tree)
    with Copier([job], fd) as copier:
        os.ftruncate(fd, entry.size)
        copier.clone()
        digest = copier.run(step)[0]
    expected = entry.sha256
    if tree:
        hashes = bundle.manifest.entry(entry.leaves or "")
        expected = hashes.sha256 if hashes else None
    if (digest.sha256 or sha256(digest.leaves)) != expected:
        raise IntegrityError(
            f"{bundle.path}: {entry.name} is damaged: its hash is not what it should be",
            hint="'ingot verify' names the damaged bytes; get the executable again",
            code="entry-damaged",
        )
