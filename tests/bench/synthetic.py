"""Large GGUF files for benchmarks: a 1B-shaped Llama of random Q4_K_M weights, and one of 4 GiB.

No quantiser runs: blocks are filled with random bytes, and only their half-precision scales are
set, so that the weights have a deviation of 0.02, every activation stays finite and arithmetic
costs what it costs in a real model. Tensors are made and written one at a time (the largest is
14 MB). The same numpy gives the same bytes.

    python -m tests.bench.synthetic OUT.gguf [--gib 4]
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
from gguf import GGMLQuantizationType as Quant
from gguf import GGUFReader, GGUFWriter, LlamaFileType

from tests.models import DEMO
from tests.models.ggufs import copy_metadata

Bytes = npt.NDArray[np.uint8]

SEED = 20
_DEVIATION = 0.02
_BLOCK = 256  # weights per super-block of a K-quant
# Deviation of a weight in units of the block's scale d when all other bits are uniform (ggml
# dequantisation, ggml-quants.c). Q4_K: d*sc*q - dmin*m with sc, m in 0..63, q in 0..15 and
# dmin = 7.5*d, which makes the mean 0. Q6_K: d*sc*(q - 32) with sc in -128..127, q in 0..63.
_Q4_K_UNIT = 258.3
_Q6_K_UNIT = 1365.6
_Q4_K_MEAN = 7.5


@dataclass(frozen=True)
class Shape:
    """Sizes of a Llama; the default is that of the 1B models (TinyLlama to Llama 3.2)."""

    blocks: int = 16
    embedding: int = 2048
    feed_forward: int = 8192
    heads: int = 32
    kv_heads: int = 8
    context: int = 8192

    @property
    def head(self) -> int:
        """Elements of one head."""
        return self.embedding // self.heads

    @property
    def kv(self) -> int:
        """Elements of all keys (or values) of one token and block."""
        return self.head * self.kv_heads


@dataclass(frozen=True)
class Tensor:
    """One tensor to write: rows of ``n_in`` weights, a plain vector when ``rows`` is 1."""

    name: str
    rows: int
    n_in: int
    kind: Quant

    @property
    def row_bytes(self) -> int:
        """Bytes of one row."""
        block = {Quant.F32: 4, Quant.Q4_K: 144, Quant.Q6_K: 210}[self.kind]
        return self.n_in * block // (1 if self.kind == Quant.F32 else _BLOCK)

    @property
    def size(self) -> int:
        """Bytes of the whole tensor."""
        return self.rows * self.row_bytes


def write_llama(
    to: Path, *, shape: Shape | None = None, vocabulary: Path = DEMO, seed: int = SEED
) -> Path:
    """Write a random Q4_K_M Llama (568 MiB with the default shape); return ``to``.

    The tokenizer is that of ``vocabulary``. Disk space is not reserved, and an unfinished file
    never has the name ``to``.
    """
    shape = shape or Shape()
    reader = GGUFReader(vocabulary)
    tokens = len(reader.fields["tokenizer.ggml.tokens"].data)
    tensors = list(plan(shape, tokens))
    writer = GGUFWriter(to, "llama")
    _add_metadata(writer, shape, tokens)
    copy_metadata(reader, writer, only=("tokenizer.",))
    for tensor in tensors:
        matrix = tensor.kind != Quant.F32
        writer.add_tensor_info(
            tensor.name,
            [tensor.rows, tensor.row_bytes] if matrix else [tensor.n_in],
            np.dtype(np.uint8 if matrix else np.float32),
            tensor.size,
            raw_dtype=tensor.kind if matrix else None,
        )
    temporary = to.with_name(f".{to.name}.{os.getpid()}.tmp")
    try:
        writer.write_header_to_file(temporary)
        writer.write_kv_data_to_file()
        writer.write_ti_data_to_file()
        for number, tensor in enumerate(tensors):
            writer.write_tensor_data(_weights(tensor, np.random.default_rng((seed, number))))
        writer.close()
        temporary.replace(to)
    finally:
        temporary.unlink(missing_ok=True)
    return to


def write_of_size(to: Path, *, at_least: int = 4 << 30, vocabulary: Path = DEMO) -> Path:
    """Write a valid GGUF of at least ``at_least`` bytes, and of less than one block (39 MB) more.

    It is the 1B shape with as many blocks as that takes: for building and copying, not to run.
    """
    shape = Shape()
    while sum(tensor.size for tensor in plan(shape, tokens=1)) < at_least:
        shape = replace(shape, blocks=shape.blocks + 1)
    return write_llama(to, shape=shape, vocabulary=vocabulary)


def plan(shape: Shape, tokens: int) -> Iterator[Tensor]:
    """All tensors in file order, with the types of Q4_K_M (upstream's ``src/llama-quant.cpp``)."""
    n = shape.embedding
    yield Tensor("output.weight", tokens, n, Quant.Q6_K)
    yield Tensor("output_norm.weight", 1, n, Quant.F32)
    yield Tensor("token_embd.weight", tokens, n, Quant.Q4_K)
    for block in range(shape.blocks):
        name = f"blk.{block}"
        better = Quant.Q6_K if _gets_more_bits(block, shape.blocks) else Quant.Q4_K
        yield Tensor(f"{name}.attn_norm.weight", 1, n, Quant.F32)
        yield Tensor(f"{name}.attn_q.weight", n, n, Quant.Q4_K)
        yield Tensor(f"{name}.attn_k.weight", shape.kv, n, Quant.Q4_K)
        yield Tensor(f"{name}.attn_v.weight", shape.kv, n, better)
        yield Tensor(f"{name}.attn_output.weight", n, n, Quant.Q4_K)
        yield Tensor(f"{name}.ffn_norm.weight", 1, n, Quant.F32)
        yield Tensor(f"{name}.ffn_gate.weight", shape.feed_forward, n, Quant.Q4_K)
        yield Tensor(f"{name}.ffn_up.weight", shape.feed_forward, n, Quant.Q4_K)
        yield Tensor(f"{name}.ffn_down.weight", n, shape.feed_forward, better)


def _gets_more_bits(block: int, blocks: int) -> bool:
    """Upstream's ``use_more_bits``: the first and last eighth, and every third between."""
    eighth = blocks // 8
    return block < eighth or block >= 7 * blocks // 8 or (block - eighth) % 3 == 2


def _add_metadata(writer: GGUFWriter, shape: Shape, tokens: int) -> None:
    writer.add_type("model")
    writer.add_name(f"Synthetic Llama, {shape.blocks} blocks")
    writer.add_description("Random weights for benchmarks")
    writer.add_file_type(LlamaFileType.MOSTLY_Q4_K_M)
    writer.add_quantization_version(2)
    writer.add_block_count(shape.blocks)
    writer.add_context_length(shape.context)
    writer.add_embedding_length(shape.embedding)
    writer.add_feed_forward_length(shape.feed_forward)
    writer.add_head_count(shape.heads)
    writer.add_head_count_kv(shape.kv_heads)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_rope_dimension_count(shape.head)
    writer.add_rope_freq_base(10000.0)
    writer.add_vocab_size(tokens)


def _weights(tensor: Tensor, rng: np.random.Generator) -> npt.NDArray[np.generic]:
    """The tensor's bytes: ones for a norm, random blocks with set scales for a matrix."""
    if tensor.kind == Quant.F32:
        return np.ones(tensor.n_in, dtype=np.float32)
    # Whole 64-bit words are numpy's quickest: 2.7 GB/s measured, where Generator.bytes gives 0.8.
    words = rng.integers(0, 1 << 64, size=-(-tensor.size // 8), dtype=np.uint64)
    data: Bytes = words.view(np.uint8)[: tensor.size]
    if tensor.kind == Quant.Q4_K:
        blocks = data.reshape(-1, 144)
        d = _DEVIATION / _Q4_K_UNIT
        blocks[:, :4] = _halves(d, d * _Q4_K_MEAN)
    else:
        blocks = data.reshape(-1, 210)
        blocks[:, 208:] = _halves(_DEVIATION / _Q6_K_UNIT)
    return data.reshape(tensor.rows, tensor.row_bytes)


def _halves(*values: float) -> Bytes:
    return np.array(values, dtype="<f2").view(np.uint8)


def main() -> None:
    """Write one file from the command line."""
    parser = argparse.ArgumentParser(description="Write a large GGUF of random weights.")
    parser.add_argument("to", type=Path)
    parser.add_argument("--gib", type=float, help="write this much instead of the 1B shape")
    options = parser.parse_args()
    if options.gib is None:
        write_llama(options.to)
    else:
        write_of_size(options.to, at_least=int(options.gib * (1 << 30)))


if __name__ == "__main__":
    main()
