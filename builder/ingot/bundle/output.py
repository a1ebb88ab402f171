"""A file that appears under its name whole or not at all.

Where the file system can, it is written without a name (O_TMPFILE) and linked in at the end: even
after kill -9 nothing of it remains. Elsewhere it has a hidden name beside the output and an
advisory lock; it is removed on every failure, and one whose writer was killed is removed by the
next build in that folder, which sees that nobody holds the lock.
"""

from __future__ import annotations

import errno
import fcntl
import os
import re
import secrets
import stat
from collections.abc import Iterable
from pathlib import Path
from types import TracebackType
from typing import Self

from ingot.errors import InputError

_PARTIAL = re.compile(r"\..+\.ingot-[0-9a-f]{8}\.partial", re.DOTALL)
_NO_TMPFILE = {errno.EOPNOTSUPP, errno.EISDIR, errno.ENOENT, errno.EINVAL}
_MODE = 0o777  # less the umask, which open(2) applies


def check_output(output: Path, inputs: Iterable[Path], *, force: bool) -> None:
    """Refuse an output that cannot or must not be written, before anything is.

    Raises InputError: ``output-is-folder``, ``output-is-input``, ``output-exists``,
    ``output-folder-missing``, ``output-unwritable``.
    """
    folder = output.parent
    if not folder.is_dir():
        raise InputError(
            f"{output}: the folder {folder} does not exist",
            hint="create it, or choose another output",
            code="output-folder-missing",
        )
    if output.is_dir():
        raise InputError(
            f"{output}: is a folder",
            hint="name the file inside it: FOLDER/NAME",
            code="output-is-folder",
        )
    exists = os.path.lexists(output)
    for path in inputs:
        if exists and output.exists() and os.path.samefile(path, output):
            raise InputError(
                f"{output}: is an input of this build",
                hint="choose another output",
                code="output-is-input",
            )
    if exists and not force:
        raise InputError(
            f"{output}: exists already",
            hint="replace it with --force, or choose another output",
            code="output-exists",
        )
    if exists and not output.is_symlink() and not stat.S_ISREG(output.stat().st_mode):
        raise InputError(
            f"{output}: is not a regular file",
            hint="choose another output",
            code="output-not-regular",
        )
    if not os.access(folder, os.W_OK | os.X_OK):
        raise _unwritable(output, "the folder is not writable")


class OutputFile:
    """``with OutputFile(path) as out: … out.commit()``; without commit nothing remains.

    ``out.fd`` is open for reading and writing. Raises InputError ``output-unwritable``.
    """

    def __init__(self, path: Path, mode: int = _MODE) -> None:
        self.path = path
        self.fd = -1
        self._mode = mode
        self._partial: Path | None = None

    def __enter__(self) -> Self:
        remove_stale_partials(self.path.parent)
        try:
            self._open()
        except OSError as error:
            raise _unwritable(self.path, error.strerror) from error
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._partial is not None:
            self._partial.unlink(missing_ok=True)
        os.close(self.fd)

    def commit(self) -> None:
        """Put the file under its name, replacing what is there.

        What is replaced may be the only copy of the weights (``ingot repack``), so the new file
        is on the disk first. A new file is left to the kernel to flush, as cp leaves it.
        """
        if os.path.lexists(self.path):
            os.fsync(self.fd)
        else:
            os.close(os.dup(self.fd))  # Network file systems tell of a full disk when closing.
        folder = os.open(self.path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            if self._partial is None:
                self._link(folder)
            assert self._partial is not None
            os.replace(self._partial, self.path)
            self._partial = None
            _sync_folder(folder)
        finally:
            os.close(folder)

    def _link(self, folder: int) -> None:
        """Give the file a hidden name: linkat(2) cannot replace, renaming over the output can."""
        partial = self._hidden_name()
        # CPython calls link(2), which does not follow the link in /proc, unless a descriptor is
        # passed; then it calls linkat(2) with AT_SYMLINK_FOLLOW.
        os.link(
            f"/proc/self/fd/{self.fd}",
            partial.name,
            src_dir_fd=folder,
            dst_dir_fd=folder,
            follow_symlinks=True,
        )
        self._partial = partial

    def _open(self) -> None:
        try:
            if not os.path.isdir("/proc/self/fd"):
                raise OSError(errno.EOPNOTSUPP, "no /proc, thus no way to link the file in")
            flags = os.O_RDWR | os.O_TMPFILE | os.O_CLOEXEC
            self.fd = os.open(self.path.parent, flags, self._mode)
            return
        except OSError as error:
            if error.errno not in _NO_TMPFILE:
                raise
        self._open_named()

    def _open_named(self) -> None:
        while True:
            partial = self._hidden_name()
            flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | os.O_NOFOLLOW
            self.fd = os.open(partial, flags, self._mode)
            self._partial = partial
            try:
                fcntl.flock(self.fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
                if os.stat(partial).st_ino == os.fstat(self.fd).st_ino:
                    return
            except FileNotFoundError:
                pass  # Taken for stale between creation and lock: try again.
            except OSError:
                return  # No locks here (some network file systems): then nobody else cleans up.
            os.close(self.fd)

    def _hidden_name(self) -> Path:
        stem = os.fsencode(self.path.name)[:200].decode(errors="ignore")
        return self.path.with_name(f".{stem}.ingot-{secrets.token_hex(4)}.partial")


def remove_stale_partials(folder: Path) -> None:
    """Remove partial outputs in ``folder`` whose writers are gone."""
    try:
        names = [name for name in os.listdir(folder) if _PARTIAL.fullmatch(name)]
    except OSError:
        return  # Opening the output will say what is wrong with the folder.
    for name in names:
        try:
            _remove_if_unlocked(folder / name)
        except OSError:
            continue  # In use, not ours to open, or gone: all of them mean leave it.


def _remove_if_unlocked(path: Path) -> None:
    fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        path.unlink()
    finally:
        os.close(fd)


def _sync_folder(fd: int) -> None:
    try:
        os.fsync(fd)
    except OSError:
        pass  # Some file systems cannot; the rename has happened all the same.


def _unwritable(output: Path, reason: str | None) -> InputError:
    return InputError(
        f"{output}: cannot be written: {reason}",
        hint="choose a folder that you may write to",
        code="output-unwritable",
    )
