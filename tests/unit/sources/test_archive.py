from __future__ import annotations

import gzip
import hashlib
import importlib.util
import io
import os
import random
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from ingot.console import NullProgress
from ingot.errors import InputError, IntegrityError
from ingot.sources import archive
from ingot.sources.archive import extract_model, kind_of
from ingot.sources.digests import remembered
from ingot.sources.fetch import fetch
from ingot.sources.reference import FileReference, UrlReference
from ingot.sources.resolve import resolve
from ingot.sources.web import Web
from tests.hub.server import Hub

MODEL = b"GGUF" + random.Random(1).randbytes(100_000)
DEFLATE64 = Path(__file__).with_name("deflate64.zip")

pytestmark = pytest.mark.usefixtures("cache")


def zipped(path: Path, files: dict[str, bytes], method: int = zipfile.ZIP_DEFLATED) -> Path:
    with zipfile.ZipFile(path, "w", method) as made:
        for name, content in files.items():
            made.writestr(name, content)
    return path


def tarred(path: Path, files: dict[str, bytes], mode: str = "w:gz") -> Path:
    with tarfile.open(path, mode) as made:  # type: ignore[call-overload]
        for name, content in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            made.addfile(info, io.BytesIO(content))
    return path


def extract(path: Path, member: str | None = None) -> tuple[Path, ...]:
    return extract_model(path, member, NullProgress())


def refuse(path: Path, code: str, member: str | None = None) -> str:
    with pytest.raises((InputError, IntegrityError)) as caught:
        extract(path, member)
    assert caught.value.code == code
    left = Path(os.environ["INGOT_CACHE"]) / "archives"
    assert not left.exists() or [p for p in left.iterdir() if p.is_dir()] == []
    return caught.value.message


FORMATS: dict[str, Callable[[Path, dict[str, bytes]], Path]] = {
    "stored.zip": lambda path, files: zipped(path, files, zipfile.ZIP_STORED),
    "deflate.zip": zipped,
    "bzip2.zip": lambda path, files: zipped(path, files, zipfile.ZIP_BZIP2),
    "lzma.zip": lambda path, files: zipped(path, files, zipfile.ZIP_LZMA),
    "plain.tar": lambda path, files: tarred(path, files, "w"),
    "gz.tar.gz": tarred,
    "xz.tar.xz": lambda path, files: tarred(path, files, "w:xz"),
    "bz2.tar.bz2": lambda path, files: tarred(path, files, "w:bz2"),
}
every_format = pytest.mark.parametrize("name", FORMATS)


@every_format
def test_the_one_model_inside(name: str, tmp_path: Path) -> None:
    path = FORMATS[name](tmp_path / name, {"readme.txt": b"hello", "in/m.gguf": MODEL})
    (model,) = extract(path)
    assert model.name == "m.gguf"
    assert model.read_bytes() == MODEL
    assert remembered(model) == hashlib.sha256(MODEL).hexdigest()
    assert extract(path) == (model,)


@every_format
def test_a_named_one_of_several(name: str, tmp_path: Path) -> None:
    path = FORMATS[name](tmp_path / name, {"a/a.gguf": b"GGUFa", "b/b.gguf": MODEL})
    assert extract(path, "b/b.gguf")[0].read_bytes() == MODEL
    assert extract(path, "a.gguf")[0].read_bytes() == b"GGUFa"
    with pytest.raises(InputError) as caught:
        extract(path, "c.gguf")
    assert "there is a/a.gguf, b/b.gguf" in caught.value.message


@every_format
def test_several_are_not_guessed_among(name: str, tmp_path: Path) -> None:
    path = FORMATS[name](tmp_path / name, {"a.gguf": b"GGUFa", "b.gguf": MODEL})
    assert "a.gguf, b.gguf" in refuse(path, "archive-members")


@every_format
def test_none(name: str, tmp_path: Path) -> None:
    refuse(FORMATS[name](tmp_path / name, {"a.txt": b"a"}), "archive-members")


@every_format
def test_the_parts_of_a_split_model(name: str, tmp_path: Path) -> None:
    parts = {f"in/m-{n:05d}-of-00002.gguf": MODEL + bytes([n]) for n in (2, 1)}
    found = extract(FORMATS[name](tmp_path / name, parts))
    assert [path.read_bytes()[-1] for path in found] == [1, 2]
    parts.pop("in/m-00001-of-00002.gguf")
    with pytest.raises(InputError) as caught:
        extract(FORMATS[name](tmp_path / f"less-{name}", parts))
    assert caught.value.code == "split-missing"


@every_format
def test_a_truncated_archive(name: str, tmp_path: Path) -> None:
    path = FORMATS[name](tmp_path / name, {"m.gguf": MODEL})
    path.write_bytes(path.read_bytes()[:60_000])
    refuse(path, "damaged-archive")


@pytest.mark.parametrize("name", ["stored.zip", "deflate.zip", "gz.tar.gz", "xz.tar.xz"])
def test_an_altered_archive(name: str, tmp_path: Path) -> None:
    path = FORMATS[name](tmp_path / name, {"m.gguf": MODEL})
    content = bytearray(path.read_bytes())
    content[50_000] ^= 1
    path.write_bytes(content)
    refuse(path, "damaged-archive")


@every_format
@pytest.mark.parametrize("member", ["../m.gguf", "/m.gguf", "a/../../m.gguf"])
def test_a_path_that_leads_outside(name: str, member: str, tmp_path: Path) -> None:
    refuse(FORMATS[name](tmp_path / name, {member: MODEL}), "unsafe-archive")


@pytest.mark.parametrize("kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.FIFOTYPE])
def test_a_link_in_a_tar(kind: bytes, tmp_path: Path) -> None:
    info = tarfile.TarInfo("m.gguf")
    info.type, info.linkname = kind, "/etc/passwd"
    with tarfile.open(tmp_path / "a.tar", "w") as made:
        made.addfile(info)
    refuse(tmp_path / "a.tar", "unsafe-archive")


def test_a_link_in_a_zip(tmp_path: Path) -> None:
    info = zipfile.ZipInfo("m.gguf")
    info.external_attr = 0o120777 << 16
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as made:
        made.writestr(info, "/etc/passwd")
    refuse(tmp_path / "a.zip", "unsafe-archive")


@pytest.mark.parametrize("name", ["deflate.zip", "gz.tar.gz", "xz.tar.xz", "bz2.tar.bz2"])
def test_a_bomb(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(archive, "ALWAYS_ALLOWED", 1 << 20)
    path = FORMATS[name](tmp_path / name, {"m.gguf": bytes(3 << 20)})
    refuse(path, "archive-bomb")


def test_a_bomb_beside_the_model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(archive, "ALWAYS_ALLOWED", 1 << 20)
    path = tarred(tmp_path / "a.tar.gz", {"zeros": bytes(3 << 20), "m.gguf": b"GGUF"})
    refuse(path, "archive-bomb")


def test_a_tar_header_that_claims_gigabytes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(archive, "ALWAYS_ALLOWED", 1 << 20)
    info = tarfile.TarInfo("x")
    info.type, info.size = tarfile.XHDTYPE, (1 << 33) - 1
    with gzip.open(tmp_path / "a.tar.gz", "wb") as made:
        made.write(info.tobuf(tarfile.USTAR_FORMAT) + bytes(2 << 20))
    refuse(tmp_path / "a.tar.gz", "archive-bomb")


def test_too_many_members(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(archive, "MAX_MEMBERS", 3)
    files = {str(n): b"" for n in range(5)}
    refuse(zipped(tmp_path / "a.zip", files), "archive-bomb")
    refuse(tarred(tmp_path / "a.tar.gz", files), "archive-bomb")


def test_an_encrypted_member(tmp_path: Path) -> None:
    path = zipped(tmp_path / "a.zip", {"m.gguf": MODEL})
    content = bytearray(path.read_bytes())
    for magic, at in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        content[content.rindex(magic) + at] |= 1
    path.write_bytes(content)
    refuse(path, "archive-encrypted")


def test_an_unknown_method(tmp_path: Path) -> None:
    path = zipped(tmp_path / "a.zip", {"m.gguf": MODEL})
    content = bytearray(path.read_bytes())
    for magic, at in ((b"PK\x03\x04", 8), (b"PK\x01\x02", 10)):
        content[content.rindex(magic) + at] = 99
    path.write_bytes(content)
    assert "method 99" in refuse(path, "archive-method")


def test_a_full_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(archive, "free_space", lambda _folder: 1000)
    refuse(zipped(tmp_path / "a.zip", {"m.gguf": MODEL}), "disk-full")


def test_a_member_of_what_is_no_archive(tmp_path: Path) -> None:
    (tmp_path / "m.gguf").write_bytes(MODEL)
    refuse(tmp_path / "m.gguf", "not-an-archive", "x.gguf")


def test_compressed_but_no_tar(tmp_path: Path) -> None:
    path = tmp_path / "m.gguf.gz"
    for content in (MODEL[1:], b"hello\n", gzip.compress(MODEL)):
        path.write_bytes(gzip.compress(content))
        refuse(path, "archive-members")
    path.write_bytes(gzip.compress(MODEL[1:])[:-4])
    refuse(path, "damaged-archive")


def test_a_gguf_that_was_compressed_by_itself(tmp_path: Path) -> None:
    path = tmp_path / "m.gguf.gz"
    path.write_bytes(gzip.compress(MODEL))
    [file] = extract(path)
    assert (file.name, file.read_bytes()) == ("m.gguf", MODEL)
    with pytest.raises(InputError) as caught:
        extract(path, "other.gguf")
    assert caught.value.code == "archive-members"


def test_kinds(tmp_path: Path) -> None:
    (tmp_path / "x").write_bytes(b"something else")
    assert kind_of(tmp_path / "x") is None
    assert kind_of(zipped(tmp_path / "a", {})) == "zip"
    assert kind_of(tarred(tmp_path / "b", {"x": b""}, "w")) == "tar"


def test_deflate64_names_the_package_where_it_is_missing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(__import__("sys").modules, "zipfile_deflate64", None)
    with pytest.raises(InputError) as caught:
        extract(DEFLATE64)
    assert caught.value.code == "needs-deflate64"
    assert "-m pip install zipfile-deflate64" in (caught.value.hint or "")


@pytest.mark.skipif(
    importlib.util.find_spec("zipfile_deflate64") is None,
    reason="the extra ingot[deflate64] is not installed",
)
def test_deflate64() -> None:
    (model,) = extract(DEFLATE64)
    expected = "".join(f"{n}\n" for n in range(1, 40_001)).encode()
    assert model.read_bytes() == b"GGUF" + expected


def test_a_reference_to_an_archive_gives_its_model(hub: Hub, web: Web, tmp_path: Path) -> None:
    path = zipped(tmp_path / "m.zip", {"in/m.gguf": MODEL, "in/n.gguf": b"GGUFn"})
    url = hub.page("m.zip", path)
    for reference in (FileReference(path, "in/m.gguf"), UrlReference(url, None, "m.gguf")):
        (fetched,) = fetch([resolve(reference, web)], web, NullProgress())
        assert fetched.model.read_bytes() == MODEL
        assert fetched.parts[0].sha256 == hashlib.sha256(MODEL).hexdigest()
    assert fetched.parts[0].source.sha256 == hashlib.sha256(path.read_bytes()).hexdigest()
