"""Standard streams that are closed, full or gone, and names that are not UTF-8."""

from __future__ import annotations

import json
import os
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from tests.golden.samples import seed_cache, write_model

NAME = b"caf\xe9.gguf"


@pytest.fixture(autouse=True)
def seeded(cache: Path) -> None:
    seed_cache()


@pytest.fixture
def model(tmp_path: Path) -> Path:
    return write_model(tmp_path / "tiny.gguf")


def shell(redirection: str, *words: str | Path, cwd: Path) -> subprocess.CompletedProcess[str]:
    """Run Ingot with ``redirection``, which an ordinary parent process cannot do."""
    command = shlex.join([sys.executable, "-P", "-m", "ingot", *map(str, words)])
    return subprocess.run(
        ["sh", "-c", f"{command} {redirection}"],
        cwd=cwd,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )


@pytest.mark.parametrize(
    ("redirection", "json_flag"), [(">&-", []), (">/dev/full", []), (">/dev/full", ["--json"])]
)
def test_a_result_that_cannot_be_printed(
    redirection: str, json_flag: list[str], model: Path, tmp_path: Path
) -> None:
    inspected = shell(redirection, "inspect", model, *json_flag, cwd=tmp_path)
    built = shell(redirection, "build", model, "-o", "out", *json_flag, cwd=tmp_path)
    for done in (inspected, built):
        assert done.returncode == 3
        assert done.stderr.count("error: ") == 1 and "Traceback" not in done.stderr
        assert "error: cannot write to standard output: " in done.stderr
    assert os.access(tmp_path / "out", os.X_OK)  # what was made stays


@pytest.mark.parametrize("redirection", ["2>&-", "2>/dev/full", "0<&- 2>&-"])
def test_messages_that_cannot_be_printed_change_nothing(
    redirection: str, model: Path, tmp_path: Path
) -> None:
    done = shell(redirection, "build", model, "-o", "out", cwd=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("out  ") and os.access(tmp_path / "out", os.X_OK)
    assert shell(redirection, "inspect", "gone", cwd=tmp_path).returncode == 3


def test_with_neither_stream_the_status_says_it(model: Path, tmp_path: Path) -> None:
    done = shell(">&- 2>&-", "build", model, "-o", "out", cwd=tmp_path)
    assert (done.returncode, done.stdout, done.stderr) == (3, "", "")
    before = (tmp_path / "out").read_bytes()
    assert shell("<&- >&- 2>&-", "inspect", "gone", "--json", cwd=tmp_path).returncode == 3
    assert (tmp_path / "out").read_bytes() == before


def test_an_error_as_json_that_cannot_be_printed_is_told_as_text(tmp_path: Path) -> None:
    done = shell(">/dev/full", "inspect", "gone", "--json", cwd=tmp_path)
    assert done.returncode == 3
    assert done.stderr.startswith("error: gone: there is no such file\nhint: ")


def test_a_reader_that_leaves_is_no_error(model: Path, tmp_path: Path) -> None:
    done = shell("| true", "inspect", model, cwd=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")


# verb and its arguments -> exit code, for a model of that name in a folder of that name
VERBS: dict[str, tuple[list[str | bytes], int]] = {
    "build": (["MODEL", "-o", b"o\xff"], 0),
    "build without -o": (["MODEL"], 0),
    "inspect": (["MODEL"], 0),
    "kernels": (["MODEL"], 3),  # the stand-in cannot be asked
    "quantize": (["MODEL", b"q\xff.gguf", "Q9_9"], 2),
    "init": (["MODEL"], 3),
    "verify": (["MODEL"], 3),
    "extract": (["MODEL"], 3),
    "repack": (["MODEL"], 3),
    "plan": (["MODEL"], 3),
    "lock": (["MODEL"], 3),
}


AS_JSON = ("build without -o", "init", "inspect")


@pytest.mark.parametrize("case", VERBS)
def test_names_that_are_not_utf8(case: str, tmp_path: Path) -> None:
    folder = os.fsencode(tmp_path) + b"/d\xfc"
    os.mkdir(folder)
    path = folder + b"/" + NAME
    write_model(Path(os.fsdecode(path)))
    words, status = VERBS[case]
    json_flag = ["--json"] if case in AS_JSON else []
    given = [path if word == "MODEL" else word for word in words]
    done = subprocess.run(
        [sys.executable, "-P", "-m", "ingot", case.split()[0], *given, *json_flag],
        cwd=folder,
        capture_output=True,
        check=False,
        timeout=120,
    )
    assert done.returncode == status, done.stderr
    assert b"Traceback" not in done.stderr
    if json_flag:
        json.loads(done.stdout)
    elif status:
        assert b"error: " in done.stderr


def test_what_is_recorded_of_such_a_name_is_utf8(tmp_path: Path) -> None:
    path = Path(os.fsdecode(os.fsencode(tmp_path) + b"/" + NAME))
    write_model(path)
    built = shell("", "build", path, "-o", "out", cwd=tmp_path)
    assert built.returncode == 0, built.stderr
    done = shell("", "inspect", "out", "--json", cwd=tmp_path)
    document = json.loads(done.stdout)
    assert document["name"] == "caf_" and document["entries"][0]["name"] == "models/caf_.gguf"
    assert shell("", "verify", "out", cwd=tmp_path).returncode == 0
