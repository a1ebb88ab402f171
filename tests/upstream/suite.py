"""llama.cpp's own server tests, run against any program that takes llama-server's command line.

They stay in the engine's package: a run works on a temporary copy, in which the names of other
hosts are replaced by a Hub on this machine (tests/hub), and reaches no other one.
"""

from __future__ import annotations

import contextlib
import json
import os
import random
import shutil
import socket
import subprocess
import sys
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from tests.hub.server import Hub

RECORDER = Path(__file__).with_name("recorder.py")
SECONDS_PER_TEST = 90
_CACHED = (
    "ggml-org/test-model-stories260K",
    "ggml-org/test-model-stories260K-infill",
    "ggml-org/tinygemma3-GGUF",
)
_EXAMPLE = b"<!doctype html><title>Example Domain</title><h1>Example Domain</h1>\n"


@dataclass(frozen=True)
class Outcome:
    """``outcome`` is passed, failed or skipped; ``why`` is the failure's or the skip's message."""

    outcome: str
    why: str = ""
    seconds: float = 0.0


Outcomes = Mapping[str, Outcome]


# What waits more than it computes, or takes long: beside the rest, in a part of its own.
_APART = ("test_mcp_servers.py", "test_router.py", "test_sleep.py", "test_tools_builtin.py")


def shares(files: Sequence[str]) -> list[list[str]]:
    """Arguments of pytest for one or two runs side by side that take about as long."""
    apart = [f"unit/{file}" for file in files if file in _APART]
    rest = [f"unit/{file}" for file in files if file not in _APART]
    return [part for part in (rest, apart) if part]


def run(
    server: Path,
    hub: Hub,
    folder: Path,
    *,
    engine: Path,
    parts: Sequence[Sequence[str]],
) -> dict[str, Outcome]:
    """Outcomes by test, as ``test_basic.py::test_no_ui``; ``folder`` does not exist yet.

    Each of ``parts`` is a pytest of its own, with a port, a cache of models and a copy of its own;
    its words are pytest's arguments. They run at the same time.
    """
    with ThreadPoolExecutor(len(parts)) as pool:
        runs = [
            pool.submit(_run, server, hub, folder / str(number), engine, words)
            for number, words in enumerate(parts)
        ]
        return {name: found for each in runs for name, found in each.result().items()}


def _run(
    server: Path, hub: Hub, folder: Path, engine: Path, words: Sequence[str]
) -> dict[str, Outcome]:
    tests = copy_tests(engine, folder, hub)
    fill_cache(hub, folder / "models")
    found = folder / "outcomes.json"
    command = [sys.executable, "-m", "pytest", "-p", "recorder", "-q", "-m", "not slow"]
    command += ["-p", "no:cacheprovider", f"--timeout={SECONDS_PER_TEST}", *words]
    with (folder / "log").open("wb") as log:
        subprocess.run(
            command,
            cwd=tests,
            env=_environment(server, hub, folder) | {"INGOT_OUTCOMES": str(found)},
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            check=False,
            timeout=1500,
        )
    assert found.is_file(), (folder / "log").read_text(errors="replace")[-3000:]
    entries = json.loads(found.read_text()).items()
    return {_own_name(name, hub): Outcome(**entry) for name, entry in entries}


def _own_name(name: str, hub: Hub) -> str:
    """A test's name as upstream has it, without the folder."""
    for theirs, ours in _hosts(hub).items():
        name = name.replace(ours, theirs)
    return name.removeprefix("unit/")


def fill_cache(hub: Hub, folder: Path) -> None:
    """Put what tests only look for into a cache of models, in the layout of the hub's own client.

    A router lists it; llama-server would have fetched the same before the first test.
    """
    for name in _CACHED:
        (commit,) = hub.repos[name].commits
        repository = folder / f"models--{name.replace('/', '--')}"
        (repository / "refs").mkdir(parents=True)
        (repository / "refs" / "main").write_text(commit)
        for path, file in hub.repos[name].commits[commit].items():
            to = repository / "snapshots" / commit / path
            to.parent.mkdir(parents=True, exist_ok=True)
            assert isinstance(file.source, Path)
            to.symlink_to(file.source)


def _environment(server: Path, hub: Hub, folder: Path) -> dict[str, str]:
    foreign = (
        "PYTEST",
        "PYTHON",
        "LLAMA_",
        "HF_",
        "HUGGING",
        "INGOT_",
        "OPENAI_",
        "SLOW_",
        "DEBUG",
    )
    kept = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(foreign) and not name.lower().endswith("_proxy")
    }
    return kept | {
        "LLAMA_SERVER_BIN_PATH": str(server),
        "LLAMA_CACHE": str(folder / "models"),
        "LLAMA_ARG_THREADS": "1",
        "HF_ENDPOINT": hub.url,
        "PORT": str(_port()),
        "PYTHONDONTWRITEBYTECODE": "1",
    }


def _port() -> int:
    """A free port below those that the system gives away, perhaps between two tests."""
    for port in random.sample(range(20000, 32000), 50):
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port
    raise RuntimeError("no port is free between 20000 and 32000")


def copy_tests(engine: Path, folder: Path, hub: Hub) -> Path:
    """Copy the tests and what they open by a relative path; return their folder in the copy."""
    root = folder / "llama.cpp"
    tests = root / "tools" / "server" / "tests"
    shutil.copytree(engine / "tools" / "server" / "tests", tests)
    shutil.copy(RECORDER, tests)
    (tests / "tmp").mkdir()
    (root / "models").symlink_to(engine / "models")
    (root / "tools" / "mtmd").mkdir()
    shutil.copy(engine / "tools" / "mtmd" / "test-1.jpeg", root / "tools" / "mtmd")
    hosts = _hosts(hub)
    for path in tests.rglob("*.py"):
        text = path.read_text(encoding="utf-8")
        for theirs, ours in hosts.items():
            text = text.replace(theirs, ours)
        path.write_text(text, encoding="utf-8")
    return tests


def _hosts(hub: Hub) -> dict[str, str]:
    return {
        "https://huggingface.co": hub.url,
        "http://example.com": hub.page("example.html", _EXAMPLE),
        "https://google.com/404": f"{hub.cdn_url}/404",
        "https://ggml.ai": hub.page("page.html", b"<!doctype html><title>no picture</title>\n"),
    }
