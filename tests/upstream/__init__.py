"""Upstream's own programs, compiled from the pinned engine's sources as they are.

``ensure_server`` is what tests compare with; the benchmarks' peer is compiled here too. Only the
programs are kept: their objects would be 220 MB.
"""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path

from ingot.console import Progress
from ingot.engine.fetch import engine_source
from ingot.engine.pin import Sources, load_sources
from ingot.engine.runtime import choose_target
from ingot.paths import cache_dir, ensure_entry, remove_tree
from ingot.toolchain import cmake, zig

_OFF = (
    "BUILD_SHARED_LIBS",
    "GGML_CCACHE",
    "LLAMA_ALL_WARNINGS",
    "LLAMA_BUILD_APP",
    "LLAMA_BUILD_EXAMPLES",
    "LLAMA_BUILD_TESTS",
    "LLAMA_BUILD_UI",
    "LLAMA_OPENSSL",
    "LLAMA_USE_PREBUILT_UI",
)
_QUICK = Path(__file__).with_name("quick.cmake")

Definitions = Mapping[str, str | Path]


def ensure_server(progress: Progress) -> Path:
    """llama-server without its web page: two to three minutes on two cores, once.

    For the lowest CPU level that executables run on, so that the cache may move to another
    machine. Threads are ggml's own, since zig has no OpenMP.
    """
    sources = load_sources()
    target = choose_target(sources)
    compiler = zig.install(sources.tools.packages["ziglang"], progress)
    above = ("GGML_AVX", "GGML_AVX2", "GGML_BMI2", "GGML_FMA", "GGML_F16C")
    definitions: Definitions = {
        "CMAKE_TOOLCHAIN_FILE": target.cmake,
        "INGOT_TOOLCHAIN_DIR": str(zig.wrappers(compiler, target)),
        "CMAKE_PROJECT_INCLUDE": _QUICK,
        **dict.fromkeys(("GGML_NATIVE", "GGML_OPENMP", *above), "OFF"),
    }
    return ensure("llama-server", ("llama-server",), definitions, progress) / "llama-server"


def ensure(
    name: str,
    programs: Sequence[str],
    definitions: Definitions,
    progress: Progress,
    *,
    compiler: str = "",
) -> Path:
    """The folder of ``programs``, compiled once for these definitions of CMake's.

    ``compiler`` says what the definitions do not: its version, and what it takes this machine for.
    """
    sources = load_sources()
    defined: Definitions = {
        "CMAKE_BUILD_TYPE": "Release",
        **dict.fromkeys(_OFF, "OFF"),
        **definitions,
    }
    key = _key(sources, (*programs, compiler), defined)

    def make(folder: Path) -> None:
        build = folder / "build"
        _build(sources, build, programs, defined, cache_dir() / "logs" / f"{name}.log", progress)
        for program in programs:
            shutil.move(build / "bin" / program, folder / program)
        remove_tree(build)

    return ensure_entry(cache_dir() / "tests" / f"{name}-{key}", make)


def _key(sources: Sources, words: Sequence[str], definitions: Definitions) -> str:
    """Files count by what is in them: checkouts share what they compile."""
    tools = (sources.tools.packages[name].sha256 for name in ("cmake", "ninja"))
    digest = hashlib.sha256("\0".join((sources.engine.package.sha256, *tools, *words)).encode())
    for name, value in sorted(definitions.items()):
        content = value.read_bytes() if isinstance(value, Path) else value.encode()
        digest.update(b"\0".join((b"", name.encode(), content)))
    return digest.hexdigest()[:16]


def _build(
    sources: Sources,
    folder: Path,
    programs: Sequence[str],
    definitions: Definitions,
    log: Path,
    progress: Progress,
) -> None:
    engine = engine_source(sources.engine, progress)
    cmake_tool = cmake.install(sources.tools.packages["cmake"], progress)
    ninja_tool = cmake.install_ninja(sources.tools.packages["ninja"], progress)
    words = {name: str(value) for name, value in definitions.items()}
    log.unlink(missing_ok=True)
    with progress.step(f"Compiling upstream's {', '.join(programs)}") as step:
        cmake.configure(cmake_tool, ninja_tool, engine, folder, words, log=log, step=step)
        cmake.build(cmake_tool, ninja_tool, folder, programs, log=log, step=step)
