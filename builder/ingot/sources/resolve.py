"""From a reference to the files that it means: where they are, how large, and their hashes.

Resolving asks servers and caches and writes nothing; a lock can be made from its result, and
``fetch`` needs nothing else. A reference at a branch is pinned to the commit that it is now.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

from ingot.errors import InputError, NetworkError
from ingot.sources import urlcache
from ingot.sources.choose import Role, choose, quants
from ingot.sources.download import ask
from ingot.sources.hub import Listing, complete, file_url, list_files
from ingot.sources.hubcache import HubCache
from ingot.sources.reference import FileReference, HubReference, Reference, UrlReference
from ingot.sources.web import Web


@dataclass(frozen=True)
class RemoteFile:
    """One file as a lock records it; ``size`` is in bytes, None is not known.

    ``name`` is its path in the repository, or its file name. ``repo``, ``revision`` (as it was
    asked for) and ``commit`` are those of a Hub. ``git_id`` is known instead of the sha256 of
    files that are not in LFS. ``local`` is where it is on this machine, if it is; its content is
    checked by ``fetch``.
    """

    name: str
    url: str | None = None
    size: int | None = None
    sha256: str | None = None
    git_id: str | None = None
    repo: str | None = None
    revision: str | None = None
    commit: str | None = None
    validator: str | None = None
    local: Path | None = None

    @property
    def label(self) -> str:
        """For people: where it comes from and what it is called."""
        return f"{self.repo}/{self.name}" if self.repo else self.name


@dataclass(frozen=True)
class Resolved:
    """The files of one reference: the model's parts in order, and its projector, if any.

    ``offers`` are the quantisations that a repository has. ``member`` is to be taken out of the
    one part, which is an archive then.
    """

    reference: Reference
    parts: tuple[RemoteFile, ...]
    projector: RemoteFile | None = None
    member: str | None = None
    offers: tuple[str, ...] = ()

    @property
    def files(self) -> tuple[RemoteFile, ...]:
        """Parts and projector."""
        return (*self.parts, self.projector) if self.projector else self.parts


def resolve(
    reference: Reference, web: Web, *, role: Role = "model", projector: bool = True
) -> Resolved:
    """Find out which files ``reference`` means in its ``role``.

    ``projector`` False leaves out the one that a repository has beside the model. Raises
    InputError (the codes of ``choose``, ``hub`` and ``download``; ``not-in-cache``), NetworkError
    (the codes of ``web``; ``offline``).
    """
    match reference:
        case FileReference(path, member):
            return Resolved(reference, (RemoteFile(path.name, local=path),), member=member)
        case UrlReference():
            urls = urlcache.part_urls(reference.url)
            parts = tuple(_resolve_url(url, reference, web) for url in urls)
            return Resolved(reference, parts, member=reference.member)
        case HubReference():
            return _resolve_hub(reference, web, role, projector=projector)


def _resolve_url(url: str, reference: UrlReference, web: Web) -> RemoteFile:
    sha256 = reference.sha256 if url == reference.url else None
    known = urlcache.record(url)
    if known and sha256 and known.sha256 != sha256:
        known = None
    name = urlcache.file_name(url)
    if known and (sha256 or web.settings.offline):
        local = urlcache.place(url)
        return RemoteFile(name, url, known.size, known.sha256, local=local)
    if web.settings.offline:
        raise NetworkError(
            f"{name}: is not in the cache, and nothing is fetched offline",
            hint="leave out --offline, and unset HF_HUB_OFFLINE",
            code="offline",
        )
    size, validator = ask(url, name, web, pinned=sha256 is not None)
    if known and validator and (known.size, known.validator) == (size, validator):
        local = urlcache.place(url)
        return RemoteFile(name, url, size, known.sha256, validator=validator, local=local)
    return RemoteFile(name, url, size, sha256, validator=validator)


def _resolve_hub(reference: HubReference, web: Web, role: Role, *, projector: bool) -> Resolved:
    cache = HubCache(web.settings.hub_cache, reference.repo)
    listing = _listing(reference, cache, web)
    paths = [file.path for file in listing.files]
    try:
        choice = choose(
            paths,
            where=reference.repo,
            quant=reference.quant,
            file=reference.file,
            role=role,
        )
    except InputError as error:
        if web.settings.offline:
            raise _not_in_cache(reference, f"{error.message} (in the cache)") from error
        raise

    def file(path: str) -> RemoteFile:
        return _remote(path, listing, reference, cache, web)

    return Resolved(
        reference,
        tuple(file(path) for path in choice.parts),
        file(choice.projector) if choice.projector and projector else None,
        offers=tuple(quants(paths)),
    )


def _listing(reference: HubReference, cache: HubCache, web: Web) -> Listing:
    if not web.settings.offline:
        try:
            return list_files(reference, web)
        except NetworkError as error:
            if cache.listing(reference.revision) is None:
                raise
            raise NetworkError(
                error.message,
                hint=f"files of {reference.repo} are in the cache: --offline uses them",
                code=error.code,
            ) from error
    listing = cache.listing(reference.revision)
    if listing is None or not listing.files:
        at = f" at {reference.revision}" if reference.revision != "main" else ""
        raise _not_in_cache(reference, f"{reference.repo}: nothing of it{at} is in the cache")
    return listing


def _not_in_cache(reference: HubReference, what: str) -> NetworkError:
    return NetworkError(
        f"{what}, and nothing is fetched offline",
        hint=f"leave out --offline, and unset HF_HUB_OFFLINE, to fetch {reference}",
        code="offline",
    )


def _remote(
    path: str, listing: Listing, reference: HubReference, cache: HubCache, web: Web
) -> RemoteFile:
    file = listing.file(path)
    if not web.settings.offline:
        file = complete(file, listing, reference, web)
    pointer = cache.pointer(listing.commit, path)
    remote = RemoteFile(
        path,
        file_url(web.settings.endpoint, listing.repo, listing.commit, path),
        file.size,
        file.sha256,
        file.git_id,
        listing.repo,
        reference.revision,
        listing.commit,
    )
    return replace(remote, local=pointer) if pointer.is_file() else remote
