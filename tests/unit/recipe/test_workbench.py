"""The workbench around a stand-in for the runtime: one for each set of GPU modules."""

from __future__ import annotations

import hashlib
from pathlib import Path

from ingot.bundle.manifest import GpuFacts
from ingot.bundle.reader import open_bundle
from ingot.console import NullProgress
from ingot.recipe.gpumodule import GpuModule
from ingot.recipe.workbench import ensure_workbench
from tests.golden.samples import GPU_FACTS, VULKAN_FACTS, fake_runtime

QUIET = NullProgress()


def _module(folder: Path, content: bytes, facts: GpuFacts) -> GpuModule:
    path = folder / f"ggml-{facts.kind}.so"
    path.write_bytes(content)
    return GpuModule(path, hashlib.sha256(content).hexdigest(), facts)


def _carried(program: Path) -> set[str]:
    with open_bundle(program) as bundle:
        return {entry.gpu.kind for entry in bundle.manifest.entries if entry.gpu}


def test_each_set_of_gpu_modules_has_its_own_and_makes_it_once(cache: Path, tmp_path: Path) -> None:
    runtime = fake_runtime(tmp_path / "runtime")
    vulkan = _module(tmp_path, b"\x7fELF vulkan", VULKAN_FACTS)
    plain = ensure_workbench(runtime, QUIET)
    with_vulkan = ensure_workbench(runtime, QUIET, [vulkan])
    with_cuda = ensure_workbench(runtime, QUIET, [_module(tmp_path, b"\x7fELF cuda", GPU_FACTS)])
    carried = [_carried(program) for program in (plain, with_vulkan, with_cuda)]
    assert carried == [set(), {"vulkan"}, {"cuda"}]
    made = with_vulkan.stat()
    assert ensure_workbench(runtime, QUIET, [vulkan]) == with_vulkan
    assert with_vulkan.stat().st_ino == made.st_ino


def test_a_module_for_another_model_makes_another(cache: Path, tmp_path: Path) -> None:
    runtime = fake_runtime(tmp_path / "runtime")
    one = ensure_workbench(runtime, QUIET, [_module(tmp_path, b"\x7fELF one", VULKAN_FACTS)])
    other = ensure_workbench(runtime, QUIET, [_module(tmp_path, b"\x7fELF other", VULKAN_FACTS)])
    assert one != other
    assert one.read_bytes() != other.read_bytes()
