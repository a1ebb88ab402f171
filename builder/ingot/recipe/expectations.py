"""Running a recipe's tests against an executable that was built."""

from __future__ import annotations

import os
import re
import socket
import subprocess
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import requests

from ingot.console import Progress
from ingot.errors import IngotError
from ingot.parity.compare import Request, compare
from ingot.parity.text import TEXT, read_text
from ingot.parity.verdict import meets
from ingot.process import child_env
from ingot.recipe.conformance import check_api
from ingot.recipe.schema import Expectation

TIMEOUT = 600.0  # seconds for one answer
STARTUP = 600.0  # seconds until a server answers
_SHOWN = 200  # characters of an answer in a report


@dataclass(frozen=True)
class Outcome:
    """What one test gave: ``problems`` is empty when it passed. Times are seconds, sizes bytes."""

    name: str
    problems: tuple[str, ...]
    answer: str | None = None
    first_token_seconds: float | None = None
    seconds: float | None = None
    memory: int | None = None
    verdict: str | None = None

    @property
    def passed(self) -> bool:
        """Whether everything was as expected."""
        return not self.problems

    def to_json(self) -> dict[str, Any]:
        """For ``--json`` and CI summaries."""
        return {**vars(self), "problems": list(self.problems), "passed": self.passed}


def run_tests(
    executable: Path, tests: Sequence[Expectation], folder: Path, progress: Progress
) -> list[Outcome]:
    """All of ``tests``, one after another, so that their budgets mean something. Paths in them are
    from ``folder``.
    """
    outcomes = []
    for number, test in enumerate(tests, 1):
        name = test.name or f"test {number}"
        with progress.step(f"Testing {executable.name}: {name}"):
            outcomes.append(run_test(executable, test, name, folder, progress))
    return outcomes


def run_test(
    executable: Path, test: Expectation, name: str, folder: Path, progress: Progress
) -> Outcome:
    """One test."""
    if test.compare is not None:
        return _compare(executable, test, test.compare, name, folder, progress)
    if test.api is not None:
        with serving(executable, test.args) as (base, problem):
            problems = [problem] if problem else check_api(base)
        return Outcome(name, tuple(problems))
    assert test.prompt is not None
    answer = ask(executable, test.prompt, test.args)
    return Outcome(
        name,
        tuple(_problems(test, answer)),
        answer.text,
        answer.first_token_seconds,
        answer.seconds,
        answer.memory,
    )


def _compare(
    executable: Path,
    test: Expectation,
    other: str,
    name: str,
    folder: Path,
    progress: Progress,
) -> Outcome:
    """The other side is what the executable is held to."""
    text = folder / test.text if test.text else TEXT
    held_to = other if "://" in other else str(folder / Path(other).expanduser())
    request = Request(read_text(text))
    try:
        document = compare(held_to, [str(executable)], request, progress)
    except IngotError as error:
        return Outcome(name, (error.message,))
    verdict, problems = str(document["verdict"]), []
    if not meets(verdict, test.require):
        why = "; ".join(document["reasons"])
        problems.append(f"the verdict is {verdict}, and {test.require} is required: {why}")
    return Outcome(name, tuple(problems), verdict=verdict)


@dataclass(frozen=True)
class Answer:
    """What a completion printed, and what it took. ``memory`` is the peak of resident bytes,
    mapped weights included.
    """

    status: int
    text: str
    errors: str
    first_token_seconds: float
    seconds: float
    memory: int


def ask(executable: Path, prompt: str, args: Sequence[str]) -> Answer:
    """Let ``executable`` complete ``prompt``, with its standard input empty."""
    started = time.monotonic()
    with tempfile.TemporaryFile() as errors:
        child = subprocess.Popen(
            [executable.absolute(), "-p", prompt, *args],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=errors,
            env=child_env(),
            start_new_session=True,
        )
        assert child.stdout is not None
        overdue = threading.Timer(TIMEOUT, child.kill)
        overdue.start()
        try:
            text = os.read(child.stdout.fileno(), 65536)
            first = time.monotonic() - started
            text += child.stdout.read()
            # Not by Popen.wait, which does not tell what this one child took.
            _pid, status, usage = os.wait4(child.pid, 0)
            child.returncode = os.waitstatus_to_exitcode(status)
        finally:
            overdue.cancel()
            child.stdout.close()
            if child.returncode is None:  # interrupted; it has a session of its own
                child.kill()
                child.wait()
        errors.seek(0)
        said = errors.read()
    return Answer(
        status=child.returncode,
        text=text.decode("utf-8", "replace"),
        errors=said.decode("utf-8", "replace"),
        first_token_seconds=first,
        seconds=time.monotonic() - started,
        memory=usage.ru_maxrss * 1024,
    )


def _problems(test: Expectation, answer: Answer) -> Iterator[str]:
    if answer.status != 0:
        said = answer.errors.strip().splitlines()
        yield f"it ended with exit status {answer.status}: {said[-1] if said else 'silently'}"
        return
    shown = answer.text.strip()[:_SHOWN]
    if test.expect is not None and test.expect not in answer.text:
        yield f"{test.expect!r} is not in the answer {shown!r}"
    if test.matches is not None and not re.search(test.matches, answer.text):
        yield f"{test.matches!r} does not match the answer {shown!r}"
    budget = test.first_token_seconds
    if budget is not None and answer.first_token_seconds > budget:
        yield f"the first token took {answer.first_token_seconds:.2f} s; the budget is {budget:g} s"
    if test.memory is not None and answer.memory > test.memory:
        yield f"it took {answer.memory} bytes of memory; the budget is {test.memory}"


@contextmanager
def serving(executable: Path, args: Sequence[str]) -> Iterator[tuple[str, str | None]]:
    """A server of ``executable`` on a free port: its base address, or what stood against it."""
    port = _free_port()
    base = f"http://127.0.0.1:{port}"
    with subprocess.Popen(
        [executable.absolute(), "serve", "--port", str(port), *args],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        env=child_env(),
        start_new_session=True,
    ) as child:
        try:
            yield base, _wait(child, base)
        finally:
            child.terminate()
            try:
                child.wait(20)
            except subprocess.TimeoutExpired:
                child.kill()


def _wait(child: subprocess.Popen[bytes], base: str) -> str | None:
    end = time.monotonic() + STARTUP
    while time.monotonic() < end:
        if child.poll() is not None:
            return f"the server ended with exit status {child.returncode}"
        try:
            if requests.get(f"{base}/health", timeout=5).status_code == 200:
                return None
        except requests.RequestException:
            pass
        time.sleep(0.05)
    return f"the server did not answer within {STARTUP:g} s"


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
