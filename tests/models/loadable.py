"""A Llama of a few kilobytes that the engine loads, and faults of it: each function takes the good
keys and tensors and spoils them.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from tests.golden.samples import Plain, T, gguf_bytes

WIDTH, HIDDEN, HEADS = 32, 64, 4
TOKENS = ["<unk>", "<s>", "</s>", *(f"<0x{n:02X}>" for n in range(256)), *"▁abcdefghij"]
Parts = tuple[dict[str, Plain], list[T]]


def parts() -> Parts:
    """Keys and tensors of a sound model."""
    keys: dict[str, Plain] = {
        "general.architecture": "llama",
        "llama.context_length": 128,
        "llama.embedding_length": WIDTH,
        "llama.block_count": 1,
        "llama.feed_forward_length": HIDDEN,
        "llama.attention.head_count": HEADS,
        "llama.attention.layer_norm_rms_epsilon": 1e-5,
        "tokenizer.ggml.model": "llama",
        "tokenizer.ggml.tokens": TOKENS,
    }
    block = [T("blk.0.attn_norm.weight", (WIDTH,)), T("blk.0.ffn_norm.weight", (WIDTH,))]
    block += [T(f"blk.0.attn_{name}.weight", (WIDTH, WIDTH)) for name in ("q", "k", "v", "output")]
    block += [T(f"blk.0.ffn_{name}.weight", (WIDTH, HIDDEN)) for name in ("gate", "up")]
    block += [T("blk.0.ffn_down.weight", (HIDDEN, WIDTH))]
    vocabulary = (WIDTH, len(TOKENS))
    ends = [T("token_embd.weight", vocabulary), T("output_norm.weight", (WIDTH,))]
    return keys, [*ends, T("output.weight", vocabulary), *block]


def write(
    path: Path, spoil: Callable[[Parts], object] = lambda _parts: None, **more: Plain
) -> Path:
    """Write the model with what ``spoil`` does to it, and with ``more`` keys (``__`` is a dot)."""
    found = parts()
    found[0].update({key.replace("__", "."): item for key, item in more.items()})
    spoil(found)
    path.write_bytes(gguf_bytes(*found))
    return path


def without(name: str) -> Callable[[Parts], None]:
    """Leave out a key or a tensor."""

    def spoil(found: Parts) -> None:
        found[0].pop(name, None)
        found[1][:] = [tensor for tensor in found[1] if tensor.name != name]

    return spoil


def extra(found: Parts) -> None:
    """A tensor that no Llama has."""
    found[1].append(T("blk.0.nonsense.weight", (WIDTH,)))


def misshapen(found: Parts) -> None:
    """A norm of twice the width."""
    found[1][:] = [
        replace(t, shape=(2 * WIDTH,)) if t.name == "output_norm.weight" else t for t in found[1]
    ]


def typed(name: str, kind: int, size: int) -> Callable[[Parts], None]:
    """A tensor of another type, whose elements have ``size`` bytes."""

    def spoil(found: Parts) -> None:
        found[1][:] = [
            replace(t, kind=kind, data=bytes(size * math.prod(t.shape))) if t.name == name else t
            for t in found[1]
        ]

    return spoil


def another(key: str, item: Plain) -> Callable[[Parts], None]:
    """Another value, perhaps of another type."""
    return lambda found: found[0].update({key: item})


def twin_tokens(found: Parts) -> None:
    """Two tokens of one text, over which the engine fails an assertion."""
    found[0]["tokenizer.ggml.tokens"] = [*TOKENS[:-1], TOKENS[-2]]


# What is wrong -> (the fault, words of the engine's reason).
FAULTS: dict[str, tuple[Callable[[Parts], object], str]] = {
    "unknown architecture": (
        another("general.architecture", "nonsense"),
        "unknown model architecture: 'nonsense'",
    ),
    "missing tensor": (without("blk.0.ffn_up.weight"), "'blk.0.ffn_up.weight' not found"),
    "extra tensor": (extra, "wrong number of tensors"),
    "misshapen tensor": (misshapen, "'output_norm.weight' has wrong shape"),
    "missing key": (without("llama.context_length"), "key not found in model"),
    "mistyped key": (another("llama.attention.head_count", "four"), "wrong type str"),
    "unknown tokenizer": (another("tokenizer.ggml.model", "nonsense"), "unknown tokenizer"),
    "no tokenizer": (without("tokenizer.ggml.model"), "key not found in model"),
    "tokenizer without merges": (another("tokenizer.ggml.model", "gpt2"), "merges"),
    "absurd block count": (another("llama.block_count", 4_000_000_000), "GGML_ASSERT"),
    "more blocks than tensors": (another("llama.block_count", 500), "not found"),
    "a norm in F16": (typed("output_norm.weight", 1, 2), "'output_norm.weight' of the type f16"),
    "a matrix of integers": (typed("blk.0.attn_q.weight", 27, 8), "of the type i64"),
    "an embedding of bytes": (typed("token_embd.weight", 24, 1), "of the type i8"),
    "twin tokens": (twin_tokens, "GGML_ASSERT(id_to_token.size() == token_to_id.size())"),
}
