"""The peer: the same engine compiled by the system's gcc for this very machine.

AMX is off in it, because gcc 12 compiles the engine's AMX code into something that crashes.
"""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path

from ingot.console import Progress
from ingot.engine.fetch import engine_source
from ingot.engine.pin import load_sources
from ingot.errors import ToolchainError
from ingot.paths import cache_dir
from ingot.toolchain import cmake

TARGETS = ("llama-completion", "llama-bench")
_NO_AMX = "-mno-amx-tile -mno-amx-int8 -mno-amx-bf16"


@dataclass(frozen=True)
class Peer:
    completion: Path
    bench: Path


def ensure_peer(progress: Progress) -> Peer:
    """Compile it once (about six minutes on two cores) into the cache."""
    for compiler in ("gcc", "g++"):
        if shutil.which(compiler) is None:
            raise ToolchainError(
                f"the benchmark compares with {compiler}, which is not here",
                hint="install gcc and g++",
            )
    sources = load_sources()
    engine = engine_source(sources.engine, progress)
    folder = cache_dir() / "bench" / f"peer-{sources.engine.commit}"
    folder.mkdir(parents=True, exist_ok=True)
    cmake_tool = cmake.install(sources.tools.packages["cmake"], progress)
    ninja_tool = cmake.install_ninja(sources.tools.packages["ninja"], progress)
    off = (
        "BUILD_SHARED_LIBS",
        "LLAMA_OPENSSL",
        "LLAMA_BUILD_TESTS",
        "LLAMA_BUILD_EXAMPLES",
        "LLAMA_BUILD_APP",
        "LLAMA_BUILD_SERVER",
        "LLAMA_USE_PREBUILT_UI",
        "GGML_CCACHE",
    )
    definitions = {
        "CMAKE_BUILD_TYPE": "Release",
        "CMAKE_C_COMPILER": "gcc",
        "CMAKE_CXX_COMPILER": "g++",
        "CMAKE_C_FLAGS": _NO_AMX,
        "CMAKE_CXX_FLAGS": _NO_AMX,
        "GGML_NATIVE": "ON",
        **dict.fromkeys(off, "OFF"),
    }
    log = cache_dir() / "logs" / "bench-peer.log"
    log.unlink(missing_ok=True)
    with progress.step("Compiling the peer with gcc") as step:
        cmake.configure(cmake_tool, ninja_tool, engine, folder, definitions, log=log, step=step)
        cmake.build(cmake_tool, ninja_tool, folder, TARGETS, log=log, step=step)
    return Peer(folder / "bin" / "llama-completion", folder / "bin" / "llama-bench")
