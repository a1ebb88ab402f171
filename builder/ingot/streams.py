"""Standard input, output and error as the command line needs them, whatever the parent left."""

from __future__ import annotations

import codecs
import io
import os
import sys
from typing import Any, TextIO

_ERRORS = "ingot.names"


def open_standard_streams() -> None:
    """Make descriptors 0 to 2 and their streams exist, and let names that are not UTF-8 pass.

    A closed descriptor would be given to the next file that is opened, and printed into. What
    stands in for standard output refuses every byte, so that a lost result is noticed; messages to
    a closed standard error are dropped.
    """
    for fd, flags in ((0, os.O_RDONLY), (1, os.O_RDONLY), (2, os.O_WRONLY)):
        try:
            os.fstat(fd)
        except OSError:
            os.open(os.devnull, flags)  # the lowest free descriptor, which is fd
    if sys.stdin is None:
        sys.stdin = os.fdopen(0, encoding="utf-8", closefd=False)
    if sys.stdout is None:
        sys.stdout = os.fdopen(1, "w", encoding="utf-8", closefd=False)
    if sys.stderr is None:
        sys.stderr = os.fdopen(2, "w", encoding="utf-8", closefd=False)
    codecs.register_error(_ERRORS, _encode_name)
    if isinstance(sys.stderr, io.TextIOWrapper):
        sys.stderr.reconfigure(errors=_ERRORS)
    if isinstance(sys.stdout, io.TextIOWrapper) and _is_descriptor(sys.stdout, 1):
        sys.stdout = io.TextIOWrapper(
            io.BufferedWriter(_Output(1, "w", closefd=False)),
            encoding=sys.stdout.encoding,
            errors=_ERRORS,
            line_buffering=sys.stdout.isatty(),
        )


class _Output(io.FileIO):
    """Standard output, which remembers why it could not be written."""

    fault: OSError | None = None

    def write(self, data: Any, /) -> int:
        """As io.FileIO does it."""
        try:
            return super().write(data)
        except OSError as error:
            _Output.fault = error
            raise


def _is_descriptor(stream: TextIO, fd: int) -> bool:
    try:
        return stream.fileno() == fd
    except (OSError, ValueError):
        return False


def _encode_name(error: UnicodeError) -> tuple[str | bytes, int]:
    """A codec error handler: the byte of a name that is not UTF-8 as it was, else an escape."""
    if not isinstance(error, UnicodeEncodeError):
        raise error
    wrong = error.object[error.start : error.end]
    if all("\udc80" <= c <= "\udcff" for c in wrong):
        return bytes(ord(c) - 0xDC00 for c in wrong), error.end
    return wrong.encode("ascii", "backslashreplace"), error.end


def output_fault() -> OSError | None:
    """Why standard output could not be written, None if it could."""
    return _Output.fault


def abandon_output() -> None:
    """Drop what standard output still holds, so that Python does not complain at exit."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)


def say(line: str) -> None:
    """Write a line to standard error, if anybody listens."""
    try:
        print(line, file=sys.stderr, flush=True)
    except OSError:
        pass
