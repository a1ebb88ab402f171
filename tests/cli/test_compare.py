"""``ingot compare`` with real executables, GGUFs and folders. Servers: test_compare_server.py."""

from __future__ import annotations

import json
import pickle
import re
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from gguf import GGMLQuantizationType as Quant

from ingot.bundle.reader import open_bundle
from ingot.console import NullProgress
from ingot.toolchain import pythonenv
from tests.conftest import Cast, Ingot, Run
from tests.models import DEMO, faulty, minilm
from tests.models.ggufs import other_tokens
from tests.models.hf_llama import hf_llama
from tests.models.quantised import converted
from tests.serving import free_port

pytestmark = [pytest.mark.network, pytest.mark.runtime]

TEXT = "".join(
    f"def add_{n}(a, b):\n    total = a + b * {n}\n    return total\n\n" for n in range(40)
)


@pytest.fixture(scope="module")
def text(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("text") / "text.txt"
    path.write_text(TEXT)
    return path


@pytest.fixture(scope="module")
def smaller(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The demo model in Q4_0."""
    return converted(tmp_path_factory.mktemp("smaller") / "q4_0.gguf", Quant.Q4_0)


def _document(done: subprocess.CompletedProcess[str], status: int = 0) -> dict[str, Any]:
    assert done.returncode == status, done.stderr
    document = json.loads(done.stdout)
    assert isinstance(document, dict)
    return document


def test_a_model_is_identical_to_itself(ingot: Ingot, hello: Path, text: Path) -> None:
    words = ("compare", hello, DEMO, "--text", text, "--prompts", "3", "-n", "8")
    found = _document(ingot(*words, "--require", "identical", "--json"))
    assert found["verdict"] == "identical"
    summary = found["text"]["summary"]
    assert summary["kl"]["max"] == summary["logits"]["max"] == 0
    assert [item["relative_rms"] for item in found["layers"]] == [0] * 6
    assert found["greedy"]["diverged"] == 0
    assert found["a"]["kind"], found["b"]["kind"] == ("executable", "GGUF")


def test_the_perplexity_is_the_engines_own(
    ingot: Ingot, hello: Path, smaller: Path, text: Path, run: Run
) -> None:
    words = ("compare", hello, smaller, "--text", text, "-c", "256", "--tokens", "0", "--json")
    found = _document(ingot(*words))["text"]["summary"]["perplexity"]
    for side, model in (("a", ()), ("b", ("-m", smaller))):
        said = run(hello, "perplexity", *model, "-f", text, "-c", "256")
        match = re.search(rb"PPL = ([\d.]+) \+/- ([\d.]+)", said.stdout + said.stderr)
        assert match is not None
        assert found[side]["value"] == pytest.approx(float(match[1]), rel=2e-3)
        assert found[side]["error"] == pytest.approx(float(match[2]), rel=2e-3)


def test_a_quantised_model_is_compatible_and_not_more(
    ingot: Ingot, smaller: Path, text: Path, tmp_path: Path
) -> None:
    words = ("compare", DEMO, smaller, "--text", text, "--prompts", "4", "-n", "24")
    page, picture = tmp_path / "r.html", tmp_path / "r.png"
    done = ingot(*words, "--report", page, "--png", picture, "--prompt", "import os")
    assert done.returncode == 0, done.stderr
    assert "verdict: compatible\n  mean KL divergence: " in done.stdout
    assert "<svg" in page.read_text()
    assert picture.read_bytes().startswith(b"\x89PNG")

    strict = ingot(*words, "--require", "equivalent")
    assert strict.returncode == 1
    assert "error: the verdict is compatible, and equivalent is required" in strict.stderr
    found = _document(ingot(*words, "--require", "equivalent", "--json"), status=1)
    errors = [item["relative_rms"] for item in found["layers"]]
    assert 0.01 < errors[0] < errors[-1] < 0.5
    assert len(found["greedy"]["prompts"]) == 4


def test_another_cpu_module_is_equivalent(ingot: Ingot, hello: Path, text: Path) -> None:
    words = ("compare", f"{hello}:cpu=sse42", f"{DEMO}:cpu=none:gpu=none", "--text", text)
    found = _document(ingot(*words, "--require", "equivalent", "--json"))
    assert [found[side]["cpu_module"] for side in "ab"] == ["sse42", "baseline"]
    assert found["verdict"] == "equivalent"


def test_what_settings_cost_in_precision(
    ingot: Ingot, hello: Path, text: Path, tmp_path: Path
) -> None:
    words = ("compare", hello, "--precision", "--text", text, "--tokens", "256", "-c", "128")
    found = _document(ingot(*words, "--report", tmp_path / "p.html", "--json"))
    by_name = {item["name"]: item for item in found["precision"]}
    assert found["verdict"] in ("identical", "equivalent")
    assert by_name["1 thread"]["verdict"] == "identical"
    bf16, f16 = (by_name[f"KV cache {kind}"]["text"]["summary"]["kl"]["mean"]
                 for kind in ("BF16", "F16"))  # fmt: skip
    assert bf16 > f16 > 0


@pytest.fixture(scope="module")
def folder(text: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny Llama as a Hugging Face folder."""
    made = tmp_path_factory.mktemp("tiny") / "tiny"
    python = pythonenv.ensure("convert", NullProgress())
    script = Path(minilm.__file__).with_name("tiny_llama.py")
    command = pythonenv.environment_command(python, script, text, made)
    subprocess.run(command, check=True, capture_output=True, timeout=600)
    return made


@pytest.mark.slow
def test_a_folder_and_the_gguf_that_it_was_converted_into(
    ingot: Ingot, folder: Path, engine_source: Path, text: Path, tmp_path: Path
) -> None:
    folder = shutil.copytree(folder, tmp_path / "tiny")
    faulty.add_pickle(folder)
    gguf = tmp_path / "tiny.gguf"
    python = str(pythonenv.ensure("convert", NullProgress()))
    minilm.convert(gguf, engine=engine_source, checkpoint=folder, outtype="f32", python=python)
    words = ("compare", folder, gguf, "--text", text, "-c", "256", "--prompts", "3", "-n", "12")
    found = _document(ingot(*words, "--require", "equivalent", "--json"))
    summary = found["text"]["summary"]
    assert 0 < summary["kl"]["max"] < 1e-5
    assert summary["top1"] > 0.99
    assert [item["layer"] for item in found["layers"]] == [0, 1, 2]
    assert all(0 < item["relative_rms"] < 1e-3 for item in found["layers"])
    assert found["greedy"]["diverged"] == 0
    assert not (folder / faulty.TRAP).exists()


def test_other_tokens_are_named_by_their_place(ingot: Ingot, text: Path, tmp_path: Path) -> None:
    other = other_tokens(tmp_path / "other.gguf")
    done = ingot("compare", DEMO, other, "--text", text)
    assert done.returncode == 3
    assert "tokenizers differ: token 12 of the text is 279 in A and 432 in B" in done.stderr


def test_what_cannot_be_compared(
    ingot: Ingot, hello: Path, text: Path, tmp_path: Path, folder: Path
) -> None:
    short, binary = tmp_path / "short.txt", tmp_path / "binary"
    short.write_text("too short")
    binary.write_bytes(b"\xff\xfe\x00")
    address = f"http://127.0.0.1:{free_port()}"
    cases: list[tuple[tuple[object, ...], int, str]] = [
        ((DEMO, DEMO, "--text", short), 3, "text-too-short"),
        ((DEMO, DEMO, "--text", binary), 3, "not-text"),
        ((DEMO, DEMO, "--text", tmp_path / "gone"), 3, "missing-file"),
        ((DEMO, tmp_path / "gone"), 3, "missing-file"),
        ((DEMO, f"{DEMO}@9.9"), 3, "unknown-engine"),
        ((DEMO, f"{DEMO}:cpu=z80"), 3, "no-such-module"),
        ((DEMO, f"{hello}:gpu=vulkan"), 3, "no-such-module"),
        ((DEMO, f"{DEMO}:gpu=amd"), 3, "no-such-module"),
        ((DEMO, f"{DEMO}@0.3.36:gpu=vulkan"), 3, "no-such-module"),
        ((DEMO, f"{hello}@0.3.36"), 2, "bad-suffix"),
        ((DEMO, f"{DEMO}:threads=2"), 2, "bad-suffix"),
        ((DEMO, address), 4, "no-server"),
        ((DEMO, tmp_path), 3, "no-checkpoint"),
        ((DEMO, folder), 3, "vocabularies-differ"),
        ((DEMO, DEMO, "--report", tmp_path / "gone" / "r.html"), 3, "missing-folder"),
        ((DEMO,), 2, "usage"),
        ((DEMO, DEMO, "--precision"), 2, "usage"),
        ((address, "--precision"), 2, "not-local"),
        ((DEMO, DEMO, "--require", "different"), 2, "usage"),
    ]
    for words, status, code in cases:
        error = _document(ingot("compare", *map(str, words), "--json"), status)["error"]
        assert (error["code"], error["exit_code"]) == (code, status), words
        assert error["hint"], words


@pytest.mark.parametrize(
    ("fault", "code"),
    [
        (faulty.missing_shard, "missing-shard"),
        (faulty.truncated, "damaged-weights"),
        (faulty.truncated_beside_an_index, "damaged-weights"),
        (faulty.misnamed, "damaged-weights"),
        (faulty.without_tokenizer, "no-tokenizer"),
        (lambda folder: (folder / "config.json").write_text("[" * 100_000), "bad-checkpoint"),
        (lambda folder: faulty.configure(folder, auto_map={"AutoConfig": "c.C"}), "needs-remote-"),
    ],
)
def test_a_broken_folder_is_seen_before_anything_is_started(
    ingot: Ingot, tmp_path: Path, fault: Callable[[Path], object], code: str
) -> None:
    folder, cache = hf_llama(tmp_path / "model"), tmp_path / "cache"
    fault(folder)
    done = ingot("compare", folder, DEMO, "--json", env={"INGOT_CACHE": str(cache)})
    error = _document(done, status=3)["error"]
    assert error["code"].startswith(code)
    assert error["hint"]
    assert not cache.exists()
    assert not (folder / faulty.TRAP).exists()


def test_a_pickle_is_refused_and_not_unpickled(ingot: Ingot, tmp_path: Path) -> None:
    folder = hf_llama(tmp_path / "model")
    faulty.pickled(folder)
    for sides in ((folder, DEMO), (DEMO, folder)):
        done = ingot("compare", *sides)
        assert (done.returncode, done.stdout) == (3, "")
        assert "its weights are pickled (pytorch_model.bin)" in done.stderr
    assert not (folder / faulty.TRAP).exists()
    pickle.loads((folder / "pytorch_model.bin").read_bytes())["lm_head.weight"].close()
    assert (folder / faulty.TRAP).exists()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("changes", "code", "words"),
    [
        (
            {"architectures": ["NopeForCausalLM"], "model_type": "nope"},
            "unknown-architecture",
            "no such model that writes: NopeForCausalLM (nope)",
        ),
        ({"num_hidden_layers": 7}, "missing-tensor", "'model.layers.6.input_layernorm.weight'"),
        ({"intermediate_size": 512}, "wrong-shape", "config.json asks for [256, 512]"),
        ({"num_attention_heads": 0}, "side-failed", "ZeroDivisionError"),
    ],
)
def test_a_folder_that_transformers_cannot_use(
    ingot: Ingot, tmp_path: Path, changes: dict[str, object], code: str, words: str
) -> None:
    folder = hf_llama(tmp_path / "model")
    faulty.configure(folder, **changes)
    done = ingot("compare", folder, DEMO, "--tokens", "64", "--json")
    error = _document(done, status=3)["error"]
    assert error["code"] == code
    assert words in error["message"]
    assert error["hint"]
    assert "Traceback" not in done.stderr + done.stdout


def test_modules_of_this_machine_only(ingot: Ingot, hello: Path, text: Path) -> None:
    """A carried module that cannot run here is an error, not silently another one."""
    with open_bundle(hello) as bundle:
        names = [Path(entry.name).stem for entry in bundle.manifest.with_role("module")]
    for name in sorted(name.removeprefix("ggml-cpu-") for name in names):
        words = ("compare", f"{hello}:cpu={name}", hello, "--text", text, "--tokens", "64")
        done = ingot(*words, "--json")
        if done.returncode == 0:
            assert json.loads(done.stdout)["a"]["cpu_module"] == name
        else:
            assert json.loads(done.stdout)["error"]["code"] == "module-does-not-run"


@pytest.mark.slow
def test_embedding_models(ingot: Ingot, cast: Cast, engine_source: Path, tmp_path: Path) -> None:
    """MiniLM by transformers, as a GGUF and as an executable."""
    checkpoint = minilm.fetch(_made(tmp_path / "minilm"))
    python = str(pythonenv.ensure("convert", NullProgress()))
    gguf = tmp_path / "minilm.gguf"
    minilm.convert(gguf, engine=engine_source, checkpoint=checkpoint, python=python)
    for one, other in ((checkpoint, gguf), (gguf, cast(gguf))):
        found = _document(ingot("compare", one, other, "--require", "equivalent", "--json"))
        assert found["embeddings"]["cosine"]["min"] > 0.9999
        assert found["embeddings"]["relative_error"]["max"] < 0.01
    error = _document(ingot("compare", gguf, DEMO, "--json"), status=3)["error"]
    assert error["code"] == "kinds-differ"


def _made(path: Path) -> Path:
    path.mkdir()
    return path
