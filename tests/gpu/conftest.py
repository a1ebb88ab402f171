"""A CUDA compiler, if the machine has one; stand-ins for drivers and for compilers.

No machine that runs this suite needs a GPU: what is compiled is looked at and loaded, not run.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest

from ingot.console import NullProgress
from ingot.engine.image import RuntimeImage
from ingot.engine.pin import load_sources
from ingot.errors import ToolchainError
from ingot.paths import cache_dir, make_folder
from ingot.recipe.gpumodule import Compiler, find_compiler
from ingot.toolchain import zig
from tests.models.quantised import quantised
from tests.native.module_cache.conftest import mounted, place  # noqa: F401

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


# What a recorder "compiles" is a CPU module of the lowest level, and a module is not kept when it
# is slower than what computes without it: so that is of the same level.
STAND_IN = {"INGOT_CPU": "sse42"}

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


def _compile(folder: Path, *arguments: str) -> None:
    zig_cache = str(make_folder(cache_dir() / "zig"))
    tool = zig.install(load_sources().tools.packages["ziglang"], NullProgress())
    caches = {"ZIG_LOCAL_CACHE_DIR": str(folder), "ZIG_GLOBAL_CACHE_DIR": zig_cache}
    subprocess.run(
        [tool.program, "cc", *arguments], cwd=folder, check=True, env={**os.environ, **caches}
    )


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
        _compile(folder, "-shared", "-fPIC", "cuda.c", "-o", "libcuda.so.1")
        return {**os.environ, **STAND_IN, "LD_LIBRARY_PATH": str(folder)}

    return make


# Answers what a search asks, writes down how it is called, keeps what it is given, and compiles
# nothing: an object is always the same one, and a module is one for the CPU, so that it can be
# loaded and passes its test.
_RECORDER = r"""#!/bin/sh
case "$*" in *--version) echo '{version}'; exit ;; esac
case "$*" in *" probe.o") exit 0 ;; esac
line=$(printf '%s\037' "$@"); echo "$line" >> {folder}/calls
[ -d {folder}/units ] || mkdir {folder}/units
cp -f * {folder}/units/
module={module} made=$module
while [ $# -gt 0 ]; do case "$1" in -o) output=$2;; -c) made={folder}/object.o;; esac; shift; done
{before}
cp "$made" "$output"
"""


@dataclass(frozen=True)
class Recorder:
    """A stand-in for a compiler: ``path`` is the program, ``folder`` has what it noted."""

    path: Path
    folder: Path

    def calls(self) -> list[list[str]]:
        """The argument vectors, without the program, in the order of the calls."""
        lines = (self.folder / "calls").read_text().splitlines()
        return [line.split("\037")[:-1] for line in lines]

    def call(self, unit: str) -> list[str]:
        """That which made a unit, or with ``link`` the module."""
        (found,) = (
            call
            for call in self.calls()
            if (f"unit-{unit}.o" == call[-1] if unit != "link" else "-c" not in call)
        )
        return found

    def units(self) -> dict[str, str]:
        """Unit -> its source."""
        paths = (self.folder / "units").glob("unit-*")
        skip = (".o", ".log")
        return {p.stem.removeprefix("unit-"): p.read_text() for p in paths if p.suffix not in skip}


Record = Callable[..., Recorder]
HIPCC_SAYS = "HIP version: 6.4.43484-123eb5128"
NVCC_SAYS = "Cuda compilation tools, release 13.0, V13.0.88"


@pytest.fixture
def recorder(tmp_path: Path, runtime_image: RuntimeImage) -> Record:
    """``recorder("hipcc", says)`` makes one; ``before`` is what it does before it writes."""

    def make(name: str, says: str = HIPCC_SAYS, before: str = "") -> Recorder:
        if name != "cc" and shutil.which("nm") is None:
            pytest.skip("no nm, which the runtime asks what a compiler's objects lack")
        folder = tmp_path / f"recorder-{name}"
        folder.mkdir()
        (folder / "object.c").write_text('void f(void) __asm__("_Z14ggml_cuda_fakev"); void f(){}')
        _compile(folder, "-c", "object.c", "-o", "object.o")
        (module,) = (m for m in runtime_image.modules if "sse42" in m.name)
        text = _RECORDER.format(version=says, folder=folder, module=module, before=before)
        (folder / name).write_text(text)
        (folder / name).chmod(0o755)
        return Recorder(folder / name, folder)

    return make


Kfd = Callable[..., Mapping[str, str]]


@pytest.fixture
def kfd(tmp_path: Path) -> Kfd:
    """``kfd(110000)`` is an environment with such an AMD GPU, as the kernel's driver lists it."""

    def make(*versions: int) -> Mapping[str, str]:
        base = tmp_path / "kfd"
        for number, version in enumerate((0, *versions)):  # the first is the processor
            node = base / "topology" / "nodes" / str(number)
            bank = node / "mem_banks" / "0"
            bank.mkdir(parents=True)
            simds = 96 if version else 0
            (node / "properties").write_text(
                f"cpu_cores_count 0\nsimd_count {simds}\ngfx_target_version {version}\n"
            )
            (bank / "properties").write_text("heap_type 1\nsize_in_bytes 17163091968\n")
        (base / "kfd").touch()
        hidden = ("HSA_OVERRIDE_GFX_VERSION", "HIP_PATH", "ROCM_PATH")
        kept = {name: value for name, value in os.environ.items() if name not in hidden}
        return {**kept, **STAND_IN, "INGOT_KFD": str(base)}

    return make
