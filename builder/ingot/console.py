"""Progress on stderr: live lines on a terminal, a few plain ones everywhere else.

stdout belongs to results and is never written here. Library functions accept a ``Progress`` and
do not know which of the two they talk to.
"""

from __future__ import annotations

import json
import os
import shutil
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Protocol, TextIO

REDRAW_SECONDS = 0.2
PLAIN_SECONDS = 15.0
_SPINNER = "|/-\\"


class Step(Protocol):
    """One thing under way."""

    def update(self, done: float, total: float | None = None, note: str = "") -> None:
        """Say how far it is (any unit, as long as both use it) and what is going on now.

        ``total`` None means that the end is unknown. An empty ``note`` keeps the last one.
        """


class Progress(Protocol):
    """What long library functions report to. Steps may run at the same time in threads."""

    def step(self, title: str) -> AbstractContextManager[Step]:
        """Announce a step; it ends with the ``with`` block."""


class _SilentStep:
    def update(self, done: float, total: float | None = None, note: str = "") -> None:
        """Ignore it."""


class NullProgress:
    """A Progress that shows nothing."""

    def step(self, title: str) -> AbstractContextManager[Step]:
        """Return a step that shows nothing."""
        return nullcontext(_SilentStep())


def duration(seconds: float) -> str:
    """``8 s``, ``2 min 05 s`` or ``1 h 02 min``."""
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02d} s"
    return f"{whole // 3600} h {whole % 3600 // 60:02d} min"


def roughly(seconds: float) -> str:
    """An estimate, no more exact than it is: ``40 s``, ``12 min`` or ``1 h 10 min``."""
    if seconds < 95:
        return f"{max(1, round(seconds / 10)) * 10} s"
    minutes = round(seconds / 60)
    if minutes < 60:
        return f"{minutes} min"
    tens = round(minutes / 10)
    return f"{tens // 6} h {tens % 6}0 min" if tens % 6 else f"{tens // 6} h"


def size(count: int) -> str:
    """A byte count for people: ``999 bytes``, ``13.7 MB``, ``4.3 GB`` (powers of 1000)."""
    if count < 1000:
        return f"{count} bytes"
    value = float(count)
    for unit in ("kB", "MB", "GB", "TB"):
        value /= 1000
        if value < 999.95 or unit == "TB":
            break
    return f"{value:.1f} {unit}"


def printable(text: str) -> str:
    """Text from a file, on one line and safe for a terminal: whatever is no printable character is
    shown as an escape, and a byte of a name that is not UTF-8 as ``\\xe9``.
    """
    return "".join(c if c.isprintable() else _escape(c) for c in text)


def printable_lines(text: str) -> str:
    """The same for text of several lines, with tabs."""
    return "".join(c if c.isprintable() or c in "\n\t" else _escape(c) for c in text)


def json_text(document: object) -> str:
    """JSON for people too: whatever is no printable character is escaped, and so are the bytes of a
    name that is not UTF-8, as lone surrogates.
    """
    text = json.dumps(document, indent=2, ensure_ascii=False)
    return "".join(c if c.isprintable() or c == "\n" else json.dumps(c)[1:-1] for c in text)


def _escape(character: str) -> str:
    if "\udc80" <= character <= "\udcff":
        return f"\\x{ord(character) - 0xDC00:02x}"
    return character.encode("unicode_escape").decode()


class _LiveStep:
    """State of one step; only the Console draws it."""

    def __init__(self, title: str, now: float) -> None:
        self.title = printable(title)
        self.note = ""
        self.done = 0.0
        self.total: float | None = None
        self.started = now
        self.spoken = now
        # The rate is taken from the first report on: what came before (a configure, a download
        # of something else) says nothing about the items that are counted.
        self._first: tuple[float, float] | None = None
        self._last = now

    def update(self, done: float, total: float | None = None, note: str = "") -> None:
        counting = (self.total is None) == (total is None)
        self._last = time.monotonic()
        self.done, self.total = done, total
        if note:
            self.note = printable(note)
        if self._first is None or done < self._first[1] or not counting:
            self._first = (self._last, done)

    def remaining(self, now: float) -> float | None:
        """Estimated seconds left; None while there is too little to go by.

        Counted down from the last report, which may be minutes ago; None again when the time is up.
        """
        if self.total is None or self._first is None or now - self.started < 3:
            return None
        begun, base = self._first
        progressed, took = self.done - base, self._last - begun
        if progressed <= 0 or took < 2:
            return None
        left = took * (self.total - self.done) / progressed - (now - self._last)
        return left if left >= 0 else None

    def detail(self, now: float) -> str:
        """``41 %, 1 min 12 s elapsed, about 2 min left, compiling x.cpp``."""
        parts = []
        if self.total:
            parts.append(f"{min(100, int(100 * self.done / self.total))} %")
        parts.append(f"{duration(now - self.started)} elapsed")
        left = self.remaining(now)
        if left is not None:
            parts.append(f"about {duration(left)} left")
        if self.note:
            parts.append(self.note)
        return ", ".join(parts)


class Console:
    """Progress for people, on ``stream`` (stderr).

    On a terminal each running step has a line that is redrawn in place. Elsewhere a step is one
    line when it starts, one about every 15 seconds, and one when it ends after more than a
    second. Colour only on a terminal without NO_COLOR.
    """

    def __init__(
        self,
        stream: TextIO | None = None,
        *,
        live: bool | None = None,
        plain_seconds: float = PLAIN_SECONDS,
    ) -> None:
        self._stream = stream if stream is not None else sys.stderr
        terminal = self._stream.isatty() and os.environ.get("TERM") != "dumb"
        self._live = terminal if live is None else live
        self._colour = self._live and not os.environ.get("NO_COLOR")
        self._plain_seconds = plain_seconds
        self._guard = threading.RLock()
        self._steps: list[_LiveStep] = []
        self._drawn = 0
        self._painter: threading.Thread | None = None
        self._wake = threading.Event()

    def say(self, message: str) -> None:
        """Write one line above whatever is live."""
        with self._guard:
            self._erase()
            self._write(printable_lines(message) + "\n")
            self._draw()

    @contextmanager
    def step(self, title: str) -> Iterator[Step]:
        """Show a step while the block runs; see Progress."""
        state = _LiveStep(title, time.monotonic())
        self._begin(state)
        try:
            yield state
        except BaseException:
            self._end(state, failed=True)
            raise
        self._end(state, failed=False)

    def _begin(self, step: _LiveStep) -> None:
        with self._guard:
            self._steps.append(step)
            if self._painter is None:
                self._painter = threading.Thread(
                    target=self._paint, args=(self._wake,), daemon=True
                )
                self._painter.start()
            if self._live:
                self._redraw()
            else:
                self._write(f"{step.title}\n")

    def _end(self, step: _LiveStep, *, failed: bool) -> None:
        with self._guard:
            self._erase()
            self._steps.remove(step)
            took = time.monotonic() - step.started
            if failed:
                self._write(f"{self._mark('failed', '31')} {step.title} ({duration(took)})\n")
            elif self._live or took >= 1:
                self._write(f"{self._mark('done', '32')} {step.title} ({duration(took)})\n")
            self._draw()
            if not self._steps and self._painter is not None:
                self._wake.set()
                self._painter = None
                self._wake = threading.Event()

    def _paint(self, wake: threading.Event) -> None:
        while not wake.wait(min(REDRAW_SECONDS, self._plain_seconds)):
            with self._guard:
                if wake.is_set():
                    return
                if self._live:
                    self._redraw()
                else:
                    self._speak()

    def _speak(self) -> None:
        now = time.monotonic()
        for step in self._steps:
            if now - step.spoken >= self._plain_seconds:
                step.spoken = now
                self._write(f"{step.title}: {step.detail(now)}\n")

    def _redraw(self) -> None:
        self._erase()
        self._draw()

    def _erase(self) -> None:
        if self._drawn:
            self._write(f"\x1b[{self._drawn}A\r\x1b[J")
            self._drawn = 0

    def _draw(self) -> None:
        if not self._live or not self._steps:
            return
        now = time.monotonic()
        width = self._width() - 1
        frame = _SPINNER[int(now / REDRAW_SECONDS) % len(_SPINNER)]
        lines = [f"{frame} {s.title}: {s.detail(now)}"[:width] for s in self._steps]
        self._write("".join(line + "\n" for line in lines))
        self._drawn = len(lines)

    def _width(self) -> int:
        """Columns of the terminal that the stream is, whatever stdout is."""
        try:
            return os.get_terminal_size(self._stream.fileno()).columns or 80
        except (OSError, ValueError):
            return shutil.get_terminal_size().columns

    def _mark(self, word: str, colour: str) -> str:
        return f"\x1b[{colour}m{word}\x1b[0m" if self._colour else word

    def _write(self, text: str) -> None:
        """Progress is a courtesy: a closed stderr must not end a build."""
        try:
            self._stream.write(text)
            self._stream.flush()
        except (OSError, ValueError):
            self._live = False
