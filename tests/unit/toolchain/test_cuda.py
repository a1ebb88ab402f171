from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from ingot.console import NullProgress
from ingot.engine.pin import load_sources
from ingot.errors import IntegrityError, NetworkError, ToolchainError
from ingot.toolchain import cuda
from ingot.toolchain.packages import ToolchainPins
from tests.conftest import REPOSITORY
from tests.unit.package_index import Index

QUIET = NullProgress()
NVCC = "#!/bin/sh\necho 'Cuda compilation tools, release {0}, V{0}.88'\n"


def _nvcc(home: Path, version: str = "13.0", text: str = NVCC) -> Path:
    path = home / "bin" / "nvcc"
    path.parent.mkdir(parents=True)
    path.write_text(text.format(version))
    path.chmod(0o755)
    return path


@pytest.fixture
def pins(index: Index, monkeypatch: pytest.MonkeyPatch) -> ToolchainPins:
    """A toolkit of two packages, and no toolkit anywhere in the system."""
    monkeypatch.setattr(cuda, "_FOLDERS", ())
    home = "nvidia/cu13"
    packages = (
        index.wheel("the-nvcc", "13.0.88", {f"{home}/bin/nvcc": NVCC.format("13.0").encode()}),
        index.wheel("the-runtime", "13.0.96", {f"{home}/lib/libcudart_static.a": b"!<arch>"}),
    )
    return ToolchainPins("linux-x86_64", {}, {}, packages, "13.0.88")


def test_places_come_in_order(tmp_path: Path) -> None:
    nvcc = _nvcc(tmp_path)
    environ = {"PATH": str(nvcc.parent), "CUDA_HOME": "/h", "CUDA_PATH": "/p"}
    assert list(cuda.places(environ, Path("/own"))) == [
        ("PATH", nvcc),
        ("CUDA_PATH", Path("/p/bin/nvcc")),
        ("CUDA_HOME", Path("/h/bin/nvcc")),
        ("/opt/cuda", Path("/opt/cuda/bin/nvcc")),
        ("/usr/local/cuda", Path("/usr/local/cuda/bin/nvcc")),
        ("ingot toolchain", Path("/own")),
    ]


@pytest.mark.parametrize("text", ["#!/bin/sh\nexit 1\n", "#!/bin/sh\necho hi\n", "no program"])
def test_an_nvcc_that_does_not_run_is_passed_over_with_a_reason(
    tmp_path: Path, pins: ToolchainPins, cache: Path, text: str
) -> None:
    _nvcc(tmp_path / "broken", text=text)
    good = _nvcc(tmp_path / "good", "12.4")
    environ = {
        "PATH": "",
        "CUDA_PATH": str(tmp_path / "broken"),
        "CUDA_HOME": str(tmp_path / "good"),
    }
    found = cuda.find(pins, environ)
    assert found.toolkit == cuda.Toolkit(good, "12.4.88", "CUDA_HOME")
    assert len(found.problems) == 1
    assert "broken" in found.problems[0]
    assert not cache.exists()  # a probe changes nothing


def test_the_packages_form_one_toolkit_that_is_found_last(
    pins: ToolchainPins, cache: Path, tmp_path: Path
) -> None:
    assert cuda.find(pins, {"PATH": ""}).toolkit is None
    toolkit = cuda.install(pins, QUIET)
    assert (toolkit.nvcc.parents[1] / "lib64" / "libcudart_static.a").is_file()
    assert cuda.install(pins, QUIET) == toolkit
    assert cuda.find(pins, {"PATH": ""}).toolkit == toolkit
    own = _nvcc(tmp_path / "own")
    found = cuda.find(pins, {"PATH": "", "CUDA_PATH": str(tmp_path / "own")}).toolkit
    assert found is not None
    assert found.nvcc == own


def test_packages_without_a_compiler_are_refused(index: Index, cache: Path) -> None:
    package = index.wheel("the-runtime", "1", {"nvidia/cu13/lib/x.a": b""})
    with pytest.raises(IntegrityError):
        cuda.install(ToolchainPins("linux-x86_64", {}, {}, (package,), "1"), QUIET)
    assert cuda.installed_nvcc(ToolchainPins("linux-x86_64", {}, {}, (package,), "1")) is None


def test_a_machine_without_pins_is_told_what_to_do() -> None:
    with pytest.raises(ToolchainError) as caught:
        cuda.install(ToolchainPins("linux-mips", {}, {}), QUIET)
    assert caught.value.code == "unsupported-host"
    assert "NVIDIA" in (caught.value.hint or "")


@pytest.mark.parametrize(
    ("version", "gxx", "expected"),
    [
        ("13.0.88", Path("/usr/bin/g++"), Path("/usr/bin/g++")),
        ("13.5.37", Path("/usr/bin/g++"), Path("/usr/bin/g++")),
        ("13.4.92", None, None),
        ("14.0.1", None, None),
    ],
)
def test_the_host_compiler(version: str, gxx: Path | None, expected: Path | None) -> None:
    assert cuda.choose_host(version, gxx) == cuda.Host(expected)


@pytest.mark.parametrize("version", ["12.8.93", "13.0.88", "13.3.73"])
def test_an_older_nvcc_needs_gxx(version: str) -> None:
    with pytest.raises(ToolchainError) as caught:
        cuda.choose_host(version, None)
    assert caught.value.code == "no-host-compiler"
    assert "g++" in (caught.value.hint or "")


SOURCE = """
#include <cub/cub.cuh>
#include <cuda_fp16.h>
#include <cstdio>
__global__ void square(half * x) { x[threadIdx.x] = __hmul(x[threadIdx.x], x[threadIdx.x]); }
int main() {
    square<<<1, 1>>>(nullptr);
    return std::puts(cudaGetErrorString(cudaGetLastError())) < 0;
}
"""


@pytest.mark.slow
@pytest.mark.network
def test_the_pinned_packages_compile_and_link(tmp_path: Path) -> None:
    if shutil.which("g++") is None:
        pytest.skip("the pinned nvcc needs g++, and there is none")
    try:
        toolkit = cuda.install(load_sources().tools, QUIET)
    except (NetworkError, ToolchainError) as error:
        pytest.skip(f"the packages cannot be had here: {error.message.splitlines()[0]}")
    (tmp_path / "x.cu").write_text(SOURCE)
    # Nothing of a toolkit that this machine may have: nvcc finds its parts by its own place.
    environ = {"PATH": "/usr/bin:/bin", "TMPDIR": str(tmp_path)}
    include = REPOSITORY / "native" / "cuda" / "include"
    argv = [str(toolkit.nvcc), "-arch=sm_90", f"-I{include}", "x.cu", "-o", "x"]
    done = subprocess.run(argv, cwd=tmp_path, env=environ, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert b"sm_90" in (tmp_path / "x").read_bytes()
    linked = subprocess.run(["ldd", tmp_path / "x"], capture_output=True, text=True, check=True)
    assert "cudart" not in linked.stdout


def test_pins_name_the_packages_of_one_toolkit() -> None:
    pins = load_sources().tools
    assert {"nvidia-cuda-nvcc", "nvidia-cuda-crt", "nvidia-nvvm"} <= {p.name for p in pins.cuda}
    series = pins.cuda_version.rpartition(".")[0]
    assert all(p.version.startswith(series) for p in pins.cuda if "cccl" not in p.name)
