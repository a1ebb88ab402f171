"""ingot quantize with the real quantiser: mixes, importance matrices, what is refused."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from ingot.engine.image import RuntimeImage
from ingot.gguf.reader import read_gguf
from ingot.models.quantize import NEED_IMATRIX, TYPES
from tests.conftest import REPOSITORY, Ingot, Run
from tests.models import DEMO
from tests.models.loadable import FAULTS, write
from tests.models.quantised import MIXES

pytestmark = pytest.mark.runtime


@pytest.fixture
def home(tmp_path: Path, ingot: Ingot, runtime_image: RuntimeImage) -> Path:
    return tmp_path / "cwd"


def error(done: subprocess.CompletedProcess[str]) -> tuple[int, str]:
    return done.returncode, json.loads(done.stdout)["error"]["code"]


def test_the_mix_is_the_engines_and_told_per_tensor(home: Path, ingot: Ingot) -> None:
    done = ingot("quantize", DEMO, "q4.gguf", "q4_k_m", "--json")
    assert done.returncode == 0, done.stderr
    document = json.loads(done.stdout)
    after = {tensor.name: tensor.type for tensor in read_gguf(home / "q4.gguf").tensors}
    assert {one["name"]: one["after"] for one in document["changes"]} == after
    mix = MIXES["Q4_K_M"]
    matrices = [one for one in document["changes"] if one["before"] != "F32"]
    assert all(one["after"] == mix.type_of(one["name"]).name for one in matrices)
    assert document["size_after"] == (home / "q4.gguf").stat().st_size
    assert 4.9 < document["bits_per_weight"] < 5.1
    assert [path.name for path in home.iterdir()] == ["q4.gguf"], "nothing is left"
    said = ingot("quantize", DEMO, "q4.gguf", "Q4_K_M", "--force").stdout
    assert "bits per weight" in said
    assert re.search(r"BF16 +to +Q6_K +5 ", said)


def test_a_full_disk_is_told_as_one(home: Path) -> None:
    if os.geteuid() != 0:
        pytest.skip("only root can mount a small file system")
    script = "mkdir full && mount -t tmpfs -o size=5m none full && "
    script += '"$@" quantize "$0" full/q.gguf Q8_0; code=$?; ls -A full >&2; exit $code'
    words = ["bash", "-c", script, str(DEMO), sys.executable, "-P", "-m", "ingot"]
    done = subprocess.run(
        ["unshare", "-m", *words], cwd=home, capture_output=True, text=True, check=False
    )
    assert done.returncode == 3, done.stderr
    error, hint = done.stderr.splitlines()[-2:]
    assert error == "error: full/q.gguf: the quantiser could not write it whole"
    assert hint.startswith("hint: its folder has ")


def test_a_matrix_is_computed_from_a_text(home: Path, ingot: Ingot, run: Run, hello: Path) -> None:
    text = home / "text.txt"
    text.write_text((REPOSITORY / "builder" / "ingot" / "process.py").read_text() * 2)
    assert error(ingot("quantize", DEMO, "iq2.gguf", "IQ2_S", "--json")) == (3, "no-imatrix")
    done = ingot("quantize", DEMO, "iq2.gguf", "IQ2_S", "--imatrix", "text.txt")
    assert done.returncode == 0, done.stderr
    assert re.search(r"BF16 +to +IQ2_XS +30 ", done.stdout)
    answer = run(hello, "-m", home / "iq2.gguf", "-p", "def add(a, b):", "-n", "8", "--temp", "0")
    assert answer.returncode == 0
    assert answer.stdout.strip()


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (("IN", "out.gguf", "Q4_KM"), (2, "unknown-type")),
        (("gone.gguf", "out.gguf", "Q4_0"), (3, "file-missing")),
        (("text", "out.gguf", "Q4_0"), (3, "gguf-magic")),
        (("IN", "text", "Q4_0"), (3, "output-exists")),
        (("IN", "IN", "Q4_0"), (3, "output-is-input")),
        (("IN", "no/where.gguf", "Q4_0"), (3, "output-folder-missing")),
        (("IN", "out.gguf", "IQ1_S", "--imatrix", "gone"), (3, "file-unreadable")),
        (("IN", "out.gguf", "IQ1_S", "--imatrix", "empty"), (6, "tool-failed")),
    ],
)
def test_what_is_refused(
    home: Path, ingot: Ingot, words: tuple[str, ...], expected: tuple[int, str]
) -> None:
    (home / "text").write_text("hello")
    (home / "empty").touch()
    given = [str(DEMO) if word == "IN" else word for word in words]
    assert error(ingot("quantize", *given, "--json")) == expected
    assert sorted(path.name for path in home.iterdir()) == ["empty", "text"]


def test_twice_only_if_one_insists(home: Path, ingot: Ingot) -> None:
    assert ingot("quantize", DEMO, "q8.gguf", "Q8_0").returncode == 0
    again = ("quantize", "q8.gguf", "q4.gguf", "Q4_0")
    assert error(ingot(*again, "--json")) == (3, "already-quantised")
    assert ingot(*again, "--requantize").returncode == 0


def test_the_types_are_the_engines(engine_source: Path) -> None:
    text = (engine_source / "tools" / "quantize" / "quantize.cpp").read_text()
    table = text[text.index("QUANT_OPTIONS = {") :].partition("};")[0]
    named = re.findall(r'^\s*{ "(\w+)",', table, re.MULTILINE)
    assert [name for name in named if name != "COPY"] == list(TYPES)
    assert set(TYPES) >= NEED_IMATRIX


def test_what_the_engine_refuses_is_not_quantised(home: Path, ingot: Ingot) -> None:
    write(home / "m.gguf", FAULTS["twin tokens"][0])
    done = ingot("quantize", "m.gguf", "q.gguf", "Q8_0")
    assert done.returncode == 3 and "error: m.gguf: the engine cannot load it: " in done.stderr
    assert [path.name for path in home.iterdir()] == ["m.gguf"]
