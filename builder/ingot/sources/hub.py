"""A Hub's answer to "what is in this repository at this revision?".

    GET {endpoint}/api/models/{org/repo}/revision/{revision}?blobs=true
        {"sha": COMMIT, "siblings": [{"rfilename", "size", "blobId", "lfs": {"sha256", "size"}}]}
    GET {endpoint}/{org/repo}/resolve/{commit}/{path}

A mirror may leave sizes and hashes out of the listing; then the headers of the file itself are
asked for them (X-Linked-Size and X-Linked-Etag, which is the sha256 of a file in LFS). All of it
is hostile input: names that lead elsewhere are ignored, anything else that does not fit is an
error.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from urllib.parse import quote

from ingot.errors import IngotError, InputError, NetworkError
from ingot.sources.address import same_origin, shown
from ingot.sources.download import content_length
from ingot.sources.reference import HubReference, safe_path
from ingot.sources.retry import Refused, Retry, Transient
from ingot.sources.web import Answer, Web

MAX_FILES = 1_000_000
MAX_SIZE = 1 << 50
_COMMIT = re.compile(r"[0-9a-f]{40}")
_SHA256 = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True)
class HubFile:
    """A file of a repository; ``size`` in bytes. ``git_id`` is of its content, if not in LFS."""

    path: str
    size: int | None = None
    sha256: str | None = None
    git_id: str | None = None


@dataclass(frozen=True)
class Listing:
    """What a repository holds at ``commit``, in the Hub's order."""

    repo: str
    commit: str
    files: tuple[HubFile, ...]

    def file(self, path: str) -> HubFile:
        """The file called ``path``; KeyError if there is none."""
        for file in self.files:
            if file.path == path:
                return file
        raise KeyError(path)


def is_commit(revision: str) -> bool:
    """Whether ``revision`` names one commit for ever, unlike a branch or tag."""
    return _COMMIT.fullmatch(revision) is not None


def file_url(endpoint: str, repo: str, commit: str, path: str) -> str:
    """Where a file is downloaded from."""
    return f"{endpoint}/{repo}/resolve/{quote(commit, safe='')}/{quote(path)}"


def list_files(reference: HubReference, web: Web) -> Listing:
    """Ask the Hub for the files of ``reference``'s repository at its revision.

    Raises InputError ``no-such-repository``, ``no-such-revision`` or ``access-denied``, and
    NetworkError (the codes of ``web``, and ``bad-answer``).
    """
    endpoint = web.settings.endpoint
    revision = quote(reference.revision, safe="")
    url = f"{endpoint}/api/models/{reference.repo}/revision/{revision}?blobs=true"
    try:
        content = web.document(url)
    except Refused as refusal:
        raise _refused(reference, refusal, web) from refusal
    try:
        return _parse(reference.repo, json.loads(content))
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        raise NetworkError(
            f"{shown(url)}: the answer is not that of a Hub: {type(error).__name__}: {error}",
            hint="check HF_ENDPOINT if it is set; a proxy may have answered in the Hub's place",
            code="bad-answer",
        ) from error


def complete(file: HubFile, listing: Listing, reference: HubReference, web: Web) -> HubFile:
    """``file`` with the size and hash that the listing did not tell, if its headers do."""
    if file.size is not None and (file.sha256 or file.git_id):
        return file
    url = file_url(web.settings.endpoint, listing.repo, listing.commit, file.path)
    retry = Retry(shown(url), web.patience, web.pause)
    while True:
        try:
            return _from_headers(file, url, web)
        except Transient as fault:
            retry.after(fault)
        except Refused as refusal:
            raise _refused(reference, refusal, web) from refusal


def _from_headers(file: HubFile, url: str, web: Web) -> HubFile:
    size: int | None = None
    etag = ""

    def look(answer: Answer) -> None:
        """The Hub's own answers have a say; of where it redirects to, only the size."""
        nonlocal size, etag
        own = "" if answer.redirects else answer.headers.get("ETag", "")
        size = size or answer.number("X-Linked-Size")
        if not answer.redirects:
            size = size or content_length(answer)
        if same_origin(answer.url, url):
            etag = etag or answer.headers.get("X-Linked-Etag") or own

    with web.get(url, {"Range": "bytes=0-0"}, on_answer=look):
        pass
    word = etag.removeprefix("W/").strip('"')
    return replace(
        file,
        size=file.size if file.size is not None else size,
        sha256=file.sha256 or (word if _SHA256.fullmatch(word) else None),
        git_id=file.git_id or (word if _COMMIT.fullmatch(word) else None),
    )


def _parse(repo: str, document: object) -> Listing:
    if not isinstance(document, dict):
        raise ValueError("it is not an object")
    commit, siblings = document["sha"], document["siblings"]
    if not isinstance(commit, str) or not is_commit(commit):
        raise ValueError("it names no commit")
    if not isinstance(siblings, list) or len(siblings) > MAX_FILES:
        raise ValueError("it lists no files")
    files = [_parse_file(item) for item in siblings]
    return Listing(repo, commit, tuple(file for file in files if safe_path(file.path)))


def _parse_file(item: object) -> HubFile:
    if not isinstance(item, dict) or not isinstance(item.get("rfilename"), str):
        raise ValueError("a file has no name")
    lfs = item.get("lfs")
    if isinstance(lfs, dict):
        sha256 = _word(lfs, "sha256", _SHA256) or _word(lfs, "oid", _SHA256)
        return HubFile(item["rfilename"], _size(lfs) or _size(item), sha256)
    return HubFile(item["rfilename"], _size(item), None, _word(item, "blobId", _COMMIT))


def _size(item: Mapping[str, object]) -> int | None:
    size = item.get("size")
    if size is None:
        return None
    if not isinstance(size, int) or isinstance(size, bool) or not 0 <= size <= MAX_SIZE:
        raise ValueError(f"a file has the size {size!r}")
    return size


def _word(item: Mapping[str, object], key: str, pattern: re.Pattern[str]) -> str | None:
    word = item.get(key)
    if word is None:
        return None
    if not isinstance(word, str) or not pattern.fullmatch(word):
        raise ValueError(f"a file has the {key} {word!r}")
    return word


def _refused(reference: HubReference, refusal: Refused, web: Web) -> IngotError:
    repo, word = reference.repo, refusal.word
    endpoint = web.settings.endpoint
    if word == "RevisionNotFound":
        return InputError(
            f"{repo}: has no revision {reference.revision}",
            hint="it may have been removed or rewritten: choose another, or leave out @REVISION",
            code="no-such-revision",
        )
    if word == "EntryNotFound":
        return InputError(f"{repo}: a file that is listed is not there", code="not-found")
    if word == "GatedRepo" or refusal.status == 403:
        return InputError(
            f"{repo}: its files are given only to people who accepted its conditions",
            hint=f"accept them at {endpoint}/{repo}, then set HF_TOKEN to a token of yours",
            code="access-denied",
        )
    if web.settings.token is None:
        hint = "check the spelling; if it is private or gated, set HF_TOKEN to a token of yours"
    elif refusal.status == 401:
        hint = "check the spelling, and whether the token (HF_TOKEN) is valid and may read it"
    else:
        hint = "check the spelling, and whether the token (HF_TOKEN) may read it"
    also = ", and no such file here" if reference.bare else ""
    return InputError(
        f"{repo}: there is no such repository at {endpoint}{also}",
        hint=hint,
        code="no-such-repository",
    )
