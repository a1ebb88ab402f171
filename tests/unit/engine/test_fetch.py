from __future__ import annotations

import io
import tarfile
from pathlib import Path, PurePosixPath

import pytest

from ingot.console import NullProgress
from ingot.engine.fetch import engine_source, unpack_subtree
from ingot.engine.pin import EnginePin
from ingot.errors import IntegrityError
from tests.unit.package_index import Index

QUIET = NullProgress()
SUBTREE = PurePosixPath("vendor/engine")


def _tar(path: Path, *entries: tarfile.TarInfo) -> Path:
    with tarfile.open(path, "w:gz") as archive:
        for entry in entries:
            entry.size = 1 if entry.isreg() else 0
            archive.addfile(entry, io.BytesIO(b"x") if entry.isreg() else None)
    return path


def _entry(name: str, kind: bytes = tarfile.REGTYPE, mode: int = 0o644) -> tarfile.TarInfo:
    entry = tarfile.TarInfo(name)
    entry.type, entry.mode, entry.linkname = kind, mode, "/etc/passwd"
    return entry


def _unpack(archive: Path, folder: Path) -> None:
    with QUIET.step("") as step:
        unpack_subtree(archive, SUBTREE, folder, step)


def test_the_engine_is_fetched_once_and_only_its_subtree_is_unpacked(
    cache: Path, index: Index
) -> None:
    files = {"vendor/engine/src/a.cpp": b"1", "python/b.py": b"2", "vendor/other/c": b"3"}
    pin = EnginePin(index.sdist("carrier", "1.0", files), "abc", SUBTREE)
    folder = engine_source(pin, QUIET)
    assert folder == cache / "engines" / pin.package.sha256 / "vendor" / "engine"
    found = [p for p in (cache / "engines").rglob("*") if p.is_file() and p.suffix != ".lock"]
    assert found == [folder / "src" / "a.cpp"]
    assert found[0].stat().st_mode & 0o222 == 0
    (index.folder / pin.package.filename).unlink()
    assert engine_source(pin, QUIET) == folder


def test_executable_bits_are_kept(tmp_path: Path) -> None:
    archive = _tar(tmp_path / "a.tar.gz", _entry("top/vendor/engine/run.sh", mode=0o755))
    _unpack(archive, tmp_path / "out")
    assert (tmp_path / "out/vendor/engine/run.sh").stat().st_mode & 0o777 == 0o555


@pytest.mark.parametrize(
    "entry",
    [
        _entry("top/vendor/engine/link", tarfile.SYMTYPE),
        _entry("top/vendor/engine/hard", tarfile.LNKTYPE),
        _entry("top/vendor/engine/device", tarfile.CHRTYPE),
        _entry("top/vendor/engine/../../../out"),
    ],
    ids=lambda entry: PurePosixPath(entry.name).name,
)
def test_anything_but_a_plain_file_inside_is_refused(
    tmp_path: Path, entry: tarfile.TarInfo
) -> None:
    archive = _tar(tmp_path / "a.tar.gz", entry)
    with pytest.raises(IntegrityError) as caught:
        _unpack(archive, tmp_path / "in" / "deep")
    assert caught.value.code == "unsafe-archive"
    assert not (tmp_path / "in" / "out").exists()


def test_a_truncated_archive_is_damaged(tmp_path: Path) -> None:
    archive = _tar(tmp_path / "a.tar.gz", *(_entry(f"top/vendor/engine/{n}") for n in range(500)))
    archive.write_bytes(archive.read_bytes()[:-200])
    with pytest.raises(IntegrityError) as caught:
        _unpack(archive, tmp_path / "out")
    assert caught.value.code == "damaged-archive"


def test_an_archive_without_the_engine_is_refused(tmp_path: Path) -> None:
    archive = _tar(tmp_path / "a.tar.gz", _entry("top/README"))
    with pytest.raises(IntegrityError, match="nothing below vendor/engine"):
        _unpack(archive, tmp_path / "out")
