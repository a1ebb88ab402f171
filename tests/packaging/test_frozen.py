"""The single binary, on a machine that seems to have no Python."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from ingot import __version__
from ingot.cli import VERBS
from ingot.engine.image import RuntimeImage
from tests.conftest import REPOSITORY
from tests.packaging.conftest import Do

pytestmark = [pytest.mark.slow, pytest.mark.runtime, pytest.mark.network]


@pytest.fixture(scope="session")
def frozen(do: Do, runtime_image: RuntimeImage, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The binary."""
    folder = tmp_path_factory.mktemp("frozen")
    do(REPOSITORY / "dev", "freeze", "--distpath", folder, "--workpath", folder / "work")
    return folder / "ingot"


def test_it_makes_the_same_demo_as_the_checkout(
    do: Do, frozen: Path, bare: dict[str, str], demo: bytes, tmp_path: Path
) -> None:
    do(frozen, "demo", "-o", "demo", env=bare, cwd=tmp_path)
    assert (tmp_path / "demo").read_bytes() == demo
    assert sorted(os.listdir(tmp_path / "cache")) == ["carried", "digests", "logs"]


def test_it_is_one_file_of_a_sensible_size(
    do: Do, frozen: Path, bare: dict[str, str], tmp_path: Path
) -> None:
    assert do(frozen, "--version", env=bare, cwd=tmp_path).stdout == f"ingot {__version__}\n"
    assert frozen.stat().st_size < 60e6
    assert not (tmp_path / "cache").exists(), "unpacked when it is asked for, not at every start"


def test_it_has_every_verb(do: Do, frozen: Path, bare: dict[str, str], tmp_path: Path) -> None:
    for verb in VERBS:
        said = do(frozen, verb, "--help", env=bare, cwd=tmp_path).stdout
        assert said.startswith(f"Usage: ingot {verb}")


def test_its_doctor_says_that_the_runtime_is_carried(
    do: Do, frozen: Path, bare: dict[str, str], tmp_path: Path
) -> None:
    facts = json.loads(do(frozen, "doctor", "--json", env=bare, cwd=tmp_path).stdout)
    assert (facts["runtime_carried"], facts["runtime_cached"]) == (True, False)


def test_what_it_has_to_fetch_needs_a_python_with_pip(
    do: Do, frozen: Path, bare: dict[str, str], tmp_path: Path
) -> None:
    argv = ("toolchain", "install", "cuda", "--json")
    done = do(frozen, *argv, env=bare, cwd=tmp_path, check=False)
    error = json.loads(done.stdout)["error"]
    assert (done.returncode, error["code"]) == (6, "no-pip")
    with_python = {**os.environ, **bare, "INGOT_PYTHON": sys.executable}
    said = do(frozen, "doctor", "--network", env=with_python, cwd=tmp_path).stdout
    assert "ok  package index: pip can fetch from it" in said


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_it_ends_politely_whoever_else_is_told(
    frozen: Path, bare: dict[str, str], tmp_path: Path, number: signal.Signals
) -> None:
    """Both processes get a terminal's Ctrl-C, and the bootloader passes its own on to Python."""
    child = subprocess.Popen(
        [frozen, "demo", "-o", "demo"],
        env=bare,
        cwd=tmp_path,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    deadline = time.monotonic() + 60
    while not (tmp_path / "cache").exists() and time.monotonic() < deadline:
        time.sleep(0.01)
    os.killpg(child.pid, number)
    _, errors = child.communicate(timeout=60)
    assert (child.returncode, errors.splitlines()[-1]) == (130, "interrupted")
    assert not [path for path in tmp_path.rglob("*") if ".tmp-" in path.name]


def test_without_the_runtime_there_is_no_binary(do: Do, tools: Path, tmp_path: Path) -> None:
    empty = {**os.environ, "INGOT_CACHE": str(tmp_path / "cache")}
    places = ("--distpath", tmp_path / "out", "--workpath", tmp_path / "work")
    spec = REPOSITORY / "recipes" / "ingot.spec"
    done = do(tools, "-m", "PyInstaller", *places, spec, env=empty, check=False)
    assert done.returncode != 0
    assert "./dev freeze" in done.stderr and "Traceback" not in done.stderr
    assert not list(tmp_path.glob("out/*"))
