"""The runtime's tar reader: what Python's writes it reads; all else it refuses in a sentence."""

from __future__ import annotations

import hashlib
import io
import random
import subprocess
import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest

from ingot.engine.gpusources import archive
from ingot.engine.image import RuntimeImage
from ingot.paths import cache_dir, ensure_entry
from tests.conftest import REPOSITORY
from tests.native.compiled import compilers

RUNTIME = REPOSITORY / "runtime"
SOURCES = (Path(__file__).with_name("driver.cc"), RUNTIME / "tar.cc")
# Undefined behaviour ends the program with a signal.
TRAP = ("-fsanitize=undefined", "-fsanitize-trap=undefined")
FLAGS = ("-std=c++17", "-O1", "-g0", "-Wall", "-Wextra", "-Werror", *TRAP, f"-I{RUNTIME}")

Read = Callable[[bytes], "subprocess.CompletedProcess[str]"]


@pytest.fixture(scope="session")
def program() -> Path:
    digest = hashlib.sha256("\0".join((*FLAGS, str(compilers()))).encode())
    for path in (*SOURCES, RUNTIME / "tar.h", RUNTIME / "error.h"):
        digest.update(path.read_bytes())

    def make(folder: Path) -> None:
        words = [*FLAGS, *map(str, SOURCES), "-o", f"{folder}/driver"]
        subprocess.run([f"{compilers()}/c++", *words], check=True)

    return ensure_entry(cache_dir() / "tests" / f"tar-{digest.hexdigest()[:16]}", make) / "driver"


@pytest.fixture
def read(program: Path, tmp_path: Path) -> Read:
    """Read an archive and unpack it into ``out``."""

    def call(content: bytes) -> subprocess.CompletedProcess[str]:
        (tmp_path / "x.tar").write_bytes(content)
        (tmp_path / "out").mkdir(exist_ok=True)
        argv = [program, tmp_path / "x.tar", tmp_path / "out"]
        return subprocess.run(argv, capture_output=True, text=True, check=False)

    return call


def tar(*members: tarfile.TarInfo, kind: int = tarfile.USTAR_FORMAT) -> bytes:
    output = io.BytesIO()
    with tarfile.open(fileobj=output, mode="w", format=kind) as made:
        for member in members:
            made.addfile(member, io.BytesIO(bytes(member.size)))
    return output.getvalue()


def member(name: str, kind: bytes = tarfile.REGTYPE, size: int = 3) -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.type = kind
    info.size = size if kind == tarfile.REGTYPE else 0
    info.linkname = "/etc/passwd"
    return info


def altered(at: int, to: bytes, *, summed: bool = True) -> bytes:
    """An archive of one file ``a`` whose header has other bytes, with their checksum."""
    content = bytearray(tar(member("a")))
    content[at : at + len(to)] = to
    if summed:
        content[148:156] = b" " * 8
        content[148:156] = b"%06o\0 " % sum(content[:512])
    return bytes(content)


def test_the_carried_archive_is_unpacked_as_any_tar_does(
    runtime_image: RuntimeImage, read: Read, tmp_path: Path
) -> None:
    content = dict(runtime_image.sources)["gpu.tar"].read_bytes()
    done = read(content)
    assert done.returncode == 0, done.stderr
    with tarfile.open(fileobj=io.BytesIO(content)) as made:
        members = made.getmembers()
        assert done.stdout.splitlines() == [f"{m.size} {m.name}" for m in members]
        for info in members:
            expected = made.extractfile(info)
            assert expected is not None
            assert (tmp_path / "out" / info.name).read_bytes() == expected.read()
    unpacked = [path for path in (tmp_path / "out").rglob("*") if path.is_file()]
    assert len(unpacked) == len(members)


def test_long_names_and_empty_files(read: Read, tmp_path: Path) -> None:
    names = ["a" * 100, "b" * 90 + "/" + "c" * 90, "empty"]
    files = {}
    for name in names:
        path = tmp_path / "in" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("" if name == "empty" else "x" * 512)
        files[name] = path
    done = read(archive(files))
    assert done.stdout.split() == ["512", names[0], "512", names[1], "0", names[2]]
    assert read(archive({})).returncode == 0


BAD = {
    "absolute": tar(member("/tmp/x")),
    "dots": tar(member("a/../../x")),
    "dot": tar(member("./x")),
    "only dots": tar(member("..")),
    "double slash": tar(member("a//b")),
    "ends in a slash": altered(0, b"a/"),
    "no name": altered(0, b"\0"),
    "backslash": tar(member("a\\b")),
    "control character": tar(member("a\nb")),
    "twice": tar(member("a"), member("a")),
    "symbolic link": tar(member("a", tarfile.SYMTYPE)),
    "hard link": tar(member("a", tarfile.LNKTYPE)),
    "folder": tar(member("a", tarfile.DIRTYPE)),
    "device": tar(member("a", tarfile.CHRTYPE)),
    "fifo": tar(member("a", tarfile.FIFOTYPE)),
    "GNU long name": tar(member("a" * 300), kind=tarfile.GNU_FORMAT),
    "PAX": tar(member("a" * 300), kind=tarfile.PAX_FORMAT),
    "checksum": altered(0, b"b", summed=False),
    "magic": altered(257, b"xxxxx"),
    "size beyond the end": altered(124, b"77777777777\0"),
    "size in base 256": altered(124, b"\x80" + b"\xff" * 11),
    "size of blanks": altered(124, b" " * 12),
    "negative size": altered(124, b"-0000000003\0"),
    "size of twelve digits": altered(124, b"777777777777"),
    "no end": tar(member("a"))[:1024],
    "end of one block": tar(member("a"))[:1536],
    "cut in the data": tar(member("a", size=5000))[:2048],
    "cut in a header": tar(member("a"))[:300],
    "empty": b"",
    "something after the end": tar(member("a")) + b"x",
    "too many": tar(*(member(str(n), size=0) for n in range(4097))),
}


@pytest.mark.parametrize("case", BAD)
def test_what_is_not_an_archive_of_plain_files_is_refused(
    read: Read, tmp_path: Path, case: str
) -> None:
    done = read(BAD[case])
    assert done.returncode == 5, done.stdout + done.stderr
    assert done.stderr.startswith("the archive of sources ")
    assert list((tmp_path / "out").iterdir()) == []
    assert not Path("/tmp/x").exists()


def test_a_file_in_the_way_of_a_folder_cannot_be_written(read: Read) -> None:
    done = read(tar(member("a"), member("a/b")))
    assert done.returncode == 6
    assert "cannot be written" in done.stderr


def test_damage_anywhere_is_refused_or_harmless(read: Read, tmp_path: Path) -> None:
    """One byte of every kind of place altered: an answer, and nothing outside the folder."""
    content = tar(member("ggml/x"), member("ingot/y", size=600))
    chance = random.Random(3)
    for _ in range(300):
        damaged = bytearray(content)
        damaged[chance.randrange(len(damaged))] = chance.randrange(256)
        assert read(bytes(damaged)).returncode in (0, 5, 6)
    names = {path.name for path in tmp_path.iterdir()}
    assert names == {"x.tar", "out"}
