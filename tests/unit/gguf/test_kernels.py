from __future__ import annotations

import copy
import json
from typing import Any

import pytest

from ingot.errors import IntegrityError
from ingot.gguf.facts import TypeShare
from ingot.gguf.kernels import KernelSet

DOCUMENT: dict[str, Any] = {
    "ops": ["ADD", "MUL_MAT", "UNARY(SILU)"],
    "source_types": {"GET_ROWS": ["f32"], "MUL_MAT": ["f16", "q4_k"]},
    "copies": {"SET_ROWS": [["f32", "f16"], ["f32", "q8_0"]]},
    "kv_types": [["f16", "f16"], ["q8_0", "q8_0"]],
    "attention": [[64, 64, 2], [576, 512, 16]],
    "weights": {"f32": {"count": 3, "bytes": 12}, "q4_k": {"count": 1, "bytes": 144}},
}


def test_json_comes_back_as_it_went_in() -> None:
    kernels = KernelSet.from_json(DOCUMENT)
    assert kernels.to_json() == DOCUMENT
    assert KernelSet.from_json(json.loads(json.dumps(kernels.to_json()))) == kernels
    assert kernels.attention == ((64, 64, 2), (576, 512, 16))
    assert kernels.weights["q4_k"] == TypeShare(1, 144)


def test_order_and_repetition_do_not_matter() -> None:
    shuffled = {**DOCUMENT, "ops": ["UNARY(SILU)", "ADD", "MUL_MAT", "ADD"], "unknown": 1}
    assert KernelSet.from_json(shuffled) == KernelSet.from_json(DOCUMENT)


@pytest.mark.parametrize("member", DOCUMENT)
@pytest.mark.parametrize("value", [None, 3, "text", [None], {"a": None}, [["f16"]], [[1, 2, -3]]])
def test_a_member_of_another_shape_is_refused(member: str, value: object) -> None:
    document = copy.deepcopy(DOCUMENT)
    document[member] = value
    with pytest.raises(IntegrityError) as caught:
        KernelSet.from_json(document)
    assert caught.value.code == "kernels-invalid" and member in caught.value.message


@pytest.mark.parametrize("document", [None, [], "text", {}])
def test_another_document_is_refused(document: object) -> None:
    with pytest.raises(IntegrityError, match="kernel set is not valid"):
        KernelSet.from_json(document)


def test_names_cannot_carry_control_characters() -> None:
    with pytest.raises(IntegrityError):
        KernelSet.from_json({**DOCUMENT, "ops": ["ADD\x1b[2J"]})


def test_endless_lists_are_refused() -> None:
    with pytest.raises(IntegrityError):
        KernelSet.from_json({**DOCUMENT, "ops": [f"OP{n}" for n in range(5000)]})
