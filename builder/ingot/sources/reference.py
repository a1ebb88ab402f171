"""What the user wrote, read into one of three kinds of reference. Nothing is fetched here.

    model.gguf  ./dir/model.zip  model.zip#inside/one.gguf        a file
    https://host/path/model.gguf  …#sha256=HEX  …#member=one.gguf a URL
    hf://org/repo[@revision][/folder/file.gguf][:QUANT]           a Hub repository
    org/repo[@revision][:QUANT]                                   the same, as with llama.cpp's -hf
    https://huggingface.co/org/repo[/resolve|blob|tree/REV/FILE]  the same, pasted from a browser
    hf.co/org/repo[:QUANT]                                        the same, as Ollama spells it
    file:///dir/model.gguf                                        a file

A file that exists wins over ``org/repo``.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import NoReturn
from urllib.parse import quote, unquote, unquote_to_bytes, urlsplit, urlunsplit

from ingot.errors import InputError
from ingot.sources.settings import DEFAULT_ENDPOINT

DEFAULT_REVISION = "main"
MAX_TEXT = 4096

_HUB = "hf://"
_NAME = r"[A-Za-z0-9_](?:[A-Za-z0-9_.-]*[A-Za-z0-9_])?"
_REPO = re.compile(rf"{_NAME}/{_NAME}")
_REVISION = re.compile(r"refs/[A-Za-z0-9_.-]+/[A-Za-z0-9_.-]+|[A-Za-z0-9_][A-Za-z0-9_.-]*")
_OLLAMA = re.compile(
    r"(?:ollama (?:run|pull) )?(?P<scheme>https?://)?(?:www\.)?(?:hf\.co|huggingface\.co)/"
    r"(?P<repo>[^/:@#?]+/[^/:@#?]+)/?(?::(?P<quant>[^/:]+))?",
    re.IGNORECASE,
)
_HOST = re.compile(r"(?:https?://)?(?:www\.)?(?:hf\.co|huggingface\.co)/", re.IGNORECASE)
_SCHEME = re.compile(r"(?:hf:/|https?:/|file:)/", re.IGNORECASE)
_QUANT = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]*")
_SHA256 = re.compile(r"[0-9a-fA-F]{64}")
_ARCHIVE = (".zip", ".tar", ".tgz", ".tar.gz", ".tar.xz", ".tar.bz2")
_SPELLINGS = (
    "a model is a path, an https URL, or org/repo:QUANT as with llama.cpp's -hf "
    "(with a file: hf://org/repo/FILE)"
)


@dataclass(frozen=True)
class FileReference:
    """A file on this machine; ``member`` names one inside it if it is an archive."""

    path: Path
    member: str | None = None

    def __str__(self) -> str:
        return f"{self.path}#{self.member}" if self.member else str(self.path)


@dataclass(frozen=True)
class UrlReference:
    """A URL without fragment; ``sha256`` is what its content must have, if the user said."""

    url: str
    sha256: str | None = None
    member: str | None = None

    def __str__(self) -> str:
        pinned = [f"sha256={self.sha256}"] if self.sha256 else []
        member = [f"member={quote(self.member)}"] if self.member else []
        fragment = "&".join([*pinned, *member])
        return f"{self.url}#{fragment}" if fragment else self.url


@dataclass(frozen=True)
class HubReference:
    """Files of a Hub repository at ``revision`` (branch, tag, pull request or commit).

    ``file`` is a path inside it; ``quant`` a part of a file's name. At most one of them is set.
    ``bare`` says that the text might have meant a file here, which does not exist.
    """

    repo: str
    revision: str = DEFAULT_REVISION
    quant: str | None = None
    file: str | None = None
    bare: bool = field(default=False, compare=False)

    def __str__(self) -> str:
        revision = f"@{self.revision}" if self.revision != DEFAULT_REVISION else ""
        file = f"/{self.file}" if self.file else ""
        return f"{_HUB}{self.repo}{revision}{file}{f':{self.quant}' if self.quant else ''}"


Reference = FileReference | UrlReference | HubReference


def parse_reference(
    text: str,
    *,
    endpoint: str = DEFAULT_ENDPOINT,
    exists: Callable[[str], bool] = os.path.lexists,
) -> Reference:
    """Read ``text``. ``endpoint`` is the Hub whose web addresses mean repositories.

    Raises InputError ``bad-reference`` saying what was tried; a path that does not exist is
    returned, and refused by whoever opens it.
    """
    if not text.strip() or len(text) > MAX_TEXT or "\0" in text:
        _bad(text[:80], f"is empty, or longer than {MAX_TEXT} characters")
    scheme = _SCHEME.match(text)
    if scheme:
        text = scheme[0].lower() + text[scheme.end() :]
    if text.startswith(_HUB):
        return parse_hub(text)
    if text.startswith("file:/"):
        return _parse_file_url(text)
    if not exists(text) and (address := _hub_address(text)) is not None:
        return address
    if not exists(text):
        _refuse_foreign(text)
    if text.startswith(("https://", "http://")):
        return _parse_url(text, endpoint)
    return _parse_bare(text, exists)


def _parse_file_url(text: str) -> FileReference:
    """``file:///path``, also of this host by name (RFC 8089)."""
    parts = urlsplit(text)
    if parts.netloc not in ("", "localhost"):
        _bad(text, f"names a file of another machine, {parts.netloc!r}")
    member = unquote(parts.fragment).removeprefix("member=") or None
    return FileReference(Path(os.fsdecode(unquote_to_bytes(parts.path))), member)


def _hub_address(text: str) -> HubReference | None:
    """A repository as Ollama spells it: ``hf.co/org/repo[:QUANT]``, also with the command before
    it, or the Hub's full name, or https.
    """
    match = _OLLAMA.fullmatch(text.strip())
    if match is None:
        host = _HOST.match(text)
        page = f"{DEFAULT_ENDPOINT}/{text[host.end() :]}" if host else text
        found = _pasted(page, DEFAULT_ENDPOINT)
        if found or host is None or text.startswith(("https://", "http://")):
            return found
        return parse_hub(text)  # with a file: hf.co/org/repo/model.gguf
    repo, quant = match["repo"], match["quant"]
    if quant is None and match["scheme"]:
        return _pasted(f"{DEFAULT_ENDPOINT}/{repo}", DEFAULT_ENDPOINT)  # or a file
    return parse_hub(repo if quant in (None, "latest") else f"{repo}:{quant}")


def parse_hub(text: str) -> HubReference:
    """Read ``org/repo[@revision][/file][:QUANT]``, with or without ``hf://`` or the Hub's host.

    Raises InputError ``bad-reference``.
    """
    rest = _HOST.sub("", text.removeprefix(_HUB)).removeprefix("models/")
    match = re.match(
        r"(?P<repo>[^/@:]+/[^/@:]+)"
        r"(?:@(?P<revision>refs/[^/:]+/[^/:]+|[^/:]+))?"
        r"(?:/(?P<file>[^:]+))?(?::(?P<quant>[^:/]*))?$",
        rest,
    )
    if match is None or not _valid_repo(match["repo"]):
        _bad(text, "does not name a repository as org/repo")
    revision = unquote(match["revision"] or DEFAULT_REVISION)
    if not valid_revision(revision):
        _bad(text, f"names no revision with {revision!r}")
    if match["quant"] is not None and not _QUANT.fullmatch(match["quant"]):
        _bad(text, f"names no quantisation with {match['quant']!r}")
    if match["file"] and match["quant"]:
        _bad(text, "names a file and a quantisation; give one of them")
    if match["file"] and not safe_path(match["file"]):
        _bad(text, "names a path that leads outside of the repository")
    return HubReference(match["repo"], revision, match["quant"], match["file"])


def _valid_repo(text: str) -> bool:
    """As the Hub's own rule: ``--`` separates owner and name in the cache."""
    return _REPO.fullmatch(text) is not None and ".." not in text and "--" not in text


def valid_revision(text: str) -> bool:
    """Whether ``text`` can be a branch, tag, pull request or commit, and is safe as a path."""
    parts = text.split("/")
    fits = all(_REVISION.fullmatch(part) and ".." not in part for part in parts)
    return fits and len(parts) <= 8 and len(text) <= 250


def safe_path(text: str) -> bool:
    """Whether ``text`` is a relative path of plain names, safe below any folder."""
    names = text.split("/")
    plain = all(name not in ("", ".", "..") and len(os.fsencode(name)) <= 255 for name in names)
    return plain and "\\" not in text and text.isprintable() and len(text) <= 1024


def _parse_bare(text: str, exists: Callable[[str], bool]) -> Reference:
    expanded = os.path.expanduser(text)
    if exists(expanded):
        return FileReference(Path(expanded))
    path, mark, member = expanded.partition("#")
    if mark and (exists(path) or path.lower().endswith(_ARCHIVE)):
        return FileReference(Path(path), member or None)
    if text.startswith(("/", "./", "../", "~")) or _looks_like_file(expanded):
        _refuse_repository_file(text)
        return FileReference(Path(expanded))
    if "/" in text or ":" in text:
        return _parse_repository(text)
    return FileReference(Path(expanded))


def _looks_like_file(text: str) -> bool:
    deep = text.count("/") > 1 and "@" not in text
    return deep or text.lower().endswith((".gguf", *_ARCHIVE))


# Where else models live, and what helps.
_FOREIGN = (
    (
        r"ollama://|(?:https?://)?(?:www\.|registry\.)?ollama\.(?:com|ai)/|[a-z0-9._-]+:(?:latest|[0-9.]+[bm]\b)",
        "is a model of Ollama's library, which is not read",
        "'ollama show MODEL --modelfile' names its file after FROM: give that",
    ),
    (r"docker://", "is a container image", "take the GGUF out of it, then give the file"),
    (
        r"(?:s3|gs|az|ftp|sftp|scp|oci)://",
        "is of a kind that is not fetched",
        "copy the file here with the tool for it, then give its path",
    ),
    (
        r"(?:https?://)?(?:www\.)?modelscope\.cn/models/[^/]+/[^/]+/?$",
        "is a page of ModelScope",
        "give the address of its download link, or fetch the file and give its path",
    ),
)


def _refuse_foreign(text: str) -> None:
    for pattern, what, hint in _FOREIGN:
        if re.match(pattern, text, re.IGNORECASE):
            raise InputError(f"{text}: {what}", hint=hint, code="bad-reference")
    if "://" in text and not text.startswith(("https://", "http://")):
        _bad(text, "has a scheme that is not known")


def _refuse_repository_file(text: str) -> None:
    """``org/repo/file.gguf`` that is no file here is likely meant as a file of a repository."""
    if text.startswith(("/", ".", "~")) or not re.fullmatch(r"[^/]+/[^/]+/.+\.gguf", text):
        return
    try:
        meant = parse_hub(text)
    except InputError:
        return
    raise InputError(
        f"{text}: there is no such file",
        hint=f"if a file of a Hub repository is meant, write {meant}",
        code="file-missing",
    )


def _parse_repository(text: str) -> HubReference:
    try:
        return replace(parse_hub(text), bare=True)
    except InputError as error:
        raise InputError(
            f"{text}: there is no such file, and it {error.message.partition(': ')[2]}",
            hint=_SPELLINGS,
            code="bad-reference",
        ) from error


def _parse_url(text: str, endpoint: str) -> Reference:
    try:
        parts = urlsplit(text)
        host, _port = parts.hostname, parts.port
    except ValueError as error:
        _bad(text, f"is not a URL: {error}")
    if not host or not text.isprintable() or " " in text:
        _bad(text, "is not a URL")
    if parts.username is not None or parts.password is not None:
        raise InputError(
            f"{parts.scheme}://…@{host}: the URL carries a user name or password",
            hint="they would end up in logs and locks; fetch the file yourself, then give its path",
            code="url-credentials",
        )
    repository = _pasted(text, endpoint)
    if repository is not None:
        return repository
    url = urlunsplit(parts._replace(fragment=""))
    sha256, member = _fragment(parts.fragment, url)
    return UrlReference(url, sha256, member)


def _fragment(fragment: str, url: str) -> tuple[str | None, str | None]:
    sha256, member = None, None
    for item in filter(None, fragment.split("&")):
        key, mark, value = item.partition("=")
        if key == "sha256" and mark:
            if not _SHA256.fullmatch(value):
                _bad(f"{url}#{fragment}", "has a sha256 that is not 64 hexadecimal digits")
            sha256 = value.lower()
        else:
            member = unquote(value if key == "member" and mark else item)
    return sha256, member


def _pasted(text: str, endpoint: str) -> HubReference | None:
    """A web page or download link of the Hub as a reference to the repository."""
    for base in (endpoint, DEFAULT_ENDPOINT, "https://hf.co"):
        if not text.startswith(base + "/"):
            continue
        path = text[len(base) + 1 :].split("#")[0].split("?")[0].rstrip("/")
        match = re.fullmatch(
            r"([^/]+/[^/]+)(?:/(?:resolve|blob|raw|tree)/(refs%2F[^/]+|refs/[^/]+/[^/]+|[^/]+)(?:/(.+))?)?",
            path,
        )
        other = ("datasets/", "spaces/", "api/")
        if match is None or match[1].startswith(other) or _looks_like_file(match[1]):
            return None
        repo, revision, file = match[1], unquote(match[2] or DEFAULT_REVISION), match[3]
        pages = file is not None and "/tree/" in path
        quant = _quant_of_folder(unquote(file)) if pages and file is not None else None
        file = None if pages or file is None else unquote(file)
        if not _valid_repo(repo) or not valid_revision(revision):
            return None
        if file is not None and not safe_path(file):
            return None
        return HubReference(repo, revision, quant, file)
    return None


def _quant_of_folder(folder: str) -> str | None:
    """``Q4_K_M`` of the page of a folder with the parts of that quantisation."""
    last = folder.rpartition("/")[2]
    match = re.fullmatch(r"(?:UD-)?(?:[IT]?Q[0-9]|BF16|F16|F32|MXFP4)[A-Za-z0-9_]*", last)
    return last if match else None


def _bad(text: str, what: str) -> NoReturn:
    raise InputError(f"{text}: {what}", hint=_SPELLINGS, code="bad-reference")
