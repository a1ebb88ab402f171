"""A Hub on this machine: the API, downloads that redirect to a CDN on another host, faults.

Real HTTP over loopback, so that the client under test is what users run. ``Hub`` listens on
127.0.0.1, its CDN on 127.0.0.2, which is another host for every rule about tokens.

    with Hub() as hub:
        hub.add("org/tiny", {"tiny-Q4_K_M.gguf": content_or_path})
        hub.faults.append(cut_after(1000, times=3))  # tests.hub.faults
        ... HF_ENDPOINT=hub.url ...
        assert hub.requests[-1].headers["Range"] == "bytes=1000-"
"""

from __future__ import annotations

import hashlib
import json
import re
import socket
import ssl
import struct
import sys
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from email.message import Message
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Self
from urllib.parse import quote, unquote, urlsplit

PIECE = 1 << 16


@dataclass(frozen=True)
class File:
    """Content in memory or on the disk."""

    source: bytes | Path
    lfs: bool = True

    @property
    def size(self) -> int:
        return len(self.source) if isinstance(self.source, bytes) else self.source.stat().st_size

    def read(self, begin: int, end: int) -> bytes:
        if isinstance(self.source, bytes):
            return self.source[begin:end]
        with self.source.open("rb") as file:
            file.seek(begin)
            return file.read(end - begin)

    def _hash(self, digest: hashlib._Hash) -> str:
        for at in range(0, self.size, 1 << 20):
            digest.update(self.read(at, min(at + (1 << 20), self.size)))
        return digest.hexdigest()

    @property
    def sha256(self) -> str:
        return self._hash(hashlib.sha256())

    @property
    def git_id(self) -> str:
        return self._hash(hashlib.sha1(b"blob %d\0" % self.size))


@dataclass
class Repo:
    """Files by commit, commits by branch or tag. ``token`` None: anyone may read it."""

    commits: dict[str, dict[str, File]] = field(default_factory=dict)
    branches: dict[str, str] = field(default_factory=dict)
    token: str | None = None
    gated: bool = False


@dataclass(frozen=True)
class Request:
    """What a client asked; ``host`` is ``hub`` or ``cdn``."""

    host: str
    method: str
    path: str
    headers: Message


@dataclass(frozen=True)
class Reply:
    """What it gets. The body is ``content`` or ``file`` from ``begin`` to ``end``.

    ``cut``: the connection is closed after so many bytes of the body; ``reset``: with an RST;
    ``stall``: seconds of silence after the cut instead of closing at once. ``length`` is what
    Content-Length says if not the truth; ``chunked`` sends no length.
    """

    status: int
    headers: Mapping[str, str] = field(default_factory=dict)
    content: bytes = b""
    file: File | None = None
    begin: int = 0
    end: int = 0
    cut: int | None = None
    reset: bool = False
    stall: float = 0.0
    length: int | None = None
    chunked: bool = False

    @property
    def size(self) -> int:
        return self.end - self.begin if self.file else len(self.content)

    def read(self, at: int, count: int) -> bytes:
        if self.file is None:
            return self.content[at : at + count]
        return self.file.read(self.begin + at, min(self.begin + at + count, self.end))

    def with_headers(self, **headers: str | None) -> Reply:
        """Headers changed (underscores stand for hyphens), or removed with None."""
        merged: dict[str, str] = dict(self.headers)
        for key, value in headers.items():
            merged.pop(key.replace("_", "-"), None)
            if value is not None:
                merged[key.replace("_", "-")] = value
        return replace(self, headers=merged)


Fault = Callable[[Request, Reply], Reply | None]


class Hub:
    """The servers; a context manager. ``faults`` are asked in order about every reply, and the
    first that does not return None decides. ``pages`` are plain files at ``/files/NAME``."""

    def __init__(self, certificate: Path | None = None) -> None:
        """``certificate`` is a PEM file with its key; the Hub speaks https then, the CDN not."""
        self.repos: dict[str, Repo] = {}
        self.pages: dict[str, File] = {}
        self.faults: list[Fault] = []
        self.requests: list[Request] = []
        self._guard = threading.Lock()
        self._hub = _Server(self, "hub", "127.0.0.1", certificate)
        self._cdn = _Server(self, "cdn", "127.0.0.2")

    def __enter__(self) -> Self:
        self._hub.begin()
        self._cdn.begin()
        return self

    def __exit__(self, *_error: object) -> None:
        self._hub.end()
        self._cdn.end()

    @property
    def url(self) -> str:
        """For HF_ENDPOINT."""
        return self._hub.url

    @property
    def cdn_url(self) -> str:
        return self._cdn.url

    def add(
        self,
        name: str,
        files: Mapping[str, bytes | Path | File],
        *,
        branch: str = "main",
        token: str | None = None,
        gated: bool = False,
    ) -> str:
        """Commit ``files`` as the whole of ``branch``; return the commit."""
        repo = self.repos.setdefault(name, Repo())
        repo.token, repo.gated = token, gated
        made = {k: v if isinstance(v, File) else File(v) for k, v in files.items()}
        identity = json.dumps([name, branch, {k: made[k].sha256 for k in sorted(made)}])
        commit = hashlib.sha1(identity.encode()).hexdigest()
        repo.commits[commit] = made
        repo.branches[branch] = commit
        return commit

    def page(self, name: str, content: bytes | Path) -> str:
        """Serve ``content`` as a plain file on both hosts; return its URL on the CDN's."""
        self.pages[name] = File(content)
        return f"{self.cdn_url}/files/{quote(name)}"

    def downloads(self) -> list[Request]:
        """The requests for contents, in order."""
        return [r for r in self.requests if r.host == "cdn" or r.path.startswith("/files/")]

    def answer(self, request: Request) -> Reply:
        reply = self._route(request)
        with self._guard:
            self.requests.append(request)
            for fault in self.faults:
                changed = fault(request, reply)
                if changed is not None:
                    return changed
        return reply

    def _route(self, request: Request) -> Reply:
        path = unquote(urlsplit(request.path).path)
        if path.startswith("/files/"):
            page = self.pages.get(path.removeprefix("/files/"))
            return _send(request, page, f'"{page.sha256[:20]}"') if page else Reply(404)
        if request.host == "cdn":
            return self._content(request, path.removeprefix("/cdn/"))
        match = re.fullmatch(r"/api/models/([^/]+/[^/]+)/revision/(.+)", path)
        if match:
            return self._listing(request, match[1], match[2])
        match = re.fullmatch(r"/api/models/([^/]+/[^/]+)/(refs|tree/(.+))", path)
        if match:
            return self._tree(request, match[1], match[3])
        match = re.fullmatch(r"/([^/]+/[^/]+)/resolve/(refs/[^/]+/[^/]+|[^/]+)/(.+)", path)
        if match:
            return self._resolve(request, match[1], match[2], match[3])
        return Reply(404)

    def _find(self, request: Request, name: str, revision: str) -> tuple[str, Repo] | Reply:
        repo = self.repos.get(name)
        given = request.headers.get("Authorization")
        if repo is None:
            return _no(404 if given else 401, "RepoNotFound")
        if repo.token is not None and given != f"Bearer {repo.token}":
            return _no(403 if given else 401, "GatedRepo" if repo.gated else "RepoNotFound")
        commit = repo.branches.get(revision, revision)
        if commit not in repo.commits:
            return _no(404, "RevisionNotFound")
        return commit, repo

    def _listing(self, request: Request, name: str, revision: str) -> Reply:
        found = self._find(request, name, revision)
        if isinstance(found, Reply):
            return found
        commit, repo = found
        siblings: list[dict[str, object]] = []
        for path, file in sorted(repo.commits[commit].items()):
            item: dict[str, object] = {"rfilename": path, "size": file.size, "blobId": file.git_id}
            if file.lfs:
                item["lfs"] = {"sha256": file.sha256, "size": file.size, "pointerSize": 135}
            siblings.append(item)
        document = {"id": name, "sha": commit, "siblings": siblings}
        return Reply(200, {"Content-Type": "application/json"}, json.dumps(document).encode())

    def _tree(self, request: Request, name: str, revision: str | None) -> Reply:
        """The branches, or the files of a revision, as llama.cpp's own client asks for them."""
        found = self._find(request, name, revision or "main")
        if isinstance(found, Reply):
            return found
        commit, repo = found
        document: object
        if revision is None:
            branches = repo.branches.items()
            document = {"branches": [{"name": n, "targetCommit": c} for n, c in branches]}
        else:
            document = [
                {"type": "file", "path": path, "size": file.size, "oid": file.git_id}
                | ({"lfs": {"oid": file.sha256, "size": file.size}} if file.lfs else {})
                for path, file in sorted(repo.commits[commit].items())
            ]
        return Reply(200, {"Content-Type": "application/json"}, json.dumps(document).encode())

    def _resolve(self, request: Request, name: str, revision: str, path: str) -> Reply:
        found = self._find(request, name, revision)
        if isinstance(found, Reply):
            return found
        commit, repo = found
        file = repo.commits[commit].get(path)
        if file is None:
            return _no(404, "EntryNotFound")
        if not file.lfs:
            reply = _send(request, file, f'"{file.git_id}"')
            return reply.with_headers(X_Repo_Commit=commit)
        headers = {
            "Location": f"{self.cdn_url}/cdn/{file.sha256}?signature=secret",
            "X-Repo-Commit": commit,
            "X-Linked-Etag": f'"{file.sha256}"',
            "X-Linked-Size": str(file.size),
            "ETag": f'"{file.sha256}"',
        }
        return Reply(302, headers)

    def _content(self, request: Request, sha256: str) -> Reply:
        for repo in self.repos.values():
            for files in repo.commits.values():
                for file in files.values():
                    if file.sha256 == sha256:
                        return _send(request, file, f'"cdn-{sha256[:16]}"')
        return Reply(404)


def _no(status: int, word: str) -> Reply:
    return Reply(status, {"X-Error-Code": word, "X-Error-Message": word}, b'{"error": "no"}')


def _send(request: Request, file: File, etag: str) -> Reply:
    """The whole file or the range asked for, as RFC 9110 says."""
    headers = {"ETag": etag, "Accept-Ranges": "bytes", "Content-Type": "application/octet-stream"}
    whole = Reply(200, headers, file=file, end=file.size)
    asked = re.fullmatch(r"bytes=(\d+)-(\d*)", request.headers.get("Range", ""))
    condition = request.headers.get("If-Range")
    if asked is None or condition not in (None, etag):
        return whole
    begin = int(asked[1])
    end = min(file.size, int(asked[2]) + 1) if asked[2] else file.size
    if begin >= file.size:
        return Reply(416, {**headers, "Content-Range": f"bytes */{file.size}"})
    span = f"bytes {begin}-{end - 1}/{file.size}"
    return replace(
        whole, status=206, headers={**headers, "Content-Range": span}, begin=begin, end=end
    )


class _Threads(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 64

    def handle_error(self, request: object, client_address: object) -> None:
        """Clients that go away are part of the tests; anything else is said."""
        if not isinstance(sys.exception(), ConnectionError | ssl.SSLError):
            super().handle_error(request, client_address)  # type: ignore[arg-type]


class _Server:
    def __init__(self, hub: Hub, host: str, address: str, certificate: Path | None = None) -> None:
        class Handler(_Handler):
            answer = staticmethod(hub.answer)
            role = host

        self._server = _Threads((address, 0), Handler)
        self._thread = threading.Thread(
            target=self._server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True
        )
        scheme = "http"
        if certificate is not None:
            scheme = "https"
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(certificate)
            self._server.socket = context.wrap_socket(self._server.socket, server_side=True)
        self.url = f"{scheme}://{address}:{self._server.server_address[1]}"

    def begin(self) -> None:
        self._thread.start()

    def end(self) -> None:
        self._server.shutdown()
        self._server.server_close()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    answer: Callable[[Request], Reply]
    role: str

    def do_GET(self) -> None:
        request = Request(self.role, self.command, self.path, self.headers)
        try:
            self._send(self.answer(request))
        except (BrokenPipeError, ConnectionResetError):
            self.close_connection = True

    do_HEAD = do_GET

    def _send(self, reply: Reply) -> None:
        self.send_response(reply.status)
        for key, value in reply.headers.items():
            self.send_header(key, value)
        if reply.chunked:
            self.send_header("Transfer-Encoding", "chunked")
        elif reply.length != -1:
            self.send_header("Content-Length", str(reply.length or reply.size))
        else:
            self.send_header("Connection", "close")
        self.end_headers()
        if self.command == "HEAD":
            return
        stop = reply.size if reply.cut is None else min(reply.cut, reply.size)
        for at in range(0, stop, PIECE):
            data = reply.read(at, min(PIECE, stop - at))
            self.wfile.write(b"%x\r\n%s\r\n" % (len(data), data) if reply.chunked else data)
        if reply.chunked and reply.cut is None:
            self.wfile.write(b"0\r\n\r\n")
        if reply.cut is not None or reply.length is not None:
            self._break_off(reply)

    def _break_off(self, reply: Reply) -> None:
        self.wfile.flush()
        self.close_connection = True
        if reply.stall:
            threading.Event().wait(reply.stall)
        if reply.reset:
            linger = struct.pack("ii", 1, 0)
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
            self.connection.close()

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 # the base's name
        """Say nothing."""
