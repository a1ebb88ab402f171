"""A position in a GGUF and a small window of bytes around it.

Every read is checked against the file's size first; nothing is allocated on the word of a length
field alone.
"""

from __future__ import annotations

import struct
from typing import BinaryIO, NoReturn

from ingot.console import printable
from ingot.errors import InputError

MAX_HEADER = 1 << 30

DAMAGED = "the file is damaged or was not written by a GGUF tool: download or convert it again"
INCOMPLETE = "the file is incomplete: download or copy it again"

_WINDOW = 1 << 18
_U32 = struct.Struct("<I")
_U64 = struct.Struct("<Q")


class Cursor:
    """A position in the file with a small window of bytes around it; never leaves the file."""

    def __init__(self, stream: BinaryIO, name: str, start: int, size: int) -> None:
        self.name = name
        self.start = start
        self.size = size
        self.at = 0
        self._stream = stream
        self._window = b""
        self._window_at = 0

    def fail(self, code: str, what: str, hint: str = DAMAGED, at: int | None = None) -> NoReturn:
        """Raise the InputError; ``at`` is the offset of what is wrong, the position if None."""
        offset = self.start + (self.at if at is None else at)
        message = f"{self.name}: {printable(what)} (at byte {offset})"
        raise InputError(message, hint=hint, code=code)

    def need(self, count: int, what: str) -> None:
        """Make sure that ``count`` bytes follow inside the file."""
        if count > self.size - self.at:
            self.fail(
                "gguf-truncated",
                f"{what} needs {count} bytes, the file has {self.size - self.at} left",
                INCOMPLETE,
            )
        if self.at + count > MAX_HEADER:
            self.fail("gguf-count", f"{what} would make the header larger than {MAX_HEADER} bytes")

    def take(self, count: int, what: str) -> bytes:
        """Return the next ``count`` bytes."""
        self.need(count, what)
        begin = self.at - self._window_at
        if begin < 0 or begin + count > len(self._window):
            self._fill(max(count, _WINDOW))
            begin = 0
        if begin + count > len(self._window):
            self.fail("gguf-truncated", f"{what}: the file became shorter", INCOMPLETE)
        self.at += count
        return self._window[begin : begin + count]

    def skip(self, count: int, what: str) -> None:
        """Step over ``count`` bytes without reading them."""
        self.need(count, what)
        self.at += count

    def u32(self, what: str) -> int:
        """The next u32."""
        return int(_U32.unpack(self.take(4, what))[0])

    def u64(self, what: str) -> int:
        """The next u64."""
        return int(_U64.unpack(self.take(8, what))[0])

    def skip_strings(self, count: int, what: str) -> None:
        """Step over ``count`` strings: the hot loop, since a vocabulary has 100,000s of them."""
        unpack = _U64.unpack_from
        while count:
            self.need(8, what)
            if not self._window_at <= self.at <= self._window_at + len(self._window) - 8:
                self._fill(_WINDOW)
            window, position, passed = self._window, self.at - self._window_at, 0
            try:
                for passed in range(count):  # noqa: B007 - tells how far it came when it raises
                    position += 8 + unpack(window, position)[0]
                passed = count
            except (struct.error, OverflowError):
                pass  # The next length lies beyond the window; or this one was absurd.
            if passed == 0:
                self.fail("gguf-truncated", f"{what}: the file became shorter", INCOMPLETE)
            count -= passed
            if self._window_at + position > self.size:
                self.fail("gguf-truncated", f"a string of {what} runs past the end", INCOMPLETE)
            self.at = self._window_at + position

    def _fill(self, count: int) -> None:
        self._stream.seek(self.start + self.at)
        self._window = self._stream.read(min(count, self.size - self.at))
        self._window_at = self.at
