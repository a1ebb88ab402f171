"""The programs that make shaders: upstream's generator, and a glslc around glslang.

They are compiled once per engine, for the machine that builds (native/vulkan/tools).
"""

from __future__ import annotations

import hashlib
import json
import re
import shutil
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from ingot import process
from ingot.console import Progress, Step
from ingot.engine.fetch import engine_source, unpack_subtree
from ingot.engine.pin import DEFAULT_TARGET, Sources, tree_hash
from ingot.errors import IntegrityError
from ingot.paths import cache_dir, ensure_entry, remove_tree
from ingot.toolchain import cmake, zig
from ingot.toolchain.packages import Target, download
from ingot.toolchain.vulkan import VulkanPins

HEADER = "ggml-vulkan-shaders.hpp"
_PROGRAMS = ("glslc", "vulkan-shaders-gen")
_RECIPE = "1"  # raise it when this file changes how they are made
_NAME = re.compile(r"^extern const unsigned char (\w+)_data\[\];", re.MULTILINE)


@dataclass(frozen=True)
class ShaderTools:
    """A folder with both programs and the generator's header; ``key`` names what made them."""

    folder: Path
    key: str

    @property
    def glslc(self) -> Path:
        """The compiler of shaders."""
        return self.folder / "glslc"

    def names(self) -> tuple[str, ...]:
        """All shaders that the generator knows, in the header's order.

        Raises IntegrityError ``no-shaders``.
        """
        found = tuple(_NAME.findall((self.folder / HEADER).read_text("utf-8")))
        if not found:
            raise IntegrityError(
                "upstream's shader generator names no shaders",
                hint="the engine has changed it; see builder/ingot/engine/shadertools.py",
                code="no-shaders",
            )
        return found


def ensure_shader_tools(sources: Sources, pins: VulkanPins, progress: Progress) -> ShaderTools:
    """The tools, compiled if the cache has none; the first time takes a minute.

    Raises NetworkError, IntegrityError or ToolchainError.
    """
    facts = {
        "recipe": _RECIPE,
        "engine": sources.engine.package.sha256,
        "glslang": pins.glslang.sha256,
        "native": tree_hash(sources.native / "vulkan" / "tools"),
        "zig": sources.tools.packages["ziglang"].sha256,
        "host": sources.tools.host,
    }
    key = hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()
    folder = cache_dir() / "tools" / f"shader-tools-{key[:16]}"
    if not folder.is_dir():
        engine = engine_source(sources.engine, progress)
        glslang = _glslang(pins, progress)
        with progress.step("Compiling the shader compiler") as step:
            ensure_entry(
                folder,
                lambda temporary: _make(temporary, sources, engine, glslang, progress, step),
                on_wait=lambda: step.update(0, None, "waiting for another run that compiles it"),
            )
    return ShaderTools(folder, key)


def _glslang(pins: VulkanPins, progress: Progress) -> Path:
    entry = cache_dir() / "tools" / f"glslang-{pins.glslang.sha256[:16]}"
    inside = PurePosixPath(pins.subdirectory)
    if not entry.is_dir():
        archive = download(pins.glslang, progress)
        with progress.step(f"Unpacking glslang {pins.glslang_version}") as step:
            ensure_entry(entry, lambda temporary: unpack_subtree(archive, inside, temporary, step))
    return entry / inside


def _make(
    folder: Path, sources: Sources, engine: Path, glslang: Path, progress: Progress, step: Step
) -> None:
    packages = sources.tools.packages
    compiler = zig.install(packages["ziglang"], progress)
    with_cmake = cmake.install(packages["cmake"], progress)
    ninja = cmake.install_ninja(packages["ninja"], progress)
    log = cache_dir() / "logs" / "shader-tools.log"
    log.unlink(missing_ok=True)
    target = _host_target(sources)
    build = folder / "build"
    definitions = {
        "CMAKE_TOOLCHAIN_FILE": str(target.cmake),
        "CMAKE_BUILD_TYPE": "Release",
        "INGOT_TOOLCHAIN_DIR": str(zig.wrappers(compiler, target)),
        "INGOT_ENGINE_DIR": str(engine),
        "INGOT_GLSLANG_DIR": str(glslang),
    }
    project = sources.native / "vulkan" / "tools"
    cmake.configure(with_cmake, ninja, project, build, definitions, log=log, step=step)
    cmake.build(with_cmake, ninja, build, _PROGRAMS, log=log, step=step)
    for name in _PROGRAMS:
        shutil.copy(build / name, folder / name)
    remove_tree(build)
    argv: list[str | Path] = [folder / "vulkan-shaders-gen", "--output-dir", folder]
    argv += ["--target-hpp", folder / HEADER]
    process.run(argv, log=log, what="the shader generator")


def _host_target(sources: Sources) -> Target:
    """The machine that builds: its programs need no newer glibc than ours do."""
    machine = sources.tools.host.rpartition("-")[2]
    file = sources.tools.targets[DEFAULT_TARGET].cmake
    return Target(f"host-{machine}", f"{machine}-linux-gnu.2.28", file)
