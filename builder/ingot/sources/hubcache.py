"""The cache that all Hub clients of a user share, in the layout that huggingface_hub documents.

    {cache}/models--ORG--REPO/refs/REVISION           the commit that it was last
                             /snapshots/COMMIT/PATH   -> ../../blobs/NAME, a relative link
                             /blobs/NAME              content; NAME is its sha256 (LFS) or git id
    {cache}/.locks/models--ORG--REPO/NAME.lock        flock(2) while a blob is fetched

huggingface_hub checks sizes only, so a blob that Ingot did not fetch is hashed once before use.
"""

from __future__ import annotations

import errno
import os
import threading
from dataclasses import dataclass
from pathlib import Path

from ingot.errors import InputError
from ingot.sources.hub import HubFile, Listing, is_commit
from ingot.sources.reference import safe_path

MAX_FILES = 100_000


@dataclass(frozen=True)
class HubCache:
    """The part of the cache at ``root`` that belongs to one repository, ``org/name``."""

    root: Path
    repo: str

    @property
    def folder(self) -> Path:
        """Of the repository."""
        return self.root / self._name

    @property
    def _name(self) -> str:
        return "--".join(("models", *self.repo.split("/")))

    def blob(self, name: str) -> Path:
        """Where content is stored."""
        return self.folder / "blobs" / name

    def pointer(self, commit: str, path: str) -> Path:
        """Where a file of a commit is found under its own name."""
        return self.folder.joinpath("snapshots", commit, *path.split("/"))

    def lock(self, name: str) -> Path:
        """What is locked while a blob is fetched."""
        return self.root / ".locks" / self._name / f"{name}.lock"

    def prepare(self, name: str) -> None:
        """Make the folders of a blob and its lock. Raises InputError ``unwritable-folder``."""
        for folder in (self.blob(name).parent, self.lock(name).parent):
            try:
                folder.mkdir(parents=True, exist_ok=True)
            except OSError as error:
                raise _unwritable(folder, error) from error
            if not os.access(folder, os.W_OK | os.X_OK):
                raise _unwritable(folder, OSError(errno.EACCES, os.strerror(errno.EACCES)))

    def commit(self, revision: str) -> str | None:
        """The commit that ``revision`` was when it was last fetched."""
        if is_commit(revision):
            return revision
        try:
            with self.folder.joinpath("refs", *revision.split("/")).open("rb") as file:
                text = file.read(100).decode("ascii", "replace").strip()
        except OSError:
            return None
        return text if is_commit(text) else None

    def listing(self, revision: str) -> Listing | None:
        """What is here of ``revision``; None if nothing is."""
        commit = self.commit(revision)
        if commit is None:
            return None
        top = self.folder / "snapshots" / commit
        files: list[HubFile] = []
        for folder, folders, names in os.walk(top):
            folders.sort()
            for name in sorted(names):
                place = Path(folder, name)
                path = place.relative_to(top).as_posix()
                if place.is_file() and safe_path(path) and len(files) < MAX_FILES:
                    files.append(_describe(place, path))
        return Listing(self.repo, commit, tuple(sorted(files, key=lambda file: file.path)))

    def link(self, commit: str, path: str, name: str) -> Path:
        """Make the file ``path`` of ``commit`` lead to the blob; return where it is."""
        pointer, blob = self.pointer(commit, path), self.blob(name)
        target = os.path.relpath(blob, pointer.parent)
        try:
            pointer.parent.mkdir(parents=True, exist_ok=True)
            if os.path.islink(pointer) and os.readlink(pointer) == target:
                return pointer
            temporary = pointer.with_name(f".ingot-{os.getpid()}-{threading.get_ident()}")
            temporary.symlink_to(target)
            temporary.replace(pointer)
        except OSError as error:
            raise _unwritable(pointer, error) from error
        return pointer

    def remember(self, revision: str, commit: str) -> None:
        """Note that ``revision`` is ``commit`` now; not possible in a cache that is read-only."""
        if revision == commit or self.commit(revision) == commit:
            return
        path = self.folder.joinpath("refs", *revision.split("/"))
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            temporary = path.with_name(f"{path.name}.{os.getpid()}.{threading.get_ident()}")
            temporary.write_text(commit)
            temporary.replace(path)
        except OSError:
            return


def blob_name(file: HubFile, commit: str) -> str:
    """What the content of ``file`` is called: its hash, or without one where it was found."""
    if file.sha256 or file.git_id:
        return file.sha256 or file.git_id or ""
    return f"{commit}-{file.path.replace('/', '--')}"[-200:]


def _describe(place: Path, path: str) -> HubFile:
    name = place.resolve().name
    digits = all(c in "0123456789abcdef" for c in name)
    return HubFile(
        path,
        place.stat().st_size,
        name if digits and len(name) == 64 else None,
        name if digits and len(name) == 40 else None,
    )


def _unwritable(path: Path, error: OSError) -> InputError:
    return InputError(
        f"{path}: cannot be written: {error.strerror}",
        hint="set HF_HUB_CACHE to a folder that you may write to",
        code="unwritable-folder",
    )
