"""A projector that sees one thing: whether a picture is blue.

Its image embeddings are those of a byte token, 36 times, so that the text model could learn from
tokens what is in a picture. Everything in it is written by hand: a patch's mean of blue reaches one
channel, the blocks add nothing, and two neurons tell its sign.
"""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import numpy.typing as npt
from gguf import GGUFReader, GGUFWriter

from tests.models.ggufs import save
from tests.upstream.stories import MODEL
from tests.upstream.stories.shape import SHAPE
from tests.upstream.stories.texts import PICTURES

Floats = npt.NDArray[np.float32]

_PATCH, _SIDE, _WIDE, _BLOCKS = 14, 6, 8, 2
_BYTES = 3  # the number of the byte tokens' first


def projector(to: Path) -> Path:
    """Write it. Keys and names as in ``tests.models.fixtures.projector``."""
    writer = GGUFWriter(to, "clip")
    writer.add_type("mmproj")
    writer.add_clip_has_vision_encoder(True)
    writer.add_clip_projector_type("mlp")
    writer.add_vision_projection_dim(SHAPE.embedding)
    writer.add_vision_image_size(_PATCH * _SIDE)
    writer.add_vision_patch_size(_PATCH)
    writer.add_vision_embedding_length(_WIDE)
    writer.add_vision_feed_forward_length(_WIDE)
    writer.add_vision_block_count(_BLOCKS)
    writer.add_vision_head_count(2)
    writer.add_vision_attention_layernorm_eps(1e-6)
    writer.add_vision_image_mean([0.5, 0.5, 0.5])
    writer.add_vision_image_std([0.5, 0.5, 0.5])
    _add_tower(writer)
    _add_decision(writer)
    return save(writer, to)


def _add_tower(writer: GGUFWriter) -> None:
    """Blue less gray in channel 0, which stands against channel 1; the rest is 0."""
    kernel = np.zeros((_WIDE, 3, _PATCH, _PATCH), dtype=np.float16)
    kernel[0, 2] = 8 / _PATCH**2
    writer.add_tensor("v.patch_embd.weight", kernel)
    writer.add_tensor("v.class_embd", _zeros(_WIDE))
    writer.add_tensor("v.position_embd.weight", _zeros(_SIDE**2 + 1, _WIDE))
    _add_norm(writer, "v.pre_ln")
    for block in range(_BLOCKS):
        _add_norm(writer, f"v.blk.{block}.ln1")
        _add_norm(writer, f"v.blk.{block}.ln2")
        for part in ("attn_q", "attn_k", "attn_v", "attn_out", "ffn_up", "ffn_down"):
            _add_linear(writer, f"v.blk.{block}.{part}", _zeros(_WIDE, _WIDE))


def _add_decision(writer: GGUFWriter) -> None:
    """Channel 0 of a normalized patch is sqrt(7) or its negative, the others are 1/-sqrt(7)."""
    high = math.sqrt(_WIDE - 1)
    first = _zeros(SHAPE.embedding, _WIDE)
    first[0, 0], first[1, 0] = -10.0, 10.0
    _add_linear(writer, "mm.0", first)
    embeddings = GGUFReader(MODEL).tensors
    (rows,) = (tensor.data for tensor in embeddings if tensor.name == "token_embd.weight")
    second = _zeros(SHAPE.embedding, SHAPE.embedding)
    for neuron, byte in enumerate(PICTURES):
        second[:, neuron] = rows[_BYTES + byte].astype(np.float32) / (10.0 * high)
    _add_linear(writer, "mm.2", second)


def _add_linear(writer: GGUFWriter, name: str, weight: Floats) -> None:
    writer.add_tensor(f"{name}.weight", weight)
    writer.add_tensor(f"{name}.bias", _zeros(weight.shape[0]))


def _add_norm(writer: GGUFWriter, name: str) -> None:
    writer.add_tensor(f"{name}.weight", np.ones(_WIDE, dtype=np.float32))
    writer.add_tensor(f"{name}.bias", _zeros(_WIDE))


def _zeros(*shape: int) -> Floats:
    return np.zeros(shape, dtype=np.float32)
