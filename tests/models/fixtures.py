"""Everything that can stand beside a main model, tiny and made from the demo model.

A LoRA adapter, a vision projector (one that fits and one that does not), a draft model, the parts
of a split model and a model that can infill. The weights are random but seeded, so the same
libraries give the same bytes.
"""

from __future__ import annotations

import math
import struct
import zlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
from gguf import GGUFReader, GGUFValueType, GGUFWriter

from tests.models import DEMO
from tests.models.ggufs import copy_metadata, copy_tensors, save, string_value

Floats = npt.NDArray[np.float32]

LORA_RANK = 4
LORA_TARGETS = ("attn_q", "attn_output", "ffn_down")
# A product B x A of this deviation is as large as the demo's own weights (0.066 to 0.070), so
# that greedy text with the adapter differs from text without it within a few tokens.
_LORA_DEVIATION = 0.07

# Brings image embeddings from 0.886 (measured) to the demo's token embeddings' 0.063, root mean
# square, so that they neither drown the text nor vanish in it.
_IMAGE_GAIN = 0.07


def lora_adapter(to: Path, *, base: Path = DEMO, seed: int = 11) -> Path:
    """Write a rank-4 LoRA adapter for every block of ``base`` (a Llama) that changes its output.

    Layout as in upstream's ``convert_lora_to_gguf.py``: for a weight of shape (out, in) the pair
    ``.lora_a`` (rank, in) and ``.lora_b`` (out, rank) in F32; alpha equals the rank, so the scale
    is 1 (``llama_adapter_lora_weight::get_scale``).
    """
    reader = GGUFReader(base)
    writer = GGUFWriter(to, string_value(reader, "general.architecture"))
    writer.add_type("adapter")
    writer.add_name("PyStdlib 7M test adapter")
    writer.add_string("adapter.type", "lora")
    writer.add_float32("adapter.lora.alpha", float(LORA_RANK))
    rng = np.random.default_rng(seed)
    each = math.sqrt(_LORA_DEVIATION / math.sqrt(LORA_RANK))
    for tensor in reader.tensors:
        if tensor.name.split(".")[-2] not in LORA_TARGETS:
            continue
        n_in, n_out = (int(size) for size in tensor.shape)
        writer.add_tensor(f"{tensor.name}.lora_a", _normal(rng, (LORA_RANK, n_in), each))
        writer.add_tensor(f"{tensor.name}.lora_b", _normal(rng, (n_out, LORA_RANK), each))
    return save(writer, to)


@dataclass(frozen=True)
class VisionShape:
    """Sizes of the vision tower: pixels for image and patch, elements for the rest."""

    image: int = 28
    patch: int = 14
    embedding: int = 32
    feed_forward: int = 64
    heads: int = 2
    # The LLaVA graph stops one block before the last (clip_graph_llava::build), so two is the
    # least that computes one.
    blocks: int = 2


def projector(
    to: Path, *, projection: int = 256, shape: VisionShape | None = None, seed: int = 12
) -> Path:
    """Write a LLaVA projector (type ``mlp``) whose image embeddings have ``projection`` elements.

    It fits a text model with that embedding length; for any other the engine refuses it with
    "mismatch between text model (n_embd = ...) and mmproj (n_embd = ...)". With the default
    shape an image of any size becomes 4 tokens. Keys and tensor names: upstream's
    ``tools/mtmd/clip-impl.h`` and ``clip_model_loader`` in ``clip.cpp``.
    """
    shape = shape or VisionShape()
    writer = GGUFWriter(to, "clip")
    writer.add_type("mmproj")
    writer.add_name("PyStdlib 7M test projector")
    writer.add_clip_has_vision_encoder(True)
    writer.add_clip_projector_type("mlp")
    writer.add_vision_projection_dim(projection)
    writer.add_vision_image_size(shape.image)
    writer.add_vision_patch_size(shape.patch)
    writer.add_vision_embedding_length(shape.embedding)
    writer.add_vision_feed_forward_length(shape.feed_forward)
    writer.add_vision_block_count(shape.blocks)
    writer.add_vision_head_count(shape.heads)
    writer.add_vision_attention_layernorm_eps(1e-5)
    writer.add_vision_image_mean([0.5, 0.5, 0.5])
    writer.add_vision_image_std([0.5, 0.5, 0.5])
    rng = np.random.default_rng(seed)
    _add_vision_stem(writer, shape, rng)
    for block in range(shape.blocks):
        _add_vision_block(writer, shape, rng, f"v.blk.{block}")
    _add_linear(writer, rng, "mm.0", shape.embedding, projection)
    _add_linear(writer, rng, "mm.2", projection, projection, gain=_IMAGE_GAIN)
    return save(writer, to)


def _add_vision_stem(writer: GGUFWriter, shape: VisionShape, rng: np.random.Generator) -> None:
    patches = (shape.image // shape.patch) ** 2
    pixels = 3 * shape.patch**2
    kernel = _normal(rng, (shape.embedding, 3, shape.patch, shape.patch), pixels**-0.5)
    # F16 as upstream's converter stores it: ggml_conv_2d multiplies with an F16 im2col.
    writer.add_tensor("v.patch_embd.weight", kernel.astype(np.float16))
    writer.add_tensor("v.class_embd", _normal(rng, (shape.embedding,), 0.5))
    writer.add_tensor("v.position_embd.weight", _normal(rng, (patches + 1, shape.embedding), 0.5))
    _add_norm(writer, "v.pre_ln", shape.embedding)


def _add_vision_block(
    writer: GGUFWriter, shape: VisionShape, rng: np.random.Generator, name: str
) -> None:
    _add_norm(writer, f"{name}.ln1", shape.embedding)
    for part in ("attn_q", "attn_k", "attn_v", "attn_out"):
        _add_linear(writer, rng, f"{name}.{part}", shape.embedding, shape.embedding)
    _add_norm(writer, f"{name}.ln2", shape.embedding)
    _add_linear(writer, rng, f"{name}.ffn_up", shape.embedding, shape.feed_forward)
    _add_linear(writer, rng, f"{name}.ffn_down", shape.feed_forward, shape.embedding)


def _add_linear(
    writer: GGUFWriter,
    rng: np.random.Generator,
    name: str,
    n_in: int,
    n_out: int,
    *,
    gain: float = 1.0,
) -> None:
    writer.add_tensor(f"{name}.weight", _normal(rng, (n_out, n_in), gain * n_in**-0.5))
    writer.add_tensor(f"{name}.bias", np.zeros(n_out, dtype=np.float32))


def _add_norm(writer: GGUFWriter, name: str, size: int) -> None:
    writer.add_tensor(f"{name}.weight", np.ones(size, dtype=np.float32))
    writer.add_tensor(f"{name}.bias", np.zeros(size, dtype=np.float32))


def _normal(rng: np.random.Generator, shape: tuple[int, ...], deviation: float) -> Floats:
    values: Floats = rng.standard_normal(shape, dtype=np.float32) * np.float32(deviation)
    return values


def draft_model(to: Path, *, base: Path = DEMO) -> Path:
    """Write a draft model: the first block of ``base`` between its own embedding and output.

    The vocabulary is the same, which is what speculative decoding asks for. The demo's first
    block alone agrees with the whole model on 12.6 % of greedy next tokens (the best of its six
    blocks), so some drafted tokens are accepted and most are not.
    """
    reader = GGUFReader(base)
    architecture = string_value(reader, "general.architecture")
    writer = GGUFWriter(to, architecture)
    copy_metadata(
        reader,
        writer,
        replace={f"{architecture}.block_count": 1, "general.name": "PyStdlib test draft"},
    )
    names = (tensor.name for tensor in reader.tensors)
    kept = {name for name in names if not name.startswith("blk.") or name.startswith("blk.0.")}
    copy_tensors(reader.tensors, writer, keep=kept)
    return save(writer, to)


def infill_model(to: Path, *, base: Path = DEMO) -> Path:
    """Write ``base`` with fill-in-the-middle tokens: the last three of its vocabulary.

    They mean nothing to the model; the engine only asks whether there are any.
    """
    reader = GGUFReader(base)
    writer = GGUFWriter(to, string_value(reader, "general.architecture"))
    copy_metadata(reader, writer)
    last = len(reader.fields["tokenizer.ggml.tokens"].contents()) - 1
    for number, part in enumerate(("pre", "suf", "mid")):
        writer.add_uint32(f"tokenizer.ggml.fim_{part}_token_id", last - number)
    copy_tensors(reader.tensors, writer)
    return save(writer, to)


def split_model(folder: Path, *, base: Path = DEMO, parts: int = 3) -> tuple[Path, ...]:
    """Write ``base`` as ``parts`` files, as upstream's ``gguf-split`` does; return them in order.

    All metadata is in the first part, the others carry only ``split.no`` and ``split.count``
    (uint16) and ``split.tensors.count`` (int32, of the whole model); tensors follow one another
    in their order, bytes unchanged. Names are ``STEM-00001-of-00003.gguf``. Taking the three
    keys away and joining the tensors gives back ``base``, bit for bit.
    """
    reader = GGUFReader(base)
    total = len(reader.tensors)
    each = math.ceil(total / parts)
    made = []
    for number in range(parts):
        to = folder / f"{base.stem}-{number + 1:05d}-of-{parts:05d}.gguf"
        writer = GGUFWriter(to, string_value(reader, "general.architecture"))
        if number == 0:
            copy_metadata(reader, writer)
        else:
            del writer.kv_data[0]["general.architecture"]  # GGUFWriter has put it there
        writer.add_key_value("split.no", number, GGUFValueType.UINT16)
        writer.add_key_value("split.count", parts, GGUFValueType.UINT16)
        writer.add_key_value("split.tensors.count", total, GGUFValueType.INT32)
        copy_tensors(reader.tensors[number * each : (number + 1) * each], writer)
        made.append(save(writer, to))
    return tuple(made)


def picture(to: Path, *, width: int = 40, height: int = 30, blue: int = 128) -> Path:
    """Write an RGB gradient as a PNG, something for a projector to look at.

    Sizes in pixels; another ``blue`` (0 to 255) gives another picture of the same size.
    """
    rows = bytearray()
    for y in range(height):
        rows.append(0)  # filter type "none" (PNG specification, section 9)
        for x in range(width):
            rows += bytes((255 * x // width, 255 * y // height, blue))
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    chunks = ((b"IHDR", header), (b"IDAT", zlib.compress(bytes(rows))), (b"IEND", b""))
    data = b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))
        for kind, body in chunks
    )
    to.write_bytes(data)
    return to
