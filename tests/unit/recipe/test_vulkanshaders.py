from __future__ import annotations

import json
import re
from dataclasses import replace

import pytest

from ingot.gguf.facts import TypeShare
from ingot.gguf.kernels import KernelSet
from ingot.recipe.vulkanshaders import choose, header, tensor_types

DENSE = KernelSet(
    ops=("ADD", "FLASH_ATTN_EXT", "GET_ROWS", "GLU(SWIGLU)", "MUL_MAT", "SET_ROWS"),
    source_types={"GET_ROWS": ("q4_k",), "MUL_MAT": ("f16", "q4_k")},
    copies={"SET_ROWS": (("f32", "f16"),)},
    kv_types=(("f16", "f16"),),
    attention=((64, 64, 2),),
    weights={"f32": TypeShare(1, 4), "q4_k": TypeShare(1, 144)},
)
MIXTURE = replace(DENSE, ops=(*DENSE.ops, "MUL_MAT_ID"))
FLOAT = replace(
    DENSE,
    source_types={"MUL_MAT": ("bf16", "f16")},
    weights={"bf16": TypeShare(1, 2)},
)
STATE = replace(DENSE, ops=("MUL_MAT", "SSM_CONV", "RWKV_WKV7", "CONV_2D_DW", "IM2COL"))


def kept(name: str, kernels: KernelSet) -> bool:
    return choose([name], kernels) == (name,)


@pytest.mark.parametrize(
    "name",
    [
        "mul_mat_vec_q4_k_f32_f32_subgroup",
        "mul_mat_vec_q4_k_q8_1_f32",
        "matmul_q4_k_q8_1_cm1",
        "matmul_quant_f16_cm2",
        "matmul_f16_f32_dot2",
        "dequant_q4_k",
        "get_rows_q4_k_f32",
        "set_rows_f32_f16_i64",
        "cpy_f32_f16",
        "flash_attn_f32_f16_f16acc_cm1",
        "fa_split_k_reduce",
        "quantize_q8_1_x4_subgroup",
        "soft_max_f32",
        "add_f32_f32_f32",
        "topk_moe_f32",
    ],
)
def test_what_a_dense_model_needs(name: str) -> None:
    assert kept(name, DENSE)


@pytest.mark.parametrize(
    "name",
    [
        "mul_mat_vec_q5_k_f32_f32",
        "mul_mat_vec_iq4_nl_f32_f32",
        "mul_mat_vec_tq1_0_f16_f32",
        "mul_mat_vec_bf16_f32_f32",
        "matmul_bf16_cm2",
        "matmul_q4_0_q8_1",
        "matmul_mxfp4_f16_ocp_cm1",
        "set_rows_f32_q8_0_i32",
        "cpy_iq4_nl_f32",
        "dequant_q8_0_transpose",
        "flash_attn_f32_f16_bf16_cm2",
        "matmul_id_quant_f32",
        "matmul_id_subgroup_f16_f32_cm1",
        "mul_mat_vec_id_q4_k_f32_f32",
        "count_experts_subgroup",
        "rwkv_wkv6_f32",
        "ssm_scan_subgroup_f32",
        "conv2d_f32",
        "conv_transpose_2d_f16_f32_unroll",
        "conv2d_dw_whcn_f32",
        "im2col_3d_f32_bda",
        "cross_entropy_loss_back_f32",
    ],
)
def test_what_it_does_not(name: str) -> None:
    assert not kept(name, DENSE)


@pytest.mark.parametrize(
    ("name", "kernels"),
    [
        ("matmul_id_quant_f32", MIXTURE),
        ("mul_mat_vec_id_q4_k_f32_f32", MIXTURE),
        ("matmul_bf16_cm2", FLOAT),
        ("ssm_conv_f32", STATE),
        ("rwkv_wkv7_f32", STATE),
        ("conv2d_dw_cwhn_f32", STATE),
        ("im2col_f32_f16_bda", STATE),
        ("set_rows_f32_q8_0_i32", replace(DENSE, kv_types=(("q8_0", "q8_0"),))),
        ("dequant_q8_0_transpose", replace(DENSE, kv_types=(("q8_0", "q8_0"),))),
    ],
)
def test_what_others_need(name: str, kernels: KernelSet) -> None:
    assert kept(name, kernels)


@pytest.mark.parametrize(
    ("name", "kernels"),
    [
        ("mul_mat_vec_id_q5_k_f32_f32", MIXTURE),
        ("matmul_quant_f32_f16acc", FLOAT),
        ("conv2d_f32", STATE),
        ("im2col_3d_f32", STATE),
        ("rwkv_wkv6_f32", STATE),
        ("flash_attn_f32_f16", STATE),
    ],
)
def test_what_others_do_not(name: str, kernels: KernelSet) -> None:
    assert not kept(name, kernels)


def test_the_order_is_kept() -> None:
    assert choose(["z_f32", "mul_mat_vec_q2_k_f32_f32", "a_f32"], DENSE) == ("z_f32", "a_f32")


def test_the_header_names_what_the_module_accepts() -> None:
    text = header(MIXTURE)
    ops = re.findall(r"GGML_OP_(\w+)", text)
    assert ops == sorted(["ADD", "FLASH_ATTN_EXT", "GET_ROWS", "GLU", *DENSE.ops[4:], "MUL_MAT_ID"])
    types = set(re.findall(r"GGML_TYPE_(\w+)", text))
    assert types == {"F16", "F32", "F64", "I8", "I16", "I32", "I64", "Q4_K"}
    literal = text.split("INGOT_KERNELS_TEXT[] = ")[1].rstrip(";\n")
    assert KernelSet.from_json(json.loads(json.loads(literal))) == replace(
        MIXTURE, ops=tuple(sorted(MIXTURE.ops))
    )
    assert "bf16" in tensor_types(FLOAT)
