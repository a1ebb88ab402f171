"""Where the module cache is; and full, read-only, noexec and missing places."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from tests.native.compiled import compilers
from tests.native.module_cache.driver import (
    KEY,
    NOBODY,
    OTHER,
    Driver,
    altered,
    entry,
    root_only,
    sha256,
    strace,
    temporaries,
)


@root_only
def test_a_read_only_folder_is_read_and_the_rest_goes_on_in_memory(
    driver: Driver, module: Path, place: Path
) -> None:
    user = replace(driver, uid=NOBODY)
    os.chown(module, NOBODY, NOBODY)
    place.chmod(0o777)
    assert user("store", KEY, module).get("kept") == ""
    assert driver.folder is not None
    for path in (driver.folder / "modules", driver.folder / "scratch", driver.folder):
        path.chmod(0o500)
    place.chmod(0o755)
    assert user("lookup", KEY).lines == (("found", sha256(module)),)
    (place / "count").touch()
    (place / "count").chmod(0o666)
    answer = user("build", OTHER, module, place / "count")
    assert answer.get("found") == sha256(module)
    assert answer.notes == [f"cannot write to {driver.folder}/modules: Permission denied"]
    scratch = user("scratch", "0")
    assert (scratch.get("scratch") or "").startswith("/tmp/") and scratch.notes == []


@root_only
def test_a_folder_that_cannot_be_made_leaves_memory(
    driver: Driver, module: Path, place: Path
) -> None:
    user = replace(driver, uid=NOBODY)
    os.chown(module, NOBODY, NOBODY)
    (place / "count").touch()
    (place / "count").chmod(0o666)
    answer = user("build", KEY, module, place / "count")
    assert answer.get("found") == sha256(module)
    assert len(answer.notes) == 1
    assert answer.notes[0].startswith(f"cannot create {driver.folder}: Permission denied; set ")


def test_a_full_disk_keeps_nothing_and_says_so(
    driver: Driver, module: Path, place: Path, mounted: Callable[[str], Path]
) -> None:
    module.write_bytes(os.urandom(1 << 20))
    disk = mounted("size=512k,mode=0755")
    user = replace(driver, folder=disk / "cache")
    answer = user("build", KEY, module, place / "count")
    assert answer.get("found") == sha256(module)
    assert answer.notes == [f"cannot write {entry(user)}: No space left on device"]
    assert user("lookup", KEY).lines == (("nothing", ""),)
    assert temporaries(user) == []
    roomy = user("scratch", str(1 << 20))
    assert roomy.notes == [f"{disk}/cache/scratch has less than 1048576 bytes free"]
    assert roomy.get("scratch") and not (roomy.get("scratch") or "").startswith(str(disk))


def test_a_disk_without_a_free_inode_keeps_nothing_and_says_so(
    driver: Driver, mounted: Callable[[str], Path]
) -> None:
    disk = mounted("nr_inodes=2,mode=0755")
    answer = replace(driver, folder=disk / "cache")("lookup", KEY)
    assert answer.get("nothing") == "" and len(answer.notes) == 1
    assert answer.notes[0].startswith(
        f"cannot create {disk}/cache/modules: No space left on device"
    )


def test_modules_are_loaded_from_a_noexec_place(
    driver: Driver, place: Path, mounted: Callable[[str], Path]
) -> None:
    disk = mounted("noexec,mode=0755")
    source = place / "answer.c"
    source.write_text("int answer(void) { return 42; }")
    made = place / "answer.so"
    command = [f"{compilers()}/cc", "-shared", "-fPIC", "-nostdlib", "-o", str(made), str(source)]
    subprocess.run(command, check=True)
    user = replace(driver, folder=disk / "cache")
    assert user("store", KEY, made).lines == (("kept", ""),)
    assert user("load", KEY).lines == (("answer", "42"),)


def test_a_read_only_mount_is_read(
    driver: Driver, module: Path, mounted: Callable[[str], Path]
) -> None:
    disk = mounted("mode=0755")
    user = replace(driver, folder=disk / "cache")
    user("store", KEY, module)
    subprocess.run(["mount", "-o", "remount,ro", disk], check=True)
    assert user("lookup", KEY).lines == (("found", sha256(module)),)
    assert user("store", OTHER, module).notes == [
        f"cannot write to {disk}/cache/modules: Read-only file system"
    ]
    fresh = replace(driver, folder=disk / "fresh")("lookup", KEY)
    assert fresh.notes[0].startswith(f"cannot create {disk}/fresh: Read-only file system; set ")


@pytest.mark.parametrize(
    ("injected", "reason"),
    [
        ("memfd_create:error=ENOSYS", "no anonymous memory file: Function not implemented"),
        ("flock:error=ENOLCK", None),
    ],
)
def test_what_the_system_lacks_costs_no_module(
    driver: Driver, module: Path, injected: str, reason: str | None
) -> None:
    """No memory file, no locks (some network file systems): nothing sound is thrown away."""
    driver("store", KEY, module)
    lacking = replace(
        driver, under=strace(f"trace={injected.partition(':')[0]}", f"inject={injected}")
    )
    answer = lacking("lookup", KEY)
    if reason:
        assert answer.lines == (("note", f"{entry(driver)}: {reason}"), ("nothing", ""))
    assert driver("lookup", KEY).lines == (("found", sha256(module)),)
    if not reason:
        lock = entry(driver, OTHER, ".lock")
        notes = lacking("build", OTHER, module, module.with_name("count")).notes
        assert notes[0] == f"cannot lock {lock}: No locks available"


@pytest.mark.parametrize("call", ["fsync", "renameat"])
def test_a_failing_disk_leaves_the_old_state(driver: Driver, module: Path, call: str) -> None:
    driver("show")
    failing = replace(driver, under=strace(f"trace=/{call}", f"inject=/{call}:error=EIO"))
    assert failing("store", KEY, module).notes == [
        f"cannot write {entry(driver)}: Input/output error"
    ]
    assert driver("lookup", KEY).lines == (("nothing", ""),)
    assert temporaries(driver) == []


@pytest.mark.parametrize(
    ("env", "expected"),
    [
        ({"INGOT_CACHE": "{}/a", "XDG_CACHE_HOME": "{}/b", "HOME": "{}"}, "{}/a"),
        ({"INGOT_CACHE": "", "XDG_CACHE_HOME": "{}/b", "HOME": "{}"}, "{}/b/ingot"),
        ({"XDG_CACHE_HOME": "relative", "HOME": "{}"}, "{}/.cache/ingot"),
        ({"HOME": "{}"}, "{}/.cache/ingot"),
    ],
)
def test_where_the_cache_is(program: Path, place: Path, env: dict[str, str], expected: str) -> None:
    named = {name: value.format(place) for name, value in env.items()}
    answer = Driver(program, env=named)("show")
    assert answer.lines == (("keeps", expected.format(place)),)


def test_a_relative_ingot_cache_is_told_and_not_used(program: Path) -> None:
    answer = Driver(program, env={"INGOT_CACHE": "here\nthere", "HOME": "/"})("show")
    assert answer.get("forgets") == "" and len(answer.notes) == 1
    assert answer.notes[0].startswith("INGOT_CACHE=here there is not an absolute path; set ")


@root_only
def test_without_home_the_user_database_is_asked_and_without_that_memory_serves(
    program: Path, place: Path, module: Path
) -> None:
    (place / "count").touch()
    (place / "count").chmod(0o666)
    os.chown(module, 54321, 54321)
    unknown = Driver(program, uid=54321)("build", KEY, module, place / "count")
    assert unknown.get("found") == sha256(module)
    assert len(unknown.notes) == 1
    assert unknown.notes[0].startswith("HOME is not set and this user has no home folder; set ")
    nobody = Driver(program, uid=NOBODY)("show")  # /nonexistent, in most user databases
    assert nobody.get("forgets") == "" and nobody.notes[0].startswith("cannot create /")


@root_only
def test_root_leaves_nothing_in_the_home_of_another_user(program: Path, place: Path) -> None:
    os.chown(place, NOBODY, NOBODY)
    answer = Driver(program, env={"HOME": str(place)})("show")
    assert answer.notes[0].startswith(f"{place} belongs to another user (uid 65534); set ")
    assert list(place.iterdir()) == []


@root_only
def test_scratch_in_a_folder_where_others_may_exchange_it_is_refused(
    program: Path, place: Path
) -> None:
    place.chmod(0o777)
    answer = Driver(program, env={"INGOT_CACHE": "none", "TMPDIR": str(place)})("scratch", "0")
    assert f"others may exchange what is in {place}" in answer.notes
    assert (answer.get("scratch") or "").startswith("/tmp/")


def test_reading_only_creates_nothing(driver: Driver, module: Path) -> None:
    assert driver("--read", "show").lines == (("forgets", ""),)
    assert driver.folder is not None and not driver.folder.exists()
    driver("store", KEY, module)
    altered(entry(driver))
    assert len(driver("--read", "lookup", KEY).notes) == 1
    assert entry(driver).exists()
    assert driver("--read", "store", KEY, module).notes == ["the cache was opened to read only"]
