"""Outputs appear whole or not at all."""

from __future__ import annotations

import fcntl
import os
import subprocess
import sys
from pathlib import Path

import pytest

from ingot.bundle.output import OutputFile, check_output, remove_stale_partials
from ingot.errors import InputError

KILLED = """
import os, signal, sys
from pathlib import Path
from ingot.bundle import output
if sys.argv[2] == "named":
    output.OutputFile._open = output.OutputFile._open_named
with output.OutputFile(Path(sys.argv[1])) as out:
    os.write(out.fd, b"half")
    print(len(os.listdir(Path(sys.argv[1]).parent)), flush=True)
    os.kill(os.getpid(), int(sys.argv[3]))
"""


def named(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pretend that the file system has no unnamed files."""
    monkeypatch.setattr(OutputFile, "_open", OutputFile._open_named)


@pytest.mark.parametrize("mode", ["unnamed", "named"])
def test_commit_replaces_in_one_step(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, mode: str
) -> None:
    if mode == "named":
        named(monkeypatch)
    path = tmp_path / "out"
    path.write_text("old")
    with OutputFile(path) as out:
        os.write(out.fd, b"new")
        assert path.read_text() == "old"
        out.commit()
    assert path.read_text() == "new"
    assert os.listdir(tmp_path) == ["out"]


@pytest.mark.parametrize("mode", ["unnamed", "named"])
@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt, SystemExit])
def test_nothing_remains_of_a_failure(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, mode: str, error: type[BaseException]
) -> None:
    if mode == "named":
        named(monkeypatch)
    with pytest.raises(error), OutputFile(tmp_path / "out"):
        raise error
    assert os.listdir(tmp_path) == []


def test_nothing_remains_of_a_killed_writer(tmp_path: Path) -> None:
    command = [sys.executable, "-c", KILLED, str(tmp_path / "out"), "unnamed", "9"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (-9, "0\n")
    assert os.listdir(tmp_path) == []


def test_the_next_writer_removes_what_a_killed_one_left(tmp_path: Path) -> None:
    command = [sys.executable, "-c", KILLED, str(tmp_path / "out"), "named", "9"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (-9, "1\n")
    (left,) = os.listdir(tmp_path)
    assert left.startswith(".out.ingot-")
    assert left.endswith(".partial")
    with OutputFile(tmp_path / "other") as out:
        out.commit()
    assert os.listdir(tmp_path) == ["other"]


def test_partials_of_living_writers_and_other_programs_stay(tmp_path: Path) -> None:
    mine = tmp_path / ".a.ingot-0123abcd.partial"
    foreign = tmp_path / ".a.12345678.partial"
    foreign.touch()
    with mine.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        remove_stale_partials(tmp_path)
        assert mine.exists()
    remove_stale_partials(tmp_path)
    assert os.listdir(tmp_path) == [foreign.name]


def refused(output: Path, *inputs: Path, force: bool = False) -> str:
    with pytest.raises(InputError) as caught:
        check_output(output, inputs, force=force)
    assert str(output) in caught.value.message
    assert caught.value.hint
    return caught.value.code


def test_outputs_that_cannot_be_are_refused_first(tmp_path: Path) -> None:
    existing = tmp_path / "existing"
    existing.touch()
    linked = tmp_path / "linked"
    linked.symlink_to(existing)
    os.mkfifo(tmp_path / "fifo")
    assert refused(tmp_path / "none/out") == "output-folder-missing"
    assert refused(tmp_path) == "output-is-folder"
    assert refused(existing) == "output-exists"
    assert refused(existing, existing, force=True) == "output-is-input"
    assert refused(linked, existing, force=True) == "output-is-input"
    assert refused(tmp_path / "fifo", force=True) == "output-not-regular"
    check_output(existing, (), force=True)
    check_output(tmp_path / "new", (existing,), force=False)


def test_a_dangling_link_counts_as_existing(tmp_path: Path) -> None:
    (tmp_path / "out").symlink_to("nowhere")
    assert refused(tmp_path / "out") == "output-exists"
