"""Whole executables: what any ZIP tool sees, what our reader proves, what damage it names."""

from __future__ import annotations

import errno
import os
import struct
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ingot.bundle.extract import extract, select
from ingot.bundle.reader import is_bundle, open_bundle
from ingot.bundle.verify import Finding, verify
from ingot.console import NullProgress
from ingot.engine.image import RuntimeImage
from ingot.errors import IngotError, InputError, IntegrityError
from ingot.recipe.build import repack

MIB4 = 4 << 20
NAMES = [
    "manifest.json",
    "models/tiny.gguf",
    "models/style.gguf",
    "hashes/style.gguf.sha256",
    "hashes/tiny.gguf.sha256",
    "modules/linux-x86_64/ggml-cpu-haswell.so",
    "modules/linux-x86_64/ggml-cpu-x64.so",
    "licenses/llama.cpp.txt",
    "licenses/model.txt",
    "ui/_app/page.js",
    "ui/index.html",
    "sources/gpu.tar",
    "sbom.json",
]


def findings(path: Path) -> tuple[Finding, ...]:
    with open_bundle(path) as bundle:
        return verify(bundle, NullProgress())


def flip(path: Path, at: int) -> None:
    with path.open("r+b") as file:
        file.seek(at)
        byte = file.read(1)
        file.seek(at)
        file.write(bytes([byte[0] ^ 0xFF]))


def test_zip_tools_list_test_and_extract_it(executable: Path, tmp_path: Path) -> None:
    listed = subprocess.run(
        ["unzip", "-Z1", executable], capture_output=True, text=True, check=True
    )
    assert listed.stdout.split() == NAMES
    assert listed.stderr == ""
    subprocess.run(["unzip", "-tq", executable], check=True, capture_output=True)
    module = [sys.executable, "-m", "zipfile", "-t", str(executable)]
    tested = subprocess.run(module, check=True, capture_output=True, text=True)
    assert tested.stdout == "Done testing\n"
    piped = subprocess.run(
        ["unzip", "-p", executable, "models/tiny.gguf"], check=True, capture_output=True
    )
    assert piped.stdout == (tmp_path / "tiny.gguf").read_bytes()
    with zipfile.ZipFile(executable) as archive:
        assert archive.namelist() == NAMES
        assert archive.read("licenses/model.txt") == b"You may.\n"
        assert {info.compress_type for info in archive.infolist()} == {0, 8}


def test_data_lies_where_the_manifest_says_and_aligned(executable: Path, tmp_path: Path) -> None:
    raw = executable.read_bytes()
    assert raw.startswith((tmp_path / "runtime/program").read_bytes())
    with open_bundle(executable) as bundle:
        manifest = bundle.manifest
    assert manifest.file_size == len(raw)
    model = manifest.entries[0]
    assert raw[model.offset : model.offset + model.size] == (tmp_path / "tiny.gguf").read_bytes()
    assert model.offset % 65536 == 0
    assert manifest.entries[1].offset % 65536 == 0
    assert all(e.offset % 4096 == 0 for e in manifest.with_role("module"))
    assert os.access(executable, os.X_OK)


def test_the_mode_respects_the_umask(executable: Path) -> None:
    umask = os.umask(0)
    os.umask(umask)
    assert executable.stat().st_mode & 0o777 == 0o777 & ~umask


def test_intact_executables_have_no_findings(executable: Path) -> None:
    assert is_bundle(executable)
    assert findings(executable) == ()


def test_a_damaged_chunk_is_named_with_its_bytes(executable: Path) -> None:
    with open_bundle(executable) as bundle:
        model = bundle.manifest.entries[0]
    flip(executable, model.offset + MIB4 + 5)
    (found,) = findings(executable)
    assert (found.entry, found.first, found.last) == (
        "models/tiny.gguf",
        model.offset + MIB4,
        model.offset + 2 * MIB4,
    )
    flip(executable, model.offset + model.size - 1)
    (found,) = findings(executable)  # neighbours are one range
    assert (found.first, found.last) == (model.offset + MIB4, model.offset + model.size)


@pytest.mark.parametrize("name", NAMES[2:])
def test_damage_in_any_entry_is_named(executable: Path, name: str) -> None:
    with open_bundle(executable) as bundle:
        entry = bundle.manifest.entry(name)
    assert entry
    flip(executable, entry.offset + entry.stored // 2)
    assert [found.entry for found in findings(executable)] == [name]


def test_damage_in_the_program_and_the_padding_is_named(executable: Path) -> None:
    flip(executable, 100)
    assert [found.entry for found in findings(executable)] == ["program"]
    flip(executable, 100)
    flip(executable, 2000)
    assert [found.entry for found in findings(executable)] == ["padding"]


def test_no_byte_can_change_unnoticed(executable: Path) -> None:
    """A sample of every region, headers and padding included."""
    raw = executable.read_bytes()
    with open_bundle(executable) as bundle:
        edges = {edge for r in bundle.records for edge in (r.header_offset, r.data_offset)}
    places = {at + d for at in edges for d in (-1, 0, 7, 20, 40, 60)} | {
        len(raw) - n for n in range(1, 300, 3)
    }
    for at in sorted(place for place in places if 0 <= place < len(raw)):
        flip(executable, at)
        try:
            assert findings(executable), at
        except IngotError:
            pass
        flip(executable, at)
    assert executable.read_bytes() == raw


@pytest.mark.parametrize("keep", [0.3, 0.9, 0.999])
def test_a_truncated_executable_says_so(executable: Path, keep: float) -> None:
    size = executable.stat().st_size
    os.truncate(executable, int(size * keep))
    assert is_bundle(executable)
    with pytest.raises(IntegrityError) as caught, open_bundle(executable):
        pass
    assert caught.value.code == "bundle-truncated"
    assert f"{int(size * keep)} of {size} bytes" in caught.value.message


def test_an_altered_manifest_is_refused(executable: Path) -> None:
    raw = executable.read_bytes()
    executable.write_bytes(raw.replace(b'"name":"tiny"', b'"name":"evil"', 1))
    with pytest.raises(IntegrityError) as caught, open_bundle(executable):
        pass
    assert caught.value.code == "manifest-damaged"


def test_bytes_behind_the_end_are_refused(executable: Path) -> None:
    with executable.open("ab") as file:
        file.write(b"x")
    with pytest.raises(IntegrityError), open_bundle(executable):
        pass


@pytest.mark.parametrize("content", [b"", b"x" * 50, b"\x7fELF" + bytes(10_000)])
def test_other_files_are_not_executables_of_ours(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "other"
    path.write_bytes(content)
    assert not is_bundle(path)
    with pytest.raises(InputError) as caught, open_bundle(path):
        pass
    assert caught.value.code == "not-a-bundle"


@given(at=st.integers(0, 80_000), patch=st.binary(min_size=1, max_size=30), end=st.booleans())
@settings(
    max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
def test_hostile_executables_raise_nothing_else(
    executable: Path, at: int, patch: bytes, end: bool
) -> None:
    raw = executable.read_bytes()
    at = len(raw) - len(patch) - at % 2000 if end else at
    other = executable.with_name("mutated")
    other.write_bytes(raw[:at] + patch + raw[at + len(patch) :])
    try:
        found = findings(other)
        assert found or other.read_bytes() == raw
    except (InputError, IntegrityError) as error:
        assert str(other) in error.message


def test_extracting_gives_the_inputs_back(executable: Path, tmp_path: Path) -> None:
    folder = tmp_path / "out"
    with open_bundle(executable) as bundle:
        done = extract(bundle, select(bundle, ()), folder, force=False, progress=NullProgress())
    assert [item.name for item in done] == NAMES[1:]
    assert (folder / "models/tiny.gguf").read_bytes() == (tmp_path / "tiny.gguf").read_bytes()
    assert (folder / "ui/_app/page.js").read_bytes() == b"let x = 1;\n" * 50
    assert not os.access(folder / "models/tiny.gguf", os.X_OK) or os.geteuid() == 0
    assert (folder / "models/tiny.gguf").stat().st_mode & 0o111 == 0


def test_entries_are_selected_by_whole_or_last_name(executable: Path) -> None:
    with open_bundle(executable) as bundle:
        assert [e.name for e in select(bundle, ["tiny.gguf", "ui/index.html"])] == [
            "models/tiny.gguf",
            "ui/index.html",
        ]
        with pytest.raises(InputError) as caught:
            select(bundle, ["none"])
        assert caught.value.code == "no-such-entry"


def test_nothing_is_extracted_through_a_link_or_over_a_file(
    executable: Path, tmp_path: Path
) -> None:
    folder, outside = tmp_path / "out", tmp_path / "outside"
    folder.mkdir()
    outside.mkdir()
    (folder / "models").symlink_to(outside)
    with open_bundle(executable) as bundle:
        with pytest.raises(InputError) as caught:
            extract(bundle, bundle.manifest.entries, folder, force=True, progress=NullProgress())
        assert caught.value.code == "output-through-link"
        assert list(outside.iterdir()) == []
        (folder / "models").unlink()
        (folder / "models").mkdir()
        (folder / "models/tiny.gguf").write_text("mine")
        with pytest.raises(InputError) as caught:
            extract(bundle, bundle.manifest.entries, folder, force=False, progress=NullProgress())
        assert caught.value.code == "output-exists"
    assert (folder / "models/tiny.gguf").read_text() == "mine"


def test_a_damaged_entry_is_not_extracted(executable: Path, tmp_path: Path) -> None:
    with open_bundle(executable) as bundle:
        model = bundle.manifest.entries[0]
    flip(executable, model.offset + 10)
    with open_bundle(executable) as bundle, pytest.raises(IntegrityError) as caught:
        extract(bundle, [model], tmp_path / "out", force=False, progress=NullProgress())
    assert caught.value.code == "entry-damaged"
    assert not (tmp_path / "out").exists()


def space(monkeypatch: pytest.MonkeyPatch, available: int) -> None:
    real = os.fstatvfs

    def shrunk(fd: int) -> os.statvfs_result:
        values = list(real(fd))
        values[1], values[4] = 1, available  # f_frsize, f_bavail
        return os.statvfs_result(values)

    monkeypatch.setattr(os, "fstatvfs", shrunk)


def test_a_full_disk_is_seen_before_the_copy(
    executable: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    size = executable.stat().st_size
    space(monkeypatch, size - 1)
    runtime = RuntimeImage.load(tmp_path / "runtime")
    with pytest.raises(InputError) as caught:
        repack(executable, runtime, tmp_path / "new", NullProgress())
    assert caught.value.code == "disk-full"
    assert f"bytes are needed, {size - 1} are available" in caught.value.message
    assert not (tmp_path / "new").exists()
    space(monkeypatch, size + 65_536)  # how well the SBOM deflates is not known before
    repack(executable, runtime, tmp_path / "new", NullProgress())


@pytest.mark.parametrize(
    ("number", "code"),
    [
        (errno.ENOSPC, "disk-full"),
        (errno.EDQUOT, "disk-full"),
        (errno.EFBIG, "output-too-large"),
        (errno.EIO, "output-unwritable"),
    ],
)
def test_a_write_that_fails_in_the_middle_is_explained(
    executable: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int, code: str
) -> None:
    real = os.pwrite

    def failing(fd: int, data: bytes, offset: int) -> int:
        if offset > MIB4:
            raise OSError(number, os.strerror(number))
        return real(fd, data, offset)

    def failing_copy(*_arguments: int) -> int:
        raise OSError(number, os.strerror(number))

    before = sorted(os.listdir(tmp_path))
    monkeypatch.setattr(os, "pwrite", failing)
    monkeypatch.setattr(os, "copy_file_range", failing_copy)
    runtime = RuntimeImage.load(tmp_path / "runtime")
    with pytest.raises(InputError) as caught:
        repack(executable, runtime, tmp_path / "new", NullProgress())
    assert caught.value.code == code
    assert str(tmp_path / "new") in caught.value.message
    assert sorted(os.listdir(tmp_path)) == before


def test_an_offset_that_no_file_can_have_is_damage(executable: Path) -> None:
    raw = executable.read_bytes()
    with open_bundle(executable) as bundle:
        offset = next(r for r in bundle.records if r.zip64).header_offset
    directory = raw.rindex(struct.pack("<Q", offset))
    executable.write_bytes(raw[:directory] + struct.pack("<Q", 1 << 63) + raw[directory + 8 :])
    with pytest.raises(IntegrityError) as caught, open_bundle(executable):
        pass
    assert caught.value.code == "zip-structure"


def test_a_directory_beyond_64_bits_is_damage(executable: Path) -> None:
    raw = bytearray(executable.read_bytes())
    end = raw.rindex(b"PK\x06\x06")
    raw[end + 40 : end + 56] = b"\xff" * 16  # size and offset of the central directory
    executable.write_bytes(raw)
    with pytest.raises(IntegrityError) as caught, open_bundle(executable):
        pass
    assert caught.value.code == "zip-structure"
