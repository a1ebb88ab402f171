"""Bringing resolved files here: several at once, each checked, none of them twice."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from ingot.console import Progress, Step
from ingot.errors import IntegrityError, NetworkError
from ingot.paths import locked
from ingot.sources import digests, urlcache
from ingot.sources.archive import extract_model, kind_of
from ingot.sources.download import Download, Stored, download, git_id
from ingot.sources.hub import HubFile
from ingot.sources.hubcache import HubCache, blob_name
from ingot.sources.partial import disk_full, free_space
from ingot.sources.pool import run_all
from ingot.sources.reference import Reference
from ingot.sources.resolve import RemoteFile, Resolved
from ingot.sources.web import Web


@dataclass(frozen=True)
class LocalFile:
    """A file on this machine and what it came from, with size and hash filled in.

    ``sha256`` is that of the file at ``path``. It is None of a file that the user named by its
    path: such a file is not read here. Of a member of an archive it is not that of ``source``.
    """

    path: Path
    sha256: str | None
    source: RemoteFile


@dataclass(frozen=True)
class Fetched:
    """The files of one reference, all here."""

    reference: Reference
    parts: tuple[LocalFile, ...]
    projector: LocalFile | None = None

    @property
    def model(self) -> Path:
        """The file, or the first part, which lies beside the others under its own name."""
        return self.parts[0].path


def fetch(resolved: Sequence[Resolved], web: Web, progress: Progress) -> list[Fetched]:
    """Fetch what is not here of all of ``resolved``, and check what is.

    Raises NetworkError (the codes of ``web`` and ``download``; ``offline``), IntegrityError
    (``download``; ``cached-file-damaged``; ``damaged-archive``) and InputError (``download``,
    ``archive``). What has arrived is kept whatever happens, unless it is known to be wrong.
    """
    files = list(dict.fromkeys(file for one in resolved for file in one.files))
    _check_space(files, web)

    def task(file: RemoteFile) -> Callable[[threading.Event], LocalFile]:
        return lambda cancelled: _fetch_file(file, web.another(cancelled), progress)

    local = dict(zip(files, run_all([task(f) for f in files], web.settings.jobs), strict=True))
    return [
        Fetched(
            one.reference,
            _unpacked(one, tuple(local[file] for file in one.parts), progress),
            local[one.projector] if one.projector else None,
        )
        for one in resolved
    ]


def _check_space(files: Sequence[RemoteFile], web: Web) -> None:
    """All files together must have room; each download checks its own part again."""
    needed: dict[int, int] = {}
    folders: dict[int, Path] = {}
    for file in files:
        if file.local is None and file.size is not None:
            folder = _target(file, web)
            while not folder.exists() and folder != folder.parent:
                folder = folder.parent
            device = folder.stat().st_dev
            here = _arrived(file, web)
            needed[device] = needed.get(device, 0) + max(0, file.size - here)
            folders[device] = folder
    for device, count in needed.items():
        available = free_space(folders[device])
        if count > available:
            raise disk_full(folders[device], count, available)


def _arrived(file: RemoteFile, web: Web) -> int:
    target = _target(file, web)
    for path in (target, target.with_name(target.name + ".incomplete")):
        if path.is_file():
            return path.stat().st_size
    return 0


def _target(file: RemoteFile, web: Web) -> Path:
    if file.repo is None:
        return urlcache.place(file.url or "")
    return HubCache(web.settings.hub_cache, file.repo).blob(_blob_name(file))


def _blob_name(file: RemoteFile) -> str:
    return blob_name(HubFile(file.name, file.size, file.sha256, file.git_id), file.commit or "")


def _fetch_file(file: RemoteFile, web: Web, progress: Progress) -> LocalFile:
    if file.url is None:
        assert file.local is not None  # a path
        return LocalFile(file.local, None, file)
    if file.repo is not None:
        return _fetch_from_hub(file, web, progress)
    return _fetch_from_url(file, web, progress)


def _fetch_from_url(file: RemoteFile, web: Web, progress: Progress) -> LocalFile:
    assert file.url is not None
    if file.local is not None and digests.sha256_of(file.local, progress) == file.sha256:
        return LocalFile(file.local, file.sha256, file)
    _need_network(file, web)
    target = urlcache.place(file.url)
    job = Download(file.url, target, file.label, None if file.local else file.size, file.sha256)
    with (
        progress.step(f"Fetching {file.name}") as step,
        locked(target.with_name(f".{target.name}.lock"), lambda: _waiting(step)),
    ):
        known = urlcache.record(file.url)  # Another run may have just fetched it.
        if file.local is None and known is not None and _is_same(known, file):
            return LocalFile(target, known.sha256, replace(file, sha256=known.sha256))
        stored = download(job, web, step)
        urlcache.remember(urlcache.Record(file.url, stored.size, stored.sha256, stored.validator))
    return _stored(file, target, stored)


def _is_same(known: urlcache.Record, file: RemoteFile) -> bool:
    if file.sha256 is not None:
        return known.sha256 == file.sha256
    return known.validator is not None and known.validator == file.validator


def _fetch_from_hub(file: RemoteFile, web: Web, progress: Progress) -> LocalFile:
    assert file.url and file.repo and file.commit
    cache = HubCache(web.settings.hub_cache, file.repo)
    name = _blob_name(file)
    pointer, blob = cache.pointer(file.commit, file.name), cache.blob(name)
    if pointer.is_file():
        found = _check(pointer, file, progress)
        if found is not None:
            return found
    if web.settings.offline and pointer.is_file():
        raise IntegrityError(
            f"{file.label}: the file in the cache is damaged: {pointer}",
            hint="run the same command without --offline: it is fetched again",
            code="cached-file-damaged",
        )
    _need_network(file, web)
    cache.prepare(name)
    with (
        progress.step(f"Fetching {file.name.rpartition('/')[2]}") as step,
        locked(cache.lock(name), lambda: _waiting(step)),
    ):
        found = _check(blob, file, progress) if blob.is_file() else None
        if found is None:
            job = Download(file.url, blob, file.label, file.size, file.sha256, file.git_id)
            found = _stored(file, blob, download(job, web, step))
        pointer = cache.link(file.commit, file.name, name)
    cache.remember(file.revision or file.commit, file.commit)
    return replace(found, path=pointer)


def _waiting(step: Step) -> None:
    step.update(0, None, "waiting for another run that fetches it")


def _check(path: Path, file: RemoteFile, progress: Progress) -> LocalFile | None:
    """The file at ``path`` if it is what ``file`` must be; None if it is not."""
    if file.size is not None and path.stat().st_size != file.size:
        return None
    sha256 = digests.sha256_of(path, progress)
    if file.sha256 is not None and sha256 != file.sha256:
        return None
    if file.sha256 is None and file.git_id is not None and git_id(path) != file.git_id:
        return None
    size = path.stat().st_size
    return LocalFile(path, sha256, replace(file, sha256=sha256, size=size, local=path))


def _stored(file: RemoteFile, path: Path, stored: Stored) -> LocalFile:
    digests.remember(path, stored.sha256)
    source = replace(file, size=stored.size, sha256=stored.sha256, local=path)
    return LocalFile(path, stored.sha256, source)


def _need_network(file: RemoteFile, web: Web) -> None:
    if web.settings.offline:
        raise NetworkError(
            f"{file.label}: is not in the cache, and nothing is fetched offline",
            hint="leave out --offline, and unset HF_HUB_OFFLINE",
            code="offline",
        )


def _unpacked(
    one: Resolved, parts: tuple[LocalFile, ...], progress: Progress
) -> tuple[LocalFile, ...]:
    """The model out of an archive; whatever else it is stays as it is, and its reader judges it."""
    first = parts[0]
    if first.source.repo is not None or len(parts) > 1:
        return parts
    if one.member is None and (not first.path.is_file() or kind_of(first.path) in (None, "gguf")):
        return parts
    return tuple(
        LocalFile(path, digests.sha256_of(path, progress), first.source)
        for path in extract_model(first.path, one.member, progress)
    )
