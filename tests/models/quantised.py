"""The demo model with other tensor types.

``quantised`` is for what looks at types only: its weights are random bytes. The types are those
that ``llama_model_quantize`` of the pinned engine gave the demo (with an importance matrix of ones;
IQ2_S means mostly IQ2_XS there).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from gguf import GGMLQuantizationType as Quant
from gguf import GGUFReader, GGUFWriter, LlamaFileType
from gguf.quants import dequantize, quant_shape_to_byte_shape, quantize

from tests.models import DEMO
from tests.models.ggufs import copy_metadata, save, string_value


@dataclass(frozen=True)
class Mix:
    """Types by the part of the model; ``some`` are exceptions by whole tensor name."""

    file_type: LlamaFileType
    most: Quant
    embedding: Quant
    output: Quant
    parts: Mapping[str, Quant] = field(default_factory=dict)
    some: Mapping[str, Quant] = field(default_factory=dict)

    def type_of(self, name: str) -> Quant:
        """The type of the matrix ``name``."""
        whole = {"token_embd.weight": self.embedding, "output.weight": self.output, **self.some}
        return whole.get(name) or self.parts.get(name.split(".")[-2]) or self.most


MIXES: Mapping[str, Mix] = {
    "Q4_K_M": Mix(
        LlamaFileType.MOSTLY_Q4_K_M,
        Quant.Q4_K,
        embedding=Quant.Q4_K,
        output=Quant.Q6_K,
        some={
            f"blk.{block}.{part}.weight": Quant.Q6_K
            for block in (2, 5)
            for part in ("attn_v", "ffn_down")
        },
    ),
    "IQ3_XS": Mix(
        LlamaFileType.MOSTLY_IQ3_XS,
        Quant.IQ3_XXS,
        embedding=Quant.IQ3_S,
        output=Quant.Q6_K,
        parts=dict.fromkeys(("attn_v", "attn_output", "ffn_down"), Quant.IQ3_S),
        some={f"blk.5.{part}.weight": Quant.IQ3_S for part in ("ffn_gate", "ffn_up")},
    ),
    "IQ2_S": Mix(
        LlamaFileType.MOSTLY_IQ2_S,
        Quant.IQ2_XS,
        embedding=Quant.IQ3_S,
        output=Quant.Q5_K,
        parts=dict.fromkeys(("attn_v", "attn_output"), Quant.IQ3_S),
    ),
}


def quantised(to: Path, mix: str | Mix, *, base: Path = DEMO, seed: int = 13) -> Path:
    """Write ``base`` with the types of ``mix``, or of ``MIXES[mix]``; vectors stay as they are."""
    chosen = MIXES[mix] if isinstance(mix, str) else mix
    reader = GGUFReader(base)
    writer = GGUFWriter(to, string_value(reader, "general.architecture"))
    copy_metadata(reader, writer, replace={"general.file_type": int(chosen.file_type)})
    rng = np.random.default_rng(seed)
    for tensor in reader.tensors:
        if len(tensor.shape) < 2:
            writer.add_tensor(tensor.name, tensor.data, raw_dtype=tensor.tensor_type)
            continue
        kind = chosen.type_of(tensor.name)
        shape = quant_shape_to_byte_shape([int(n) for n in reversed(tensor.shape)], kind)
        writer.add_tensor(
            tensor.name, rng.integers(0, 256, size=shape, dtype=np.uint8), raw_dtype=kind
        )
    return save(writer, to)


def converted(to: Path, kind: Quant, *, base: Path = DEMO) -> Path:
    """Write ``base`` with its matrices as ``kind``, values and all: it still writes Python.

    numpy knows the older types only: F16, BF16, Q4_0, Q4_1, Q5_0, Q5_1, Q8_0.
    """
    reader = GGUFReader(base)
    writer = GGUFWriter(to, string_value(reader, "general.architecture"))
    file_type = LlamaFileType[f"MOSTLY_{kind.name}"]
    copy_metadata(reader, writer, replace={"general.file_type": int(file_type)})
    for tensor in reader.tensors:
        if len(tensor.shape) < 2:
            writer.add_tensor(tensor.name, tensor.data, raw_dtype=tensor.tensor_type)
            continue
        values = dequantize(tensor.data, tensor.tensor_type)
        writer.add_tensor(tensor.name, quantize(values, kind), raw_dtype=kind)
    return save(writer, to)
