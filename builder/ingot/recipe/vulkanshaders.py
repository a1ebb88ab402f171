"""Which shaders of upstream's Vulkan backend a model needs. Pure: names and a kernel set in.

Upstream's generator gives every variant a name that says what it is for:
``mul_mat_vec_q4_k_f32_f32``, ``matmul_id_quant_f16_cm1``. A rule may keep too much, which costs
bytes; what it leaves out must be unreachable through the ops and types that ``header`` lets the
module accept.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable

from ingot.gguf.kernels import KernelSet

# As the generator spells them. Q8_1 is what activations are quantised to, not a type of weights.
QUANTISED = (
    *("q1_0", "q2_0", "q4_0", "q4_1", "q5_0", "q5_1", "q8_0", "q2_k", "q3_k", "q4_k", "q5_k"),
    *("q6_k", "iq1_s", "iq1_m", "iq2_xxs", "iq2_xs", "iq2_s", "iq3_xxs", "iq3_s", "iq4_xs"),
    *("iq4_nl", "mxfp4", "nvfp4", "tq1_0", "tq2_0"),
)
_BF16 = "bf16"
# Never left out: what everything else is converted to, and indices.
_ALWAYS = ("f32", "f16", "f64", "i8", "i16", "i32", "i64")
_TYPE = re.compile(rf"(?<![a-z0-9])({'|'.join((*QUANTISED, _BF16))})(?![a-z0-9])")

# Shaders by how their names begin, and the one op that uses them.
_FAMILIES = {
    "matmul_id_": "MUL_MAT_ID",
    "mul_mat_vec_id_": "MUL_MAT_ID",
    "count_experts": "MUL_MAT_ID",
    "flash_attn_": "FLASH_ATTN_EXT",
    "fa_": "FLASH_ATTN_EXT",
}
# Ops whose shaders bear the op's name, underscores aside, and are used by no other op.
_NAMESAKES = (
    *("CONV_2D", "CONV_2D_DW", "CONV_3D", "CONV_TRANSPOSE_1D", "CONV_TRANSPOSE_2D"),
    *("IM2COL", "IM2COL_3D", "COL2IM_1D", "POOL_1D", "POOL_2D", "UPSCALE", "TIMESTEP_EMBEDDING"),
    *("RWKV_WKV6", "RWKV_WKV7", "SSM_SCAN", "SSM_CONV", "GATED_DELTA_NET", "LIGHTNING_INDEXER"),
    *("DSV4_HC_COMB", "DSV4_HC_PRE", "DSV4_HC_POST", "SOLVE_TRI", "OPT_STEP_ADAMW"),
    *("OPT_STEP_SGD", "CROSS_ENTROPY_LOSS", "CROSS_ENTROPY_LOSS_BACK"),
)
_BY_STEM = {op.lower().replace("_", ""): op for op in _NAMESAKES}
_STEMS = sorted(_BY_STEM, key=len, reverse=True)


def base_ops(kernels: KernelSet) -> tuple[str, ...]:
    """The ops without the kind of a unary or gated one: ``UNARY(SILU)`` is ``UNARY``."""
    return tuple(sorted({op.partition("(")[0] for op in kernels.ops}))


def tensor_types(kernels: KernelSet) -> tuple[str, ...]:
    """All types that the model's tensors and its KV cache have, and those that are always there."""
    found = set(_ALWAYS) | set(kernels.weights)
    for types in kernels.source_types.values():
        found.update(types)
    for pairs in (*kernels.copies.values(), kernels.kv_types):
        found.update(name for pair in pairs for name in pair)
    return tuple(sorted(found))


def choose(names: Iterable[str], kernels: KernelSet) -> tuple[str, ...]:
    """Those of ``names`` that a module for ``kernels`` needs, in their order."""
    ops, types = set(base_ops(kernels)), set(tensor_types(kernels))
    quantised = bool(types & set(QUANTISED))
    return tuple(name for name in names if _wanted(name, ops, types, quantised))


def _wanted(name: str, ops: set[str], types: set[str], quantised: bool) -> bool:
    op = _only_op(name)
    if op is not None and op not in ops:
        return False
    if "_quant_" in f"{name}_" and not quantised:  # one shader for all of them
        return False
    return types.issuperset(_TYPE.findall(name))


def _only_op(name: str) -> str | None:
    """The op that alone uses the shader, if that is sure."""
    for start, op in _FAMILIES.items():
        if name.startswith(start):
            return op
    plain = name.replace("_", "")
    return next((_BY_STEM[stem] for stem in _STEMS if plain.startswith(stem)), None)


def header(kernels: KernelSet) -> str:
    """``ingot_kernels.h``: what native/vulkan/entry.cc lets through."""
    ops = ", ".join(f"GGML_OP_{op}" for op in base_ops(kernels))
    types = ", ".join(f"GGML_TYPE_{name.upper()}" for name in tensor_types(kernels))
    text = json.dumps(json.dumps(kernels.to_json(), sort_keys=True, separators=(",", ":")))
    return (
        '#pragma once\n#include "ggml.h"\n'
        f"static const ggml_op INGOT_OPS[] = {{{ops}}};\n"
        f"static const ggml_type INGOT_TYPES[] = {{{types}}};\n"
        f"static const char INGOT_KERNELS_TEXT[] = {text};\n"
    )
