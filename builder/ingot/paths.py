"""Where Ingot keeps files between runs, and how two runs share them.

Every entry of the cache is made the same way: take its lock, look again, build in a temporary
sibling, rename. A reader therefore sees a whole entry or none, whatever was killed meanwhile.
"""

from __future__ import annotations

import errno
import fcntl
import os
import shutil
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from ingot.errors import InputError

_held: set[int] = set()
_held_guard = threading.Lock()


def cache_dir() -> Path:
    """The root of the cache: ``INGOT_CACHE``, else the XDG cache home's ``ingot``.

    The folder is not created here. Relative values are ignored, as the XDG base directory
    specification asks, except for ``INGOT_CACHE``, which is taken from the current directory.
    """
    own = os.environ.get("INGOT_CACHE")
    if own:
        return Path(own).expanduser().absolute()
    xdg = os.environ.get("XDG_CACHE_HOME")
    if xdg and os.path.isabs(xdg):
        return Path(xdg) / "ingot"
    try:
        return Path.home() / ".cache" / "ingot"
    except RuntimeError as error:
        raise InputError(
            "the cache has no place: HOME is not set and this user has no home folder",
            hint="set INGOT_CACHE to a folder that you may write to",
            code="no-cache-folder",
        ) from error


def make_folder(path: Path) -> Path:
    """Create ``path`` and its parents; InputError names it when that is impossible.

    The cache itself is made for this user alone: executables refuse to load modules from one that
    others may write to, which a umask of 002 would allow.
    """
    root = cache_dir()
    try:
        if path.is_relative_to(root) and not root.exists():
            root.parent.mkdir(parents=True, exist_ok=True)
            root.mkdir(mode=0o700, exist_ok=True)
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(
            f"cannot create the folder {path}: {error.strerror}",
            hint="set INGOT_CACHE to a folder that you may write to",
            code="unwritable-folder",
        ) from error
    return path


@contextmanager
def held_locks() -> Iterator[tuple[int, ...]]:
    """Descriptors of the locks held by this process, none of which is released meanwhile.

    Child processes inherit them: if we are killed outright, a compiler that outlives us keeps
    the lock until it ends, so nobody works in the folder at the same time.
    """
    with _held_guard:
        yield tuple(_held)


@contextmanager
def locked(path: Path, on_wait: Callable[[], None] | None = None) -> Iterator[None]:
    """Hold the exclusive lock file ``path``; ``on_wait`` is called once if another holds it.

    The lock vanishes with its holder, however that one ends; the (empty) file stays, because
    removing it would let two holders lock two different files of one name.
    """
    make_folder(path.parent)
    try:
        fd = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
    except OSError as error:
        raise InputError(
            f"cannot open the lock file {path}: {error.strerror}",
            hint="set INGOT_CACHE to a folder that you may write to",
            code="unwritable-folder",
        ) from error
    try:
        _acquire(fd, on_wait)
        with _held_guard:
            _held.add(fd)
        yield
    finally:
        with _held_guard:
            _held.discard(fd)
        os.close(fd)


def _acquire(fd: int, on_wait: Callable[[], None] | None) -> None:
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        if error.errno not in (errno.EAGAIN, errno.EACCES):
            raise
        if on_wait is not None:
            on_wait()
        fcntl.flock(fd, fcntl.LOCK_EX)


def ensure_entry(
    entry: Path,
    make: Callable[[Path], None],
    *,
    on_wait: Callable[[], None] | None = None,
    keep: Callable[[Path], bool] | None = None,
) -> Path:
    """Return the cache folder ``entry``, calling ``make(temporary folder)`` once if it is missing.

    Of several processes one makes it and the others wait and use it. ``keep`` may reject an
    existing entry (return False), which is then made again. When ``make`` raises, nothing of it
    remains.
    """

    def usable() -> bool:
        return entry.is_dir() and (keep is None or keep(entry))

    if usable():
        return entry
    make_folder(entry.parent)
    with locked(entry.parent / f".{entry.name}.lock", on_wait):
        if usable():
            return entry
        _remove_leftovers(entry)
        temporary = Path(tempfile.mkdtemp(prefix=f".{entry.name}.tmp-", dir=entry.parent))
        try:
            temporary.chmod(0o755)  # mkdtemp makes it private; a cache may be shared
            make(temporary)
            if entry.exists():
                remove_tree(entry)
            temporary.rename(entry)
        finally:
            remove_tree(temporary)
    return entry


def _remove_leftovers(entry: Path) -> None:
    """Remove what killed runs left behind; safe because the caller holds the entry's lock."""
    for old in entry.parent.glob(f".{entry.name}.tmp-*"):
        remove_tree(old)


def remove_tree(path: Path) -> None:
    """Remove ``path`` and everything below it, read-only folders included; missing is fine."""
    try:
        shutil.rmtree(path)
    except FileNotFoundError:
        return
    except PermissionError:
        for folder, _names, _files in os.walk(path):
            os.chmod(folder, 0o700)
        shutil.rmtree(path, ignore_errors=True)


def folder_size(path: Path) -> int:
    """Bytes of all regular files below ``path``; files that vanish meanwhile count as 0."""
    total = 0
    for folder, _names, files in os.walk(path):
        for name in files:
            try:
                total += os.lstat(os.path.join(folder, name)).st_size
            except OSError:
                continue
    return total
