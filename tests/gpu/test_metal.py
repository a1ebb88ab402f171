"""Metal modules: what is compiled and how.

There is no Mac here: cc is a stand-in that notes how it is called. What it was given is compared
with upstream's CMakeLists.txt, and zig compiles for a Mac what needs none of Apple's headers.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
from pathlib import Path

import pytest

from ingot.console import NullProgress
from ingot.engine.gpusources import archive, collect_sources
from ingot.engine.image import RuntimeImage
from ingot.engine.pin import load_sources
from ingot.paths import cache_dir, make_folder
from ingot.toolchain import zig
from tests.conftest import REPOSITORY, Run
from tests.gpu.conftest import Record, Recorder
from tests.models import DEMO


@pytest.fixture(scope="module")
def metal(engine_source: Path) -> Path:
    """Upstream's folder of the backend."""
    return engine_source / "ggml/src/ggml-metal"


@pytest.fixture
def cc(
    runtime_image: RuntimeImage, recorder: Record, engine_source: Path, tmp_path: Path
) -> Recorder:
    """After it has been used for a module."""
    found = recorder("cc", "Apple clang version 17.0.0")
    native, licence = REPOSITORY / "native", REPOSITORY / "LICENSE"
    carried = tmp_path / "gpu.tar"
    carried.write_bytes(archive(collect_sources(engine_source, native, licence, "macos-aarch64")))
    argv: list[str | Path] = [runtime_image.program, "recompile", "--gpu", "apple", "-m", DEMO]
    argv += ["--output", tmp_path / "m.dylib", "--arch", "arm64", "--sources", carried, "--json"]
    argv += ["--host-compiler", found.path]
    done = subprocess.run(argv, stdin=subprocess.DEVNULL, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["kind"] == "apple"
    return found


def test_the_command_lines(cc: Recorder) -> None:
    host = ["-arch", "arm64", "-O3", "-fPIC", "-fvisibility=hidden", "-w", "-DNDEBUG"]
    host += ["-DGGML_METAL_EMBED_LIBRARY", "-DGGML_SHARED", "-DGGML_BACKEND_SHARED"]
    for unit, ending, flags in (
        ("ggml-metal-ops-cpp", "cpp", [*host, "-std=c++17"]),
        ("ggml-metal-device-m", "m", [*host, "-std=gnu11"]),
        ("entry", "cpp", [*host, "-std=c++17"]),
        ("shaders", "s", ["-arch", "arm64"]),
    ):
        call = cc.call(unit)
        assert call[: len(flags)] == flags
        folders = [word.partition("/sources/")[2] for word in call if word.startswith("-I")]
        assert folders == ["ingot", "ggml/src/ggml-metal", "ggml/src", "ggml/include", ""]
        assert call[-4:] == ["-c", f"unit-{unit}.{ending}", "-o", f"unit-{unit}.o"]
    link = cc.call("link")
    assert link[:7] == [
        "-dynamiclib", "-undefined", "dynamic_lookup",
        "-Wl,-exported_symbols_list,exports", "-Wl,-x", "-arch", "arm64",
    ]  # fmt: skip
    assert link[8].endswith("/ggml-metal.dylib")
    assert link[-7:] == [
        "-framework", "Foundation", "-framework", "Metal", "-framework", "MetalKit", "-lc++",
    ]  # fmt: skip
    assert "stubs.o" not in link
    exports = (cc.folder / "units" / "exports").read_text()
    assert exports == "_ggml_backend_init\n_ingot_module_kernels\n"


def test_the_same_files_as_in_upstream_s_build(cc: Recorder, metal: Path) -> None:
    cmake = (metal / "CMakeLists.txt").read_text()
    listed = cmake.partition("ggml_add_backend_library(ggml-metal")[2].partition(")")[0].split()
    units = cc.units()
    included = {name: re.findall('#include "(.*)"', text) for name, text in units.items()}
    assert sorted(n for names in included.values() for n in names) == sorted([*listed, "entry.cc"])
    kernels = cmake.partition("set(METALLIB_KERNEL_SOURCES")[2].partition(")")[0].split()
    stems = sorted(Path(kernel).stem for kernel in kernels)
    assert sorted(re.findall(r'incbin "(.*)\.metal"', units["shaders"])) == stems
    for stem in stems:
        start = f"_ggml_metallib_{stem}_start"
        assert f".globl {start}\n{start}:" in units["shaders"]


def test_kernels_are_the_text_that_upstream_s_build_makes(cc: Recorder, metal: Path) -> None:
    """The same as the cat and sed of its CMakeLists.txt, run here."""
    common = metal.parent / "ggml-common.h"
    script = f"""cat $* |
sed -e '/#include "common.h"/d' -e '/#include "dequantize.h"/d' -e '/#include "quantize.h"/d' \\
    -e '/#include "fa_common.metal"/d' -e '/#include "fa_vec_common.metal"/d' \\
    -e '/#pragma once/d' |
sed -e '/__embed_ggml-common.h__/r {common}' -e '/__embed_ggml-common.h__/d' |
sed -e '/#include "ggml-metal-impl.h"/r {metal}/ggml-metal-impl.h' \\
    -e '/#include "ggml-metal-impl.h"/d'"""
    headers = ("dequantize.h", "quantize.h", "fa_common.metal", "fa_vec_common.metal")
    made = sorted((cc.folder / "units").glob("*.metal"))
    assert len(made) > 30
    for path in made:
        source = metal / "kernels" / path.name
        needed = [h for h in headers if f'#include "{h}"' in source.read_text()]
        files = ["common.h", *needed, path.name]
        argv = ["sh", "-c", script, "sh", *files]
        theirs = subprocess.run(argv, cwd=metal / "kernels", capture_output=True, check=True)
        # Theirs keeps that of headers which it puts in last.
        expected = theirs.stdout.replace(b"#pragma once\n", b"")
        assert path.read_bytes().replace(b"#pragma once\n", b"") == expected, path.name
        assert b"__embed_" not in path.read_bytes()


def test_a_compiler_for_macs_takes_the_units_without_objective_c(
    cc: Recorder, engine_source: Path, tmp_path: Path
) -> None:
    tool = zig.install(load_sources().tools.packages["ziglang"], NullProgress())
    caches = {"ZIG_LOCAL_CACHE_DIR": str(tmp_path / "zig")}
    caches["ZIG_GLOBAL_CACHE_DIR"] = str(make_folder(cache_dir() / "zig"))
    folders = [REPOSITORY / "native/gpu", cc.folder / "units"]
    folders += [engine_source / "ggml" / f for f in ("src/ggml-metal", "src", "include")]
    for unit in ("entry.cpp", "ggml-metal-common-cpp.cpp", "ggml-metal-cpp.cpp", "shaders.s"):
        kind = ["cc"] if unit.endswith(".s") else ["c++", "-std=c++17", "-O0", "-w"]
        argv: list[str | Path] = [tool.program, *kind, "-target", "aarch64-macos.11.0", "-g0"]
        argv += ["-DGGML_METAL_EMBED_LIBRARY", "-DNDEBUG", *(f"-I{f}" for f in folders)]
        argv += ["-c", f"unit-{unit}", "-o", tmp_path / f"{unit}.o"]
        subprocess.run(argv, cwd=cc.folder / "units", env={**os.environ, **caches}, check=True)
    shaders = (tmp_path / "shaders.s.o").read_bytes()
    assert b"_ggml_metallib_softmax_start" in shaders
    assert b"kernel_soft_max" in shaders
    assert b"ggml_backend_metal_reg" in (tmp_path / "entry.cpp.o").read_bytes()


def test_here_there_is_no_metal(hello: Path, run: Run, tmp_path: Path) -> None:
    done = run(hello, "--recompile", "--gpu", "apple", "--cache-dir", tmp_path / "c")
    assert done.returncode == 7
    assert b"Metal is on macOS only" in done.stderr


def test_without_the_command_line_tools_it_says_how_to_get_them(
    runtime_image: RuntimeImage, run: Run, tmp_path: Path
) -> None:
    sources = runtime_image.root / "sources" / "gpu.tar"
    done = run(
        *(runtime_image.program, "recompile", "--gpu", "apple", "-m", DEMO, "--arch", "arm64"),
        *("--output", tmp_path / "m", "--sources", sources),
    )
    assert done.returncode == 6
    assert b"xcode-select --install" in done.stderr
