"""InternLM2's layout of a checkpoint and Llama's: other names, and Q, K and V in one tensor. Pure.

Both are the same network. InternLM2 keeps for each KV head, one after another, the rows of its
query heads, then those of K, then those of V (``wqkv``). All are whole rows, so a conversion in
either direction moves bytes and computes nothing. Source: conversion/internlm.py of the engine.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ingot.errors import InputError
from ingot.models.safetensors import Region, Tensor

LLAMA, INTERNLM2 = "llama", "internlm2"
ARCHITECTURES = {LLAMA: "LlamaForCausalLM", INTERNLM2: "InternLM2ForCausalLM"}
TOKENIZER_CLASSES = {LLAMA: "LlamaTokenizer", INTERNLM2: "InternLM2Tokenizer"}

# InternLM2's name -> Llama's, below model.layers.N.
_LAYER = {
    "attention.wo": "self_attn.o_proj",
    "feed_forward.w1": "mlp.gate_proj",
    "feed_forward.w3": "mlp.up_proj",
    "feed_forward.w2": "mlp.down_proj",
    "attention_norm": "input_layernorm",
    "ffn_norm": "post_attention_layernorm",
}
_WHOLE = {
    "model.tok_embeddings": "model.embed_tokens",
    "model.norm": "model.norm",
    "output": "lm_head",
}
_PACKED = "attention.wqkv"
_PARTS = ("self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj")
_IN_LAYER = re.compile(r"model\.layers\.(\d{1,4})\.(.+)\.(weight|bias)")
_OUTSIDE = re.compile(r"(.+)\.(weight|bias)")
_COMPUTED = re.compile(r".*\.rotary_emb\.inv_freq")  # in some checkpoints; it follows from theta


@dataclass(frozen=True)
class Shape:
    """What a config says of a network's shape."""

    layers: int
    heads: int
    kv_heads: int
    head: int  # elements of a head
    hidden: int
    tied: bool

    @property
    def group(self) -> int:
        """Rows of one KV head in ``wqkv``."""
        return (self.heads // self.kv_heads + 2) * self.head


def read_shape(config: Mapping[str, Any]) -> Shape:
    """Raises InputError ``bad-checkpoint``."""

    def number(key: str, default: object = None) -> int:
        value = config.get(key, default)
        if not isinstance(value, int) or isinstance(value, bool) or not 0 < value < 1 << 24:
            raise InputError(f"config.json: has no number {key!r}", code="bad-checkpoint")
        return value

    heads, hidden = number("num_attention_heads"), number("hidden_size")
    kv_heads = number("num_key_value_heads", heads)
    if heads % kv_heads or ("head_dim" not in config and hidden % heads):
        raise InputError("config.json: its numbers of heads do not fit", code="bad-checkpoint")
    head = config.get("head_dim") or hidden // heads
    layers, tied = number("num_hidden_layers"), bool(config.get("tie_word_embeddings", False))
    return Shape(layers, heads, kv_heads, int(head), hidden, tied)


def convert_tensors(tensors: Mapping[str, Tensor], shape: Shape, to: str) -> dict[str, Tensor]:
    """The tensors under the names of the layout ``to``; in the order of the given ones.

    Raises InputError ``unknown-tensor``, ``missing-tensor`` or ``wrong-shape``.
    """
    renamed: dict[str, Tensor] = {}
    for name, tensor in tensors.items():
        if _COMPUTED.fullmatch(name):
            continue
        for one in _split(tensor, shape) if to == LLAMA else _merged(tensor, tensors, shape):
            renamed[one.name] = one
    missing = sorted(_expected(shape, to) - renamed.keys())
    if missing:
        raise InputError(
            f"the checkpoint lacks {len(missing)} tensors, such as what {missing[0]!r} is made of",
            hint="get the whole checkpoint; is config.json of this model?",
            code="missing-tensor",
        )
    return renamed


def convert_config(config: Mapping[str, Any], to: str) -> dict[str, Any]:
    """config.json for the layout ``to``; pointers to code are left out."""
    found = {key: value for key, value in config.items() if key != "auto_map"}
    found |= {"architectures": [ARCHITECTURES[to]], "model_type": to}
    old, new = ("bias", "attention_bias") if to == LLAMA else ("attention_bias", "bias")
    if old in found:
        found[new] = found.pop(old)
    if to == LLAMA:
        found.pop("attn_implementation", None)
    return found


def _expected(shape: Shape, to: str) -> set[str]:
    layer = [*_LAYER.values(), *_PARTS] if to == LLAMA else [*_LAYER, _PACKED]
    whole = list(_WHOLE.values() if to == LLAMA else _WHOLE)
    if shape.tied:
        whole.pop()
    names = {f"model.layers.{n}.{part}.weight" for n in range(shape.layers) for part in layer}
    return names | {f"{name}.weight" for name in whole}


def _split(tensor: Tensor, shape: Shape) -> list[Tensor]:
    """InternLM2 to Llama."""
    layer = _IN_LAYER.fullmatch(tensor.name)
    if layer is None:
        return [_renamed(tensor, _WHOLE)]
    number, part, kind = layer.groups()
    front = f"model.layers.{number}"
    if part != _PACKED:
        return [_renamed_in_layer(tensor, front, part, kind, _LAYER)]
    _check_rows(tensor, shape.group * shape.kv_heads)
    queries = shape.group - 2 * shape.head
    pieces = [(0, queries), (queries, shape.head), (queries + shape.head, shape.head)]
    region, row = tensor.regions[0], tensor.row
    made = []
    for name, (start, rows) in zip(_PARTS, pieces, strict=True):
        regions = tuple(
            Region(region.path, region.offset + (g * shape.group + start) * row, rows * row)
            for g in range(shape.kv_heads)
        )
        size = (rows * shape.kv_heads, *tensor.shape[1:])
        made.append(Tensor(f"{front}.{name}.{kind}", tensor.dtype, size, regions))
    return made


def _merged(tensor: Tensor, tensors: Mapping[str, Tensor], shape: Shape) -> list[Tensor]:
    """Llama to InternLM2; Q stands for all three."""
    layer = _IN_LAYER.fullmatch(tensor.name)
    if layer is None:
        return [_renamed(tensor, {new: old for old, new in _WHOLE.items()})]
    number, part, kind = layer.groups()
    front = f"model.layers.{number}"
    if part not in _PARTS:
        back = {new: old for old, new in _LAYER.items()}
        return [_renamed_in_layer(tensor, front, part, kind, back)]
    if part != _PARTS[0]:
        return []
    three = [tensors.get(f"{front}.{name}.{kind}") for name in _PARTS]
    whole = [one for one in three if one is not None]
    if len(whole) < 3 or len({(one.dtype, one.shape[1:]) for one in whole}) > 1:
        raise InputError(
            f"{front}: Q, K and V are not of one kind", code="missing-tensor", hint=None
        )
    rows = ((shape.group - 2 * shape.head), shape.head, shape.head)
    for one, count in zip(whole, rows, strict=True):
        _check_rows(one, count * shape.kv_heads)
    regions = tuple(
        Region(one.regions[0].path, one.regions[0].offset + g * n * one.row, n * one.row)
        for g in range(shape.kv_heads)
        for one, n in zip(whole, rows, strict=True)
    )
    size = (shape.group * shape.kv_heads, *tensor.shape[1:])
    return [Tensor(f"{front}.{_PACKED}.{kind}", tensor.dtype, size, regions)]


def _renamed(tensor: Tensor, names: Mapping[str, str]) -> Tensor:
    match = _OUTSIDE.fullmatch(tensor.name)
    if match is None or match[1] not in names:
        raise _unknown(tensor)
    return Tensor(f"{names[match[1]]}.{match[2]}", tensor.dtype, tensor.shape, tensor.regions)


def _renamed_in_layer(
    tensor: Tensor, front: str, part: str, kind: str, names: Mapping[str, str]
) -> Tensor:
    if part not in names:
        raise _unknown(tensor)
    return Tensor(f"{front}.{names[part]}.{kind}", tensor.dtype, tensor.shape, tensor.regions)


def _check_rows(tensor: Tensor, rows: int) -> None:
    if not tensor.shape or tensor.shape[0] != rows:
        raise InputError(
            f"{tensor.name} has the shape {list(tensor.shape)}; config.json asks for {rows} rows",
            hint="is config.json of this model?",
            code="wrong-shape",
        )


def _unknown(tensor: Tensor) -> InputError:
    return InputError(
        f"the checkpoint has a tensor that the layout does not know: {tensor.name!r}",
        hint="is it a model of another kind, or one with adapters in it?",
        code="unknown-tensor",
    )
