"""Writes the stories' model and its adapter as GGUF."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import numpy.typing as npt
from gguf import GGUFWriter, LlamaFileType, TokenType

from tests.models.ggufs import save
from tests.upstream.stories.shape import SHAPE
from tests.upstream.stories.vocabulary import BYTES, FIM, SPECIAL, Vocabulary

Weights = Mapping[str, npt.NDArray[np.float32]]


def write_model(to: Path, vocabulary: Vocabulary, weights: Weights) -> Path:
    """Write matrices as F16, vectors as F32."""
    writer = GGUFWriter(to, "llama")
    writer.add_name("Stories for llama.cpp's server tests")
    writer.add_license("Apache-2.0")
    writer.add_file_type(LlamaFileType.MOSTLY_F16)
    writer.add_context_length(SHAPE.context)
    writer.add_embedding_length(SHAPE.embedding)
    writer.add_feed_forward_length(SHAPE.feed_forward)
    writer.add_block_count(SHAPE.blocks)
    writer.add_head_count(SHAPE.heads)
    writer.add_head_count_kv(SHAPE.kv_heads)
    writer.add_rope_dimension_count(SHAPE.embedding // SHAPE.heads)
    writer.add_layer_norm_rms_eps(SHAPE.epsilon)
    _add_vocabulary(writer, vocabulary)
    for name, values in weights.items():
        full = f"{name.removesuffix('.weight')}.weight"
        writer.add_tensor(full, values if values.ndim < 2 else values.astype(np.float16))
    return save(writer, to)


def _add_vocabulary(writer: GGUFWriter, vocabulary: Vocabulary) -> None:
    writer.add_tokenizer_model("llama")
    writer.add_tokenizer_pre("default")
    writer.add_token_list(vocabulary.pieces)
    writer.add_token_scores(
        [_score(vocabulary, number) for number in range(len(vocabulary.pieces))]
    )
    writer.add_token_types([_type(piece) for piece in vocabulary.pieces])
    writer.add_bos_token_id(1)
    writer.add_eos_token_id(2)
    writer.add_unk_token_id(0)
    writer.add_add_bos_token(True)
    writer.add_add_space_prefix(True)


def _score(vocabulary: Vocabulary, number: int) -> float:
    """Earlier merges score higher."""
    first = len(vocabulary.common) - len(vocabulary.merges)
    return float(first - number) if number >= first else -1e6 if number >= 259 else 0.0


def _type(piece: str) -> int:
    if piece == SPECIAL[0]:
        return int(TokenType.UNKNOWN)
    if piece in SPECIAL or piece in FIM:
        return int(TokenType.CONTROL)
    return int(TokenType.BYTE if piece in BYTES else TokenType.NORMAL)


def write_adapter(to: Path, weights: Weights) -> Path:
    """Write the pairs by upstream's names: see ``tests.models.fixtures.lora_adapter``."""
    writer = GGUFWriter(to, "llama")
    writer.add_type("adapter")
    writer.add_string("adapter.type", "lora")
    writer.add_float32("adapter.lora.alpha", float(SHAPE.rank))
    for name, values in weights.items():
        block, _, pair = name.rpartition(".")
        writer.add_tensor(f"{block}.weight.{pair}", values)
    return save(writer, to)
