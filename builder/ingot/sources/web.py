"""Requests to other machines, and the rules that each of them keeps.

- The token goes to the Hub's own origin (scheme, host, port) and nowhere else, and never over
  plain http except to this machine. Redirects are followed here, one by one, so that this holds
  for every hop whatever the HTTP library would do; ~/.netrc and cookies are not used.
- Plain http is spoken with this machine, with the endpoint that HF_ENDPOINT names, and where the
  sha256 of what is fetched is known beforehand. A redirect from https to http is refused.
- Nothing is decoded: bytes are asked for as they are.

What may pass by itself (a lost connection, a busy server) is raised as Transient, and Retry
decides how often to try again; what will not is an IngotError at once.
"""

from __future__ import annotations

import email.utils
import re
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from http.client import HTTPException
from http.cookiejar import DefaultCookiePolicy
from urllib.parse import urlsplit

import requests
import urllib3

from ingot import __version__
from ingot.errors import NetworkError
from ingot.sources.address import is_local, next_address, origin, shown
from ingot.sources.retry import Cancelled, Patience, Refused, Retry, Transient
from ingot.sources.settings import Settings

CHUNK = 1 << 20
MAX_REDIRECTS = 10
MAX_DOCUMENT = 64 << 20
_REDIRECTS = (301, 302, 303, 307, 308)
_SOCKS_HINT = (
    "a SOCKS proxy needs the Python package PySocks; or set HTTPS_PROXY to an HTTP proxy and unset "
    "ALL_PROXY"
)
_BUSY = (408, 425, 429)
_NEVER_LATER = (501, 505)


class Answer:
    """A response whose body has not been read yet."""

    def __init__(self, response: requests.Response) -> None:
        self._response = response
        self.status = response.status_code
        self.url = response.url
        self.redirects = response.status_code in _REDIRECTS
        self.headers: Mapping[str, str] = response.headers

    def number(self, header: str) -> int | None:
        """A header that is a count of bytes; None if it is absent or no such thing."""
        text = self.headers.get(header, "").strip()
        return int(text) if re.fullmatch(r"[0-9]{1,18}", text) else None

    @property
    def chunked(self) -> bool:
        """Whether the body says itself where it ends."""
        return self.headers.get("Transfer-Encoding", "").lower() == "chunked"

    def chunks(self) -> Iterator[bytes]:
        """The body as it comes in, at most CHUNK bytes at a time; Transient when it breaks off."""
        read1 = self._response.raw.read1
        while True:
            try:
                data = read1(CHUNK)
            except (urllib3.exceptions.HTTPError, HTTPException, OSError, ValueError) as error:
                raise _lost(error) from error
            if not data:
                return
            yield data


class Web:
    """A session: one connection pool, one set of rules. Use one per thread (see ``another``)."""

    def __init__(
        self,
        settings: Settings,
        patience: Patience | None = None,
        cancelled: threading.Event | None = None,
    ) -> None:
        self.settings = settings
        self.patience = patience or Patience()
        self._cancelled = cancelled or threading.Event()
        self._session = requests.Session()
        self._session.cookies.set_policy(DefaultCookiePolicy(allowed_domains=[]))
        self._session.headers.update({"User-Agent": f"ingot/{__version__}"})

    def another(self, cancelled: threading.Event) -> Web:
        """The same rules for another thread, which gives up when ``cancelled`` is set."""
        return Web(self.settings, self.patience, cancelled)

    def check(self) -> None:
        """Raise Cancelled if this thread is to give up."""
        if self._cancelled.is_set():
            raise Cancelled

    def pause(self, seconds: float) -> None:
        """Wait, and be woken by cancellation."""
        if self.patience.sleep is not None:
            self.patience.sleep(seconds)
        else:
            self._cancelled.wait(seconds)
        self.check()

    @contextmanager
    def get(
        self,
        url: str,
        headers: Mapping[str, str] | None = None,
        *,
        pinned: bool = False,
        on_answer: Callable[[Answer], None] = lambda _answer: None,
    ) -> Iterator[Answer]:
        """One GET, redirects followed; the answer's status is 200, 206 or 416.

        ``pinned`` says that the sha256 of the content is known; ``on_answer`` sees every answer on
        the way, redirects included. Raises Transient, Refused, or
        NetworkError ``insecure``, ``bad-redirect``, ``certificate``, ``http-status``.
        """
        self._check_first(url, pinned=pinned)
        place = url
        for hop in range(MAX_REDIRECTS + 1):
            response = self._send(place, headers or {})
            try:
                on_answer(Answer(response))
                if response.status_code in _REDIRECTS:
                    place = next_address(place, response.headers.get("Location"))
                    continue
                _raise_for_status(response, place, redirected=hop > 0)
                yield Answer(response)
                return
            finally:
                response.close()
        raise NetworkError(
            f"{shown(url)}: more than {MAX_REDIRECTS} redirects",
            hint="check the address, and HF_ENDPOINT if it is set",
            code="bad-redirect",
        )

    def document(self, url: str) -> bytes:
        """A small document, such as JSON, whole; tried again as Retry decides."""
        retry = Retry(shown(url), self.patience, self.pause)
        while True:
            try:
                with self.get(url, {"Accept": "application/json"}) as answer:
                    return self._whole(answer, url)
            except Transient as fault:
                retry.after(fault)

    def _whole(self, answer: Answer, url: str) -> bytes:
        pieces: list[bytes] = []
        length, expected = 0, answer.number("Content-Length")
        for piece in answer.chunks():
            self.check()
            pieces.append(piece)
            length += len(piece)
            if length > MAX_DOCUMENT:
                raise NetworkError(
                    f"{shown(url)}: the answer has more than {MAX_DOCUMENT} bytes",
                    hint="check HF_ENDPOINT if it is set",
                    code="bad-answer",
                )
        if expected is not None and length < expected:
            raise Transient(f"the connection was lost after {length} bytes", "connection-lost")
        return b"".join(pieces)

    def _send(self, url: str, headers: Mapping[str, str]) -> requests.Response:
        self.check()
        token = self.settings.token if self.may_have_token(url) else None

        def authorise(request: requests.PreparedRequest) -> requests.PreparedRequest:
            # Given for every request, so that the library does not look into ~/.netrc.
            request.headers.pop("Authorization", None)
            if token:
                request.headers["Authorization"] = f"Bearer {token}"
            return request

        try:
            return self._session.get(
                url,
                headers={**headers, "Accept-Encoding": "identity"},
                auth=authorise,
                timeout=(self.patience.connect, self.patience.read),
                allow_redirects=False,
                stream=True,
            )
        except requests.exceptions.SSLError as error:
            raise _certificate(url, error) from error
        except (requests.ConnectionError, requests.Timeout) as error:
            raise _unreachable(url, error) from error
        except (requests.RequestException, ValueError) as error:
            socks = "SOCKS" in str(error)
            raise NetworkError(
                f"{shown(url)}: cannot be asked for: {error}",
                hint=_SOCKS_HINT if socks else "check the address and the proxy settings",
                code="bad-address",
            ) from error

    def may_have_token(self, url: str) -> bool:
        """Whether the user's token is sent there: to the Hub alone, and encrypted."""
        parts = urlsplit(url)
        own = urlsplit(self.settings.endpoint)
        return origin(parts) == origin(own) and (parts.scheme == "https" or is_local(parts))

    def _check_first(self, url: str, *, pinned: bool) -> None:
        parts = urlsplit(url)
        endpoint = urlsplit(self.settings.endpoint)
        if parts.scheme == "https" or is_local(parts) or pinned:
            return
        if origin(parts) == origin(endpoint):
            return
        raise NetworkError(
            f"{shown(url)}: plain http lets anyone on the way change what is fetched",
            hint="use https, or say what it must be: URL#sha256=HEX",
            code="insecure",
        )


def _raise_for_status(response: requests.Response, url: str, *, redirected: bool) -> None:
    status = response.status_code
    encoding = response.headers.get("Content-Encoding", "identity").strip().lower()
    if status in (200, 206, 416):
        if status != 416 and encoding not in ("", "identity"):
            raise NetworkError(
                f"{shown(url)}: the content comes as {encoding}, and was asked for as it is",
                hint="a proxy on the way may be recoding; try without it",
                code="recoded",
            )
        return
    if status in _BUSY or (status >= 500 and status not in _NEVER_LATER):
        wait = _retry_after(response.headers.get("Retry-After"))
        raise Transient(f"the server answers {status} {response.reason}", "server-error", wait)
    if redirected and status in (401, 403):
        # A signed address that has expired; the next try begins at the first address again.
        raise Transient(f"the download address answers {status}", "server-error")
    if status in (401, 403, 404, 410):
        raise Refused(status, response.headers.get("X-Error-Code", ""), url)
    raise NetworkError(
        f"{shown(url)}: the server answers {status} {response.reason}",
        hint="check the address, and HF_ENDPOINT if it is set",
        code="http-status",
    )


def _retry_after(text: str | None) -> float | None:
    if not text:
        return None
    if re.fullmatch(r"[0-9]{1,9}", text.strip()):
        return float(text)
    try:
        return max(0.0, email.utils.parsedate_to_datetime(text).timestamp() - time.time())
    except ValueError:
        return None


def _lost(error: Exception) -> Transient:
    if isinstance(error, urllib3.exceptions.ReadTimeoutError | TimeoutError):
        return Transient("nothing arrives any more", "connection-lost")
    return Transient("the connection was lost", "connection-lost")


def _unreachable(url: str, error: Exception) -> Transient:
    host = urlsplit(url).hostname
    if isinstance(error, requests.exceptions.ProxyError):
        return Transient(f"the proxy for {host} does not answer", "unreachable")
    if isinstance(error, requests.exceptions.ReadTimeout):
        return Transient(f"{host} does not answer", "unreachable")
    reason = str(error)
    if "NameResolution" in reason or "resolve" in reason:
        return Transient(f"the name {host} is not known here", "unreachable")
    if "refused" in reason:
        return Transient(f"{host} refuses the connection", "unreachable")
    return Transient(f"{host} cannot be reached", "unreachable")


def _certificate(url: str, error: Exception) -> Exception:
    if "CERTIFICATE" not in str(error).upper():
        return Transient("the encrypted connection broke", "connection-lost")
    return NetworkError(
        f"{shown(url)}: its certificate is not trusted here",
        hint="if a company proxy re-signs traffic, set REQUESTS_CA_BUNDLE to its certificate",
        code="certificate",
    )
