"""An executable with a Vulkan module on Mesa's llvmpipe, a Vulkan device on any CPU: chosen, tried,
loaded, and giving the CPU's answers.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import pytest

from ingot.console import Console
from ingot.engine.image import RuntimeImage
from ingot.engine.pin import load_sources, repository
from ingot.recipe.build import build
from ingot.recipe.gpumodule import GpuModule
from ingot.recipe.plan import Artefact, load_inputs
from ingot.recipe.vulkanmodule import ensure_kit, ensure_vulkan
from tests.conftest import Run
from tests.gpu.conftest import Driver
from tests.models.quantised import quantised

MODEL = repository() / "recipes" / "demo" / "pystdlib-7m.gguf"
SPIRV, HEADER = b"\x03\x02\x23\x07", 20  # magic number; bytes
PROMPT = ("-p", "def add(a, b):", "-n", "24", "--temp", "0")
SLOW = 600  # seconds; at the first start llvmpipe compiles every shader of the test


@pytest.fixture(scope="module")
def module(runtime_image: RuntimeImage) -> GpuModule:
    """The demo model's."""
    sources = load_sources()
    weights = load_inputs(Artefact(model=MODEL, output=Path("unused"))).model
    kit = ensure_kit(sources, Console())
    return ensure_vulkan(kit, runtime_image, weights, (), sources, Console())


@pytest.fixture(scope="module")
def executable(
    module: GpuModule, runtime_image: RuntimeImage, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    output = tmp_path_factory.mktemp("vulkan") / "demo"
    artefact = Artefact(model=MODEL, output=output, name="demo")
    return build(artefact, runtime_image, Console(), modules=[module]).path


@pytest.fixture(scope="module")
def env(tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, str]:
    """A module cache for all of these tests, so that the module is tried once; and no CUDA."""
    cache = tmp_path_factory.mktemp("cache")
    cache.chmod(0o700)
    return {**os.environ, "INGOT_CACHE": str(cache), "LD_LIBRARY_PATH": "/nowhere"}


def test_the_same_greedy_tokens_as_on_the_cpu(
    executable: Path, run: Run, env: Mapping[str, str]
) -> None:
    vulkan = run(executable, *PROMPT, "--gpu", "vulkan", env=env, timeout=SLOW)
    cpu = run(executable, *PROMPT, "--gpu", "none", env=env)
    assert (vulkan.returncode, cpu.returncode) == (0, 0), vulkan.stderr
    assert vulkan.stdout == cpu.stdout
    assert len(vulkan.stdout) > 40
    required = run(executable, *PROMPT, "--gpu", "vulkan", "--require-gpu", env=env, timeout=SLOW)
    assert required.stdout == cpu.stdout
    assert required.stderr == b"", "the second start has nothing to tell"


def test_doctor_says_which_ops_ran_where(
    executable: Path, run: Run, env: Mapping[str, str]
) -> None:
    done = run(executable, "doctor", "--json", "--gpu", "vulkan", env=env, timeout=SLOW)
    assert done.returncode == 0, done.stdout
    found = json.loads(done.stdout)
    assert found["gpu_module"] == "the bundled Vulkan module"
    assert found["vulkan"]["devices"][0]["software"] is True
    ops = found["placement"]["ops"]
    assert ops["Vulkan0"]["MUL_MAT"] > 50
    assert ops["Vulkan0"]["FLASH_ATTN_EXT"] > 0
    assert set(ops.get("CPU", {})) <= {"GET_ROWS"}, "only the lookup of tokens"
    weights = found["placement"]["weights"]
    assert weights["CPU"]["tensors"] == ["token_embd.weight"]
    assert weights["Vulkan0"]["bytes"] > weights["CPU"]["bytes"]


def test_a_device_that_computes_on_the_cpu_is_not_chosen_unasked(
    executable: Path, run: Run, env: Mapping[str, str]
) -> None:
    found = json.loads(run(executable, "doctor", "--quick", "--json", env=env).stdout)
    assert found["gpu_module"] == ""
    assert found["bundled_modules"] == {"the bundled Vulkan module": "loads"}
    assert any("computes on the CPU, which is faster" in reason for reason in found["reasons"])
    asked = run(executable, *PROMPT, "--require-gpu", env=env)
    assert asked.returncode == 7
    assert b"--gpu vulkan uses it all the same" in asked.stderr


def test_without_a_vulkan_driver_the_cpu_answers(
    executable: Path, run: Run, env: Mapping[str, str], tmp_path: Path
) -> None:
    none = str(tmp_path / "none.json")
    without = {**env, "VK_DRIVER_FILES": none, "VK_ICD_FILENAMES": none}
    done = run(executable, *PROMPT, "--gpu", "vulkan", env=without)
    assert done.returncode == 0
    assert done.stdout
    found = json.loads(
        run(executable, "doctor", "--quick", "--json", "--gpu", "vulkan", env=without).stdout
    )
    assert found["vulkan"]["devices"] == []
    assert "no Vulkan driver is installed" in found["reasons"][0]


def test_a_broken_cuda_driver_leads_to_vulkan(
    executable: Path, run: Run, env: Mapping[str, str], driver: Driver
) -> None:
    broken = {**env, "LD_LIBRARY_PATH": driver("abort()")["LD_LIBRARY_PATH"]}
    done = run(executable, *PROMPT, "--gpu", "vulkan", "--require-gpu", env=broken, timeout=SLOW)
    assert done.returncode == 0, done.stderr


def test_types_that_the_module_lacks_are_told(
    executable: Path, run: Run, env: Mapping[str, str], tmp_path: Path
) -> None:
    """Another model than the one that the module was made for."""
    other = quantised(tmp_path / "iq2_s.gguf", "IQ2_S")
    words = ("-m", other, "-p", "x", "-n", "2", "--gpu", "vulkan")
    done = run(executable, *words, env=env, timeout=SLOW)
    assert done.returncode == 0, done.stderr
    (line,) = [line for line in done.stderr.decode().splitlines() if "stay on the CPU" in line]
    assert "the bundled Vulkan module has no kernels for iq2_xs, iq3_s, q5_k" in line
    assert "built for this model" in line


def test_a_module_that_fails_its_test_is_not_used_and_not_tried_again(
    module: GpuModule, runtime_image: RuntimeImage, run: Run, env: Mapping[str, str], tmp_path: Path
) -> None:
    """Its shaders are destroyed, as a driver that cannot cope with them would have it."""
    content = bytearray(module.path.read_bytes())
    at = content.find(SPIRV)
    while at >= 0:
        content[at + HEADER : at + HEADER + 256] = bytes(256)
        at = content.find(SPIRV, at + 1)
    broken = tmp_path / module.path.name
    broken.write_bytes(content)
    wrong = replace(module, path=broken, sha256=hashlib.sha256(content).hexdigest())
    artefact = Artefact(model=MODEL, output=tmp_path / "wrong", name="wrong")
    executable = build(artefact, runtime_image, Console(), modules=[wrong]).path
    first = run(executable, *PROMPT, "--gpu", "vulkan", env=env, timeout=SLOW)
    assert first.returncode == 0
    assert first.stdout == run(executable, *PROMPT, "--gpu", "none", env=env).stdout
    (line,) = first.stderr.splitlines()
    assert line.startswith(b"note: the bundled Vulkan module is not used: it ")
    again = run(executable, *PROMPT, "--gpu", "vulkan", "--require-gpu", env=env)
    assert again.returncode == 7
    assert b"found before" in again.stderr
