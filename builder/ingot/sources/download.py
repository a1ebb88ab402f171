"""One file, whole and right, or an error: resumed, tried again, hashed while it arrives.

A try asks for what is missing with Range, and with If-Range so that a file that has changed on
the server comes from its beginning. What has arrived is kept (see ``partial``) except when it is
known to be wrong. The file gets its name only when size and sha256 are as promised.
"""

from __future__ import annotations

import hashlib
import re
import time
from collections import deque
from dataclasses import dataclass
from pathlib import Path

from ingot.console import Step, size
from ingot.errors import InputError, IntegrityError, NetworkError
from ingot.sources.address import shown
from ingot.sources.partial import Partial, opened
from ingot.sources.retry import Refused, Retry, Transient
from ingot.sources.web import Answer, Web

_CONTENT_RANGE = re.compile(r"bytes (?:(\d{1,18})-(\d{1,18})|\*)/(\d{1,18}|\*)")
_KEPT = "what has arrived is kept: the same command continues where this one stopped"
_RATE_SECONDS = 5.0
_REPORT_SECONDS = 0.1


@dataclass(frozen=True)
class Download:
    """A file to fetch: ``label`` is for people; ``size`` is in bytes; what is None is not known.

    ``git_id`` is git's name of the content, which a Hub knows of files that are not in LFS.
    """

    url: str
    target: Path
    label: str
    size: int | None = None
    sha256: str | None = None
    git_id: str | None = None


@dataclass(frozen=True)
class Stored:
    """A file that was fetched; ``validator`` is the server's word for this version of it."""

    path: Path
    size: int
    sha256: str
    validator: str | None


def download(job: Download, web: Web, step: Step) -> Stored:
    """Fetch ``job``, continuing what an earlier run began.

    Raises NetworkError (the codes of ``web``, and ``connection-lost``, ``unreachable``,
    ``server-error``, ``changed-on-server``, ``no-length``), IntegrityError ``size-mismatch`` or
    ``hash-mismatch``, InputError ``disk-full``, ``unwritable-folder``, ``not-found`` or
    ``access-denied``. Bytes that are known to be wrong are removed, others kept for the next run.
    """

    def waiting() -> None:
        step.update(0, None, "waiting for another run that fetches it")

    with opened(job.target, waiting) as partial:
        return _Transfer(job, web, step, partial).run()


def ask(url: str, label: str, web: Web, *, pinned: bool) -> tuple[int | None, str | None]:
    """The size in bytes of what is at ``url``, and the validator of its version; None: not said.

    Asked with a GET that is not read: signed addresses often allow nothing else. Raises what
    ``download`` does.
    """
    retry = Retry(label, web.patience, web.pause)
    while True:
        try:
            with web.get(url, {"Range": "bytes=0-0"}, pinned=pinned) as answer:
                return content_length(answer), validator_of(answer)
        except Refused as refusal:
            raise _refused(label, refusal, web) from refusal
        except Transient as fault:
            retry.after(fault)


class _Transfer:
    def __init__(self, job: Download, web: Web, step: Step, partial: Partial) -> None:
        self._job = job
        self._web = web
        self._meter = Meter(step)
        self._step = step
        self._partial = partial
        self._fresh = True  # Whether every byte that is here was received by this transfer.
        self._most = 0

    def run(self) -> Stored:
        self._partial.resume(lambda done: self._meter.look(done, self._job.size))
        self._most = self._partial.offset
        self._fresh = self._partial.offset == 0
        self._meter.begin(self._partial.offset)
        while True:
            self._receive()
            wrong = self._what_is_wrong()
            if wrong is None:
                return self._finish()
            if self._fresh:
                self._partial.discard()
                raise IntegrityError(
                    f"{self._job.label}: {wrong}",
                    hint="do not use this server or mirror before you know why it differs",
                    code="hash-mismatch",
                )
            self._partial.restart()  # Perhaps only what an earlier run left is wrong.
            self._fresh, self._most = True, 0

    def _receive(self) -> None:
        retry = Retry(
            self._job.label,
            self._web.patience,
            self._web.pause,
            lambda note: self._meter.say(self._partial.offset, self._total, note),
            _KEPT,
        )
        while self._total is None or self._partial.offset != self._total:
            before = self._most
            try:
                self._try()
                return
            except Refused as refusal:
                raise _refused(self._job.label, refusal, self._web) from refusal
            except Transient as fault:
                # Progress is a byte that was never here: a server that begins anew each time and
                # always breaks off must not keep us forever.
                if self._most > before:
                    retry.progressed()
                retry.after(fault)

    @property
    def _total(self) -> int | None:
        return self._job.size if self._job.size is not None else self._partial.total

    def _try(self) -> None:
        partial, headers = self._partial, {}
        may_resume = partial.validator is not None or self._job.sha256 is not None
        if partial.offset and not may_resume:
            self._restart()
        if partial.offset:
            headers["Range"] = f"bytes={partial.offset}-"
            if partial.validator is not None:
                headers["If-Range"] = partial.validator
        pinned = self._job.sha256 is not None
        with self._web.get(self._job.url, headers, pinned=pinned) as answer:
            total = self._begin(answer)
            if total is None or partial.offset < total:
                self._take(answer, total)

    def _begin(self, answer: Answer) -> int | None:
        """Bring the partial file into line with the answer's status; return the file's size."""
        partial = self._partial
        begin, total = _content_range(answer)[0], content_length(answer)
        self._check_size(total)
        if answer.status == 416:
            return self._beyond_the_end(total)
        validator = validator_of(answer)
        changed = partial.validator not in (None, validator) or partial.total not in (None, total)
        if answer.status == 206 and (changed or begin != partial.offset):
            self._restart()
            raise Transient("the file on the server has changed", "changed-on-server")
        if answer.status == 200 and partial.offset:
            self._restart()
        if total is None and not answer.chunked and self._job.sha256 is None:
            raise NetworkError(
                f"{self._job.label}: the server does not say how long the file is, and its sha256 "
                "is not known, so nobody could tell whether all of it arrived",
                hint="give the address with what it must be: URL#sha256=HEX",
                code="no-length",
            )
        partial.remember(validator, total)
        if total is not None:
            partial.check_space(total - partial.offset)
        return total

    def _beyond_the_end(self, total: int | None) -> int:
        """416: either everything is here already, or what is here belongs to another file."""
        if total is not None and total == self._partial.offset:
            return total
        asked = self._partial.offset
        self._restart()
        raise Transient(f"the server has nothing after byte {asked}", "changed-on-server")

    def _take(self, answer: Answer, total: int | None) -> None:
        partial = self._partial
        for data in answer.chunks():
            self._web.check()
            partial.append(data)
            self._most = max(self._most, partial.offset)
            self._meter.count(partial.offset, self._job.size or total)
        if total is not None and partial.offset < total:
            lost = f"the connection was lost after {partial.offset} of {total} bytes"
            raise Transient(lost, "connection-lost")
        if self._job.size is not None and partial.offset != self._job.size:
            partial.discard()
            self._check_size(partial.offset)

    def _restart(self) -> None:
        self._partial.restart()
        self._fresh = True
        self._meter.begin(0)

    def _check_size(self, found: int | None) -> None:
        """What is here stays: the answer may be that of a captive portal or a broken mirror."""
        expected = self._job.size
        if found is not None and expected is not None and found != expected:
            raise IntegrityError(
                f"{self._job.label}: the server sends {found} bytes, {expected} are expected",
                hint="something else may have answered: a network's login page, a stale mirror",
                code="size-mismatch",
            )

    def _what_is_wrong(self) -> str | None:
        found, expected = self._partial.sha256, self._job.sha256
        if expected is not None and found != expected:
            return f"has sha256 {found}, {expected} is expected"
        if expected is None and self._job.git_id is not None:
            found = git_id(self._partial.path)
            if found != self._job.git_id:
                return f"has git id {found}, {self._job.git_id} is expected"
        return None

    def _finish(self) -> Stored:
        partial = self._partial
        partial.finish()
        self._step.update(partial.offset, partial.offset, size(partial.offset))
        return Stored(self._job.target, partial.offset, partial.sha256, partial.validator)


class Meter:
    """Reports bytes to a Step, with the rate over the last few seconds."""

    def __init__(self, step: Step) -> None:
        self._step = step
        self._seen: deque[tuple[float, int]] = deque()
        self._reported = 0.0

    def begin(self, done: int) -> None:
        """Bytes that are there before anything arrives say nothing about the rate."""
        self._seen.clear()
        self._seen.append((time.monotonic(), done))

    def look(self, done: int, total: int | None) -> None:
        """Report bytes that are read again from the disk."""
        if self._due():
            self._step.update(0, None, f"checking {self._of(done, total)} that are here already")

    def count(self, done: int, total: int | None) -> None:
        """Report ``done`` bytes of ``total``."""
        if not self._due():
            return
        now = self._reported
        self._seen.append((now, done))
        while len(self._seen) > 2 and now - self._seen[0][0] > _RATE_SECONDS:
            self._seen.popleft()
        begun, base = self._seen[0]
        rate = (done - base) / (now - begun) if now > begun else 0.0
        self._step.update(done, total, f"{self._of(done, total)}, {size(int(rate))}/s")

    def say(self, done: int, total: int | None, note: str) -> None:
        """Report something other than the rate."""
        self._step.update(done, total, note)

    def _due(self) -> bool:
        now = time.monotonic()
        if now - self._reported < _REPORT_SECONDS:
            return False
        self._reported = now
        return True

    @staticmethod
    def _of(done: int, total: int | None) -> str:
        return f"{size(done)} of {size(total)}" if total else size(done)


def validator_of(answer: Answer) -> str | None:
    """What If-Range may be given: a strong ETag, else the date (RFC 9110, section 13.1.5)."""
    etag = answer.headers.get("ETag", "").strip()
    if re.fullmatch(r'"[\x21\x23-\x7e]{0,1000}"', etag):
        return etag
    date = answer.headers.get("Last-Modified", "").strip()
    return date if not etag and re.fullmatch(r"[\x20-\x7e]{10,64}", date) else None


def content_length(answer: Answer) -> int | None:
    """The size of the whole file, whatever part of it the answer is; None if it is not said."""
    if answer.status == 200:
        return answer.number("Content-Length")
    return _content_range(answer)[1]


def git_id(path: Path) -> str:
    """The SHA-1 that git gives a file's content."""
    digest = hashlib.sha1(b"blob %d\0" % path.stat().st_size, usedforsecurity=False)
    with path.open("rb") as file:
        while data := file.read(1 << 20):
            digest.update(data)
    return digest.hexdigest()


def _content_range(answer: Answer) -> tuple[int | None, int | None]:
    """(first byte, size of the whole file), each None where it is not said."""
    match = _CONTENT_RANGE.fullmatch(answer.headers.get("Content-Range", "").strip())
    if match is None:
        return None, None
    begin = int(match[1]) if match[1] is not None else None
    return begin, None if match[3] == "*" else int(match[3])


def _refused(label: str, refusal: Refused, web: Web) -> InputError:
    where = shown(refusal.url)
    if refusal.status in (404, 410):
        return InputError(
            f"{label}: there is no such file on the server ({where} answers {refusal.status})",
            hint="check the reference: the file may have been renamed or removed",
            code="not-found",
        )
    return InputError(
        f"{label}: the server does not give this file away ({where} answers {refusal.status})",
        hint="accept the model's conditions on its page, then set HF_TOKEN to a token of yours"
        if web.may_have_token(refusal.url)
        else "fetch it yourself, in a browser for example, then give the file's path",
        code="access-denied",
    )
