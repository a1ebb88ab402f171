"""Which tokens are scored. Pure.

As llama-perplexity cuts a text: windows of ``context`` tokens one after another, the first token of
each replaced by the one that the model wants in front, and only the second half of each scored,
so that every prediction has at least half a window before it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ingot.errors import InputError
from ingot.parity.side import Tokens

SHORTEST = 32  # tokens of a text; below, an average over its second half says nothing


@dataclass(frozen=True)
class Passages:
    """Inputs of the model, the position from which they are scored, and the tokens that follow.

    ``at`` is where in the text each target is, in tokens.
    """

    sequences: tuple[tuple[int, ...], ...]
    first: int
    targets: tuple[int, ...]
    at: tuple[int, ...]


def cut(tokens: Tokens, *, context: int, limit: int = 0, positions: int = 0) -> Passages:
    """Cut a text into windows.

    ``limit`` is the number of tokens of the text to use, ``positions`` of those to score, taken
    from the start of every window's second half; 0 is all. Raises InputError ``text-too-short``.
    """
    front = () if tokens.begins_with is None else (tokens.begins_with,)
    text = (*front, *tokens.ids)[: limit or None]
    if len(text) < SHORTEST:
        raise InputError(
            f"the text has {len(text)} tokens; at least {SHORTEST} are needed",
            hint="give a longer one with --text, a few thousand tokens or more",
            code="text-too-short",
        )
    window = min(context, len(text))
    starts = range(0, len(text) - window + 1, window)
    first = window // 2
    scored = window - 1 - first
    if positions:
        starts = starts[:positions]
        scored = min(scored, -(-positions // len(starts)))
    sequences: list[tuple[int, ...]] = []
    targets: list[int] = []
    at: list[int] = []
    for start in starts:
        ids = (*front, *text[start + len(front) : start + window])
        sequences.append(ids[: first + scored])
        targets += ids[first + 1 : first + 1 + scored]
        at += range(start + first + 1, start + first + 1 + scored)
    return Passages(tuple(sequences), first, tuple(targets), tuple(at))


def prompts_of(tokens: Tokens, count: int, length: int) -> tuple[tuple[int, ...], ...]:
    """``count`` prompts of ``length`` tokens, from evenly spaced places of a text."""
    front = () if tokens.begins_with is None else (tokens.begins_with,)
    length = min(length, max(1, len(tokens.ids) // 2))
    step = max(1, (len(tokens.ids) - length) // max(1, count))
    starts: Sequence[int] = range(0, len(tokens.ids) - length + 1, step)[:count]
    return tuple((*front, *tokens.ids[start : start + length]) for start in starts)


def first_mismatch(a: Tokens, b: Tokens) -> int | None:
    """The index of the first token that two tokenizers give differently; None if all are the same.

    One that is there on one side only counts; so does, as index 0, another token in front.
    """
    if a.begins_with != b.begins_with:
        return 0
    for index, (one, other) in enumerate(zip(a.ids, b.ids, strict=False)):
        if one != other:
            return index
    return None if len(a.ids) == len(b.ids) else min(len(a.ids), len(b.ids))
