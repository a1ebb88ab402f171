"""Distances between vectors."""

from __future__ import annotations

import pytest

from ingot.errors import InputError
from ingot.parity.vectors import compare_vectors


def test_cosine_and_relative_error() -> None:
    found = compare_vectors([[3.0, 4.0], [1.0, 0.0]], [[3.0, 4.0], [0.0, 2.0]])
    assert found["texts"][0] == {"cosine": 1.0, "relative_error": 0.0}
    assert found["texts"][1]["cosine"] == pytest.approx(0.0)
    assert found["texts"][1]["relative_error"] == pytest.approx(5**0.5)
    assert found["cosine"]["min"] == pytest.approx(0.0)
    assert found["relative_error"]["max"] == pytest.approx(5**0.5)


def test_a_cosine_near_one_keeps_its_digits() -> None:
    (found,) = compare_vectors([[1.0, 0.0]], [[1.0, 1e-6]])["texts"]
    assert 1 - found["cosine"] == pytest.approx(5e-13, rel=1e-3)


@pytest.mark.parametrize(
    ("a", "b", "words"),
    [
        ([1.0], [1.0, 2.0], "1 elements, those of B 2"),
        ([0.0], [1.0], "zero or not finite"),
        ([float("nan")], [1.0], "zero or not finite"),
    ],
)
def test_what_cannot_be_compared(a: list[float], b: list[float], words: str) -> None:
    with pytest.raises(InputError, match=words):
        compare_vectors([a], [b])
