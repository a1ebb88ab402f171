"""What a frozen Ingot carries: a ZIP archive at the end of its own file, unpacked into the cache
once.

Not among the files that PyInstaller unpacks at every start: those 52 MB would make each start, and
each completion in a shell, take 1.0 s and not 0.4. They would also all become executable there,
which counts in ``pin.tree_hash``.
"""

from __future__ import annotations

import hashlib
import os
import re
import stat
import sys
import zipfile
from collections.abc import Mapping
from pathlib import Path, PurePosixPath

from ingot.console import NullProgress
from ingot.errors import IntegrityError
from ingot.paths import cache_dir, ensure_entry
from ingot.toolchain.packages import unpack_wheel

_NO_TIME = (1980, 1, 1, 0, 0, 0)
_SHA256 = re.compile(r"[0-9a-f]{64}")


def append(program: Path, files: Mapping[PurePosixPath, Path]) -> None:
    """Append ``files`` by their names to ``program``; the archive's comment is their sha256."""
    digest = hashlib.sha256()
    with program.open("r+b") as sink:
        sink.seek(0, os.SEEK_END)
        with zipfile.ZipFile(sink, "w") as archive:
            for name, path in sorted(files.items()):
                content = path.read_bytes()
                mode = 0o755 if path.stat().st_mode & 0o100 else 0o644
                entry = zipfile.ZipInfo(str(name), _NO_TIME)
                entry.external_attr = (stat.S_IFREG | mode) << 16
                archive.writestr(entry, content, zipfile.ZIP_DEFLATED, 9)
                digest.update(f"{name}\0{mode}\0{len(content)}\0".encode() + content)
            archive.comment = digest.hexdigest().encode()


def unpacked_home() -> Path:
    """Where the cache has what frozen copies of Ingot carry, each by its hash."""
    return cache_dir() / "carried"


def unpacked() -> Path:
    """The folder with what this frozen Ingot carries, unpacked if it is not there yet.

    Raises IntegrityError when the file of this Ingot is damaged.
    """

    def unpack(folder: Path) -> None:
        with NullProgress().step("") as step:
            unpack_wheel(Path(sys.executable), folder, step)

    return ensure_entry(unpacked_home() / _own_hash(), unpack)


def _own_hash() -> str:
    try:
        with zipfile.ZipFile(sys.executable) as archive:
            found = archive.comment.decode("ascii", "replace")
    except zipfile.BadZipFile:
        found = ""
    if not _SHA256.fullmatch(found):
        raise IntegrityError(
            f"{sys.executable} is not whole: what it carries is missing at its end",
            hint="download or copy it again",
            code="damaged-ingot",
        )
    return found
