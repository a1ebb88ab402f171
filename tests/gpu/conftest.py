"""A CUDA compiler, if the machine has one, and a stand-in for NVIDIA's driver.

No machine that runs this suite needs a GPU: what is compiled is looked at and loaded, not run.
"""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from ingot.console import NullProgress
from ingot.engine.pin import load_sources
from ingot.errors import ToolchainError
from ingot.paths import cache_dir, make_folder
from ingot.recipe.gpumodule import Compiler, find_compiler
from ingot.toolchain import zig
from tests.models.quantised import quantised

Driver = Callable[[str], Mapping[str, str]]


@pytest.fixture(scope="session")
def compiler() -> Compiler:
    """Skips where there is no nvcc: neither in PATH nor by ``ingot toolchain install cuda``."""
    try:
        return find_compiler(load_sources())
    except ToolchainError as error:
        pytest.skip(error.message)


@pytest.fixture(scope="session")
def objects() -> Path:
    """Compiled objects, kept between runs: the same that ``ingot build --gpu`` keeps."""
    return make_folder(cache_dir() / "gpu-objects")


@pytest.fixture(scope="session")
def iq_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The demo model as IQ2_S would quantise it, of random bytes."""
    return quantised(tmp_path_factory.mktemp("iq") / "iq2_s.gguf", "IQ2_S")


_DRIVER = r"""
#include <stddef.h>
#include <stdlib.h>
int cuInit(unsigned flags) { %s; return 0; }
int cuDriverGetVersion(int * version) { *version = 13000; return 0; }
int cuDeviceGetCount(int * count) { *count = 1; return 0; }
int cuDeviceGet(int * device, int ordinal) { *device = ordinal; return 0; }
int cuDeviceGetName(char * name, int size, int device) { name[0] = 'X'; name[1] = 0; return 0; }
int cuDeviceTotalMem_v2(size_t * size, int device) { *size = 8000000000ul; return 0; }
int cuDeviceGetAttribute(int * value, int attribute, int device) {
    *value = attribute == 75 ? 9 : 0;
    return 0;
}
"""


@pytest.fixture
def driver(tmp_path: Path) -> Driver:
    """``driver("abort()")`` is an environment whose driver does that when it is started.

    It answers what a probe asks for, a GPU of compute capability 9.0, and can do nothing else: a
    broken driver, in short.
    """

    def make(at_start: str) -> Mapping[str, str]:
        folder = tmp_path / "driver"
        folder.mkdir()
        (folder / "cuda.c").write_text(_DRIVER % at_start)
        zig_cache = str(make_folder(cache_dir() / "zig"))
        compile_with = zig.install(load_sources().tools.packages["ziglang"], NullProgress())
        subprocess.run(
            [compile_with.program, "cc", "-shared", "-fPIC", "cuda.c", "-o", "libcuda.so.1"],
            cwd=folder,
            check=True,
            env={
                **os.environ,
                "ZIG_LOCAL_CACHE_DIR": str(folder),
                "ZIG_GLOBAL_CACHE_DIR": zig_cache,
            },
        )
        return {**os.environ, "LD_LIBRARY_PATH": str(folder)}

    return make
