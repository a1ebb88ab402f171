"""Threads are those that this process may use, in every verb that computes."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from tests.conftest import Cast, Run
from tests.models import DEMO

ONE_CPU = ("taskset", "-c", str(min(os.sched_getaffinity(0))))
limited = pytest.mark.skipif(os.cpu_count() == 1, reason="needs a second CPU to be kept from")


def threads_of(done: bytes) -> bytes:
    """The line of ``-v`` that says how many threads are used."""
    return next(line for line in done.splitlines() if line.startswith(b"threads: "))


@limited
@pytest.mark.parametrize("verb", ["complete", "embed"])
def test_one_cpu_is_one_thread(hello: Path, run: Run, verb: str) -> None:
    done = run(*ONE_CPU, hello, verb, "-p", "x", "-n", "1", "-v")
    assert done.returncode == 0, done
    assert threads_of(done.stderr) == f"threads: 1 (1 of {os.cpu_count()} CPUs allowed)".encode()
    assert b"n_threads = 1" in done.stderr


@limited
def test_the_trace_and_the_benchmark_too(hello: Path, run: Run, tmp_path: Path) -> None:
    job = tmp_path / "job.json"
    job.write_text('{"tokenize": "x"}')
    traced = run(*ONE_CPU, hello, "trace", "--job", job)
    assert json.loads(traced.stdout)["model"]["threads"] == 1
    rows = run(*ONE_CPU, hello, "bench", "-p", "8", "-n", "0", "-r", "1", "-o", "json")
    assert [row["n_threads"] for row in json.loads(rows.stdout)] == [1]


@limited
def test_the_users_word_counts_more(cast: Cast, hello: Path, run: Run, tmp_path: Path) -> None:
    job = tmp_path / "job.json"
    job.write_text('{"tokenize": "x"}')

    def traced(program: Path, *words: str, **env: str) -> int:
        done = run(*ONE_CPU, program, "trace", "--job", job, *words, env={**os.environ, **env})
        threads: int = json.loads(done.stdout)["model"]["threads"]
        return threads

    assert traced(hello, "-t", "2") == 2
    assert traced(hello, LLAMA_ARG_THREADS="3") == 3
    assert traced(cast(DEMO, args=("-t", "2"))) == 2


def test_without_a_limit_the_engine_chooses(hello: Path, run: Run) -> None:
    if len(os.sched_getaffinity(0)) < (os.cpu_count() or 1):
        pytest.skip("this suite itself may not use every CPU")
    done = run(hello, "-p", "x", "-n", "1", "-v")
    if b"quota" not in done.stderr:
        assert threads_of(done.stderr).startswith(b"threads: the engine's choice (")
