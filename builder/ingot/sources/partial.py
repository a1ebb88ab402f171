"""A file on its way: what has arrived, what it was part of, and the sha256 of it so far.

    NAME.incomplete         the first bytes of the file, only ever appended to
    NAME.incomplete.json    {"validator": …, "total": …}: which version of it they belong to

Both lie beside the target. Whoever holds the lock on NAME.incomplete may write it; it can be
killed at any moment, and whoever comes next continues after the last byte that was written.
"""

from __future__ import annotations

import errno
import fcntl
import hashlib
import json
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from ingot.errors import InputError
from ingot.paths import make_folder

SUFFIX = ".incomplete"
_READ = 1 << 20
_NOTE_MAX = 1 << 16


def disk_full(target: Path, needed: int, available: int) -> InputError:
    """The error for a disk on which ``needed`` bytes have no room."""
    return InputError(
        f"{target}: the disk is full: {needed} bytes are needed, {available} are available",
        hint="make room, or set HF_HUB_CACHE and INGOT_CACHE to folders on another disk",
        code="disk-full",
    )


def free_space(folder: Path) -> int:
    """Bytes that may be written below ``folder``, which need not exist yet."""
    while not folder.exists() and folder != folder.parent:
        folder = folder.parent
    return shutil.disk_usage(folder).free


class Partial:
    """The bytes of ``target`` that are here. Made by ``opened``; not for several threads."""

    def __init__(self, target: Path, path: Path, fd: int) -> None:
        self.target = target
        self.path = path
        self.offset = 0
        self.validator: str | None = None
        self.total: int | None = None
        self._fd = fd
        self._hash = hashlib.sha256()
        self._note = path.with_name(path.name + ".json")

    @property
    def sha256(self) -> str:
        """Of the bytes so far."""
        return self._hash.hexdigest()

    def resume(self, on_bytes: Callable[[int], None]) -> None:
        """Take over what an earlier run left; ``on_bytes`` hears how many were read again."""
        size = os.fstat(self._fd).st_size
        note = self._read_note() if size else None
        if note is None:
            self.restart()
            return
        self.validator, self.total = note
        while data := os.pread(self._fd, _READ, self.offset):
            self._hash.update(data)
            self.offset += len(data)
            on_bytes(self.offset)

    def restart(self) -> None:
        """Forget everything that has arrived."""
        os.ftruncate(self._fd, 0)
        self._note.unlink(missing_ok=True)
        self.offset, self.validator, self.total = 0, None, None
        self._hash = hashlib.sha256()

    def remember(self, validator: str | None, total: int | None) -> None:
        """Keep which version of the file the bytes belong to."""
        if (validator, total) == (self.validator, self.total) and self._note.exists():
            return
        self.validator, self.total = validator, total
        temporary = self._note.with_name(self._note.name + ".new")
        with self._explained(0):
            temporary.write_text(json.dumps({"validator": validator, "total": total}))
            temporary.replace(self._note)

    def append(self, data: bytes) -> None:
        """Write ``data`` after what is there. Raises InputError ``disk-full``."""
        with self._explained(len(data)):
            view = memoryview(data)
            while view:
                written = os.pwrite(self._fd, view, self.offset)
                self._hash.update(view[:written])
                self.offset += written
                view = view[written:]

    def check_space(self, more: int) -> None:
        """Raise InputError ``disk-full`` unless ``more`` bytes have room."""
        available = free_space(self.path.parent)
        if more > available:
            raise disk_full(self.target, more, available)

    def finish(self) -> None:
        """Put the file under its name, in one step."""
        with self._explained(0):
            os.fsync(self._fd)
            os.fchmod(self._fd, 0o666 & ~_umask())
            os.replace(self.path, self.target)
        self._note.unlink(missing_ok=True)

    def discard(self) -> None:
        """Leave nothing behind."""
        self._note.unlink(missing_ok=True)
        self.path.unlink(missing_ok=True)

    def _read_note(self) -> tuple[str | None, int | None] | None:
        try:
            with self._note.open("rb") as file:
                note = json.loads(file.read(_NOTE_MAX))
            validator, total = note["validator"], note["total"]
        except (OSError, ValueError, KeyError, TypeError):
            return None
        fits = isinstance(validator, str | None) and isinstance(total, int | None)
        return (validator, total) if fits else None

    @contextmanager
    def _explained(self, more: int) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            if error.errno in (errno.ENOSPC, errno.EDQUOT):
                available = free_space(self.path.parent)
                missing = (self.total or 0) - self.offset
                raise disk_full(self.target, max(missing, more), available) from error
            raise InputError(
                f"{self.target}: cannot be written: {error.strerror}",
                hint="set HF_HUB_CACHE and INGOT_CACHE to folders that you may write to",
                code="unwritable-folder",
            ) from error


@contextmanager
def opened(target: Path, on_wait: Callable[[], None]) -> Iterator[Partial]:
    """Hold the partial file of ``target``; ``on_wait`` is called if another run holds it.

    Raises InputError ``unwritable-folder``.
    """
    make_folder(target.parent)
    path = target.with_name(target.name + SUFFIX)
    fd = _open_locked(path, target, on_wait)
    try:
        yield Partial(target, path, fd)
    finally:
        os.close(fd)


def _open_locked(path: Path, target: Path, on_wait: Callable[[], None]) -> int:
    """Open and lock ``path``, again if it was renamed or removed while we waited for the lock."""
    while True:
        try:
            fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        except OSError as error:
            raise InputError(
                f"{target}: cannot be written: {error.strerror}",
                hint="set HF_HUB_CACHE and INGOT_CACHE to folders that you may write to",
                code="unwritable-folder",
            ) from error
        try:
            _lock(fd, on_wait)
            if _is_same(fd, path):
                return fd
        except BaseException:
            os.close(fd)
            raise
        os.close(fd)


def _lock(fd: int, on_wait: Callable[[], None]) -> None:
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        on_wait()
        fcntl.flock(fd, fcntl.LOCK_EX)


def _is_same(fd: int, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(fd), os.stat(path))
    except FileNotFoundError:
        return False


def _umask() -> int:
    """The process's umask, read without changing it for other threads."""
    try:
        with open("/proc/self/status", encoding="ascii", errors="replace") as status:
            for line in status:
                if line.startswith("Umask:"):
                    return int(line.split()[1], 8)
    except (OSError, ValueError):
        pass
    return 0o022
