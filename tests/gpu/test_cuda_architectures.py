"""Every architecture compiles; what a module takes is told beforehand; a stopped build goes on.

Nothing is computed: a GPU is not needed. Where nvcc is, it compiles; a stand-in for it compiles
nothing.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from ingot.engine.image import RuntimeImage
from ingot.engine.pin import repository
from ingot.recipe.gpu import CudaWish
from ingot.recipe.gpumodule import Compiler
from tests.conftest import Run
from tests.gpu.conftest import NVCC_SAYS, Driver, Record
from tests.models import DEMO

NATIVE = repository() / "native" / "cuda"
# The first architectures with tensor cores for half and for bfloat16.
HALF, BFLOAT16 = 70, 80


@pytest.fixture(scope="module")
def listed(compiler: Compiler) -> list[int]:
    """What ``--gpu cuda`` compiles for on a machine without GPUs."""
    archs = CudaWish().resolved(compiler.toolkit.version).archs
    return [int(arch) for arch in archs]


def blas_ptx(compiler: Compiler, arch: int, output: Path) -> str:
    """The PTX of blas.cu for one architecture."""
    argv: list[str | Path] = [compiler.toolkit.nvcc, "-std=c++17", "-w", "-I", NATIVE / "include"]
    argv += [f"-arch=compute_{arch}", "-ptx", NATIVE / "blas.cu", "-o", output]
    if compiler.host.path is not None:
        argv += ["-ccbin", compiler.host.path]
    subprocess.run(argv, check=True, capture_output=True)
    return output.read_text()


def test_blas_has_tensor_cores_where_the_architecture_has_them(
    compiler: Compiler, listed: list[int], tmp_path: Path
) -> None:
    assert min(listed) < BFLOAT16 <= max(listed)
    for arch in (min(listed), BFLOAT16):
        products = set(
            re.findall(
                r"wmma\.mma\.sync\S*\.f32\.(bf16|f32)",
                blas_ptx(compiler, arch, tmp_path / "blas.ptx"),
            )
        )
        expected = {"f32"} if arch >= HALF else set()
        assert products == expected | ({"bf16"} if arch >= BFLOAT16 else set()), arch


def plan(
    runtime: RuntimeImage, *words: str, env: Mapping[str, str] | None = None
) -> dict[str, Any]:
    done = subprocess.run(
        [runtime.program, "recompile", "--plan", "-m", DEMO, *words],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=True,
        env=env,
    )
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def test_a_plan_counts_units_and_seconds_of_every_architecture(runtime_image: RuntimeImage) -> None:
    one = plan(runtime_image, "--arch", "90")
    two = plan(runtime_image, "--arch", "90", "--arch", "75", "--here")
    assert (one["archs"], one["here"]) == (["90"], False)
    assert (two["archs"], two["here"]) == (["75", "90"], False)
    assert one["units"] == two["units"] > 20
    assert two["cpu_seconds"] == 2 * one["cpu_seconds"] > 200


def test_a_plan_is_for_the_gpus_that_the_driver_has(
    runtime_image: RuntimeImage, driver: Driver
) -> None:
    env = driver("")
    here = plan(runtime_image, "--arch", "75", "--here", env=env)
    assert (here["archs"], here["here"]) == (["90"], True)
    assert plan(runtime_image, "--arch", "75", env=env)["archs"] == ["75"]


def test_a_compilation_that_was_killed_goes_on_from_its_objects(
    runtime_image: RuntimeImage, recorder: Record, run: Run, tmp_path: Path
) -> None:
    """The fifth unit kills the program that asked for it."""
    deadly = recorder("nvcc-deadly", NVCC_SAYS, KILL.format(folder=tmp_path))
    good = recorder("nvcc", NVCC_SAYS)

    def compile_with(nvcc: Path) -> subprocess.CompletedProcess[bytes]:
        return run(
            *(runtime_image.program, "recompile", "-m", DEMO, "--output", tmp_path / "m.so"),
            *("--sources", runtime_image.root / "sources" / "gpu.tar", "--arch", "90"),
            *("--object-cache", tmp_path / "objects", "--jobs", "1", "--json"),
            *("--nvcc", nvcc, "--host-compiler", nvcc),
            env=os.environ,
        )

    killed = compile_with(deadly.path)
    assert killed.returncode == -9
    assert not (tmp_path / "m.so").exists()
    done = compile_with(good.path)
    assert done.returncode == 0, done.stderr
    made = json.loads(done.stdout)
    assert made["compiled"] == made["units"] - 4
    first = done.stderr.decode().splitlines()[0]
    assert re.fullmatch(rf"\[4/{made['units']}\] [1-9]\d*/[1-9]\d* ", first)


KILL = """
if [ "$made" != "$module" ]; then
    echo >> {folder}/count
    [ $(wc -l < {folder}/count) -lt 5 ] || kill -9 $PPID
fi
"""
