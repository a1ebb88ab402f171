"""Sizes of the stories' model, in elements."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Shape:
    """Those of the hub's stories260K, but for the vocabulary."""

    embedding: int = 64
    feed_forward: int = 172
    blocks: int = 5
    heads: int = 8
    kv_heads: int = 4
    context: int = 2048
    epsilon: float = 1e-5
    rank: int = 4
    adapted: tuple[str, ...] = ("attn_q", "attn_output", "ffn_down")
    picture_tokens: int = 36


SHAPE = Shape()
