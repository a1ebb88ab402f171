"""A Vulkan module made for a model: what is in it, what it needs, that an executable carries it.

Everything is compiled for real: headers come from this machine's Debian mirror, the compiler of
shaders from the package index, once; then both are in the cache.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import subprocess
from pathlib import Path

import pytest

from ingot.bundle.manifest import VulkanFacts
from ingot.bundle.reader import open_bundle
from ingot.bundle.verify import verify
from ingot.console import Console, NullProgress
from ingot.engine.image import RuntimeImage
from ingot.engine.kernels import ask_kernels
from ingot.engine.pin import load_sources
from ingot.engine.shadertools import ShaderTools, ensure_shader_tools
from ingot.paths import cache_dir, ensure_entry
from ingot.recipe.build import build, repack
from ingot.recipe.gpumodule import GpuModule
from ingot.recipe.plan import Artefact, load_inputs
from ingot.recipe.vulkanmodule import VulkanKit, ensure_kit, ensure_vulkan
from ingot.recipe.vulkanshaders import QUANTISED, choose
from tests.conftest import Ingot
from tests.models.quantised import quantised
from tests.native.compiled import compilers

SPIRV = b"\x03\x02\x23\x07"


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return quantised(tmp_path_factory.mktemp("vulkan") / "q4_k_m.gguf", "Q4_K_M")


@pytest.fixture(scope="module")
def kit() -> VulkanKit:
    return ensure_kit(load_sources(), Console())


@pytest.fixture(scope="module")
def tools(kit: VulkanKit) -> ShaderTools:
    return ensure_shader_tools(load_sources(), kit.pins, Console())


@pytest.fixture(scope="module")
def made(kit: VulkanKit, runtime_image: RuntimeImage, model: Path) -> GpuModule:
    weights = load_inputs(Artefact(model, Path("unused"))).model
    return ensure_vulkan(kit, runtime_image, weights, (), load_sources(), Console())


def _lines(*argv: str | Path) -> list[str]:
    done = subprocess.run(argv, capture_output=True, text=True, check=True)
    return done.stdout.splitlines()


def test_every_extension_of_upstreams_tests_is_known(
    tools: ShaderTools, engine_source: Path
) -> None:
    """native/vulkan/tools/features.cmake says that all of them are, without trying."""
    backend = engine_source / "ggml/src/ggml-vulkan"
    tests = sorted((backend / "vulkan-shaders/feature-tests").glob("*.comp"))
    cmake = (backend / "CMakeLists.txt").read_text()
    asked = set(re.findall(r'"(GGML_VULKAN_\w+_GLSLC_SUPPORT)"', cmake))
    ours = (load_sources().native / "vulkan/tools/features.cmake").read_text()
    assert set(re.findall(r"GGML_VULKAN_\w+", ours)) == asked
    assert len(tests) == len(asked)
    for test in tests:
        done = subprocess.run(
            [tools.glslc, "-o", "-", "-fshader-stage=compute", "--target-env=vulkan1.3", test],
            capture_output=True,
            check=False,
        )
        assert (done.returncode, done.stderr) == (0, b""), test.name
        assert done.stdout.startswith(SPIRV)


def test_the_shaders_are_those_of_the_model(
    made: GpuModule, tools: ShaderTools, runtime_image: RuntimeImage, model: Path
) -> None:
    names = tools.names()
    chosen = choose(names, ask_kernels(runtime_image, model))
    assert isinstance(made.facts, VulkanFacts)
    assert made.facts.shaders == len(chosen)
    assert len(chosen) < len(names) / 3
    types = {kind for kind in QUANTISED for name in chosen if f"_{kind}_" in f"{name}_"}
    assert types == {"q4_k", "q6_k"}
    assert "mul_mat_vec_q4_k_f32_f32" in chosen
    content = made.path.read_bytes()
    held = set(content.split(SPIRV)[1:])
    placeholders = {part for part in held if part[16:18] == bytes([7, 0])}
    left_out = {part[24:].split(b"\0")[0].decode() for part in placeholders}
    assert left_out.isdisjoint(chosen)
    assert "mul_mat_vec_q5_k_f32_f32" in left_out
    assert len(held) - len(placeholders) > len(chosen) * 0.8  # the linker drops what nobody uses
    assert made.path.stat().st_size < 10_000_000


def test_it_needs_no_vulkan_and_shows_three_functions(made: GpuModule) -> None:
    needed = _lines("readelf", "--dynamic", made.path)
    libraries = {line.split("[")[1].rstrip("]") for line in needed if "NEEDED" in line}
    allowed = {"libc.so.6", "libm.so.6", "libdl.so.2", "libpthread.so.0", "librt.so.1"}
    assert libraries <= allowed | {"ld-linux-x86-64.so.2"}
    shown = {line.split()[-1] for line in _lines("nm", "-D", "--defined-only", made.path)}
    assert shown == {"ggml_backend_init", "ingot_module_kernels", "ingot_module_problem"}
    wanted = {line.split()[-1] for line in _lines("nm", "-D", "--undefined-only", made.path)}
    foreign = {name for name in wanted if not name.startswith("ggml_") and "@GLIBC" not in name}
    assert foreign <= {"__cxa_finalize", "__tls_get_addr", "_ITM_deregisterTMCloneTable"}


def test_the_program_has_every_function_that_it_wants(
    made: GpuModule, runtime_image: RuntimeImage
) -> None:
    wanted = {line.split()[-1] for line in _lines("nm", "-D", "--undefined-only", made.path)}
    offered = {
        line.split()[-1] for line in _lines("nm", "-D", "--defined-only", runtime_image.program)
    }
    assert {name for name in wanted if name.startswith("ggml_")} <= offered


def test_no_path_of_this_machine_is_in_it(made: GpuModule) -> None:
    content = made.path.read_bytes()
    for path in (Path.home(), load_sources().repository, Path(os.environ.get("TMPDIR", "/tmp"))):
        assert os.fsencode(path) + b"/" not in content


def test_the_second_time_nothing_is_compiled(
    made: GpuModule, kit: VulkanKit, runtime_image: RuntimeImage, model: Path
) -> None:
    before = made.path.stat().st_mtime_ns
    weights = load_inputs(Artefact(model, Path("unused"))).model
    again = ensure_vulkan(kit, runtime_image, weights, (), load_sources(), NullProgress())
    assert again == made
    assert again.path.stat().st_mtime_ns == before


def test_an_executable_carries_it_through_a_repack(
    made: GpuModule, runtime_image: RuntimeImage, model: Path, tmp_path: Path
) -> None:
    artefact = Artefact(model=model, output=tmp_path / "hello", name="hello")
    built = build(artefact, runtime_image, NullProgress(), modules=[made])
    again = repack(built.path, runtime_image, tmp_path / "again", NullProgress())
    with open_bundle(again.path) as bundle:
        assert verify(bundle, NullProgress()) == ()
        entry = bundle.manifest.entry("modules/linux-x86_64/ggml-vulkan.so")
        licence = bundle.manifest.entry("licenses/vulkan-module.txt")
        assert licence is not None
        text = bundle.read(licence).decode()
    assert entry is not None
    assert entry.gpu == made.facts
    assert entry.to_json()["gpu"]["kind"] == "vulkan"
    for words in ("Apache-2.0 OR MIT", "Permission is hereby granted", "Apache License"):
        assert words in text


def test_the_command_line_compiles_and_shows_it(
    made: GpuModule, model: Path, ingot: Ingot, tmp_path: Path
) -> None:
    hello = tmp_path / "hello"
    done = ingot("build", model, "-o", hello, env={"INGOT_GPU": "vulkan"})
    assert done.returncode == 0, done.stderr
    assert "gpu     vulkan: " in done.stdout
    assert f"ggml-vulkan.so ({made.facts.covers})" in ingot("inspect", hello).stdout
    document = json.loads(ingot("toolchain", "install", "vulkan", "--json").stdout)
    assert Path(document["glslc"]).is_file()
    tools = json.loads(ingot("toolchain", "--json").stdout)
    assert tools["vulkan"]["version"] == document["version"]


# ggml's core, which the runtime's program lends to modules.
CORE = (
    *("ggml.c", "ggml.cpp", "ggml-alloc.c", "ggml-backend.cpp", "ggml-backend-meta.cpp"),
    *("ggml-opt.cpp", "ggml-threading.cpp", "ggml-quants.c", "gguf.cpp"),
)


@pytest.fixture(scope="module")
def driver(engine_source: Path) -> Path:
    """vulkan_driver.cc with ggml's core, compiled once."""
    source = Path(__file__).with_name("vulkan_driver.cc")
    ggml, tools = engine_source / "ggml", compilers()
    digest = hashlib.sha256(source.read_bytes() + str((tools, engine_source)).encode())

    def make(folder: Path) -> None:
        version = (ggml / "src" / "ggml-version.h.in").read_text()
        (folder / "ggml-version.h").write_text(re.sub(r"@\w+@", "0", version))
        flags = ["-O1", "-g0", "-D_GNU_SOURCE", f"-I{folder}"]
        flags += [f"-I{ggml}/include", f"-I{ggml}/src"]
        objects = []
        for name in CORE:
            compiler = "cc" if name.endswith(".c") else "c++"
            objects.append(f"{folder}/{name}.o")
            words = [f"{tools}/{compiler}", *flags, "-c", f"{ggml}/src/{name}", "-o", objects[-1]]
            subprocess.run(words, check=True)
        words = [f"{tools}/c++", *flags, "-rdynamic", str(source), *objects]
        subprocess.run([*words, "-o", f"{folder}/driver", "-lm", "-ldl", "-lpthread"], check=True)

    name = f"vulkan-driver-{digest.hexdigest()[:16]}"
    return ensure_entry(cache_dir() / "tests" / name, make) / "driver"


def drive(driver: Path, module: GpuModule, *words: str, **env: str) -> list[str]:
    done = subprocess.run(
        [driver, module.path, *words],
        env={**os.environ, **env},
        capture_output=True,
        text=True,
        check=False,
        timeout=600,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


def test_it_computes_what_it_was_made_for_and_refuses_the_rest(
    made: GpuModule, driver: Path
) -> None:
    """On Mesa's llvmpipe, a Vulkan device on any CPU, which upstream takes only when named."""
    words = [
        *("q4_k", "64", "1", "q4_k", "64", "33", "q6_k", "64", "1", "f16", "64", "1"),
        *("q5_k", "64", "1", "q8_0", "64", "33", "bf16", "64", "1"),
    ]
    device, *answers = drive(driver, made, *words, GGML_VK_VISIBLE_DEVICES="0")
    assert device.startswith("device ")
    said = {line.rpartition(" ")[0]: line.rpartition(" ")[2] for line in answers}
    refused = {what for what, error in said.items() if error == "refused"}
    assert refused == {"q5_k 64x1", "q8_0 64x33", "bf16 64x1"}
    assert {what for what in said if what not in refused} == {
        *("q4_k 64x1", "q4_k 64x33", "q6_k 64x1", "f16 64x1")
    }
    assert all(float(said[what]) < 1e-3 for what in said if what not in refused)


def test_without_a_loader_it_says_why(made: GpuModule, driver: Path, tmp_path: Path) -> None:
    (tmp_path / "libvulkan.so.1").write_bytes(b"no library")
    assert drive(driver, made, LD_LIBRARY_PATH=str(tmp_path)) == [
        f"problem {tmp_path}/libvulkan.so.1: file too short"
    ]


def test_without_a_driver_it_says_so(made: GpuModule, driver: Path, tmp_path: Path) -> None:
    none = str(tmp_path / "none.json")
    (answer,) = drive(driver, made, VK_DRIVER_FILES=none, VK_ICD_FILENAMES=none)
    assert answer == "problem no driver for Vulkan 1.2 can be used"
