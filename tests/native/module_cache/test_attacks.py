"""Planted, swapped, damaged and foreign files and folders: told in one line, never loaded.

docs/reference/module-cache.md is the table of these cases.
"""

from __future__ import annotations

import os
import shutil
import socket
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.native.compiled import REPOSITORY
from tests.native.module_cache.driver import (
    KEY,
    NOBODY,
    OTHER,
    Driver,
    altered,
    entry,
    parse,
    root_only,
    sha256,
)

# Each is put in place of a sound entry.


def symlink_to_itself(path: Path) -> None:
    path.rename(path.with_name("aside"))
    path.symlink_to("aside")


def foreign(path: Path) -> None:
    os.chown(path, NOBODY, NOBODY)


def hard_link(path: Path) -> None:
    os.link(path, path.with_name("aside"))


def fifo(path: Path) -> None:
    path.unlink()
    os.mkfifo(path)


def device(path: Path) -> None:
    path.unlink()
    os.mknod(path, 0o600 | 0o020000, os.makedev(1, 5))


def unix_socket(path: Path) -> None:
    path.unlink()
    here = Path.cwd()
    os.chdir(path.parent)  # the path of a socket is at most 107 bytes
    with socket.socket(socket.AF_UNIX) as sock:
        sock.bind(path.name)
    os.chdir(here)


def folder(path: Path) -> None:
    path.unlink()
    path.mkdir(mode=0o700)
    (path / "inner").touch()


def truncated(path: Path) -> None:
    os.truncate(path, path.stat().st_size // 2)


def emptied(path: Path) -> None:
    os.truncate(path, 0)


def extended(path: Path) -> None:
    with path.open("ab") as file:
        file.write(b"more")


def shifted(path: Path) -> None:
    path.write_bytes(b"\0" + path.read_bytes())


def text_altered(path: Path) -> None:
    data = path.read_bytes()
    path.write_bytes(data.replace(b'"fast"', b'"slow"'))


def huge(path: Path) -> None:
    os.truncate(path, (1 << 30) + 1)


def of_another_key(path: Path) -> None:
    path.rename(path.with_name(f"{OTHER}.so"))
    path.with_name(f"{OTHER}.so").rename(path)


def absurd_sizes(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[-56:-48] = (2**64 - 8).to_bytes(8, "little")
    path.write_bytes(data)


PLANTED: list[tuple[Callable[[Path], None], str]] = [
    (symlink_to_itself, "is a symbolic link"),
    pytest.param(foreign, "belongs to another user (uid 65534)", marks=root_only),  # type: ignore[list-item]
    (lambda path: path.chmod(0o620), "may be written to by others (mode 0620)"),
    (lambda path: path.chmod(0o602), "may be written to by others (mode 0602)"),
    (hard_link, "has 2 names (hard links)"),
    (fifo, "is not a regular file"),
    pytest.param(device, "is not a regular file", marks=root_only),  # type: ignore[list-item]
    (unix_socket, "is not a regular file"),
    (folder, "is not a regular file"),
    (altered, "is damaged: its contents do not have the hash recorded"),
    (truncated, "is damaged: it does not end with a record of this cache"),
    (emptied, "is damaged: it does not end with a record of this cache"),
    (extended, "is damaged: it does not end with a record of this cache"),
    (shifted, "is damaged: it does not have the size recorded"),
    (absurd_sizes, "is damaged: it does not have the size recorded"),
    (text_altered, "is damaged: its record was altered"),
    (huge, "is larger than 1073741824 bytes"),
]
IDS = [
    "symbolic link", "foreign owner", "group may write", "all may write", "hard link", "FIFO",
    "device", "socket", "folder", "altered", "truncated", "emptied", "extended", "shifted",
    "absurd sizes", "text altered", "huge",
]  # fmt: skip


@pytest.mark.parametrize(("plant", "reason"), PLANTED, ids=IDS)
def test_a_planted_file_is_told_in_one_line_removed_and_made_anew(
    driver: Driver, module: Path, plant: Callable[[Path], None], reason: str
) -> None:
    driver("store", KEY, module, '{"speed": "fast"}')
    path = entry(driver)
    plant(path)
    answer = driver("lookup", KEY, timeout=10)
    assert answer.lines == (("note", f"{path} {reason}"), ("nothing", ""))
    assert not os.path.lexists(path)
    assert driver("lookup", KEY).lines == (("nothing", ""),)
    assert driver("store", KEY, module).get("kept") == ""
    assert driver("lookup", KEY).lines == (("found", sha256(module)),)


@pytest.mark.parametrize(("plant", "reason"), PLANTED, ids=IDS)
def test_store_replaces_a_planted_file_without_touching_where_it_leads(
    driver: Driver, module: Path, plant: Callable[[Path], None], reason: str
) -> None:
    driver("store", KEY, module, '{"speed": "fast"}')
    plant(entry(driver))
    aside = entry(driver).with_name("aside")
    before = aside.read_bytes() if aside.exists() else b""
    assert driver("store", KEY, module).lines == (("kept", ""),)
    assert driver("lookup", KEY).lines == (("found", sha256(module)),)
    assert before == (aside.read_bytes() if aside.exists() else b"")


def test_a_module_renamed_to_another_key_is_not_used(driver: Driver, module: Path) -> None:
    driver("store", KEY, module)
    entry(driver).rename(entry(driver, OTHER))
    assert driver("lookup", OTHER).notes == [f"{entry(driver, OTHER)} was made for another key"]
    assert driver("lookup", OTHER).lines == (("nothing", ""),)


def test_every_byte_of_an_entry_counts(driver: Driver, module: Path) -> None:
    small = module.with_name("small.so")
    small.write_bytes(b"small")
    driver("store", KEY, small, "text")
    sound = entry(driver).read_bytes()
    for at in range(len(sound)):
        data = bytearray(sound)
        data[at] ^= 0x20
        entry(driver).write_bytes(data)
        answer = driver("lookup", KEY)
        assert answer.get("found") is None and len(answer.notes) == 1, at


@pytest.mark.parametrize("attack", ["overwrite", "truncate", "replace", "remove"])
def test_what_happens_to_the_file_after_the_lookup_changes_nothing(
    driver: Driver, module: Path, attack: str
) -> None:
    driver("store", KEY, module)
    path = entry(driver)
    with driver.start("keep", KEY) as held:
        assert held.stdout and held.stdout.readline() == f"found {sha256(module)}\n"
        if attack == "overwrite":
            with path.open("r+b") as file:
                file.write(b"evil" * 1000)
        elif attack == "truncate":
            os.truncate(path, 0)
        elif attack == "replace":
            evil = path.with_name("evil")
            evil.write_bytes(b"evil")
            evil.rename(path)
        else:
            path.unlink()
        text, _ = held.communicate("\n", timeout=10)
    assert parse(text).lines == (("sealed", ""), ("found", sha256(module)))


def test_a_file_that_changes_while_it_is_read_is_never_handed_out_changed(
    driver: Driver, module: Path
) -> None:
    module.write_bytes(os.urandom(1 << 22))
    driver("store", KEY, module)
    sound = entry(driver).read_bytes()
    seen = set()
    for round_ in range(12):
        entry(driver).write_bytes(sound)
        with driver.start("lookup", KEY) as process, entry(driver).open("r+b") as file:
            for at in range(0, 1 << 22, 1 << 16):
                file.seek((at + round_ * 4096) % (1 << 22))
                file.write(b"evil" * 16)
                file.flush()
            answer = parse(process.communicate(timeout=10)[0])
        seen.add(answer.get("found"))
    assert seen <= {None, sha256(module)}


@pytest.mark.parametrize("level", [".", "modules"])
@pytest.mark.parametrize(
    ("attack", "reason"),
    [
        ("link", "is a symbolic link"),
        ("dangling", "is a symbolic link"),
        pytest.param("foreign", "belongs to another user (uid 65534)", marks=root_only),
        ("group", "may be written to by others (mode 0770)"),
        ("all", "may be written to by others (mode 0777)"),
        ("file", "is not a folder"),
    ],
)
def test_a_folder_that_is_not_ours_alone_is_refused_in_one_line(
    driver: Driver, module: Path, level: str, attack: str, reason: str
) -> None:
    driver("store", KEY, module)
    assert driver.folder is not None
    path = driver.folder / level
    if attack in ("link", "dangling"):
        path.rename(driver.folder.with_name("aside"))
        path.symlink_to(driver.folder.with_name("aside" if attack == "link" else "nowhere"))
    elif attack == "foreign":
        os.chown(path, NOBODY, NOBODY)
    elif attack == "file":
        shutil.rmtree(path)
        path.write_bytes(b"")
    else:
        path.chmod(0o770 if attack == "group" else 0o777)
    remedy = "; set INGOT_CACHE or --cache-dir to a folder of your own to keep compiled modules"
    expected = (("note", f"{path} {reason}{remedy}"), ("nothing", ""))
    assert driver("lookup", KEY).lines == expected
    assert not driver.folder.with_name("nowhere").exists()


@pytest.mark.parametrize("ending", ["/", "//"])
def test_a_slash_at_the_end_does_not_have_a_link_followed(
    driver: Driver, place: Path, ending: str
) -> None:
    (place / "real").mkdir(mode=0o700)
    (place / "cache").symlink_to("real")
    answer = Driver(driver.program)("--cache-dir", f"{place}/cache{ending}", "show")
    assert len(answer.notes) == 1 and "is a symbolic link" in answer.notes[0]


def test_links_above_the_cache_are_the_users_own_business(
    program: Path, place: Path, module: Path
) -> None:
    (place / "disk").mkdir()
    (place / "home").mkdir()
    (place / "home" / ".cache").symlink_to("../disk")
    driver = Driver(program, env={"HOME": str(place / "home")})
    assert driver("store", KEY, module).lines == (("kept", ""),)
    assert (place / "disk" / "ingot" / "modules" / f"{KEY}.so").exists()


@pytest.mark.parametrize("kind", ["link", "hard link", "fifo", "folder"])
def test_a_planted_lock_is_not_waited_for(
    driver: Driver, module: Path, place: Path, kind: str
) -> None:
    driver("show")
    lock = entry(driver, suffix=".lock")
    victim = place / "victim"
    victim.write_bytes(b"victim")
    if kind == "link":
        lock.symlink_to(victim)
    elif kind == "hard link":
        os.link(victim, lock)
    elif kind == "fifo":
        os.mkfifo(lock)
    else:
        lock.mkdir()
    answer = driver("build", KEY, module, place / "count", timeout=10)
    assert len(answer.notes) == 1 and answer.notes[0].startswith(str(lock))
    assert answer.get("found") == sha256(module)
    assert victim.read_bytes() == b"victim"


def test_the_reference_has_the_line_of_every_planted_file() -> None:
    text = (REPOSITORY / "docs" / "reference" / "module-cache.md").read_text()
    reasons = {getattr(case, "values", case)[1] for case in PLANTED}
    assert [reason for reason in reasons if reason.replace("0602", "0620") not in text] == []
