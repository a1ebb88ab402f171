"""The one door to child processes.

It writes the command and all output to a log, times it, and turns failure into one
ToolchainError that quotes the last useful lines and names the log. Nothing else in the package
may import ``subprocess`` to run tools.
"""

from __future__ import annotations

import os
import re
import shlex
import signal
import subprocess
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from ingot.errors import ToolchainError
from ingot.frozen import without_bootloader
from ingot.paths import held_locks, make_folder

QUOTED_LINES = 12
_TAIL_LINES = 400
_LINE_LIMIT = 1 << 16
_GRACE_SECONDS = 5.0
_USEFUL = re.compile(
    r"error|fatal|failed|undefined|cannot|can't|not found|no such|denied|mismatch|refused"
    r"|no space|timed? ?out|traceback|exception",
    re.IGNORECASE,
)

_running: set[subprocess.Popen[bytes]] = set()
_running_guard = threading.Lock()
_refusing = threading.Event()


@dataclass(frozen=True)
class Completed:
    """A child process that ended: exit status, wall time in seconds, log, last lines of output."""

    status: int
    seconds: float
    log: Path
    lines: tuple[str, ...]


def child_env(extra: Mapping[str, str | None] | None = None) -> dict[str, str]:
    """Our environment for a child, less what is meant for a frozen us, with ``extra`` on top.

    None in ``extra`` takes a variable away.
    """
    env: dict[str, str | None] = {**without_bootloader(dict(os.environ)), **(extra or {})}
    return {key: value for key, value in env.items() if value is not None}


def useful_lines(lines: Sequence[str], limit: int = QUOTED_LINES) -> list[str]:
    """The lines that most likely say why a tool failed, in their order, at most ``limit``.

    From the first line that looks like an error if there is one (compilers say the cause first
    and complain about the consequences later), else simply the last ones.
    """
    solid = [line.rstrip() for line in lines if line.strip()]
    for number, line in enumerate(solid):
        if _USEFUL.search(line):
            chosen = solid[number : number + limit]
            last = solid[-1:]
            return chosen if last[0] in chosen else [*chosen[:-1], *last]
    return solid[-limit:]


def run(
    argv: Sequence[str | os.PathLike[str]],
    *,
    log: Path,
    cwd: Path | None = None,
    env: Mapping[str, str | None] | None = None,
    on_line: Callable[[str], None] | None = None,
    timeout: float | None = None,
    what: str | None = None,
    check: bool = True,
    stderr_to_log: bool = False,
) -> Completed:
    """Run ``argv`` to its end, appending the command and its output to ``log``.

    ``env`` is laid over our own environment (see child_env). ``on_line`` gets every line of
    stdout and stderr, without its end; with ``stderr_to_log`` of stdout only. ``timeout`` is in
    seconds. ``what`` names the step in errors; the program's name otherwise. The child's input is
    empty, so that it can never wait for an answer.

    Raises ToolchainError (code ``tool-missing``, ``tool-timeout`` or, with ``check``,
    ``tool-failed``). On any other exception, KeyboardInterrupt included, the child and its
    descendants are ended first.
    """
    words = [os.fspath(word) for word in argv]
    name = what or Path(words[0]).name
    make_folder(log.parent)
    started = time.monotonic()
    tail: deque[str] = deque(maxlen=_TAIL_LINES)
    with log.open("ab") as record:
        record.write(_echo(words, cwd, env).encode("utf-8", "surrogateescape"))
        record.flush()
        with _running_guard:
            if _refusing.is_set():
                raise ToolchainError(f"{name} was not started: the run is ending", code="ending")
            child = _start(words, name, cwd, env, log, record if stderr_to_log else None)
            _running.add(child)
        overdue = threading.Event()
        timer = _arm(child, timeout, overdue)
        try:
            _pump(child, record, tail, on_line)
            status = child.wait()
        except BaseException:
            _end(child)
            raise
        finally:
            if timer is not None:
                timer.cancel()
            with _running_guard:
                _running.discard(child)
        seconds = time.monotonic() - started
        record.write(f"# ended with status {status} after {seconds:.1f} s\n".encode())
    if stderr_to_log and status != 0:
        tail.extend(log.read_text("utf-8", "replace").splitlines()[-_TAIL_LINES:-1])
    if overdue.is_set():
        raise _failure(f"{name} took more than {timeout:g} s", tail, log, "tool-timeout")
    if check and status != 0:
        raise _failure(f"{name} failed ({_reason(status)})", tail, log, "tool-failed")
    return Completed(status, seconds, log, tuple(tail))


@contextmanager
def ending_together() -> Iterator[Callable[[], None]]:
    """For children that several threads run: gives a function that ends all of them.

    Once it was called, ``run`` refuses to start others until the block ends, so that a thread
    between two children cannot start the next one.
    """
    try:
        yield _end_all
    finally:
        _refusing.clear()


def _end_all() -> None:
    _refusing.set()
    with _running_guard:
        children = list(_running)
    for child in children:
        _end(child)


def _echo(words: Sequence[str], cwd: Path | None, env: Mapping[str, str | None] | None) -> str:
    where = f"cd {shlex.quote(str(cwd))} && " if cwd else ""
    settings = "".join(f"{k}={shlex.quote(v or '')} " for k, v in sorted((env or {}).items()))
    return f"\n$ {where}{settings}{shlex.join(words)}\n"


def _start(
    words: list[str],
    name: str,
    cwd: Path | None,
    env: Mapping[str, str | None] | None,
    log: Path,
    stderr: BinaryIO | None,
) -> subprocess.Popen[bytes]:
    try:
        with held_locks() as locks:
            return subprocess.Popen(
                words,
                cwd=cwd,
                env=child_env(env),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=stderr or subprocess.STDOUT,
                # Its own session, so that ending it ends what it started (npm -> node -> workers).
                start_new_session=True,
                pass_fds=locks,
            )
    except OSError as error:
        missing = isinstance(error, FileNotFoundError)
        raise ToolchainError(
            f"cannot start {name}: {error.strerror}: {error.filename or words[0]}",
            hint=f"the full command is in {log}",
            code="tool-missing" if missing else "tool-failed",
        ) from error


def _arm(
    child: subprocess.Popen[bytes], timeout: float | None, overdue: threading.Event
) -> threading.Timer | None:
    if timeout is None:
        return None

    def expire() -> None:
        overdue.set()
        _end(child)

    timer = threading.Timer(timeout, expire)
    timer.daemon = True
    timer.start()
    return timer


def _pump(
    child: subprocess.Popen[bytes],
    record: BinaryIO,
    tail: deque[str],
    on_line: Callable[[str], None] | None,
) -> None:
    output = child.stdout
    assert output is not None
    with output:
        while raw := output.readline(_LINE_LIMIT):
            record.write(raw)
            record.flush()
            line = raw.decode("utf-8", "replace").rstrip("\r\n")
            tail.append(line)
            if on_line is not None:
                on_line(line)


def _end(child: subprocess.Popen[bytes]) -> None:
    """Ask the child's whole group to end, and insist on stragglers after a few seconds."""
    _signal_group(child, signal.SIGTERM)
    try:
        child.wait(_GRACE_SECONDS)
    except subprocess.TimeoutExpired:
        pass
    _signal_group(child, signal.SIGKILL)
    child.wait()


def _signal_group(child: subprocess.Popen[bytes], number: signal.Signals) -> None:
    try:
        os.killpg(child.pid, number)
    except (ProcessLookupError, PermissionError):
        pass  # All of it has ended already.


def _reason(status: int) -> str:
    if status >= 0:
        return f"exit status {status}"
    try:
        return f"ended by {signal.Signals(-status).name}"
    except ValueError:
        return f"ended by signal {-status}"


def _failure(headline: str, tail: Sequence[str], log: Path, code: str) -> ToolchainError:
    quoted = "".join(f"\n    {line}" for line in useful_lines(list(tail)))
    return ToolchainError(headline + quoted, hint=f"the full log is {log}", code=code)
