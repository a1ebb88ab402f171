"""Trying again: what may pass by itself, how often, and with what pauses."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass

from ingot.console import duration
from ingot.errors import NetworkError

MAX_RETRY_AFTER = 300.0


class Transient(Exception):
    """One try failed in a way that another may not. ``wait`` is what the server asked for, in
    seconds."""

    def __init__(self, reason: str, code: str, wait: float | None = None) -> None:
        super().__init__(reason)
        self.reason = reason
        self.code = code
        self.wait = wait


class Refused(Exception):
    """The server answered that it will not or cannot: HTTP ``status`` (401, 403, 404 or 410) and
    the Hub's own word for it, ``X-Error-Code``."""

    def __init__(self, status: int, word: str, url: str) -> None:
        super().__init__(f"HTTP {status}")
        self.status = status
        self.word = word
        self.url = url


class Cancelled(Exception):
    """Another file of the same run failed, or the run was interrupted."""


@dataclass(frozen=True)
class Patience:
    """How long to try. All times are in seconds.

    ``attempts`` is how many tries in a row may bring nothing new before it is given up; a try
    that brings even one new byte starts the count again. ``first_contacts`` is the same for a host
    that has not answered once. The pause after the nth of them is
    between half of and the whole of ``first_pause * 2**(n-1)``, at most ``longest_pause``.
    """

    attempts: int = 7
    first_contacts: int = 4
    first_pause: float = 1.0
    longest_pause: float = 60.0
    connect: float = 15.0
    read: float = 60.0
    jitter: Callable[[], float] = random.random
    sleep: Callable[[float], None] | None = None

    def pause(self, failures: int) -> float:
        """Seconds to wait after so many failures in a row."""
        longest = min(self.longest_pause, self.first_pause * 2.0 ** min(failures - 1, 30))
        return longest * (0.5 + self.jitter() / 2)


class Retry:
    """Counts the tries of one thing, called ``what`` in errors, and pauses between them."""

    def __init__(
        self,
        what: str,
        patience: Patience,
        pause: Callable[[float], None],
        say: Callable[[str], None] = lambda _note: None,
        hint: str = "check the network, HF_ENDPOINT if it is set, and proxies; then try again",
    ) -> None:
        self._what = what
        self._patience = patience
        self._pause = pause
        self._say = say
        self._hint = hint
        self._failures = 0
        self._answered = False

    def progressed(self) -> None:
        """Something new arrived: the count starts again."""
        self._failures = 0
        self._answered = True

    def after(self, fault: Transient) -> None:
        """Pause before the next try; NetworkError when there were enough of them."""
        self._failures += 1
        self._answered = self._answered or fault.code != "unreachable"
        limit = self._patience.attempts if self._answered else self._patience.first_contacts
        if self._failures >= limit:
            tries = f"{self._failures} tries in a row failed"
            raise self._error(fault, tries, self._hint) from fault
        if fault.wait is not None and fault.wait > MAX_RETRY_AFTER:
            asked = f"it asks to wait for {duration(fault.wait)}"
            hint = "run the same command again then; a token (HF_TOKEN) may raise the limit"
            raise self._error(fault, asked, hint) from fault
        pause = self._patience.pause(self._failures)
        if fault.wait is not None:
            pause = max(pause, fault.wait)
        self._say(f"{fault.reason}; trying again")
        self._pause(pause)

    def _error(self, fault: Transient, why: str, hint: str) -> NetworkError:
        return NetworkError(f"{self._what}: {fault.reason}; {why}", hint=hint, code=fault.code)
