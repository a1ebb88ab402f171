"""Which parts go together: a table, as the engine decides it."""

from __future__ import annotations

import io
import math

import pytest

from ingot.errors import InputError
from ingot.gguf.model import Gguf
from ingot.gguf.reader import read_gguf_from
from ingot.recipe.fit import check_draft, check_lora, check_model, check_projector
from tests.golden.samples import TENSORS, Plain, T, gguf_bytes, model_kv


def read(name: str, kv: dict[str, Plain], tensors: tuple[T, ...] = TENSORS) -> Gguf:
    raw = gguf_bytes(kv, tensors)
    return read_gguf_from(io.BytesIO(raw), name=name, size=len(raw))


MODEL = read("model.gguf", model_kv())
LORA: dict[str, Plain] = {
    "general.architecture": "llama",
    "general.type": "adapter",
    "adapter.type": "lora",
}


def projector(kind: str, width: int, tensor_width: int = 8) -> Gguf:
    kv: dict[str, Plain] = {
        "general.architecture": "clip",
        "clip.projector_type": kind,
        "clip.vision.projection_dim": width,
    }
    return read("mmproj.gguf", kv, (T("mm.2.weight", (4, tensor_width)),))


def vocabulary(size: int, kind: str = "llama") -> Gguf:
    tokens = [f"t{n}" for n in range(size)]
    return read("draft.gguf", model_kv(tokenizer__ggml__tokens=tokens, tokenizer__ggml__model=kind))


@pytest.mark.parametrize(
    ("gguf", "says"),
    [
        (projector("gemma3", 8), "is a projector"),
        (read("x", LORA), "is a LoRA adapter"),
        (read("x", {"general.name": "n"}), "architecture"),
        (read("x", model_kv(), ()), "vocabulary only"),
        (read("x", {"general.architecture": "llama", "general.type": "imatrix"}), "importance"),
    ],
)
def test_what_is_not_a_model_is_called_by_its_name(gguf: Gguf, says: str) -> None:
    with pytest.raises(InputError) as caught:
        check_model(gguf)
    assert caught.value.code == "not-a-model"
    assert says in caught.value.message
    assert caught.value.hint


@pytest.mark.parametrize(
    ("kind", "width", "tensor_width", "fits"),
    [
        ("gemma3", 8, 0, True),
        ("gemma3", 16, 8, False),
        ("qwen3vl_merger", 9, 0, False),
        ("mlp", 768, 8, True),  # legacy converters wrote CLIP's own width
        ("mlp", 768, 16, False),
        ("resampler", 0, 0, True),  # minicpmv: 0, nothing to compare
        ("gemma3", 0, 0, True),
    ],
)
def test_projectors_fit_by_width(kind: str, width: int, tensor_width: int, fits: bool) -> None:
    candidate = projector(kind, width, tensor_width)
    if fits:
        check_projector(candidate, MODEL)
        return
    with pytest.raises(InputError) as caught:
        check_projector(candidate, MODEL)
    assert caught.value.code == "projector-mismatch"
    assert str(tensor_width if kind == "mlp" else width) in caught.value.message
    assert "embeddings of 8" in caught.value.message


def test_a_model_is_not_a_projector() -> None:
    with pytest.raises(InputError) as caught:
        check_projector(MODEL, MODEL)
    assert caught.value.code == "not-a-projector"


def test_adapters_fit_by_architecture() -> None:
    check_lora(read("a", LORA), MODEL)
    for kv, code in (
        (LORA | {"general.architecture": "qwen2"}, "lora-mismatch"),
        (LORA | {"adapter.type": "control"}, "not-a-lora"),
        (model_kv(), "not-a-lora"),
    ):
        with pytest.raises(InputError) as caught:
            check_lora(read("a", kv), MODEL)
        assert caught.value.code == code


@pytest.mark.parametrize(
    ("size", "kind", "fits"),
    [(32, "llama", True), (160, "llama", True), (161, "llama", False), (32, "gpt2", False)],
)
def test_drafts_fit_by_vocabulary(size: int, kind: str, fits: bool) -> None:
    if fits:
        check_draft(vocabulary(size, kind), MODEL)
        return
    with pytest.raises(InputError) as caught:
        check_draft(vocabulary(size, kind), MODEL)
    assert caught.value.code == "draft-mismatch"


def test_a_draft_head_without_vocabulary_is_let_through() -> None:
    check_draft(read("eagle", {"general.architecture": "eagle3"}), MODEL)


EPSILON = "llama.attention.layer_norm_rms_epsilon"


@pytest.mark.parametrize(
    ("key", "number", "says"),
    [
        (EPSILON, math.nan, f"{EPSILON} is nan"),
        (EPSILON, -1.0, f"{EPSILON} is -1.0"),
        (EPSILON, math.inf, f"{EPSILON} is inf"),
        ("llama.rope.freq_base", math.nan, "llama.rope.freq_base is nan"),
        ("llama.context_length", 0, "its context length is 0"),
        ("llama.context_length", 2**32 - 1, "its context length is 4294967295"),
    ],
)
def test_numbers_that_the_engine_cannot_compute_with(key: str, number: float, says: str) -> None:
    with pytest.raises(InputError) as caught:
        check_model(read("model.gguf", {**model_kv(), key: number}))
    assert caught.value.message == f"model.gguf: {says}" and caught.value.hint


def test_words_of_a_file_stay_on_one_line() -> None:
    with pytest.raises(InputError) as caught:
        check_lora(
            read("lora.gguf", {**LORA, "general.architecture": "a\nerror: \x1b[2J\x9b"}), MODEL
        )
    assert "architecture a\\nerror: \\x1b[2J\\x9b, " in caught.value.message
