"""A CUDA module made for a model: what is in it, what it refuses to compile, that it can be loaded.

Nothing is computed: a GPU is not needed, nvcc is.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
from gguf import GGMLQuantizationType as Quant

from ingot.console import NullProgress
from ingot.engine.image import RuntimeImage
from ingot.engine.pin import load_sources
from ingot.recipe.build import build
from ingot.recipe.gpu import CudaWish
from ingot.recipe.gpumodule import Compiler, ensure_cuda
from ingot.recipe.plan import Artefact, load_inputs
from tests.conftest import Run

# Units that choose among kernels, and so call some that were left out.
DISPATCHERS = {"ggml-cuda", "fattn", "fattn-tile", "mmq", "mmf"}


@pytest.fixture(scope="module")
def made(
    compiler: Compiler,
    runtime_image: RuntimeImage,
    objects: Path,
    iq_model: Path,
    tmp_path_factory: pytest.TempPathFactory,
) -> dict[str, Any]:
    """What the program says of the module that it made."""
    module = tmp_path_factory.mktemp("module") / "ggml-cuda.so"
    return compile_module(compiler, runtime_image, objects, iq_model, module)


def compile_module(
    compiler: Compiler, runtime: RuntimeImage, objects: Path, model: Path, output: Path
) -> dict[str, Any]:
    argv: list[str | Path] = [
        runtime.program,
        "recompile",
        "-m",
        model,
        "--output",
        output,
        "--arch",
        "90",
    ]
    argv += ["--sources", runtime.root / "sources" / "gpu.tar", "--object-cache", objects]
    argv += ["--nvcc", compiler.toolkit.nvcc, "--json"]
    if compiler.host.path is not None:
        argv += ["--host-compiler", compiler.host.path]
    done = subprocess.run(argv, stdin=subprocess.DEVNULL, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def kernels(module: Path, pattern: str) -> set[tuple[int, ...]]:
    """Template arguments of the kernels that the module registers under their mangled names."""
    found = re.findall(pattern.encode(), module.read_bytes())
    return {tuple(int(n) for n in (m if isinstance(m, tuple) else (m,))) for m in found}


def test_only_units_that_choose_call_what_was_left_out(made: dict[str, Any]) -> None:
    assert set(made["stubs"]) <= DISPATCHERS
    assert made["left_out"] == []


def test_it_is_small(made: dict[str, Any]) -> None:
    assert made["bytes"] < 15_000_000


def test_it_needs_no_library_of_nvidia_and_shows_two_functions(made: dict[str, Any]) -> None:
    needed = subprocess.run(
        ["readelf", "--dynamic", made["module"]], capture_output=True, text=True, check=True
    ).stdout
    libraries = {line.split("[")[1].rstrip("]") for line in needed.splitlines() if "NEEDED" in line}
    allowed = {"libc.so.6", "libm.so.6", "libdl.so.2", "libpthread.so.0", "librt.so.1"}
    assert libraries <= allowed | {"ld-linux-x86-64.so.2"}
    shown = subprocess.run(
        ["nm", "-D", "--defined-only", made["module"]], capture_output=True, text=True, check=True
    ).stdout
    names = {line.split()[-1] for line in shown.splitlines()}
    assert names == {"ggml_backend_init", "ingot_module_kernels"}


def test_it_has_the_kernels_of_the_model_and_no_others(made: dict[str, Any]) -> None:
    module = Path(made["module"])
    types = {(int(kind),) for kind in (Quant.IQ2_XS, Quant.IQ3_S, Quant.Q5_K)}
    assert kernels(module, r"mul_mat_vec_qIL9ggml_type(\d+)E") == types
    assert kernels(module, r"mul_mat_qIL9ggml_type(\d+)E") == types
    assert kernels(module, r"flash_attn_ext_f16ILi(\d+)ELi(\d+)E") == {(64, 64)}


def test_the_second_time_nothing_is_compiled(
    made: dict[str, Any],
    compiler: Compiler,
    runtime_image: RuntimeImage,
    objects: Path,
    iq_model: Path,
    tmp_path: Path,
) -> None:
    again = compile_module(compiler, runtime_image, objects, iq_model, tmp_path / "again.so")
    assert again["compiled"] == 0
    assert again["key"] == made["key"]
    assert Path(again["module"]).read_bytes() == Path(made["module"]).read_bytes()


def test_an_executable_carries_it_and_can_load_it(
    made: dict[str, Any],
    compiler: Compiler,
    runtime_image: RuntimeImage,
    iq_model: Path,
    tmp_path: Path,
    run: Run,
) -> None:
    artefact = Artefact(model=iq_model, output=tmp_path / "iq", name="iq")
    inputs = load_inputs(artefact)
    module = ensure_cuda(
        CudaWish(("90",), ptx=False),
        compiler,
        runtime_image,
        inputs.model,
        load_sources(),
        NullProgress(),
    )
    executable = build(
        artefact, runtime_image, NullProgress(), inputs=inputs, modules=[module]
    ).path
    done = run(executable, "doctor", "--json")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["bundled_modules"] == {"the bundled CUDA module": "loads"}
    assert run(executable, "-p", "x", "-n", "2").returncode == 0
    licences = run(executable, "licenses").stdout.decode()
    assert "contains NVIDIA's CUDA runtime library" in licences


def test_a_broken_compiler_is_one_error(
    runtime_image: RuntimeImage, iq_model: Path, tmp_path: Path, run: Run
) -> None:
    broken = tmp_path / "nvcc"
    broken.write_text(
        "#!/bin/sh\ncase $1 in --version) echo 'release 13.0, V13.0.88';; *) exit 1;; esac\n"
    )
    broken.chmod(0o755)
    done = run(
        *(runtime_image.program, "recompile", "-m", iq_model, "--output", tmp_path / "m.so"),
        *("--sources", runtime_image.root / "sources" / "gpu.tar", "--arch", "90"),
        *("--nvcc", broken),
    )
    assert done.returncode == 6
    assert b"compiles for compute capability 90" in done.stderr
    assert b"hint: it printed nothing\n" in done.stderr, "no file that is gone by now"
    assert not (tmp_path / "m.so").exists()


def test_without_a_host_compiler_it_says_so(
    compiler: Compiler, runtime_image: RuntimeImage, iq_model: Path, tmp_path: Path, run: Run
) -> None:
    done = run(
        *(runtime_image.program, "recompile", "-m", iq_model, "--output", tmp_path / "m.so"),
        *("--sources", runtime_image.root / "sources" / "gpu.tar", "--arch", "90"),
        *("--nvcc", compiler.toolkit.nvcc),
        env={**{k: v for k, v in os.environ.items() if k != "CXX"}, "PATH": str(tmp_path)},
    )
    assert done.returncode == 6
    assert b"no C++ compiler" in done.stderr


def test_an_architecture_that_nvcc_does_not_know(
    compiler: Compiler, runtime_image: RuntimeImage, iq_model: Path, tmp_path: Path, run: Run
) -> None:
    done = run(
        *(runtime_image.program, "recompile", "-m", iq_model, "--output", tmp_path / "m.so"),
        *("--sources", runtime_image.root / "sources" / "gpu.tar", "--arch", "55"),
        *("--nvcc", compiler.toolkit.nvcc),
    )
    assert done.returncode == 6
    assert b"compute capability 55" in done.stderr
    assert b"Unsupported gpu architecture" in done.stderr  # nvcc's own words; its log is gone
