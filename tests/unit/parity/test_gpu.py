"""What ``:gpu=`` means for a side; nothing is compiled, and programs are scripts."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from ingot.errors import GpuError, InputError
from ingot.parity.gpu import asks_for_one, check_device, device_in, options_of, wishes_of
from ingot.parity.spec import Spec, parse
from ingot.recipe.gpu import CudaWish, Wishes
from tests.golden.samples import GPU_FACTS, VULKAN_FACTS


def _spec(suffixes: str) -> Spec:
    return parse(f"m.gguf{suffixes}", lambda _path: False)


@pytest.mark.parametrize(
    ("suffixes", "expected"),
    [
        ("", Wishes()),
        (":gpu=none", Wishes()),
        (":gpu=auto", Wishes()),
        ("@9.9:gpu=none", Wishes()),
        (":gpu=vulkan", Wishes(vulkan=True)),
        (":cpu=sse42:gpu=nvidia", Wishes(cuda=CudaWish())),
    ],
)
def test_a_gguf_gets_what_build_would_make(suffixes: str, expected: Wishes) -> None:
    assert wishes_of(_spec(suffixes)) == expected
    assert asks_for_one(_spec(suffixes)) == (expected != Wishes())


@pytest.mark.parametrize(
    ("suffixes", "words"),
    [
        (":gpu=amd", "Ingot makes no GPU module for 'amd'"),
        (":gpu=apple", "Ingot makes no GPU module for 'apple'"),
        ("@9.9:gpu=vulkan", "this Ingot's own engine only"),
    ],
)
def test_what_no_module_is_made_for(suffixes: str, words: str) -> None:
    with pytest.raises(InputError, match=words) as caught:
        wishes_of(_spec(suffixes))
    assert caught.value.code == "no-such-module"
    assert caught.value.hint


@pytest.mark.parametrize(
    ("suffixes", "default", "expected"),
    [
        ("", None, ()),
        ("", "none", ("--gpu", "none")),
        (":gpu=auto", "none", ("--gpu", "auto")),
        (":gpu=none", None, ("--gpu", "none")),
        (":gpu=vulkan", "none", ("--gpu", "vulkan", "--require-gpu")),
        (":gpu=nvidia", None, ("--gpu", "nvidia", "--require-gpu")),
    ],
)
def test_a_kind_that_is_named_is_required(
    suffixes: str, default: str | None, expected: tuple[str, ...]
) -> None:
    assert options_of(_spec(suffixes), [GPU_FACTS, VULKAN_FACTS], default) == expected


def test_a_module_that_is_not_carried() -> None:
    with pytest.raises(InputError, match="no GPU module for 'nvidia'") as caught:
        options_of(_spec(":gpu=nvidia"), [VULKAN_FACTS])
    assert caught.value.code == "no-such-module"


def test_a_machine_without_that_gpu_is_told_before_anything_is_compiled(tmp_path: Path) -> None:
    found = {"devices": [], "why": "no NVIDIA driver is installed"}
    document = {"nvidia": found, "vulkan": {"devices": [{"name": "X"}], "why": ""}}
    program = tmp_path / "program"
    program.write_text(f"#!/bin/sh\n[ $1 = doctor ] && echo '{json.dumps(document)}'\n")
    program.chmod(0o755)
    check_device(_spec(":gpu=vulkan"), program, tmp_path)
    with pytest.raises(GpuError, match="no such GPU: no NVIDIA driver is installed") as caught:
        check_device(_spec(":gpu=nvidia"), program, tmp_path)
    assert (caught.value.code, caught.value.exit_code) == ("no-gpu", 7)


def test_the_device_is_what_computes_beside_the_cpu() -> None:
    cpu = {"name": "CPU", "description": "a processor"}
    gpus = [{"name": f"CUDA{n}", "description": "NVIDIA H100"} for n in range(2)]
    assert device_in({"backends": [cpu, *gpus]}) == "CUDA0: NVIDIA H100, CUDA1: NVIDIA H100"
    assert device_in({"backends": [cpu]}) is None
    assert device_in({}) is None
