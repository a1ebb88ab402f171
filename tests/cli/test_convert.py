"""ingot convert with the real converter: exact, the same bytes again, and nothing of the
checkpoint's code is run.
"""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from gguf import GGUFReader

from ingot.models.checkpoint import INDEX
from tests.conftest import Ingot
from tests.models import DEMO, faulty
from tests.models.hf_llama import hf_llama

pytestmark = [pytest.mark.slow, pytest.mark.network]


@pytest.fixture
def folder(tmp_path: Path, ingot: Ingot) -> Path:
    return hf_llama(tmp_path / "cwd" / "pystdlib")


def error(done: subprocess.CompletedProcess[str]) -> tuple[int, str]:
    return done.returncode, json.loads(done.stdout)["error"]["code"]


def tensors(path: Path) -> dict[str, tuple[int, bytes]]:
    return {t.name: (int(t.tensor_type), t.data.tobytes()) for t in GGUFReader(path).tensors}


def test_the_demo_comes_out_bit_for_bit(folder: Path, ingot: Ingot) -> None:
    done = ingot("convert", folder, "-o", "out.gguf", "--json")
    assert done.returncode == 0, done.stderr
    out = folder.parent / "out.gguf"
    assert tensors(out) == tensors(DEMO)
    document = json.loads(done.stdout)
    assert document["model"]["vocabulary"] == 4096
    keys = GGUFReader(out).fields
    for key, value in document["provenance"].items():
        assert bytes(keys[key].parts[-1]).decode() == value
    assert str(folder.parent) not in str(document["provenance"])
    assert sorted(path.name for path in folder.parent.iterdir()) == ["out.gguf", "pystdlib"]


def test_shards_give_the_same_model_and_code_beside_them_is_not_run(
    folder: Path, ingot: Ingot, tmp_path: Path
) -> None:
    assert ingot("convert", folder, "-o", "one.gguf").returncode == 0
    (tmp_path / "other").mkdir()
    other = hf_llama(tmp_path / "other" / "pystdlib", shards=3)
    trap = tmp_path / "was-run"
    code = f"open({str(trap)!r}, 'w')\n"
    for name in ("modeling_trap.py", "torch.py", "gguf.py", "sitecustomize.py", "conversion.py"):
        (other / name).write_text(code)
    auto = {"AutoConfig": "modeling_trap.C", "AutoTokenizer": ["modeling_trap.T", None]}
    for name in ("config.json", "tokenizer_config.json"):
        content = json.loads((other / name).read_text())
        (other / name).write_text(json.dumps({**content, "auto_map": auto}))
    done = ingot("convert", other, "-o", "../three.gguf", cwd=other)
    assert done.returncode == 0, done.stderr
    assert not trap.exists()
    assert tensors(other.parent / "three.gguf") == tensors(folder.parent / "one.gguf")


@pytest.mark.parametrize(("kind", "name"), [("f32", "F32"), ("f16", "F16"), ("q8_0", "Q8_0")])
def test_other_types(folder: Path, ingot: Ingot, kind: str, name: str) -> None:
    done = ingot("convert", folder, "--type", kind, "--json")
    assert done.returncode == 0, done.stderr
    document = json.loads(done.stdout)
    assert document["output"] == f"pystdlib-{kind}.gguf"
    assert name in document["model"]["tensor_types"]


def outside(folder: Path) -> None:
    (folder / INDEX).write_text(json.dumps({"weight_map": {"a": "../../etc/passwd"}}))


def absurd(folder: Path) -> None:
    (folder / "model.safetensors").write_bytes(b"\xff" * 64)


FAULTS: list[tuple[Callable[[Path], object], str]] = [
    (faulty.pickled, "pickled-weights"),
    (faulty.misnamed, "damaged-weights"),
    (faulty.missing_shard, "missing-shard"),
    (outside, "bad-checkpoint"),
    (lambda folder: (folder / INDEX).write_text('{"weight_map": {"a": []}}'), "bad-checkpoint"),
    (faulty.truncated, "damaged-weights"),
    (faulty.truncated_beside_an_index, "damaged-weights"),
    (absurd, "damaged-weights"),
    (
        lambda folder: faulty.configure(folder, architectures=["LlamaForCausalLn"]),
        "unknown-architecture",
    ),
    (lambda folder: (folder / "model.safetensors").unlink(), "missing-shard"),
    (faulty.without_tokenizer, "no-tokenizer"),
    (lambda folder: (folder / "config.json").unlink(), "no-checkpoint"),
    (lambda folder: (folder / "config.json").write_text("[" * 100_000), "bad-checkpoint"),
    (lambda folder: (folder / "config.json").write_text("{}"), "bad-checkpoint"),
    (lambda folder: shutil.rmtree(folder), "no-checkpoint"),
]


@pytest.mark.parametrize(("fault", "code"), FAULTS)
def test_what_is_refused(
    folder: Path, ingot: Ingot, fault: Callable[[Path], object], code: str
) -> None:
    fault(folder)
    done = ingot("convert", folder, "-o", "out.gguf", "--json")
    assert error(done) == (3, code), done.stdout
    assert not (folder.parent / "out.gguf").exists()
    assert not (folder / faulty.TRAP).exists()
    if code == "unknown-architecture":
        assert "LlamaForCausalLM" in json.loads(done.stdout)["error"]["hint"]


def test_what_the_converter_says_is_told(folder: Path, ingot: Ingot) -> None:
    (folder / "tokenizer.model").write_bytes(b"no such thing")
    done = ingot("convert", folder, "-o", "out.gguf")
    assert done.returncode == 6
    assert "could not be converted: " in done.stderr
    assert "log: " in done.stderr
    assert [path.name for path in folder.parent.iterdir()] == ["pystdlib"]
