"""What cannot be written is an error at the first failed write, in every verb."""

from __future__ import annotations

import os
import signal
import subprocess
from pathlib import Path

import pytest

from tests.native.test_failures import assert_one_error

VERBS = [
    ("-p", "def add", "-n", "2000", "--ignore-eos"),
    ("sbom",),
    ("licenses",),
    ("info",),
    ("info", "--json"),
    ("version",),
    ("help",),
    ("help", "serve"),
    ("kernels", "--json"),
    ("tokenize", "-p", "x"),
    ("embed", "-p", "x"),
    ("embed", "-p", "x", "--json"),
    ("bench", "-p", "8", "-n", "0", "-r", "1"),
    ("verify",),
    ("doctor", "--quick"),
]


@pytest.mark.parametrize("words", VERBS, ids=" ".join)
def test_a_full_disk(hello: Path, words: tuple[str, ...]) -> None:
    with Path("/dev/full").open("wb") as full:
        done = subprocess.run(
            [hello, *words],
            stdin=subprocess.DEVNULL,
            stdout=full,
            stderr=subprocess.PIPE,
            check=False,
            timeout=60,
        )
    assert done.returncode == 3, done
    assert_one_error(done.stderr, says=b"cannot write to standard output")


def test_a_closed_standard_output(hello: Path) -> None:
    script = 'exec "$1" -p x -n 50 --ignore-eos >&-'
    done = subprocess.run(["bash", "-c", script, "-", hello], stderr=-1, check=False, timeout=60)
    assert done.returncode == 3
    assert_one_error(done.stderr, says=b"cannot write to standard output: Bad file descriptor")


def test_nothing_is_computed_for_a_reader_that_has_gone(hello: Path) -> None:
    # As under systemd, where SIGPIPE is ignored. The context would take minutes to fill.
    read, write = os.pipe()
    words: list[str | Path] = [
        hello,
        "-p",
        "def add",
        "-n",
        "-1",
        "--ignore-eos",
        "--context-shift",
    ]
    process = subprocess.Popen(
        words,
        stdout=write,
        stderr=subprocess.PIPE,
        stdin=subprocess.DEVNULL,
        restore_signals=False,
        preexec_fn=lambda: signal.signal(signal.SIGPIPE, signal.SIG_IGN),
    )
    os.close(write)
    os.read(read, 1)
    os.close(read)
    _, stderr = process.communicate(timeout=60)
    assert process.returncode == 3
    assert_one_error(stderr, says=b"Broken pipe")


def test_an_error_after_progress_begins_a_line(hello: Path, tmp_path: Path) -> None:
    text = tmp_path / "text.txt"
    text.write_text("def add(a, b):\n    return a + b\n" * 100)
    with Path("/dev/full").open("wb") as full:
        words: list[str | Path] = [hello, "perplexity", "-f", text, "-c", "64", "-t", "1"]
        done = subprocess.run(words, stdout=full, stderr=-1, check=False, timeout=60)
    assert done.returncode == 3
    assert done.stderr.splitlines()[-2].startswith(b"error: cannot write to standard output")


def test_a_closed_output_for_a_long_text_says_so(hello: Path) -> None:
    done = subprocess.run(
        ["bash", "-c", 'exec "$1" sbom >&-', "-", hello], stderr=-1, check=False, timeout=60
    )
    assert done.returncode == 3
    assert_one_error(done.stderr, says=b"cannot write to standard output: Bad file descriptor")
