"""The engine's sources: the pinned package, unpacked into the cache, read-only and unmodified."""

from __future__ import annotations

import tarfile
from pathlib import Path, PurePosixPath

from ingot.console import Progress, Step
from ingot.engine.pin import EnginePin
from ingot.errors import IntegrityError
from ingot.paths import cache_dir, ensure_entry
from ingot.toolchain.packages import download


def engine_folder(pin: EnginePin) -> Path:
    """Where the pinned engine's sources are, or would be; addressed by the package's sha256."""
    return cache_dir() / "engines" / pin.package.sha256 / pin.subdirectory


def engine_source(pin: EnginePin, progress: Progress) -> Path:
    """The folder of llama.cpp's sources, fetched and unpacked if it is not there.

    Raises NetworkError or IntegrityError; an interrupted call leaves nothing half-made.
    """
    folder = engine_folder(pin)
    if folder.is_dir():
        return folder
    archive = download(pin.package, progress)
    with progress.step(f"Unpacking the engine, {pin.package.label}") as step:
        ensure_entry(
            cache_dir() / "engines" / pin.package.sha256,
            lambda temporary: unpack_subtree(archive, pin.subdirectory, temporary, step),
            on_wait=lambda: step.update(0, None, "waiting for another run that unpacks it"),
        )
    return folder


def unpack_subtree(archive: Path, subtree: PurePosixPath, folder: Path, step: Step) -> None:
    """Unpack the files below TOP/``subtree`` of a .tar.gz into ``folder``/``subtree``.

    TOP is the archive's one top folder. Only regular files are accepted there; they become
    read-only. Raises IntegrityError for anything else, and for a damaged archive.
    """
    count = 0
    try:
        with tarfile.open(archive, "r:gz") as tar:
            for member in tar:
                name = PurePosixPath(member.name)
                if name.parts[1 : 1 + len(subtree.parts)] != subtree.parts:
                    continue
                if member.isdir() or ".git" in name.parts:
                    # .git is a pointer into a repository that is not here; upstream's CMake
                    # would make every build depend on its index.
                    continue
                inside = PurePosixPath(*name.parts[1:])
                if not member.isreg() or name.is_absolute() or ".." in name.parts:
                    raise IntegrityError(
                        f"{archive} holds an entry that is not a plain file: {member.name!r}",
                        code="unsafe-archive",
                    )
                _write_member(tar, member, folder.joinpath(*inside.parts))
                count += 1
                if count % 200 == 0:
                    step.update(count, None, f"{count} files")
    except (tarfile.TarError, EOFError, OSError) as error:
        if isinstance(error, OSError) and error.errno is not None:
            raise  # the disk, not the archive
        raise IntegrityError(f"{archive} is damaged: {error}", code="damaged-archive") from error
    if not count:
        raise IntegrityError(f"{archive} holds nothing below {subtree}", code="wrong-archive")


def _write_member(tar: tarfile.TarFile, member: tarfile.TarInfo, target: Path) -> None:
    source = tar.extractfile(member)
    assert source is not None
    target.parent.mkdir(parents=True, exist_ok=True)
    with source, target.open("xb") as sink:
        while chunk := source.read(1 << 20):
            sink.write(chunk)
    target.chmod(0o555 if member.mode & 0o111 else 0o444)
