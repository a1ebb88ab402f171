"""What the module cache is for; many processes at once, and killed ones."""

from __future__ import annotations

import os
import shutil
import signal
import time
from dataclasses import replace
from pathlib import Path

import pytest

from tests.native.module_cache.driver import (
    KEY,
    OTHER,
    Driver,
    altered,
    entry,
    parse,
    sha256,
    strace,
    temporaries,
)


def test_what_was_stored_is_found_with_its_text_and_in_the_list(
    driver: Driver, module: Path
) -> None:
    assert driver("lookup", KEY).lines == (("nothing", ""),)
    assert driver("store", KEY, module, '{"seconds": 31.5}').lines == (("kept", ""),)
    assert driver("lookup", KEY).lines == (("found", sha256(module)),)
    assert driver("about", KEY).get("about") == '{"seconds": 31.5}'
    assert driver("list").lines == (("key", KEY), ("about", '{"seconds": 31.5}'))
    assert temporaries(driver) == []


def test_folders_and_files_are_for_this_user_alone(driver: Driver, module: Path) -> None:
    driver("store", KEY, module)
    assert driver.folder is not None
    driver("build", OTHER, module, module.with_name("count"))
    for path in (driver.folder, *driver.folder.rglob("*")):
        assert path.stat().st_mode & 0o777 == (0o700 if path.is_dir() else 0o600), path


def test_an_entry_is_an_elf_file_to_other_tools(driver: Driver, module: Path) -> None:
    driver("store", KEY, module, "text")
    whole = entry(driver).read_bytes()
    assert whole.startswith(module.read_bytes())
    assert whole.endswith(b"INGOTMOD") and len(whole) == module.stat().st_size + 4 + 120


def test_a_module_that_works_is_not_replaced_and_a_damaged_one_is(
    driver: Driver, module: Path
) -> None:
    worse = module.with_name("worse.so")
    worse.write_bytes(b"worse")
    driver("store", KEY, module)
    assert driver("store", KEY, worse).get("kept") == ""
    assert driver("lookup", KEY).get("found") == sha256(module)
    entry(driver).write_bytes(b"damaged")
    driver("store", KEY, worse)
    assert driver("lookup", KEY).get("found") == sha256(worse)


def test_on_demand_a_module_that_works_is_replaced_or_stays_whole(
    driver: Driver, module: Path
) -> None:
    better = module.with_name("better.so")
    better.write_bytes(b"better")
    driver("store", KEY, module)
    failing = replace(driver, under=strace("trace=/rename", "inject=/rename:error=ENOSPC"))
    assert failing("replace", KEY, better).get("lost") == ""
    assert driver("lookup", KEY).get("found") == sha256(module)
    assert temporaries(driver) == []
    assert driver("replace", KEY, better).lines == (("kept", ""),)
    assert driver("lookup", KEY).get("found") == sha256(better)


def test_failures_are_remembered_with_their_log_until_a_module_is_there(
    driver: Driver, module: Path
) -> None:
    assert driver("failure", KEY).get("reason") == ""
    driver("fail", KEY, "nvcc failed:\nno space", "a.cu(3): error\n")
    answer = driver("failure", KEY)
    assert answer.get("reason") == "nvcc failed: no space"
    assert Path(answer.get("log") or "").read_text().endswith("\n\na.cu(3): error\n")
    assert ("failure", "nvcc failed: no space") in driver("list").lines
    driver("store", KEY, module)
    assert driver("failure", KEY).get("reason") == ""
    assert not entry(driver, KEY, ".log").exists()
    driver("fail", KEY, "a later failure", "")
    assert driver("failure", KEY).get("reason") == "", "a working module counts for more"
    driver("fail", OTHER, "again", "")
    driver("forget", OTHER)
    assert driver("failure", OTHER).get("reason") == ""


def test_a_failure_of_another_key_or_a_damaged_one_is_none(driver: Driver) -> None:
    driver("fail", KEY, "reason", "log")
    shutil.copy(entry(driver, KEY, ".log"), entry(driver, OTHER, ".log"))
    assert driver("failure", OTHER).get("reason") == ""
    entry(driver, KEY, ".log").write_bytes(b"failed")
    assert driver("failure", KEY).get("reason") == ""


def test_objects_are_kept_by_the_same_rules(driver: Driver, module: Path) -> None:
    assert driver("store-object", KEY, module).lines == (("kept", ""),)
    out = module.with_name("again.o")
    assert driver("object", KEY, out).get("found") == sha256(module)
    assert sha256(out) == sha256(module)
    assert driver.folder is not None
    stored = driver.folder / "objects" / f"{KEY}.o"
    stored.write_bytes(stored.read_bytes()[1:])
    assert driver("object", KEY).notes == [
        f"{stored} is damaged: it does not have the size recorded"
    ]
    assert not stored.exists()


def test_64_first_starts_at_once_compile_once(driver: Driver, module: Path, place: Path) -> None:
    runs = [driver.start("build", KEY, module, place / "count") for _ in range(64)]
    answers = [parse(run.communicate(timeout=60)[0], run.returncode) for run in runs]
    assert (place / "count").read_text() == "compiled\n"
    assert {answer.lines for answer in answers} == {(("found", sha256(module)),)}
    assert temporaries(driver) == []


def test_64_first_starts_at_once_compile_once_when_a_bad_module_is_there(
    driver: Driver, module: Path, place: Path
) -> None:
    driver("store", KEY, module)
    altered(entry(driver))
    runs = [driver.start("build", KEY, module, place / "count") for _ in range(64)]
    answers = [parse(run.communicate(timeout=60)[0]) for run in runs]
    assert (place / "count").read_text() == "compiled\n"
    assert {answer.get("found") for answer in answers} == {sha256(module)}


def test_a_lock_dies_with_its_holder(driver: Driver) -> None:
    holder = driver.start("hold", KEY)
    assert holder.stdout and holder.stdout.readline() == "held \n"
    assert driver("wait", KEY, "0.2").lines == (("waiting", ""), ("busy", ""))
    assert driver("wait", OTHER, "0").lines == (("held", ""),)
    waiter = driver.start("wait", KEY, "20")
    assert waiter.stdout and waiter.stdout.readline() == "waiting \n"
    holder.kill()
    holder.communicate()
    assert waiter.communicate(timeout=10)[0] == "held \n"


@pytest.mark.parametrize(
    ("call", "stage"),
    [
        ("write:when=1", "before"),  # the copy in memory
        ("flock:when=1", "empty"),
        ("write:when=2", "temporary"),  # the module
        ("write:when=3", "temporary"),  # its text
        ("write:when=4", "temporary"),  # its record
        ("fsync:when=1", "temporary"),
        ("renameat:when=1", "either"),
        ("fsync:when=2", "done"),
        ("write:when=5", "done"),  # the driver's own answer
    ],
)
def test_killed_at_any_step_of_a_store_nothing_half_made_is_left(
    driver: Driver, module: Path, place: Path, call: str, stage: str
) -> None:
    driver("show")
    name, _, when = call.partition(":")
    injections = (f"trace=/^{name}$", f"inject=/^{name}$:signal=KILL:{when}")
    killed = replace(driver, under=strace(*injections))
    assert killed("store", KEY, module, "text").returncode == -signal.SIGKILL
    if stage in ("empty", "temporary"):
        assert len(temporaries(driver)) == 1, "the kill came too early or too late"
    found = driver("lookup", KEY)  # sweeps first
    whole, none = (("found", sha256(module)),), (("nothing", ""),)
    assert found.lines in {"either": [whole, none], "done": [whole]}.get(stage, [none])
    assert temporaries(driver) == []
    assert driver("build", KEY, module, place / "count").get("found") == sha256(module)


def test_killed_at_random_moments_a_build_leaves_whole_modules_or_none(
    driver: Driver, module: Path, place: Path
) -> None:
    module.write_bytes(os.urandom(1 << 23))
    for delay in range(0, 100, 4):
        process = driver.start("build", KEY, module, place / "count")
        time.sleep(delay / 1000)
        process.send_signal(signal.SIGKILL)
        process.communicate()
        found = driver("lookup", KEY)
        assert found.lines in [(("nothing", ""),), (("found", sha256(module)),)]
        assert temporaries(driver) == []
        entry(driver).unlink(missing_ok=True)


def test_an_old_module_survives_a_store_that_is_killed(driver: Driver, module: Path) -> None:
    driver("store", KEY, module)
    killed = replace(driver, under=strace("trace=fsync", "inject=fsync:signal=KILL:when=1"))
    killed("fail", KEY, "reason", "log")
    assert driver("lookup", KEY).lines == (("found", sha256(module)),)


def test_what_another_process_is_making_is_not_swept(driver: Driver) -> None:
    with driver.start("scratch", "0") as working:
        assert working.stdout
        path = Path(parse(working.stdout.readline()).get("scratch") or "")
        assert driver.folder is not None and path.parent == driver.folder / "scratch"
        assert path.stat().st_mode & 0o777 == 0o700
        (path / "a.o").write_bytes(b"half")
        driver("show")
        assert (path / "a.o").exists()
        working.kill()
        working.wait()
    assert path.exists()
    (path / "locked").mkdir(mode=0o500)
    (path / "out").symlink_to("/")
    driver("show")
    assert temporaries(driver) == []


def test_a_scratch_folder_goes_with_its_process(driver: Driver) -> None:
    with driver.start("scratch", "0") as working:
        assert working.stdout
        path = Path(parse(working.stdout.readline()).get("scratch") or "")
        (path / "a.o").write_bytes(b"")
        working.communicate("\n", timeout=10)
    assert not path.exists()
