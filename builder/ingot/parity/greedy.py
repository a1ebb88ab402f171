"""Where greedy continuations part, and how sure each side was there. Pure."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from typing import Any

from ingot.parity.side import Greedy


def compare_greedy(a: Sequence[Greedy], b: Sequence[Greedy]) -> dict[str, Any]:
    """``greedy`` of the report: each prompt, and where the texts part over all of them."""
    prompts = [_one(x, y) for x, y in zip(a, b, strict=True)]
    parted = [item["first_divergence"] for item in prompts if item["first_divergence"] is not None]
    return {
        "prompts": prompts,
        "diverged": len(parted),
        "first_divergence": {
            "min": min(parted, default=None),
            "quartiles": _quartiles(parted),
            "max": max(parted, default=None),
        },
        "still_same": _still_same(prompts),
    }


def _still_same(prompts: Sequence[Mapping[str, Any]]) -> list[float]:
    """At n the share of prompts whose texts have their first n tokens in common. A text that ended
    before that, the same on both sides, counts.
    """
    longest = max((item["tokens"] for item in prompts), default=0)
    parted = [item["first_divergence"] for item in prompts]
    return [
        sum(at is None or at >= count for at in parted) / len(parted)
        for count in range(longest + 1)
    ]


def _quartiles(values: Sequence[int]) -> list[float] | None:
    if not values:
        return None
    return statistics.quantiles(values, method="inclusive") if len(values) > 1 else [*values] * 3


def first_divergence(a: Sequence[int], b: Sequence[int]) -> int | None:
    """The index of the first token that differs; None if all that both have are the same.

    One side may have one less: a server does not tell the token that ends a text.
    """
    for index, (one, other) in enumerate(zip(a, b, strict=False)):
        if one != other:
            return index
    return None


def _one(a: Greedy, b: Greedy) -> dict[str, Any]:
    at = first_divergence(a.tokens, b.tokens)
    item: dict[str, Any] = {
        "prompt": list(a.prompt),
        "tokens": min(len(a.tokens), len(b.tokens)),
        "text_a": a.text,
        "text_b": b.text,
        "first_divergence": at,
    }
    if at is not None:
        one, other = a.tokens[at], b.tokens[at]
        item["candidates"] = [one, other]
        item["margin_a"] = _margin(a.steps[at], one, other)
        item["margin_b"] = _margin(b.steps[at], other, one)
    return item


def _margin(step: Sequence[tuple[int, float]], chosen: int, other: int) -> float | None:
    """By how much ``chosen`` is above ``other``, in logits; None if the side does not list it."""
    logits = dict(step)
    if chosen not in logits or other not in logits:
        return None
    return logits[chosen] - logits[other]
