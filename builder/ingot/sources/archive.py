"""A GGUF inside a ZIP or tar archive, or a llamafile, that somebody hands us, or one that is
compressed by itself. Archives are hostile input.

Exactly one model is taken: the only .gguf file, the parts of one split GGUF, or the member that
the reference names. It is written under its last name into a folder of the cache that is named
after the archive's sha256, so no path of the archive is ever used. Refused are links, sparse and
encrypted members, paths that lead outside, more than MAX_MEMBERS members, and archives that
unfold to more than RATIO times their size (real weights hardly compress; bombs reach 1,032).
"""

from __future__ import annotations

import bz2
import errno
import gzip
import hashlib
import lzma
import os
import stat
import struct
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import BinaryIO, Literal, NoReturn, Protocol, cast

from ingot.bundle.format import safe_file_name
from ingot.bundle.inputs import open_input
from ingot.bundle.reader import is_bundle
from ingot.console import Progress, Step, size
from ingot.errors import IngotError, InputError, IntegrityError
from ingot.paths import cache_dir, ensure_entry
from ingot.sources import deflate64
from ingot.sources.choose import split_names
from ingot.sources.digests import remember, sha256_of
from ingot.sources.partial import disk_full, free_space
from ingot.sources.reference import safe_path

MAX_MEMBERS = 100_000
RATIO = 100
ALWAYS_ALLOWED = 64 << 20
_COPY = 1 << 20
_PROGRAMS = (b"MZ", b"\x7fELF")
_METHODS = (0, 8, 12, 14)
_COMPRESSED = (".gz", ".xz", ".bz2")
_SHOWN = 20
_DAMAGE = (
    zipfile.BadZipFile,
    tarfile.TarError,
    zlib.error,
    lzma.LZMAError,
    EOFError,
    OSError,
    ValueError,
    struct.error,
    NotImplementedError,
    RuntimeError,
    OverflowError,
)

Kind = Literal["gguf", "zip", "tar", "gzip", "xz", "bzip2"]


class _Readable(Protocol):
    def read(self, count: int, /) -> bytes:
        """At most ``count`` bytes."""


def kind_of(path: Path) -> Kind | None:
    """What the file at ``path`` is, by its first bytes; None if it is nothing known.

    Raises InputError (the codes of bundle.inputs).
    """
    with open_input(path) as (stream, _size):
        head = stream.read(512)
    magics: tuple[tuple[Kind, bytes], ...] = (
        ("gguf", b"GGUF"),
        ("zip", b"PK\x03\x04"),
        ("zip", b"PK\x05\x06"),
        ("gzip", b"\x1f\x8b"),
        ("xz", b"\xfd7zXZ\x00"),
        ("bzip2", b"BZh"),
    )
    for kind, magic in magics:
        if head.startswith(magic):
            return kind
    if head.startswith(_PROGRAMS) and _is_llamafile(path):
        return "zip"
    return "tar" if head[257:262] == b"ustar" else None


def _is_llamafile(path: Path) -> bool:
    """Whether a program of others is a ZIP archive with a GGUF in it, which a llamafile is."""
    if is_bundle(path) or not zipfile.is_zipfile(path):
        return False
    try:
        with zipfile.ZipFile(path) as archive:
            return any(_is_model(name) for name in archive.namelist())
    except _DAMAGE:
        return False


def extract_model(path: Path, member: str | None, progress: Progress) -> tuple[Path, ...]:
    """The model inside the archive at ``path``: its file, or its parts in order.

    Raises InputError ``not-an-archive``, ``archive-members``, ``unsafe-archive``,
    ``archive-bomb``, ``archive-encrypted``, ``archive-method``, ``needs-deflate64`` or
    ``disk-full``; IntegrityError ``damaged-archive``. Then nothing is left in the cache.
    """
    kind = kind_of(path)
    if kind is None or kind == "gguf":
        raise InputError(
            f"{path}: is no archive, so there is no {member or 'model'} in it",
            hint="archives are .zip, .tar, .tar.gz, .tar.xz and .tar.bz2 files",
            code="not-an-archive",
        )
    chosen = hashlib.sha256(os.fsencode(member or "")).hexdigest()[:16]
    entry = cache_dir() / "archives" / f"{sha256_of(path, progress)[:32]}-{chosen}"
    digests: dict[str, str] = {}
    with progress.step(f"Unpacking {path.name}") as step:

        def make(folder: Path) -> None:
            job = _Extraction(path, member, folder, step)
            with _explained(path):
                digests.update(job.zip() if kind == "zip" else job.tar(kind))

        ensure_entry(entry, make, keep=lambda folder: any(folder.iterdir()))
    for name, digest in digests.items():
        remember(entry / name, digest)
    return tuple(sorted(entry.iterdir()))


@contextmanager
def _explained(path: Path) -> Iterator[None]:
    try:
        yield
    except IngotError:
        raise
    except _DAMAGE as error:
        if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise disk_full(path, path.stat().st_size, free_space(cache_dir())) from error
        if isinstance(error, OSError) and error.errno is not None:
            raise  # Not about the archive: bz2 and gzip complain without a number.
        raise IntegrityError(
            f"{path}: the archive is damaged: {error or type(error).__name__}",
            hint="download or copy it again",
            code="damaged-archive",
        ) from error


class _Extraction:
    def __init__(self, path: Path, member: str | None, folder: Path, step: Step) -> None:
        self._path = path
        self._member = member
        self._folder = folder
        self._step = step
        self._limit = max(ALWAYS_ALLOWED, RATIO * path.stat().st_size)
        self._sha256: dict[str, str] = {}
        self._split: list[str] = []

    def zip(self) -> dict[str, str]:
        """Extract from a ZIP archive: file name -> sha256."""
        with zipfile.ZipFile(self._path) as archive:
            infos = archive.infolist()
            self._check_count(len(infos))
            members = {info.filename: info for info in infos if not info.is_dir()}
            chosen = [members[name] for name in self._choose(list(members))]
            for info in chosen:
                self._check_zip_member(info)
            total = sum(info.file_size for info in chosen)
            self._check_total(total)
            for info in chosen:
                with archive.open(info) as source:
                    self._copy(source, info.filename, info.file_size, self._report(total))
        return self._sha256

    def tar(self, kind: Kind) -> dict[str, str]:
        """Extract from a tar archive in one pass: file name -> sha256."""
        whole = self._path.stat().st_size
        with self._path.open("rb") as raw, _decompressed(raw, kind) as plain:

            def report(_done: int) -> None:
                self._step.update(raw.tell(), whole, f"{size(raw.tell())} of {size(whole)}")

            bounded = _Bounded(plain, self._limit, self._bomb)
            if kind != "tar" and bounded.peek(4) == b"GGUF":
                self._take_whole(bounded, report)
                return self._sha256
            with self._opened(bounded, kind) as archive:
                seen: list[str] = []
                for number, info in enumerate(archive):
                    self._check_count(number)
                    if self._wants(info, seen):
                        self._check_tar_member(info)
                        self._check_total(info.size)
                        source = archive.extractfile(info)
                        assert source is not None  # it is a regular file
                        self._copy(source, info.name, info.size, report)
            while bounded.read(_COPY):  # Checksums of compressed streams come at their end.
                pass
        if not self._sha256:
            self._no_member(seen)
        missing = [name for name in self._split if name not in self._sha256]
        if missing:
            self._missing_parts(missing)
        return self._sha256

    def _opened(self, plain: _Bounded, kind: Kind) -> tarfile.TarFile:
        try:
            return tarfile.open(fileobj=cast(BinaryIO, plain), mode="r|")
        except tarfile.ReadError:
            if kind == "tar":
                raise
            while plain.read(_COPY):  # A damaged stream says so by now.
                pass
            self._no_member([])

    def _take_whole(self, plain: _Bounded, report: Callable[[int], None]) -> None:
        """A GGUF that was compressed by itself, such as model.gguf.gz."""
        stem = self._path.stem if self._path.suffix.lower() in _COMPRESSED else self._path.name
        name = safe_file_name(stem if _is_model(stem) else f"{stem}.gguf")
        if self._member not in (None, name):
            self._no_member([name])
        digest, done = hashlib.sha256(), 0
        with (self._folder / name).open("xb") as sink:
            while data := plain.read(_COPY):
                done += len(data)
                digest.update(data)
                sink.write(data)
                report(done)
        self._sha256[name] = digest.hexdigest()

    def _wants(self, info: tarfile.TarInfo, seen: list[str]) -> bool:
        """Whether a member of a stream is (a part of) the model; all that follow are not known."""
        name = info.name.rpartition("/")[2]
        if not info.isdir() and _is_model(name):
            seen.append(info.name)
        if self._member is not None:
            return self._member in (info.name.removeprefix("./"), name) and not self._sha256
        if not seen or seen[-1] != info.name:
            return False
        if not self._split:
            self._split = split_names(name)
        elif name not in self._split or name in self._sha256:
            self._several(seen)
        return True

    def _choose(self, names: Sequence[str]) -> list[str]:
        models = [name for name in names if _is_model(name)]
        if self._member is not None:
            exact = [name for name in names if name == self._member]
            found = exact or [n for n in models if n.rpartition("/")[2] == self._member]
            if len(found) != 1:
                self._no_member(models)
            return found
        if not models:
            self._no_member(models)
        parts = split_names(models[0])
        if set(models) - set(parts) or len(models) > len(parts):
            self._several(models)
        if set(parts) - set(models):
            self._missing_parts(sorted(set(parts) - set(models)))
        return parts

    def _check_zip_member(self, info: zipfile.ZipInfo) -> None:
        mode = info.external_attr >> 16
        if not safe_path(info.filename) or stat.S_IFMT(mode) not in (0, stat.S_IFREG):
            self._unsafe(info.filename)
        if info.flag_bits & 0x1:
            raise InputError(
                f"{self._path}: {_plain(info.filename)} is encrypted",
                hint="unpack the archive with its password, then give the .gguf file",
                code="archive-encrypted",
            )
        if info.compress_type == deflate64.METHOD:
            deflate64.enable(str(self._path))
        elif info.compress_type not in _METHODS:
            raise InputError(
                f"{self._path}: {_plain(info.filename)} is compressed with the ZIP method "
                f"{info.compress_type}, which is not known here",
                hint="unpack the archive, then give the .gguf file",
                code="archive-method",
            )

    def _check_tar_member(self, info: tarfile.TarInfo) -> None:
        if not info.isreg() or info.issparse() or not safe_path(info.name.removeprefix("./")):
            self._unsafe(info.name)

    def _check_count(self, count: int) -> None:
        if count > MAX_MEMBERS:
            raise InputError(
                f"{self._path}: has more than {MAX_MEMBERS} members",
                hint="unpack the archive, then give the .gguf file",
                code="archive-bomb",
            )

    def _check_total(self, total: int) -> None:
        if total > self._limit:
            self._bomb()
        available = free_space(self._folder)
        if total > available:
            raise disk_full(self._folder, total, available)

    def _report(self, total: int) -> Callable[[int], None]:
        return lambda done: self._step.update(done, total, f"{size(done)} of {size(total)}")

    def _copy(
        self, source: _Readable, member: str, length: int, report: Callable[[int], None]
    ) -> None:
        name = safe_file_name(member.rpartition("/")[2])
        digest, done = hashlib.sha256(), 0
        with (self._folder / name).open("xb") as sink:
            while data := source.read(_COPY):
                done += len(data)
                if done > length:
                    raise IntegrityError(
                        f"{self._path}: {_plain(member)} is longer than the archive says",
                        code="damaged-archive",
                    )
                digest.update(data)
                sink.write(data)
                report(done)
        if done != length:
            raise EOFError(f"{_plain(member)} ends after {done} of {length} bytes")
        self._sha256[name] = digest.hexdigest()

    def _bomb(self) -> NoReturn:
        raise InputError(
            f"{self._path}: unfolds to more than {size(self._limit)}, which no model does",
            hint="if it is what you want, unpack it and give the .gguf file",
            code="archive-bomb",
        )

    def _unsafe(self, member: str) -> NoReturn:
        raise InputError(
            f"{self._path}: {_plain(member)} is not a plain file inside the archive",
            hint="unpack the archive if you trust it, then give the .gguf file",
            code="unsafe-archive",
        )

    def _several(self, models: Sequence[str]) -> NoReturn:
        raise InputError(
            f"{self._path}: holds several GGUF files: {_listed(models)}",
            hint=f"name one of them: {self._path.name}#{_plain(models[0])}",
            code="archive-members",
        )

    def _no_member(self, models: Sequence[str]) -> NoReturn:
        wanted = _plain(self._member) if self._member else "GGUF file"
        there = f"; there is {_listed(models)}" if models else ""
        raise InputError(
            f"{self._path}: holds no {wanted}{there}",
            hint="give one that holds a .gguf file; 'ingot convert' makes it of a checkpoint",
            code="archive-members",
        )

    def _missing_parts(self, missing: Sequence[str]) -> NoReturn:
        raise InputError(
            f"{self._path}: parts of the split GGUF are missing: {_listed(missing)}",
            hint="unpack it next to the other parts, then give the first of them",
            code="split-missing",
        )


class _Bounded:
    """A stream that stops a bomb: also where tarfile would read a huge header into memory."""

    def __init__(self, stream: _Readable, limit: int, stop: Callable[[], NoReturn]) -> None:
        self._stream = stream
        self._left = limit
        self._stop = stop
        self._peeked = b""

    def peek(self, count: int) -> bytes:
        """The first bytes, which the next read gives once more."""
        self._peeked = self._stream.read(count)
        return self._peeked

    def read(self, count: int, /) -> bytes:
        data, self._peeked = self._peeked + self._stream.read(count - len(self._peeked)), b""
        self._left -= len(data)
        if self._left < 0:
            self._stop()
        return data


@contextmanager
def _decompressed(raw: BinaryIO, kind: Kind) -> Iterator[_Readable]:
    if kind == "tar":
        yield raw
        return
    openers: dict[Kind, Callable[[BinaryIO], AbstractContextManager[_Readable]]] = {
        "gzip": lambda file: gzip.GzipFile(fileobj=file),
        "xz": lzma.LZMAFile,
        "bzip2": bz2.BZ2File,
    }
    with openers[kind](raw) as plain:
        yield plain


def _is_model(name: str) -> bool:
    last = name.rpartition("/")[2]
    return last.lower().endswith(".gguf") and not last.startswith("._")


def _listed(names: Sequence[str]) -> str:
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return ", ".join(map(_plain, names[:_SHOWN])) + more


def _plain(name: str) -> str:
    """A name out of an archive, safe for a terminal."""
    return "".join(c if c.isprintable() else "?" for c in name[:200])
