from __future__ import annotations

import io
import tarfile
from collections.abc import Sequence
from pathlib import Path

import pytest

from ingot.errors import IntegrityError
from ingot.toolchain import deb

TREE = ("usr/include/vulkan",)


Entry = tuple[tarfile.TarInfo, bytes]


def entry(name: str, content: bytes = b"// h\n", kind: bytes = tarfile.REGTYPE) -> Entry:
    info = tarfile.TarInfo(name)
    info.type = kind
    info.size = len(content) if kind == tarfile.REGTYPE else 0
    info.linkname = "/etc/passwd"
    return info, content


def data(entries: Sequence[Entry], mode: str = "w:xz") -> bytes:
    raw = io.BytesIO()
    with tarfile.open(fileobj=raw, mode=mode) as tar:  # type: ignore[call-overload]
        for info, content in entries:
            tar.addfile(info, io.BytesIO(content))
    return raw.getvalue()


def member(name: str, content: bytes, size: str | None = None) -> bytes:
    head = f"{name:<16}{0:<12}{0:<6}{0:<6}{'100644':<8}{size or len(content):<10}`\n".encode()
    return head + content + b"\n" * (len(content) % 2)


def package(folder: Path, tar: bytes, name: str = "data.tar.xz") -> Path:
    path = folder / "x.deb"
    path.write_bytes(deb.MAGIC + member("debian-binary", b"2.0\n") + member(name, tar))
    return path


@pytest.mark.parametrize(("mode", "ending"), [("w:xz", "xz"), ("w:gz", "gz"), ("w", "")])
def test_only_the_named_folders_come_out(tmp_path: Path, mode: str, ending: str) -> None:
    wanted = [entry("./usr/include/vulkan/a.h"), entry("./usr/include/vulkan/sub/b.h")]
    others = [
        entry("./usr/include/vulkan2/x.h"),
        entry("./usr/lib/libvulkan.so", kind=tarfile.SYMTYPE),
        entry("../outside.h"),
        entry("/etc/absolute"),
    ]
    archive = package(tmp_path, data([*others, *wanted], mode), f"data.tar.{ending}".rstrip("."))
    out = tmp_path / "out"
    out.mkdir()
    assert deb.unpack_deb(archive, TREE, out) == 2
    files = sorted(path.relative_to(out).as_posix() for path in out.rglob("*") if path.is_file())
    assert files == ["usr/include/vulkan/a.h", "usr/include/vulkan/sub/b.h"]
    assert (out / files[0]).stat().st_mode & 0o222 == 0


@pytest.mark.parametrize(
    "hostile",
    [
        entry("./usr/include/vulkan/../../../../out.h"),
        entry("./usr/include/vulkan/a.h", kind=tarfile.SYMTYPE),
        entry("./usr/include/vulkan/a.h", kind=tarfile.LNKTYPE),
        entry("./usr/include/vulkan/a.h", kind=tarfile.FIFOTYPE),
        entry("./usr/include/vulkan", kind=tarfile.SYMTYPE),
    ],
    ids=["dots", "symlink", "hard link", "fifo", "the folder itself"],
)
def test_anything_but_a_plain_file_is_refused(tmp_path: Path, hostile: Entry) -> None:
    archive = package(tmp_path, data([hostile]))
    with pytest.raises(IntegrityError) as caught:
        deb.unpack_deb(archive, TREE, tmp_path / "out")
    assert caught.value.code == "unsafe-archive"
    assert not (tmp_path / "out.h").exists()


def test_a_bomb_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(deb, "BYTES_MAX", 1 << 20)
    archive = package(tmp_path, data([entry("usr/include/vulkan/a.h", bytes(2 << 20))]))
    with pytest.raises(IntegrityError, match="more than headers"):
        deb.unpack_deb(archive, TREE, tmp_path / "out")


DAMAGED = {
    "empty": b"",
    "another format": b"PK\3\4" + bytes(60),
    "no data": deb.MAGIC + member("debian-binary", b"2.0\n"),
    "a cut header": deb.MAGIC + member("data.tar.xz", b"")[:40],
    "a cut member": deb.MAGIC + member("data.tar.xz", b"abc", "4000"),
    "a negative size": deb.MAGIC + member("data.tar.xz", b"abc", "-3"),
    "a huge size": deb.MAGIC + member("data.tar.xz", b"abc", "9999999999"),
    "no xz": deb.MAGIC + member("data.tar.xz", b"abcd"),
    "a cut xz": deb.MAGIC + member("data.tar.xz", data([entry("usr/include/vulkan/a")])[:100]),
    "zeros": deb.MAGIC + bytes(600),
}


@pytest.mark.parametrize("case", DAMAGED)
def test_a_damaged_package_is_one_error(tmp_path: Path, case: str) -> None:
    path = tmp_path / "x.deb"
    path.write_bytes(DAMAGED[case])
    with pytest.raises(IntegrityError) as caught:
        deb.unpack_deb(path, TREE, tmp_path / "out")
    assert caught.value.code == "damaged-archive"


def test_a_folder_that_is_not_there_is_an_error(tmp_path: Path) -> None:
    archive = package(tmp_path, data([entry("usr/include/vulkan/a.h")]))
    with pytest.raises(IntegrityError, match="has no usr/share/doc/x/copyright"):
        deb.unpack_deb(archive, (*TREE, "usr/share/doc/x/copyright"), tmp_path / "out")
