from __future__ import annotations

import json

import pytest

from ingot import errors

EXIT_CODES = {
    errors.AnswerNo: 1,
    errors.UsageError: 2,
    errors.InputError: 3,
    errors.NetworkError: 4,
    errors.IntegrityError: 5,
    errors.ToolchainError: 6,
    errors.GpuError: 7,
}


@pytest.mark.parametrize(("kind", "status"), EXIT_CODES.items())
def test_each_class_has_its_documented_exit_code(
    kind: type[errors.IngotError], status: int
) -> None:
    assert kind("x").exit_code == status


def test_default_codes_are_distinct() -> None:
    assert len({kind("x").code for kind in EXIT_CODES}) == len(EXIT_CODES)


def test_the_json_document_says_everything() -> None:
    error = errors.InputError("no such file: a", hint="look for it", code="missing-file")
    assert json.loads(json.dumps(error.document())) == {
        "error": {
            "code": "missing-file",
            "message": "no such file: a",
            "hint": "look for it",
            "exit_code": 3,
        }
    }


def test_str_is_the_message() -> None:
    assert str(errors.GpuError("no device")) == "no device"
