"""ingot convert --to: InternLM2's layout as Llama's and back, bit for bit."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ingot.errors import InputError
from ingot.models import safetensors
from ingot.models.checkpoint import INDEX
from tests.bench.measure import peak_memory
from tests.conftest import Ingot
from tests.models.hf_llama import (
    Tiny,
    hf_llama,
    internlm2,
    random_llama,
    read_safetensors,
    write_safetensors,
)
from tests.models.large import Shape, write_internlm2


@pytest.fixture
def home(tmp_path: Path, ingot: Ingot) -> Path:
    """``llama`` and, made from it by other code than that under test, ``intern``."""
    folder = tmp_path / "cwd"
    internlm2(folder / "intern", hf_llama(folder / "llama"))
    return folder


def error(done: subprocess.CompletedProcess[str]) -> tuple[int, str]:
    return done.returncode, json.loads(done.stdout)["error"]["code"]


def config(folder: Path) -> dict[str, Any]:
    found = json.loads((folder / "config.json").read_text())
    assert isinstance(found, dict)
    return found


def same(a: Path, b: Path) -> bool:
    one, other = (read_safetensors(folder / "model.safetensors") for folder in (a, b))
    return one.keys() == other.keys() and all(
        one[key].dtype == other[key].dtype and np.array_equal(one[key], other[key]) for key in one
    )


def test_it_is_the_original_again(home: Path, ingot: Ingot) -> None:
    done = ingot("convert", "--to", "llama", "intern", "out", "--json")
    assert done.returncode == 0, done.stderr
    document = json.loads(done.stdout)
    assert document["left_out"] == ["configuration_internlm2.py"]
    assert same(home / "out", home / "llama")
    made = config(home / "out")
    assert made.pop("attention_bias") is False
    assert made == config(home / "llama")
    assert "auto_map" not in (home / "out" / "tokenizer_config.json").read_text()
    tokenizer = json.loads((home / "out" / "tokenizer_config.json").read_text())
    assert tokenizer["tokenizer_class"] == "LlamaTokenizer"
    assert (home / "out" / "tokenizer.model").is_file()
    assert sorted(path.name for path in home.iterdir()) == ["intern", "llama", "out"]


@pytest.mark.slow
@pytest.mark.network
@pytest.mark.runtime
def test_both_ways_to_a_gguf_give_the_same_logits(home: Path, ingot: Ingot) -> None:
    """By the engine's own converter of InternLM2, whose graph is another, and by way of Llama."""
    routes = (("intern", "direct.gguf"), ("out", "by-llama.gguf"))
    assert ingot("convert", "--to", "llama", "intern", "out").returncode == 0
    for checkpoint, gguf in routes:
        done = ingot("convert", checkpoint, gguf)
        assert done.returncode == 0, done.stderr
    words = ("--require", "identical", "--prompts", "2", "-n", "16", "--tokens", "512", "--json")
    done = ingot("compare", "direct.gguf", "by-llama.gguf", *words)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert found["text"]["summary"]["logits"]["max"] == 0
    assert [layer["relative_rms"] for layer in found["layers"]] == [0] * 6


def test_there_and_back(home: Path, ingot: Ingot) -> None:
    assert ingot("convert", "--to", "internlm2", "llama", "there").returncode == 0
    assert same(home / "there", home / "intern")
    assert ingot("convert", "--to", "llama", "there", "back").returncode == 0
    assert same(home / "back", home / "llama")
    again = ingot("convert", "--to", "llama", "there", "again")
    assert again.returncode == 0
    for path in (home / "back").iterdir():
        assert (home / "again" / path.name).read_bytes() == path.read_bytes(), path.name


def test_shards_biases_and_rope_scaling(home: Path, ingot: Ingot) -> None:
    """Each tensor stays in its file; Q, K and V may come from three."""
    folder = hf_llama(home / "shards", shards=4)
    index = json.loads((folder / INDEX).read_text())
    bias = {
        f"model.layers.0.self_attn.{part}_proj.bias": np.arange(rows, dtype="<u2") + rows
        for part, rows in (("q", 256), ("k", 128), ("v", 128), ("o", 256))
    }
    write_safetensors(folder / "model-00005-of-00005.safetensors", bias)
    index["weight_map"] |= dict.fromkeys(bias, "model-00005-of-00005.safetensors")
    (folder / INDEX).write_text(json.dumps(index))
    scaling = {"type": "dynamic", "factor": 2.0}
    more = {"attention_bias": True, "rope_scaling": scaling}
    (folder / "config.json").write_text(json.dumps(config(folder) | more))

    assert ingot("convert", "--to", "internlm2", "shards", "there").returncode == 0
    made = config(home / "there")
    assert (made["bias"], made["rope_scaling"]) == (True, scaling)
    assert ingot("convert", "--to", "llama", "there", "back").returncode == 0
    assert config(home / "back") == config(folder)
    found = json.loads((home / "back" / INDEX).read_text())
    assert found["weight_map"].keys() == index["weight_map"].keys()
    for name in sorted(set(index["weight_map"].values())):
        before: dict[str, np.ndarray] = {}
        for path in sorted(folder.glob("*.safetensors")):
            before |= read_safetensors(path)
        for key, data in read_safetensors(home / "back" / name).items():
            assert found["weight_map"][key] == name
            assert np.array_equal(data, before[key]), key


@pytest.mark.parametrize(("heads", "kv_heads"), [(4, 4), (4, 1), (8, 2), (2, 1)])
@pytest.mark.parametrize(("tied", "bias", "dtype"), [(True, False, "<u2"), (False, True, "<f4")])
def test_any_shape(
    home: Path, ingot: Ingot, heads: int, kv_heads: int, tied: bool, bias: bool, dtype: str
) -> None:
    tiny = Tiny(heads=heads, kv_heads=kv_heads, tied=tied, bias=bias, dtype=dtype)
    llama = random_llama(home / "random", tiny)
    internlm2(home / "expected", llama)
    assert ingot("convert", "--to", "internlm2", "random", "there").returncode == 0
    assert same(home / "there", home / "expected")
    assert config(home / "there")["bias"] is bias
    assert ingot("convert", "--to", "llama", "there", "back").returncode == 0
    assert same(home / "back", llama)
    assert config(home / "back") == config(llama)


def edit(folder: Path, change: Callable[[dict[str, Any]], object]) -> None:
    content = config(folder)
    change(content)
    (folder / "config.json").write_text(json.dumps(content))


def without(folder: Path, name: str) -> None:
    path = folder / "model.safetensors"
    tensors = dict(read_safetensors(path))
    tensors.pop(name, None)
    path.unlink()
    write_safetensors(path, tensors)


def added(folder: Path, name: str) -> None:
    path = folder / "model.safetensors"
    tensors = {**read_safetensors(path), name: np.zeros(2, "<u2")}
    path.unlink()
    write_safetensors(path, tensors)


@pytest.mark.parametrize(
    ("fault", "code"),
    [
        (lambda f: edit(f, lambda c: c.update(architectures=["LlamaForCausalLM"])), "unknown-arch"),
        (lambda f: edit(f, lambda c: c.update(num_key_value_heads=4)), "wrong-shape"),
        (lambda f: edit(f, lambda c: c.update(num_key_value_heads=3)), "bad-checkpoint"),
        (lambda f: edit(f, lambda c: c.update(num_hidden_layers=7)), "missing-tensor"),
        (lambda f: edit(f, lambda c: c.pop("hidden_size")), "bad-checkpoint"),
        (lambda f: without(f, "model.layers.3.feed_forward.w2.weight"), "missing-tensor"),
        (lambda f: added(f, "model.layers.0.lora_A.weight"), "unknown-tensor"),
        (lambda f: (f / "model.safetensors").rename(f / "model.bin"), "pickled-weights"),
        (lambda f: (f / "model.safetensors").write_bytes(b"\0" * 7), "damaged-weights"),
    ],
)
def test_what_is_refused(
    home: Path, ingot: Ingot, fault: Callable[[Path], object], code: str
) -> None:
    fault(home / "intern")
    done = ingot("convert", "--to", "llama", "intern", "out", "--json")
    assert done.returncode == 3, done.stdout
    assert json.loads(done.stdout)["error"]["code"].startswith(code)
    assert sorted(path.name for path in home.iterdir()) == ["intern", "llama"]


def test_places_that_cannot_be(home: Path, ingot: Ingot) -> None:
    to = ("convert", "--to", "llama", "intern")
    assert error(ingot(*to, "--json")) == (2, "usage")
    assert error(ingot(*to, "llama", "--json")) == (3, "output-exists")
    assert error(ingot(*to, "intern/x", "--json")) == (3, "output-is-input")
    assert error(ingot(*to, "no/where", "--json")) == (3, "output-folder-missing")


def place(folder: Path, name: str) -> tuple[Path, int, int]:
    """The file of a tensor, where it begins and ends in it; read by code of the test's own."""
    path = folder / json.loads((folder / INDEX).read_text())["weight_map"][name]
    with path.open("rb") as file:
        start = 8 + int.from_bytes(file.read(8), "little")
        first, end = json.loads(file.read(start - 8))[name]["data_offsets"]
    return path, start + first, start + end


def test_memory_is_that_of_the_headers(home: Path) -> None:
    """540 MB in two files, with tensors larger than what the kernel is asked to copy at once."""
    source, out = home / "large", home / "out"
    shape = Shape(layers=3, hidden=1024, feed_forward=8192, heads=16)
    total = write_internlm2(source, shape, shards=2)
    marks = {}
    path, start, end = place(source, "model.tok_embeddings.weight")
    with path.open("r+b") as file:
        for at in (*range(0, end - start, 5 << 20), end - start - 4):
            file.seek(start + at)
            marks[at] = at.to_bytes(4, "little")
            file.write(marks[at])
    command = [sys.executable, "-P", "-m", "ingot", "convert", "--to", "llama"]
    try:
        assert peak_memory([*command, source, out]) < 64e6 < total / 8
        path, start, end = place(out, "model.embed_tokens.weight")
        with path.open("rb") as written:
            for at, mark in marks.items():
                written.seek(start + at)
                assert written.read(4) == mark, at
        assert sum(file.stat().st_size for file in out.glob("*.safetensors")) >= total
    finally:
        shutil.rmtree(out, ignore_errors=True)


HEADERS = {
    "twice": '{"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1]},'
    '"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1]}}',
    "overlap": '{"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1]},'
    '"b":{"dtype":"U8","shape":[1],"data_offsets":[0,1]}}',
    "outside": '{"a":{"dtype":"U8","shape":[9],"data_offsets":[0,9]}}',
    "negative": '{"a":{"dtype":"U8","shape":[1],"data_offsets":[-1,0]}}',
    "hole": '{"a":{"dtype":"U8","shape":[0],"data_offsets":[1,1]}}',
    "type": '{"a":{"dtype":"X9","shape":[1],"data_offsets":[0,1]}}',
    "shape": '{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,1]}}',
    "huge": '{"a":{"dtype":"U8","shape":[99999999999999999999],"data_offsets":[0,1]}}',
    "boolean": '{"a":{"dtype":"U8","shape":[true],"data_offsets":[0,1]}}',
    "list": "[]",
    "deep": "[" * 100_000,
}


@pytest.mark.parametrize("name", HEADERS)
def test_headers_that_are_none(tmp_path: Path, name: str) -> None:
    raw = HEADERS[name].encode()
    path = tmp_path / "x.safetensors"
    path.write_bytes(len(raw).to_bytes(8, "little") + raw + b"\0")
    with pytest.raises(InputError) as caught:
        safetensors.read(path)
    assert caught.value.code == "damaged-weights"
