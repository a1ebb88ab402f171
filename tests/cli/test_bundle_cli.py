"""inspect, verify, extract and repack as a user meets them."""

from __future__ import annotations

import importlib
import json
import os
import subprocess
import tomllib
from collections.abc import Callable
from pathlib import Path

import pytest

from ingot.cli import VERBS
from tests.golden.samples import seed_cache, write_model, write_split

Ingot = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture
def hello(ingot: Ingot, cache: Path, tmp_path: Path) -> Path:
    seed_cache()
    model = write_model(tmp_path / "tiny.gguf")
    done = ingot("build", model, "-o", tmp_path / "hello", "--args", "-c 64")
    assert done.returncode == 0, done.stderr
    return tmp_path / "hello"


def flip(path: Path, at: int) -> None:
    raw = bytearray(path.read_bytes())
    raw[at] ^= 0xFF
    path.write_bytes(raw)


def test_inspect_shows_model_runtime_and_entries(ingot: Ingot, hello: Path) -> None:
    text = ingot("inspect", hello).stdout
    for word in ("Tiny", "llama", "apache-2.0", "chat template", "F32", "100.0%", "-c 64"):
        assert word in text
    for entry in (
        "models/tiny.gguf",
        "hashes/tiny.gguf.sha256",
        "modules/linux-x86_64/ggml-cpu-haswell.so",
    ):
        assert entry in text
    assert "ui/ (2 files)" in text


def test_inspect_json_is_the_manifest(ingot: Ingot, hello: Path) -> None:
    document = json.loads(ingot("inspect", hello, "--json").stdout)
    assert document["kind"] == "executable"
    assert document["file_size"] == hello.stat().st_size
    assert document["entries"][0]["name"] == "models/tiny.gguf"


def test_inspect_reads_plain_and_split_ggufs(ingot: Ingot, tmp_path: Path) -> None:
    plain = ingot("inspect", write_model(tmp_path / "m.gguf"))
    assert "m.gguf: GGUF version 3, 3 tensors" in plain.stdout
    parts = write_split(tmp_path)
    document = json.loads(ingot("inspect", parts[2], "--json").stdout)
    assert document["kind"] == "gguf"
    assert len(document["files"]) == document["tensors"] == 3


def test_inspect_keeps_control_characters_off_the_terminal(ingot: Ingot, tmp_path: Path) -> None:
    path = write_model(tmp_path / "m.gguf", general__name="\x1b]0;owned\x07")
    assert "\x1b" not in ingot("inspect", path).stdout


def test_no_word_of_a_gguf_reaches_a_terminal_raw(
    ingot: Ingot, cache: Path, tmp_path: Path
) -> None:
    seed_cache()
    odd = "bad\x1b[31m\x9b\u202e\nline2"
    path = write_model(
        tmp_path / "m.gguf",
        general__name=odd,
        general__architecture=odd,
        general__license=odd,
    )
    for words in (
        ("build", path, "-o", tmp_path / "out"),
        ("build", path, "-o", tmp_path / "out", "--force", "--json"),
        ("inspect", path),
        ("inspect", path, "--json"),
        ("inspect", tmp_path / "out"),
        ("kernels", path),
        ("init", path),
    ):
        done = ingot(*words)
        shown = done.stdout + done.stderr
        assert all(c.isprintable() or c == "\n" for c in shown), words
        assert not any(line.startswith("line2") for line in shown.splitlines()), words
    recipe = (tmp_path / "cwd" / "ingot.toml").read_text()
    assert all(c.isprintable() or c == "\n" for c in recipe)
    assert tomllib.loads(recipe)["metadata"]["license"] == odd


def test_inspect_of_something_else(ingot: Ingot, tmp_path: Path) -> None:
    path = tmp_path / "x"
    path.write_text("text")
    done = ingot("inspect", path)
    assert (done.returncode, done.stdout) == (3, "")


def test_verify_of_an_intact_executable(ingot: Ingot, hello: Path) -> None:
    done = ingot("verify", hello)
    assert (done.returncode, "intact" in done.stdout) == (0, True)
    assert json.loads(ingot("verify", hello, "--json").stdout)["intact"] is True


def test_verify_names_damaged_entries_and_exits_1(ingot: Ingot, hello: Path) -> None:
    document = json.loads(ingot("inspect", hello, "--json").stdout)
    flip(hello, document["entries"][0]["offset"] + 50)
    module = next(e for e in document["entries"] if e["role"] == "module")
    flip(hello, module["offset"])
    done = ingot("verify", hello)
    assert done.returncode == 1
    assert f"error: {hello}: damaged: models/tiny.gguf, {module['name']}" in done.stderr
    assert done.stdout.count("damaged: ") == 2
    done = ingot("verify", hello, "--json")
    assert done.returncode == 1
    findings = json.loads(done.stdout)["findings"]
    assert [f["entry"] for f in findings] == ["models/tiny.gguf", module["name"]]


def test_verify_of_a_truncated_or_altered_executable_exits_5(ingot: Ingot, hello: Path) -> None:
    raw = hello.read_bytes()
    hello.write_bytes(raw[:-1000])
    done = ingot("verify", hello)
    assert done.returncode == 5
    assert f"{hello}: is truncated" in done.stderr
    hello.write_bytes(raw.replace(b'"-c"', b'"-x"', 1))
    done = ingot("verify", hello, "--json")
    assert done.returncode == 5
    assert json.loads(done.stdout)["error"]["code"] == "manifest-damaged"


def test_extract_everything_and_one(ingot: Ingot, hello: Path, tmp_path: Path) -> None:
    done = ingot("extract", hello, "-o", tmp_path / "all")
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "all/models/tiny.gguf").read_bytes() == (tmp_path / "tiny.gguf").read_bytes()
    done = ingot("extract", hello, "-o", tmp_path / "one", "tiny.gguf", "--json")
    (file,) = json.loads(done.stdout)["files"]
    assert file["path"] == str(tmp_path / "one/models/tiny.gguf")
    assert os.listdir(tmp_path / "one") == ["models"]
    done = ingot("extract", hello, "-o", tmp_path / "one", "tiny.gguf")
    assert done.returncode == 3
    assert "exists already" in done.stderr
    assert ingot("extract", hello, "nothing").returncode == 3


def test_repack_in_place_and_elsewhere(ingot: Ingot, hello: Path, tmp_path: Path) -> None:
    before = hello.read_bytes()
    done = ingot("repack", hello, "--engine", "current")
    assert done.returncode == 0, done.stderr
    assert hello.read_bytes() == before
    other = tmp_path / "other"
    options = ("--name", "Other", "--args", "", "--no-ui")
    document = json.loads(ingot("repack", hello, "-o", other, *options, "--json").stdout)
    assert document["manifest"]["name"] == "Other"
    assert document["manifest"]["defaults"] == {"args": [], "ui": False}
    assert ingot("verify", other).returncode == 0
    assert hello.read_bytes() == before
    assert ingot("repack", hello, "-o", other).returncode == 3
    assert ingot("repack", hello, "--engine", "older").returncode == 2


def test_repack_of_a_truncated_executable(ingot: Ingot, hello: Path) -> None:
    os.truncate(hello, hello.stat().st_size - 10)
    assert ingot("repack", hello).returncode == 5


@pytest.mark.parametrize("verb", ["build", "inspect", "verify", "extract", "repack"])
def test_help_is_short_and_agrees_with_the_list(ingot: Ingot, verb: str) -> None:
    assert importlib.import_module(f"ingot.commands.{verb}").command.short_help == VERBS[verb]
    done = ingot(verb, "--help")
    assert done.returncode == 0
    assert "--json" in done.stdout
