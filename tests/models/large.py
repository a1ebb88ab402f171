"""InternLM2 checkpoints of any size, for what memory and time depend on: shapes, and no meaning.

Without ``filled`` they are holes, which take no room on the disk.
"""

from __future__ import annotations

import json
import os
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from ingot.models.checkpoint import CONFIG, INDEX

_PIECE = 16 << 20  # bytes


@dataclass(frozen=True)
class Shape:
    """Sizes of a network in elements; the default is InternLM2's of 7B, less layers."""

    layers: int = 8
    hidden: int = 4096
    feed_forward: int = 14336
    heads: int = 32
    kv_heads: int = 8
    vocabulary: int = 92544

    @property
    def packed(self) -> int:
        """Rows of ``wqkv``."""
        return (self.heads + 2 * self.kv_heads) * (self.hidden // self.heads)


def write_internlm2(folder: Path, shape: Shape, *, shards: int, filled: bool = False) -> int:
    """Write config.json, ``shards`` files of BF16 and their index; returns the tensors' bytes."""
    folder.mkdir()
    (folder / CONFIG).write_text(json.dumps(_config(shape)))
    tensors = list(_tensors(shape))
    each = -(-len(tensors) // shards)
    table: dict[str, str] = {}
    total = 0
    for number in range(shards):
        own = tensors[number * each : (number + 1) * each]
        name = f"model-{number + 1:05d}-of-{shards:05d}.safetensors"
        table.update((tensor, name) for tensor, _dimensions in own)
        with (folder / name).open("wb") as file:
            total += _write(file, own, filled=filled)
    index = {"metadata": {"total_size": total}, "weight_map": table}
    (folder / INDEX).write_text(json.dumps(index))
    return total


def _config(shape: Shape) -> dict[str, object]:
    return {
        "architectures": ["InternLM2ForCausalLM"],
        "model_type": "internlm2",
        "bias": False,
        "hidden_size": shape.hidden,
        "intermediate_size": shape.feed_forward,
        "num_hidden_layers": shape.layers,
        "num_attention_heads": shape.heads,
        "num_key_value_heads": shape.kv_heads,
        "vocab_size": shape.vocabulary,
    }


def _tensors(shape: Shape) -> Iterator[tuple[str, tuple[int, ...]]]:
    n, wide = shape.hidden, shape.feed_forward
    yield "model.tok_embeddings.weight", (shape.vocabulary, n)
    for layer in range(shape.layers):
        front = f"model.layers.{layer}"
        yield f"{front}.attention.wqkv.weight", (shape.packed, n)
        yield f"{front}.attention.wo.weight", (n, n)
        yield f"{front}.feed_forward.w1.weight", (wide, n)
        yield f"{front}.feed_forward.w2.weight", (n, wide)
        yield f"{front}.feed_forward.w3.weight", (wide, n)
        yield f"{front}.attention_norm.weight", (n,)
        yield f"{front}.ffn_norm.weight", (n,)
    yield "model.norm.weight", (n,)
    yield "output.weight", (shape.vocabulary, n)


def _write(file: BinaryIO, tensors: list[tuple[str, tuple[int, ...]]], *, filled: bool) -> int:
    header: dict[str, object] = {}
    at = 0
    for name, dimensions in tensors:
        size = 2
        for dimension in dimensions:
            size *= dimension
        header[name] = {
            "dtype": "BF16",
            "shape": list(dimensions),
            "data_offsets": [at, at + size],
        }
        at += size
    raw = json.dumps(header).encode()
    file.write(struct.pack("<Q", len(raw)) + raw)
    start = file.tell()
    if filled:
        piece = os.urandom(_PIECE)
        file.writelines(piece[:left] for left in range(at, 0, -_PIECE))
    file.truncate(start + at)
    return at
