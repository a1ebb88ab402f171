"""The kernel set that the engine gives, by the runtime's own verb."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path
from typing import Any

import pytest

from ingot.engine.image import RuntimeImage
from tests.conftest import Cast, Run
from tests.golden.samples import TENSORS, gguf_bytes, model_kv
from tests.models import DEMO
from tests.models.quantised import MIXES, quantised

LLAMA_OPS = [
    "ADD",
    "CONT",
    "FLASH_ATTN_EXT",
    "GET_ROWS",
    "GLU(SWIGLU)",
    "MUL",
    "MUL_MAT",
    "RMS_NORM",
    "ROPE",
    "SET_ROWS",
    "SOFT_MAX",
]
DEMO_SET: dict[str, Any] = {
    "ops": LLAMA_OPS,
    "source_types": {"GET_ROWS": ["bf16", "f32"], "MUL_MAT": ["bf16", "f16"]},
    "copies": {"CONT": [["f32", "f32"]], "SET_ROWS": [["f32", "f16"]]},
    "kv_types": [["f16", "f16"]],
    "attention": [[64, 64, 2]],
    "weights": {
        "bf16": {"count": 44, "bytes": 13_631_488},
        "f32": {"count": 13, "bytes": 13_312},
    },
}
# Of the same models made by the engine's own quantiser.
QUANTISED = {
    "Q4_K_M": {
        "GET_ROWS": ["f32", "q4_k"],
        "MUL_MAT": ["f16", "q4_k", "q6_k"],
        "weights": {"f32": (13, 13_312), "q4_k": (39, 2_985_984), "q6_k": (5, 1_236_480)},
    },
    "IQ3_XS": {
        "GET_ROWS": ["f32", "iq3_s"],
        "MUL_MAT": ["f16", "iq3_s", "iq3_xxs", "q6_k"],
        "weights": {
            "f32": (13, 13_312),
            "iq3_s": (21, 1_379_840),
            "iq3_xxs": (22, 978_432),
            "q6_k": (1, 860_160),
        },
    },
    "IQ2_S": {
        "GET_ROWS": ["f32", "iq3_s"],
        "MUL_MAT": ["f16", "iq2_xs", "iq3_s", "q5_k"],
        "weights": {
            "f32": (13, 13_312),
            "iq2_xs": (30, 1_193_472),
            "iq3_s": (13, 704_000),
            "q5_k": (1, 720_896),
        },
    },
}


def kernels(run: Run, *words: str | os.PathLike[str]) -> dict[str, Any]:
    done = run(words[0], "kernels", "--json", *words[1:])
    assert (done.returncode, done.stderr) == (0, b"")
    document: dict[str, Any] = json.loads(done.stdout)
    return document


def test_the_demos_set_is_exactly_this(hello: Path, runtime_image: RuntimeImage, run: Run) -> None:
    assert kernels(run, hello) == DEMO_SET
    assert kernels(run, hello, "-m", DEMO) == DEMO_SET
    assert kernels(run, runtime_image.program, "-m", DEMO) == DEMO_SET


@pytest.mark.parametrize("mix", MIXES)
def test_another_quantisation_gives_another_set(
    mix: str, runtime_image: RuntimeImage, run: Run, tmp_path: Path
) -> None:
    found = kernels(run, runtime_image.program, "-m", quantised(tmp_path / "m.gguf", mix))
    expected = QUANTISED[mix]
    assert found["ops"] == LLAMA_OPS
    assert found["source_types"] == {op: expected[op] for op in ("GET_ROWS", "MUL_MAT")}
    assert {k: (v["count"], v["bytes"]) for k, v in found["weights"].items()} == expected["weights"]


def test_asked_cache_types_come_beside_f16(hello: Path, run: Run) -> None:
    found = kernels(run, hello, "-ctk", "q8_0", "-ctv", "q4_0")
    assert found["kv_types"] == [["f16", "f16"], ["q8_0", "q4_0"]]
    assert found["copies"]["SET_ROWS"] == [["f32", "f16"], ["f32", "q4_0"], ["f32", "q8_0"]]


def test_baked_cache_types_count(cast: Cast, run: Run) -> None:
    baked = cast(DEMO, args=("-ctk", "q8_0", "-ctv", "q8_0"))
    assert kernels(run, baked)["kv_types"] == [["f16", "f16"], ["q8_0", "q8_0"]]
    manifest = json.loads(run(baked, "info", "--json").stdout)
    assert manifest["model"]["kernels"] == kernels(run, baked)


def test_the_manifest_carries_what_the_verb_prints(hello: Path, run: Run) -> None:
    manifest = json.loads(run(hello, "info", "--json").stdout)
    assert manifest["model"]["kernels"] == DEMO_SET


def test_people_get_lines(hello: Path, run: Run) -> None:
    text = run(hello, "kernels").stdout.decode()
    for words in ("GLU(SWIGLU)", "f32 to f16", "64/64 x 2", "13631488 bytes"):
        assert words in text


def test_no_weights_are_read(runtime_image: RuntimeImage, run: Run, tmp_path: Path) -> None:
    hole = tmp_path / "hole.gguf"
    hole.write_bytes(DEMO.read_bytes()[: 256 << 10])  # the header has about 100 KiB
    os.truncate(hole, DEMO.stat().st_size)
    started = time.monotonic()
    assert kernels(run, runtime_image.program, "-m", hole) == DEMO_SET
    assert time.monotonic() - started < 5  # 0.02 s on an idle machine


@pytest.mark.parametrize(
    ("architecture", "says"),
    [("nonsense", "unknown model architecture: 'nonsense'"), ("llama", "cannot load this model: ")],
)
def test_a_model_that_the_engine_refuses_is_one_error(
    architecture: str, says: str, runtime_image: RuntimeImage, run: Run, tmp_path: Path
) -> None:
    model = tmp_path / "m.gguf"
    model.write_bytes(gguf_bytes({**model_kv(), "general.architecture": architecture}, TENSORS))
    done = run(runtime_image.program, "kernels", "-m", model)
    assert (done.returncode, done.stdout) == (3, b"")
    first, hint = done.stderr.decode().splitlines()
    assert first.startswith("error: ") and says in first and hint.startswith("hint: ")


def test_the_log_is_shown_when_asked_for(hello: Path, run: Run) -> None:
    done = run(hello, "kernels", "--json", "-v")
    assert json.loads(done.stdout) == DEMO_SET
    assert b"llama_context" in done.stderr
