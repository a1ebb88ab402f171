"""Distances between vectors of texts. Pure."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from typing import Any

from ingot.errors import InputError

Vector = Sequence[float]


def compare_vectors(a: Sequence[Vector], b: Sequence[Vector]) -> dict[str, Any]:
    """``embeddings`` of the report: cosine and |a - b| / |a|, of each text and over all."""
    texts = [_one(x, y) for x, y in zip(a, b, strict=True)]
    cosines = [item["cosine"] for item in texts]
    errors = [item["relative_error"] for item in texts]
    return {
        "texts": texts,
        "cosine": {"min": min(cosines), "mean": statistics.fmean(cosines)},
        "relative_error": {"max": max(errors), "mean": statistics.fmean(errors)},
    }


def _one(a: Vector, b: Vector) -> dict[str, float]:
    if len(a) != len(b):
        raise InputError(
            f"the vectors of A have {len(a)} elements, those of B {len(b)}",
            hint="these are different models",
            code="widths-differ",
        )
    length_a, length_b = math.hypot(*a), math.hypot(*b)
    if not length_a or not length_b or not math.isfinite(length_a * length_b):
        raise InputError("a vector is zero or not finite", code="not-finite")
    difference = math.dist(a, b)
    # Not from the dot product: near 1 that has lost half of the digits.
    apart = math.dist([x / length_a for x in a], [y / length_b for y in b])
    return {"cosine": 1 - apart**2 / 2, "relative_error": difference / length_a}
