from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from ingot import process
from ingot.errors import ToolchainError


def test_output_goes_to_the_log_and_line_by_line_to_the_caller(tmp_path: Path) -> None:
    log, seen = tmp_path / "logs" / "x.log", list[str]()
    done = process.run(["sh", "-c", "echo one; echo two >&2"], log=log, on_line=seen.append)
    assert sorted(seen) == ["one", "two"]
    text = log.read_text()
    assert "$ sh -c 'echo one; echo two >&2'" in text
    assert "# ended with status 0" in text
    assert done.log == log
    assert done.seconds > 0


def test_failure_quotes_the_first_error_and_names_the_log(tmp_path: Path) -> None:
    script = "seq 100; echo 'a.c:1:1: error: no'; seq 3; exit 7"
    with pytest.raises(ToolchainError) as caught:
        process.run(["sh", "-c", script], log=tmp_path / "log", what="the compiler")
    error = caught.value
    assert error.code == "tool-failed"
    assert error.message.splitlines()[:2] == [
        "the compiler failed (exit status 7)",
        "    a.c:1:1: error: no",
    ]
    assert str(tmp_path / "log") in (error.hint or "")
    assert len(error.message.splitlines()) <= process.QUOTED_LINES + 1


def test_failure_without_an_error_line_quotes_the_last_ones(tmp_path: Path) -> None:
    with pytest.raises(ToolchainError) as caught:
        process.run(["sh", "-c", "seq 100; exit 1"], log=tmp_path / "log")
    assert caught.value.message.splitlines()[-1].strip() == "100"


def test_the_last_line_is_quoted_even_after_many_errors() -> None:
    lines = [f"error {n}" for n in range(50)] + ["gave up"]
    quoted = process.useful_lines(lines)
    assert quoted[0] == "error 0"
    assert quoted[-1] == "gave up"
    assert len(quoted) == process.QUOTED_LINES


def test_death_by_signal_is_named(tmp_path: Path) -> None:
    with pytest.raises(ToolchainError, match="ended by SIGKILL"):
        process.run(["sh", "-c", "kill -9 $$"], log=tmp_path / "log")


def test_a_missing_program_is_its_own_code(tmp_path: Path) -> None:
    with pytest.raises(ToolchainError) as caught:
        process.run([tmp_path / "nothing"], log=tmp_path / "log")
    assert caught.value.code == "tool-missing"


def test_stderr_can_be_kept_out_of_the_result(tmp_path: Path) -> None:
    script = "echo result; echo chatter >&2"
    done = process.run(["sh", "-c", script], log=tmp_path / "log", stderr_to_log=True)
    assert done.lines == ("result",)
    assert "chatter" in (tmp_path / "log").read_text()


def test_what_was_kept_out_is_still_quoted_on_failure(tmp_path: Path) -> None:
    script = "echo result; echo 'error: broken' >&2; exit 3"
    with pytest.raises(ToolchainError, match="error: broken"):
        process.run(["sh", "-c", script], log=tmp_path / "log", stderr_to_log=True)


def test_unchecked_failure_is_returned(tmp_path: Path) -> None:
    done = process.run(["sh", "-c", "echo no; exit 3"], log=tmp_path / "log", check=False)
    assert (done.status, done.lines) == (3, ("no",))


def test_timeout_ends_grandchildren_too(tmp_path: Path) -> None:
    script = f"sleep 60 & echo $! > {tmp_path}/pid; wait"
    begun = time.monotonic()
    with pytest.raises(ToolchainError) as caught:
        process.run(["sh", "-c", script], log=tmp_path / "log", timeout=0.5)
    assert caught.value.code == "tool-timeout"
    assert time.monotonic() - begun < 20
    assert _ends(int((tmp_path / "pid").read_text()))


def _ends(pid: int) -> bool:
    """Soon: a signal that was sent has not always ended yet what it was sent to."""
    for _ in range(1000):
        if not _alive(pid):
            return True
        time.sleep(0.01)
    return False


def _alive(pid: int) -> bool:
    try:
        return "State:\tZ" not in Path(f"/proc/{pid}/status").read_text()
    except FileNotFoundError:
        return False


def test_the_child_reads_nothing_from_our_stdin(tmp_path: Path) -> None:
    assert process.run(["cat"], log=tmp_path / "log").lines == ()


def test_pyinstaller_variables_do_not_reach_children(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("_PYI_ARCHIVE_FILE", "x")
    done = process.run(["env"], log=tmp_path / "log", env={"ADDED": "1"})
    assert "ADDED=1" in done.lines
    assert not [line for line in done.lines if line.startswith("_PYI_")]


@pytest.mark.parametrize(
    ("original", "seen"), [("/opt/lib", ["LD_LIBRARY_PATH=/opt/lib"]), (None, [])]
)
def test_a_frozen_ingots_library_path_does_not_reach_children(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, original: str | None, seen: list[str]
) -> None:
    monkeypatch.setattr(sys, "frozen", True, raising=False)
    monkeypatch.setenv("LD_LIBRARY_PATH", "/tmp/_MEI1:/opt/lib")
    if original is not None:
        monkeypatch.setenv("LD_LIBRARY_PATH_ORIG", original)
    done = process.run(["env"], log=tmp_path / "log")
    assert [line for line in done.lines if line.startswith("LD_LIBRARY_PATH")] == seen


def test_an_exception_in_the_listener_ends_the_child(tmp_path: Path) -> None:
    def listen(line: str) -> None:
        raise KeyboardInterrupt

    script = f"echo $$ > {tmp_path}/pid; echo go; sleep 60"
    with pytest.raises(KeyboardInterrupt):
        process.run(["sh", "-c", script], log=tmp_path / "log", on_line=listen)
    assert _ends(int((tmp_path / "pid").read_text()))


def test_children_of_threads_end_together_and_none_starts_after(tmp_path: Path) -> None:
    failures: list[ToolchainError] = []
    started = threading.Event()

    def work() -> None:
        for number in range(2):
            try:
                process.run(
                    ["sh", "-c", "echo up; sleep 60"],
                    log=tmp_path / f"{number}.log",
                    on_line=lambda _line: started.set(),
                )
            except ToolchainError as error:
                failures.append(error)

    with process.ending_together() as end_all:
        thread = threading.Thread(target=work)
        thread.start()
        assert started.wait(30)
        end_all()
        thread.join(30)
    assert [error.code for error in failures] == ["tool-failed", "ending"]
    assert process.run(["true"], log=tmp_path / "log").status == 0


def test_an_interrupted_program_takes_its_children_with_it(tmp_path: Path) -> None:
    script = (
        "import sys; from pathlib import Path; from ingot.process import run\n"
        f"run(['sh', '-c', 'echo $$ > {tmp_path}/pid; echo up; sleep 60'],\n"
        f"    log=Path('{tmp_path}/log'), on_line=lambda x: print(x, flush=True))"
    )
    program = subprocess.Popen(
        [sys.executable, "-c", script], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
    )
    assert program.stdout is not None
    assert program.stdout.readline() == b"up\n"
    os.kill(program.pid, 2)
    program.wait(30)
    program.stdout.close()
    assert _ends(int((tmp_path / "pid").read_text()))
