"""Debian packages as archives: taking headers and licences out of one. Nothing is installed.

A .deb is an ar archive with one compressed tar among its members. Whoever made it is not trusted:
only regular files below folders that the caller names are written, within limits.
"""

from __future__ import annotations

import io
import lzma
import tarfile
import zlib
from collections.abc import Iterator, Sequence
from pathlib import Path, PurePosixPath
from typing import BinaryIO

from ingot.errors import IntegrityError

MAGIC = b"!<arch>\n"
FILES_MAX = 10_000
BYTES_MAX = 128 << 20
_HEADER = 60  # bytes: name 16, date 12, owner 6, group 6, mode 8, size 10, end 2
_MEMBERS_MAX = 16


def unpack_deb(archive: Path, subtrees: Sequence[str], folder: Path) -> int:
    """Unpack the files below ``subtrees`` (``usr/include/vulkan``) into ``folder``; their number.

    A subtree may be one file. They become read-only. Raises IntegrityError ``unsafe-archive`` for
    links and other things there, ``damaged-archive``, and ``wrong-archive`` for a subtree that is
    not there.
    """
    missing = {PurePosixPath(name) for name in subtrees}
    count = total = 0
    try:
        with tarfile.open(fileobj=_data(archive), mode="r:*") as tar:
            for member in tar:
                name = PurePosixPath(member.name)
                subtree = next((s for s in map(PurePosixPath, subtrees) if _below(name, s)), None)
                if subtree is None or member.isdir():
                    continue
                count, total = count + 1, total + member.size
                if not member.isreg() or ".." in name.parts:
                    raise _unsafe(archive, f"an entry that is not a plain file: {member.name!r}")
                if count > FILES_MAX or total > BYTES_MAX:
                    raise _unsafe(archive, "more than headers")
                _write(tar, member, folder.joinpath(*name.parts))
                missing.discard(subtree)
    except (tarfile.TarError, lzma.LZMAError, zlib.error, EOFError, ValueError) as error:
        raise _damaged(archive, str(error)) from error
    except OSError as error:
        if error.errno is not None:
            raise  # the disk, not the archive
        raise _damaged(archive, str(error)) from error
    if missing:
        raise IntegrityError(f"{archive} has no {min(missing)}", code="wrong-archive")
    return count


def _below(name: PurePosixPath, subtree: PurePosixPath) -> bool:
    return not name.is_absolute() and (name == subtree or subtree in name.parents)


def _data(archive: Path) -> BinaryIO:
    """The member data.tar.*, whole: these packages have a few megabytes."""
    with archive.open("rb") as file:
        for name, content in _members(archive, file):
            if name.startswith("data.tar"):
                return io.BytesIO(content)
    raise _damaged(archive, "it has no data.tar")


def _members(archive: Path, file: BinaryIO) -> Iterator[tuple[str, bytes]]:
    if file.read(len(MAGIC)) != MAGIC:
        raise _damaged(archive, "it is no ar archive")
    for _number in range(_MEMBERS_MAX):
        header = file.read(_HEADER)
        if not header:
            return
        digits = header[48:58].strip()
        if len(header) != _HEADER or header[58:] != b"`\n" or not digits.isdigit():
            raise _damaged(archive, "a member's header is not valid")
        size = int(digits)
        content = file.read(size) if size <= BYTES_MAX else b""
        if len(content) != size:
            raise _damaged(archive, "a member is cut off")
        file.read(size % 2)
        yield header[:16].decode("ascii", "replace").strip().rstrip("/"), content


def _write(tar: tarfile.TarFile, member: tarfile.TarInfo, target: Path) -> None:
    source = tar.extractfile(member)
    assert source is not None
    target.parent.mkdir(parents=True, exist_ok=True)
    with source, target.open("xb") as sink:
        while chunk := source.read(1 << 20):
            sink.write(chunk)
    target.chmod(0o444)


def _unsafe(archive: Path, what: str) -> IntegrityError:
    return IntegrityError(f"{archive} holds {what}", code="unsafe-archive")


def _damaged(archive: Path, what: str) -> IntegrityError:
    return IntegrityError(f"{archive} is damaged: {what}", code="damaged-archive")
