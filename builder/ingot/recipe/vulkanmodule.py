"""Vulkan modules: upstream's backend with the shaders of one model, compiled and kept.

Which shaders is ``vulkanshaders``; how they are compiled is native/vulkan. The backend's own code
is compiled once per engine, a shader once per engine and shader compiler, so that another model
costs what only it needs.
"""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from ingot.bundle.manifest import VulkanFacts
from ingot.console import Progress, Step
from ingot.engine.fetch import engine_source
from ingot.engine.image import RuntimeImage
from ingot.engine.kernels import ask_kernels, engine_file
from ingot.engine.nativelicenses import cut_comment
from ingot.engine.pin import Sources
from ingot.engine.runtime import choose_target
from ingot.engine.shadertools import ShaderTools, ensure_shader_tools
from ingot.errors import ToolchainError
from ingot.gguf.join import Weights
from ingot.gguf.kernels import KernelSet
from ingot.paths import cache_dir, ensure_entry, locked, make_folder
from ingot.recipe.gpumodule import LICENCE, GpuModule, is_whole, load_module, write_record
from ingot.recipe.vulkanshaders import choose, header
from ingot.toolchain import cmake, vulkan, zig
from ingot.toolchain.packages import Target

VULKAN_MODULE = "ggml-vulkan.so"
_CODE = (".cc", ".h", ".txt", ".cmake", ".map")
_RECIPE = "2"  # raise it when this file changes what a module is made from


@dataclass(frozen=True)
class VulkanKit:
    """What this machine compiles Vulkan modules with, apart from the tools of every build."""

    pins: vulkan.VulkanPins
    headers: vulkan.Headers


def ensure_kit(sources: Sources, progress: Progress) -> VulkanKit:
    """Headers, found or fetched. Raises as toolchain.vulkan.install does."""
    pins = vulkan.load_pins(sources.native / "toolchain.toml")
    return VulkanKit(pins, vulkan.ensure_headers(pins, progress))


def sources_digest(runtime: RuntimeImage, sources: Sources, pins: vulkan.VulkanPins) -> str:
    """sha256 over what Vulkan modules of ``runtime``'s engine are made from, but for the model."""
    engine = runtime.identity["engine"]
    assert isinstance(engine, Mapping)
    facts = {
        "recipe": _RECIPE,
        "engine": [engine["sha256"], engine["commit"]],
        "native": _code_digest(sources.native / "vulkan"),
        "glslang": pins.glslang.sha256,
    }
    return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()


def _code_digest(folder: Path) -> str:
    """sha256 over our own files but for the notes, which nothing is made from."""
    digest = hashlib.sha256()
    for path in sorted(path for path in folder.rglob("*") if path.suffix in _CODE):
        content = path.read_bytes()
        digest.update(f"{path.relative_to(folder).as_posix()}\0{len(content)}\0".encode())
        digest.update(content)
    return digest.hexdigest()


def ensure_vulkan(
    kit: VulkanKit,
    runtime: RuntimeImage,
    model: Weights,
    args: Sequence[str],
    sources: Sources,
    progress: Progress,
) -> GpuModule:
    """The Vulkan module of ``runtime`` for ``model`` with the default arguments ``args``.

    The first time takes minutes. Raises InputError ``no-kernel-set``, NetworkError, IntegrityError
    or ToolchainError.
    """
    with engine_file(model) as file:
        kernels = ask_kernels(runtime, file, args, name=model.file_name)
    target = choose_target(sources, runtime.target)
    made_from = sources_digest(runtime, sources, kit.pins)
    key = _key(kit, made_from, kernels, target, sources)
    folder = cache_dir() / "gpu-modules" / key
    if not is_whole(folder, VULKAN_MODULE):
        tools = ensure_shader_tools(sources, kit.pins, progress)
        shaders = choose(tools.names(), kernels)
        facts = VulkanFacts(len(shaders), key, made_from, kit.headers.version, kit.pins.compiler)
        build = _Build(kit, tools, target, sources, engine_source(sources.engine, progress))
        with progress.step(f"Compiling the Vulkan module ({facts.covers})") as step:

            def make(temporary: Path) -> None:
                shutil.copyfile(
                    build.run(shaders, header(kernels), progress, step), temporary / VULKAN_MODULE
                )
                (temporary / LICENCE).write_bytes(_licence(kit, sources))
                write_record(temporary / VULKAN_MODULE, facts)

            # One build folder for all models: what two have in common is not compiled again.
            lock = build.folder.parent / f".{build.folder.name}.lock"
            with locked(lock, lambda: step.update(0, None, "waiting for another run")):
                ensure_entry(folder, make, keep=lambda entry: is_whole(entry, VULKAN_MODULE))
    return load_module(folder, VULKAN_MODULE)


def kept_vulkan(
    runtime: RuntimeImage, model: Weights, args: Sequence[str], sources: Sources
) -> GpuModule | None:
    """The module that ``ensure_vulkan`` would return, if that takes no compiling and no fetching.

    Raises InputError ``no-kernel-set``.
    """
    pins = vulkan.load_pins(sources.native / "toolchain.toml")
    headers = vulkan.find(pins).headers
    if headers is None:
        return None
    kit = VulkanKit(pins, headers)
    with engine_file(model) as file:
        kernels = ask_kernels(runtime, file, args, name=model.file_name)
    made_from = sources_digest(runtime, sources, pins)
    target = choose_target(sources, runtime.target)
    folder = cache_dir() / "gpu-modules" / _key(kit, made_from, kernels, target, sources)
    return load_module(folder, VULKAN_MODULE) if is_whole(folder, VULKAN_MODULE) else None


def _key(
    kit: VulkanKit, made_from: str, kernels: KernelSet, target: Target, sources: Sources
) -> str:
    """Everything that a module depends on. The model counts by its kernel set."""
    facts = {
        "sources": made_from,
        "headers": kit.headers.digest,
        "zig": sources.tools.packages["ziglang"].sha256,
        "target": [target.name, target.zig],
        "kernels": kernels.to_json(),
    }
    return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()


def _licence(kit: VulkanKit, sources: Sources) -> bytes:
    """The notices of the headers, some of whose code is in the module, and the Apache License,
    to which they refer.
    """
    parts = [b"The headers of Vulkan and of SPIR-V:\n\n"]
    for name in ("vulkan/vulkan.hpp", "spirv/unified1/spirv.hpp"):
        path = kit.headers.include / name
        parts.append(cut_comment(path.read_bytes(), "// Copyright", path) + b"\n")
    parts.append((sources.repository / "LICENSE").read_bytes())
    return b"".join(parts)


@dataclass(frozen=True)
class _Build:
    """One compilation in the build folder of the target."""

    kit: VulkanKit
    tools: ShaderTools
    target: Target
    sources: Sources
    engine: Path

    @property
    def folder(self) -> Path:
        return cache_dir() / "build" / f"vulkan-{self.target.name}"

    def run(
        self, shaders: Sequence[str], kernels_header: str, progress: Progress, step: Step
    ) -> Path:
        """Compile and return the module. The caller holds the folder's lock."""
        packages = self.sources.tools.packages
        compiler = zig.install(packages["ziglang"], progress)
        with_cmake = cmake.install(packages["cmake"], progress)
        ninja = cmake.install_ninja(packages["ninja"], progress)
        project = self.sources.native / "vulkan"
        chosen = make_folder(self.folder / "kernels")
        _write_if_changed(chosen / "shaders.txt", "".join(f"{name}\n" for name in shaders))
        _write_if_changed(chosen / "ingot_kernels.h", kernels_header)
        definitions = {
            "CMAKE_TOOLCHAIN_FILE": str(self.target.cmake),
            "CMAKE_BUILD_TYPE": "Release",
            "INGOT_TOOLCHAIN_DIR": str(zig.wrappers(compiler, self.target)),
            "INGOT_ENGINE_DIR": str(self.engine),
            "INGOT_VULKAN_INCLUDE": str(self.kit.headers.include),
            "INGOT_SHADER_TOOLS": str(self.tools.folder),
            "INGOT_SPIRV_CACHE": str(make_folder(cache_dir() / "spirv" / self.tools.key)),
            "INGOT_KERNELS_DIR": str(chosen),
        }
        log = cache_dir() / "logs" / "vulkan-module.log"
        log.unlink(missing_ok=True)
        cmake.forget_other_checkout(self.folder, project)
        try:
            cmake.configure(
                with_cmake, ninja, project, self.folder, definitions, log=log, step=step
            )
            cmake.build(with_cmake, ninja, self.folder, ("ggml-vulkan",), log=log, step=step)
        except ToolchainError as error:
            raise ToolchainError(
                f"the Vulkan module could not be compiled: {error.message}",
                hint=f"{error.hint}; build without --gpu vulkan to leave it out",
                code="gpu-module-failed",
            ) from error
        return self.folder / VULKAN_MODULE


def _write_if_changed(path: Path, text: str) -> None:
    """CMake compiles again what is newer."""
    if not path.is_file() or path.read_text("utf-8") != text:
        path.write_text(text, "utf-8")
