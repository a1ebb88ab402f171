"""Facts about a model."""

from __future__ import annotations

import io

import pytest

from ingot.gguf.facts import ENCODERS, ModelFacts, TypeShare, model_facts
from ingot.gguf.reader import read_gguf_from
from tests.golden.samples import Q8_0, TENSORS, Plain, T, gguf_bytes, model_kv


def facts(kv: dict[str, Plain], tensors: tuple[T, ...] = TENSORS) -> ModelFacts:
    raw = gguf_bytes(kv, tensors)
    return model_facts(read_gguf_from(io.BytesIO(raw), name="x", size=len(raw)))


def test_everything_a_user_wants_to_know() -> None:
    found = facts(model_kv())
    assert found == ModelFacts(
        name="Tiny",
        architecture="llama",
        parameters=8 * 32 + 8 * 4 + 8,
        context_length=128,
        embedding_length=8,
        block_count=1,
        quantization="F32",
        tensor_types={"F32": TypeShare(3, 1184)},
        license="apache-2.0",
        chat_template=True,
        embedding=False,
        vocabulary=32,
        size=len(gguf_bytes(model_kv(), TENSORS)),
    )
    assert found.to_json()["tensor_types"] == {"F32": {"count": 3, "bytes": 1184}}


@pytest.mark.parametrize(
    ("file_type", "expected"),
    [(15, "Q4_K_M"), (7, "Q8_0"), (38, "MXFP4_MOE"), (1024 + 15, "Q8_0"), (999, "Q8_0")],
)
def test_quantisation_is_the_declared_one_or_that_of_most_bytes(
    file_type: int, expected: str
) -> None:
    mixed = (T("small", (4,)), T("large", (32, 40), Q8_0, bytes(34 * 40)))
    assert facts(model_kv(general__file_type=file_type), mixed).quantization == expected


def test_without_file_type_the_histogram_decides() -> None:
    kv = model_kv()
    del kv["general.file_type"]
    assert facts(kv).quantization == "F32"


@pytest.mark.parametrize("pooling", [1, 2, 3, 4])
def test_a_pooling_type_makes_it_an_embedding_model(pooling: int) -> None:
    assert facts(model_kv(llama__pooling_type=pooling)).embedding
    assert not facts(model_kv(llama__pooling_type=0)).embedding


@pytest.mark.parametrize("architecture", sorted(ENCODERS))
def test_encoders_are_embedding_models_without_saying_so(architecture: str) -> None:
    assert facts(model_kv(general__architecture=architecture)).embedding


def test_missing_and_mistyped_keys_are_unknown_not_errors() -> None:
    kv: dict[str, Plain] = {"general.architecture": "llama", "llama.context_length": "long"}
    found = facts(kv)
    assert found.context_length is None
    assert found.name is None
    assert found.vocabulary is None
    assert not found.chat_template


TEMPLATE, TOOLS = "tokenizer.chat_template", "tokenizer.chat_template.tool_use"


@pytest.mark.parametrize(
    ("templates", "expected"),
    [
        ({}, False),
        ({TEMPLATE: ""}, False),
        ({TEMPLATE: " \n"}, False),
        ({TEMPLATE: ["{{ messages }}", "b"]}, False),
        ({TEMPLATE: "{{ messages }}"}, True),
        ({TOOLS: "{{ messages }}"}, True),
        ({TEMPLATE: "", TOOLS: "{{ messages }}"}, True),
        ({TEMPLATE: "\n", TOOLS: "{{ messages }}"}, False),
        ({TEMPLATE: "x" * (5 << 20)}, True),
    ],
)
def test_a_chat_template_is_one_that_the_engine_finds(
    templates: dict[str, Plain], expected: bool
) -> None:
    kv = {key: value for key, value in model_kv().items() if key != TEMPLATE}
    assert facts({**kv, **templates}).chat_template is expected
