"""What a CUDA module made for a kernel set costs, against upstream's whole backend: CPU seconds to
compile for one architecture, and bytes. Needs nvcc and g++; no GPU. About 20 minutes on 2 cores.
"""

from __future__ import annotations

import json
import os
import resource
import subprocess
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from gguf import GGMLQuantizationType as Quant
from gguf import LlamaFileType

from ingot.engine.image import RuntimeImage
from ingot.process import run as run_quietly
from tests.models.quantised import Mix, quantised

ARCHITECTURE = "90"
# Upstream's default: vector kernels of flash attention for these KV types (ggml/CMakeLists.txt).
_KV_PAIRS = ("q4_0-q4_0", "q8_0-q8_0", "f16-f16", "bf16-bf16")
_KV_TYPES = ("F16", "Q4_0", "Q4_1", "Q5_0", "Q5_1", "Q8_0", "BF16")
LLAMA = Mix(LlamaFileType.MOSTLY_IQ2_S, Quant.IQ2_S, embedding=Quant.Q4_K, output=Quant.Q6_K)


def specialised(runtime: RuntimeImage, nvcc: str, folder: Path) -> dict[str, float]:
    """``cpu_seconds``, ``wall_seconds`` and ``bytes`` of a module for an IQ2_S/Q4_K/Q6_K Llama."""
    model = folder / "iq2_s.gguf"
    quantised(model, LLAMA)
    module = folder / "specialised.so"
    argv: list[str | Path] = [runtime.program, "recompile", "-m", model, "--output", module]
    argv += ["--sources", runtime.root / "sources" / "gpu.tar", "--arch", ARCHITECTURE, "--json"]
    argv += ["--nvcc", nvcc, "--jobs", str(os.cpu_count())]
    done = subprocess.run(argv, check=True, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    facts = json.loads(done.stdout)
    return {key: float(facts[key]) for key in ("cpu_seconds", "wall_seconds", "bytes")}


def whole(engine: Path, include: Path, nvcc: str, folder: Path) -> dict[str, float]:
    """The same for every file that upstream's CMake compiles, with its flags."""
    backend = engine / "ggml" / "src" / "ggml-cuda"
    instances = backend / "template-instances"
    files = sorted(backend.glob("*.cu"))
    for pattern in ("fattn-tile*.cu", "fattn-mma*.cu", "mmq*.cu", "mmf*.cu"):
        files += sorted(instances.glob(pattern))
    files += [instances / f"fattn-vec-instance-{pair}.cu" for pair in _KV_PAIRS]
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        objects = list(pool.map(lambda file: _compile(file, engine, include, nvcc, folder), files))
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    module = folder / "whole.so"
    link = [nvcc, "-shared", "-cudart", "static", f"-arch=sm_{ARCHITECTURE}", "-Xlinker", "-s"]
    subprocess.run([*link, "-o", module, *objects], check=True)
    seconds = used.ru_utime + used.ru_stime - before.ru_utime - before.ru_stime
    return {"cpu_seconds": seconds, "bytes": float(module.stat().st_size)}


def _compile(file: Path, engine: Path, include: Path, nvcc: str, folder: Path) -> Path:
    output = folder / f"{file.parent.name}-{file.stem}.o"
    pairs = {tuple(pair.upper().split("-")) for pair in _KV_PAIRS}
    flags = [f"-DGGML_CUDA_FA_{k}_{v}={int((k, v) in pairs)}" for k in _KV_TYPES for v in _KV_TYPES]
    flags += [
        "-std=c++17",
        "-O3",
        "-use_fast_math",
        "-extended-lambda",
        "-compress-mode=size",
        "-w",
    ]
    flags += [f"-arch=sm_{ARCHITECTURE}", "-DNDEBUG", "-DGGML_CUDA_USE_GRAPHS"]
    flags += ["-compress-mode=size", "-Xcompiler", "-fPIC"]
    ggml = engine / "ggml"
    folders = (include, ggml / "src" / "ggml-cuda", ggml / "src", ggml / "include")
    flags += [f"-I{folder}" for folder in folders]
    run_quietly([nvcc, *flags, "-c", file, "-o", output], log=output.with_suffix(".log"))
    return output
