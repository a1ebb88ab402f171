from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from ingot import paths
from ingot.errors import InputError


def test_ingot_cache_wins_over_xdg(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    monkeypatch.delenv("INGOT_CACHE", raising=False)
    assert paths.cache_dir() == tmp_path / "xdg" / "ingot"
    monkeypatch.setenv("INGOT_CACHE", str(tmp_path / "own"))
    assert paths.cache_dir() == tmp_path / "own"


def test_a_relative_xdg_cache_home_is_ignored(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("INGOT_CACHE", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", "somewhere")
    monkeypatch.setenv("HOME", "/home/someone")
    assert paths.cache_dir() == Path("/home/someone/.cache/ingot")


def test_a_folder_below_a_file_is_refused_with_the_remedy(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="cannot create the folder") as caught:
        paths.make_folder(tmp_path / "file" / "below")
    assert "INGOT_CACHE" in (caught.value.hint or "")


def test_an_entry_is_made_once(tmp_path: Path) -> None:
    calls = []

    def make(folder: Path) -> None:
        calls.append(folder)
        (folder / "x").write_text("1")

    entry = tmp_path / "a" / "entry"
    for _ in range(3):
        assert paths.ensure_entry(entry, make) == entry
    assert len(calls) == 1
    assert (entry / "x").read_text() == "1"


def test_a_failed_entry_leaves_nothing(tmp_path: Path) -> None:
    def make(folder: Path) -> None:
        (folder / "half").write_text("1")
        raise RuntimeError("no")

    with pytest.raises(RuntimeError, match="no"):
        paths.ensure_entry(tmp_path / "entry", make)
    assert [p.name for p in tmp_path.iterdir()] == [".entry.lock"]


def test_an_entry_that_keep_rejects_is_made_again(tmp_path: Path) -> None:
    entry = tmp_path / "entry"
    entry.mkdir()
    (entry / "old").write_text("")
    paths.ensure_entry(entry, lambda f: (f / "new").touch(), keep=lambda f: (f / "new").exists())
    assert [p.name for p in entry.iterdir()] == ["new"]


_WORKER = """
import os, sys, time
from pathlib import Path
from ingot.paths import ensure_entry
def make(folder):
    with open(sys.argv[2], "a") as log:
        log.write("made\\n")
    (folder / "part").write_text("half")
    time.sleep(float(sys.argv[3]))
    (folder / "whole").write_text("done")
ensure_entry(Path(sys.argv[1]), make)
assert (Path(sys.argv[1]) / "whole").read_text() == "done"
"""


def _worker(entry: Path, log: Path, seconds: float) -> subprocess.Popen[bytes]:
    return subprocess.Popen([sys.executable, "-c", _WORKER, str(entry), str(log), str(seconds)])


def test_of_two_processes_one_makes_the_entry(tmp_path: Path) -> None:
    log = tmp_path / "log"
    workers = [_worker(tmp_path / "c" / "entry", log, 0.5) for _ in range(2)]
    assert [worker.wait(60) for worker in workers] == [0, 0]
    assert log.read_text() == "made\n"


def test_a_killed_maker_leaves_no_entry_and_the_next_one_cleans_up(tmp_path: Path) -> None:
    entry, log = tmp_path / "c" / "entry", tmp_path / "log"
    victim = _worker(entry, log, 60)
    deadline = time.monotonic() + 30
    while not log.exists() and time.monotonic() < deadline:
        time.sleep(0.01)
    victim.kill()
    victim.wait()
    assert not entry.exists()
    assert _worker(entry, log, 0).wait(60) == 0
    assert sorted(p.name for p in entry.parent.iterdir()) == [".entry.lock", "entry"]


def test_waiting_for_a_lock_is_announced_once(tmp_path: Path) -> None:
    lock = tmp_path / "lock"
    script = (
        "import sys, time; from pathlib import Path; from ingot.paths import locked\n"
        "with locked(Path(sys.argv[1])): print('held', flush=True); time.sleep(0.5)"
    )
    holder = subprocess.Popen([sys.executable, "-c", script, str(lock)], stdout=subprocess.PIPE)
    assert holder.stdout is not None
    assert holder.stdout.readline() == b"held\n"
    said: list[str] = []
    with paths.locked(lock, lambda: said.append("waiting")):
        assert said == ["waiting"]
    holder.stdout.close()
    assert holder.wait(30) == 0


def test_a_child_keeps_the_lock_of_a_killed_parent(tmp_path: Path) -> None:
    """A compiler that outlives us must not share its folder with the next run's compiler."""
    lock = tmp_path / "lock"
    script = (
        "import sys; from pathlib import Path\n"
        "from ingot.paths import locked; from ingot.process import run\n"
        "with locked(Path(sys.argv[1])):\n"
        "    run(['sh', '-c', 'echo on; sleep 1'], log=Path(sys.argv[2]),\n"
        "        on_line=lambda line: print(line, flush=True))"
    )
    parent = subprocess.Popen(
        [sys.executable, "-c", script, str(lock), str(tmp_path / "log")], stdout=subprocess.PIPE
    )
    assert parent.stdout is not None
    assert parent.stdout.readline() == b"on\n"
    parent.kill()
    parent.wait()
    parent.stdout.close()
    said: list[str] = []
    with paths.locked(lock, lambda: said.append("waiting")):
        assert said == ["waiting"]


def test_read_only_folders_are_removed(tmp_path: Path) -> None:
    folder = tmp_path / "a" / "b"
    folder.mkdir(parents=True)
    (folder / "file").write_text("x")
    os.chmod(folder, 0o555)
    paths.remove_tree(tmp_path / "a")
    assert not (tmp_path / "a").exists()


def test_folder_size_adds_up_files(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "x").write_bytes(b"12345")
    (tmp_path / "y").write_bytes(b"123")
    assert paths.folder_size(tmp_path) == 8


def test_the_cache_is_for_its_user_alone_whatever_the_umask(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("INGOT_CACHE", str(tmp_path / "home" / "cache"))
    before = os.umask(0o002)
    try:
        paths.make_folder(paths.cache_dir() / "tools")
    finally:
        os.umask(before)
    assert (tmp_path / "home" / "cache").stat().st_mode & 0o777 == 0o700
