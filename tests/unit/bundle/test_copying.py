"""Copying and hashing in one pass."""

from __future__ import annotations

import errno
import fcntl
import hashlib
import os
import struct
import subprocess
import zlib
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ingot.bundle import copying, rawio
from ingot.bundle.copying import Copier, Job
from ingot.bundle.digest import combine_crcs
from ingot.bundle.format import CHUNK
from ingot.bundle.inputs import FileRegion, Segment
from ingot.console import NullProgress
from ingot.errors import InputError


def copy(jobs: list[Job], target: Path) -> list[copying.Digest]:
    fd = os.open(target, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        with Copier(jobs, fd) as copier, NullProgress().step("x") as step:
            copier.clone()
            return copier.run(step)
    finally:
        os.close(fd)


def leaves(data: bytes) -> bytes:
    parts = (data[at : at + CHUNK] for at in range(0, len(data), CHUNK))
    return b"".join(hashlib.sha256(part).digest() for part in parts)


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("s") / "source"
    path.write_bytes(os.urandom(2 * CHUNK + 12345))
    return path


@given(
    st.lists(st.tuples(st.integers(0, 2 * CHUNK), st.integers(0, CHUNK), st.booleans()), max_size=6)
)
@settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
def test_any_mix_of_segments_is_copied_and_hashed(
    source: Path, tmp_path: Path, parts: list[tuple[int, int, bool]]
) -> None:
    check_mix(source, tmp_path, parts)


@given(
    st.lists(st.tuples(st.integers(0, 2 * CHUNK), st.integers(0, CHUNK), st.booleans()), max_size=6)
)
@settings(
    max_examples=10, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
def test_it_works_as_well_where_the_kernel_cannot_copy(
    source: Path, tmp_path: Path, parts: list[tuple[int, int, bool]]
) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "copy_file_range", refuse)
        check_mix(source, tmp_path, parts)


@given(
    st.lists(st.tuples(st.integers(0, 2 * CHUNK), st.integers(0, CHUNK), st.booleans()), max_size=6)
)
@settings(
    max_examples=10, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
def test_large_regions_are_copied_in_bulk(
    source: Path, tmp_path: Path, parts: list[tuple[int, int, bool]]
) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(copying, "BULK_STEP", 100_000)
        check_mix(source, tmp_path, parts)


def test_a_bulk_copy_that_fails_half_way_goes_on_through_a_buffer(
    source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls = iter(range(1000))
    real = rawio.copy_in_kernel
    monkeypatch.setattr(copying, "BULK_STEP", 100_000)
    monkeypatch.setattr(copying, "copy_in_kernel", lambda *call: next(calls) < 3 and real(*call))
    check_mix(source, tmp_path, [(7, CHUNK, False), (CHUNK, CHUNK, True)])
    assert next(calls) > 3


def refuse(*_arguments: int) -> int:
    raise OSError(errno.EXDEV, os.strerror(errno.EXDEV))


def check_mix(source: Path, tmp_path: Path, parts: list[tuple[int, int, bool]]) -> None:
    raw = source.read_bytes()
    segments: list[Segment] = []
    for offset, length, in_memory in parts:
        inside = min(length, len(raw) - offset)
        segments.append(
            raw[offset : offset + inside] if in_memory else FileRegion(source, offset, inside)
        )
    content = b"".join(raw[o : o + min(n, len(raw) - o)] for o, n, _ in parts)
    target = tmp_path / "target"
    target.unlink(missing_ok=True)
    tree, plain = copy(
        [Job("a", tuple(segments), 4096, tree=True), Job("b", tuple(segments), 1 << 26)], target
    )
    written = target.read_bytes()
    assert written[4096 : 4096 + len(content)] == content
    assert written[1 << 26 :] == content
    assert tree.leaves == leaves(content)
    assert plain.sha256 == hashlib.sha256(content).hexdigest()
    assert tree.crc32 == plain.crc32 == zlib.crc32(content)


def test_crcs_of_chunks_combine() -> None:
    data = os.urandom(2 * CHUNK + 1)
    parts = [zlib.crc32(data[at : at + CHUNK]) for at in range(0, len(data), CHUNK)]
    assert combine_crcs(parts, len(data)) == zlib.crc32(data)


def test_a_source_that_shrinks_is_noticed(tmp_path: Path) -> None:
    path = tmp_path / "s"
    path.write_bytes(bytes(1000))
    with pytest.raises(InputError) as caught:
        copy([Job("a", (FileRegion(path, 0, 2000),), 0)], tmp_path / "t")
    assert caught.value.code == "input-changed"
    assert str(path) in caught.value.message


def test_a_source_that_changes_meanwhile_is_noticed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "s"
    path.write_bytes(bytes(1000))
    real = rawio.write_all

    def meddle(fd: int, data: memoryview, offset: int) -> None:
        path.write_bytes(b"y" * 1000)
        real(fd, data, offset)

    monkeypatch.setattr(copying, "copy_in_kernel", lambda *_: False)
    monkeypatch.setattr(copying, "write_all", meddle)
    with pytest.raises(InputError) as caught:
        copy([Job("a", (FileRegion(path, 0, 1000),), 0)], tmp_path / "t")
    assert caught.value.code == "input-changed"


@pytest.fixture
def sharing(tmp_path: Path) -> Iterator[Path]:
    """A folder on a file system that shares extents, mounted from an image."""
    image, folder = tmp_path / "image", tmp_path / "btrfs"
    folder.mkdir()
    with image.open("wb") as file:
        file.truncate(256 << 20)
    made = subprocess.run(["mkfs.btrfs", "-q", image], check=False, capture_output=True)
    assert made.returncode == 0, made.stderr
    subprocess.run(["mount", "-o", "loop", image, folder], check=True)
    yield folder
    subprocess.run(["umount", folder], check=True)


@pytest.mark.rootfs
def test_extents_are_shared_where_the_file_system_can(sharing: Path) -> None:
    source, target = sharing / "s", sharing / "t"
    content = os.urandom(3 * CHUNK + 5000)
    source.write_bytes(content)
    fd = os.open(target, os.O_RDWR | os.O_CREAT, 0o600)
    os.ftruncate(fd, 65536 + len(content))
    job = Job("a", (FileRegion(source, 0, len(content)),), 65536, tree=True)
    with Copier([job], fd) as copier, NullProgress().step("x") as step:
        assert copier.clone() == len(content) // 4096 * 4096
        (digest,) = copier.run(step)
    os.fsync(fd)
    os.close(fd)
    assert digest.leaves == leaves(content)
    assert target.read_bytes()[65536:] == content
    shared = subprocess.run(
        ["filefrag", "-v", target], check=True, capture_output=True, text=True
    ).stdout
    assert "shared" in shared


def test_cloned_blocks_are_hashed_and_not_written_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With the one system call replaced, so that it is tested on every file system."""
    source, target = tmp_path / "s", tmp_path / "t"
    content = os.urandom(CHUNK + 5000)
    source.write_bytes(b"12345678" + content)
    written: list[tuple[int, int]] = []
    real = rawio.write_all

    def clone(fd: int, request: int, argument: bytes) -> None:
        from_fd, from_offset, length, to_offset = struct.unpack("=qQQQ", argument)
        assert request == 0x4020940D
        assert from_offset % 4096 == length % 4096 == to_offset % 4096 == 0
        os.pwrite(fd, os.pread(from_fd, length, from_offset), to_offset)

    def note(fd: int, data: memoryview, offset: int) -> None:
        written.append((offset, len(data)))
        real(fd, data, offset)

    monkeypatch.setattr(fcntl, "ioctl", clone)
    monkeypatch.setattr(copying, "copy_in_kernel", lambda *_: False)
    monkeypatch.setattr(copying, "write_all", note)
    region = FileRegion(source, 8, len(content))
    (digest,) = copy([Job("a", (region,), 65536 + 8, tree=True)], target)
    assert target.read_bytes()[65536 + 8 :] == content
    assert digest.leaves == leaves(content)
    assert sorted(written) == [(65544, 4088), (65536 + CHUNK + 4096, 912)]
