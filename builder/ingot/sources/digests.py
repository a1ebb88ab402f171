"""The sha256 of files that are too large to read twice, remembered in the cache.

A file is taken to be unchanged while its path, size, modification time and inode are.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
from pathlib import Path

from ingot.console import NullProgress, Progress, Step, size
from ingot.errors import InputError
from ingot.paths import cache_dir, make_folder

_READ = 4 << 20
_NOTE_MAX = 1 << 16


def sha256_of(path: Path, progress: Progress | None = None) -> str:
    """The sha256 of ``path``, read now or remembered from before.

    Raises InputError ``file-unreadable``.
    """
    known = remembered(path)
    if known is not None:
        return known
    with (progress or NullProgress()).step(f"Checking {path.name}") as step:
        digest = _read(path, step)
    remember(path, digest)
    return digest


def remembered(path: Path) -> str | None:
    """What ``path`` is known to hash to, if it has not changed since."""
    try:
        with _note(path).open("rb") as file:
            note = json.loads(file.read(_NOTE_MAX))
        same = isinstance(note, dict) and note.get("file") == _identity(path)
    except (OSError, ValueError):
        return None
    digest = note.get("sha256") if same else None
    return digest if isinstance(digest, str) and re.fullmatch("[0-9a-f]{64}", digest) else None


def remember(path: Path, digest: str) -> None:
    """Remember that ``path`` hashes to ``digest``. Nothing is lost where this is not possible."""
    try:
        note = _note(path)
        make_folder(note.parent)
        temporary = note.with_name(f"{note.name}.{os.getpid()}.new")
        temporary.write_text(json.dumps({"file": _identity(path), "sha256": digest}))
        temporary.replace(note)
    except (OSError, InputError):
        return


def _read(path: Path, step: Step) -> str:
    digest, done = hashlib.sha256(), 0
    try:
        total = path.stat().st_size
        with path.open("rb", buffering=0) as file:
            while data := file.read(_READ):
                digest.update(data)
                done += len(data)
                step.update(done, total, f"{size(done)} of {size(total)}")
    except OSError as error:
        raise InputError(
            f"{path}: cannot be read: {error.strerror}",
            hint="check its permissions",
            code="file-unreadable",
        ) from error
    return digest.hexdigest()


def _note(path: Path) -> Path:
    name = hashlib.sha256(os.fsencode(os.path.realpath(path))).hexdigest()
    return cache_dir() / "digests" / f"{name}.json"


def _identity(path: Path) -> dict[str, int]:
    status = path.stat()
    return {"size": status.st_size, "mtime_ns": status.st_mtime_ns, "inode": status.st_ino}
