"""ROCm modules: what is compiled and how, for which GPUs, what is said when something is missing.

hipcc is a stand-in that notes how it is called. native/hip/NOTES.md says what a real one made.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import tarfile
from collections.abc import Mapping
from pathlib import Path

import pytest

from ingot.engine.image import RuntimeImage
from tests.conftest import Cast, Run
from tests.gpu.conftest import HIPCC_SAYS, Driver, Kfd, Record, Recorder
from tests.models import DEMO
from tests.native.module_cache.driver import Driver as ModuleCacheDriver
from tests.native.module_cache.driver import compiled_driver


@pytest.fixture
def hipcc(recorder: Record) -> Recorder:
    return recorder("hipcc")


def make(
    runtime: RuntimeImage,
    hipcc: Recorder,
    model: Path,
    output: Path,
    *archs: str,
    sources: Path | None = None,
) -> dict[str, object]:
    argv: list[str | Path] = [runtime.program, "recompile", "--gpu", "amd", "--output", output]
    argv += ["--sources", sources or runtime.root / "sources" / "gpu.tar", "-m", model, "--json"]
    argv += ["--hipcc", hipcc.path]
    for arch in archs:
        argv += ["--arch", arch]
    done = subprocess.run(argv, stdin=subprocess.DEVNULL, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    found: dict[str, object] = json.loads(done.stdout)
    return found


def test_hipcc_is_called_as_upstream_builds(
    runtime_image: RuntimeImage, hipcc: Recorder, iq_model: Path, tmp_path: Path
) -> None:
    said = make(runtime_image, hipcc, iq_model, tmp_path / "m.so", "gfx1100", "gfx1030")
    assert said["kind"] == "amd"
    assert said["archs"] == ["gfx1030", "gfx1100"]
    call = hipcc.call("mmvq")
    targets = ["--offload-arch=gfx1030", "--offload-arch=gfx1100"]
    assert call[: call.index("--offload-arch=gfx1030")] == [
        "-x", "hip", "-std=c++17", "-O3", "-fPIC", "-fvisibility=hidden", "-w", "-DNDEBUG",
        "-D__HIP_PLATFORM_AMD__=1", "-DGGML_USE_HIP", "-DGGML_HIP_GRAPHS", "-DGGML_HIP_NO_VMM",
        "-DGGML_SHARED", "-DGGML_BACKEND_SHARED",
    ]  # fmt: skip
    assert [word for word in call if word.startswith("--offload")] == targets
    folders = [word.partition("/sources/")[2] for word in call if word.startswith("-I")]
    assert folders == ["ingot", "ggml/src/ggml-cuda", "ggml/src", "ggml/include", ""]
    assert call[-4:] == ["-c", "unit-mmvq.cu", "-o", "unit-mmvq.o"]
    link = hipcc.call("link")
    linker = "-Wl,-Bsymbolic,--version-script=exports,-z,nodelete,-z,relro,-s"
    assert link[:2] == ["-shared", linker]
    assert link[2:4] == targets
    assert link[-1] == "-lhipblas"
    assert link.count("stubs.o") == 1
    assert link[5].endswith("/ggml-hip.so")
    objects = {word for word in link if word.startswith("unit-")}
    assert objects == {f"unit-{name}.o" for name in hipcc.units()}


def test_sources_may_be_a_folder_and_the_module_is_the_same(
    runtime_image: RuntimeImage, hipcc: Recorder, iq_model: Path, tmp_path: Path
) -> None:
    archive = runtime_image.root / "sources" / "gpu.tar"
    with tarfile.open(archive) as tar:
        tar.extractall(tmp_path / "folder", filter="data")
    from_tar, from_folder = (
        make(runtime_image, hipcc, iq_model, tmp_path / "m.so", "gfx1030", sources=sources)
        for sources in (archive, tmp_path / "folder")
    )
    assert from_tar["key"] == from_folder["key"]


def test_rocm_links_its_own_libraries_and_the_narrowing_is_shared(
    runtime_image: RuntimeImage, hipcc: Recorder, iq_model: Path, tmp_path: Path
) -> None:
    make(runtime_image, hipcc, iq_model, tmp_path / "m.so", "gfx1030")
    units = hipcc.units()
    assert not {"blas", "driver"} & units.keys()
    assert units["entry"] == '#include "entry.cc"\n'
    assert "ingot_left_out<GGML_TYPE_Q4_0, " in units["mmvq"]


@pytest.mark.parametrize(
    ("arch", "matrix", "rows"),
    [
        ("gfx1030", False, set()),  # RDNA 2: no units for matrix products
        ("gfx906", False, set()),
        ("gfx1100", True, {"MMF_ROWS_PER_BLOCK"}),
        ("gfx1201", True, {"MMF_ROWS_PER_BLOCK"}),
        ("gfx90a", True, {"MMF_ROWS_PER_BLOCK_CDNA"}),
        ("gfx942", True, {"MMF_ROWS_PER_BLOCK_CDNA"}),
    ],
)
def test_each_architecture_gets_the_kernels_that_upstream_picks_for_it(
    runtime_image: RuntimeImage,
    hipcc: Recorder,
    tmp_path: Path,
    arch: str,
    matrix: bool,
    rows: set[str],
) -> None:
    make(runtime_image, hipcc, DEMO, tmp_path / "m.so", arch)  # BF16 weights
    units = hipcc.units()
    assert any(name.startswith("fattn-tile-") for name in units)
    assert any(name.startswith("fattn-mma-") for name in units) == matrix
    assert ("mmf" in units) == matrix
    found = {line.split(", ")[1] for line in units.get("mmf-4", "").splitlines() if "DECL" in line}
    assert found == rows


@pytest.mark.parametrize(
    ("versions", "archs"),
    [
        ((90006,), ["gfx906"]),
        ((90010,), ["gfx90a"]),
        ((90402,), ["gfx942"]),
        ((110000, 100300), ["gfx1030", "gfx1100"]),
        ((110501, 110501), ["gfx1151"]),
        ((120001,), ["gfx1201"]),
    ],
)
def test_a_module_is_compiled_for_the_gpus_that_are_here(
    hello: Path,
    run: Run,
    hipcc: Recorder,
    kfd: Kfd,
    tmp_path: Path,
    versions: tuple[int, ...],
    archs: list[str],
) -> None:
    done = recompile(hello, run, hipcc, kfd(*versions), tmp_path)
    assert done.returncode == 0, done.stderr
    link = hipcc.call("link")
    found = [word.partition("=")[2] for word in link if word.startswith("--offload-arch=")]
    assert found == archs


def recompile(
    executable: Path, run: Run, hipcc: Recorder, env: Mapping[str, str], folder: Path, *more: str
) -> subprocess.CompletedProcess[bytes]:
    options = ["--gpu", "amd", "--cache-dir", str(folder / "cache"), "--hipcc", str(hipcc.path)]
    return run(executable, "--recompile", "--iq", *options, *more, env=env)


def test_rocm_s_override_of_the_architecture_counts(
    hello: Path, run: Run, hipcc: Recorder, kfd: Kfd, tmp_path: Path
) -> None:
    env = {**kfd(100301), "HSA_OVERRIDE_GFX_VERSION": "10.3.0"}
    assert recompile(hello, run, hipcc, env, tmp_path).returncode == 0
    assert "--offload-arch=gfx1030" in hipcc.call("link")


def test_a_module_is_kept_and_found_by_gpu_without_a_compiler(
    hello: Path, run: Run, hipcc: Recorder, kfd: Kfd, tmp_path: Path
) -> None:
    env = kfd(110000)
    first = recompile(hello, run, hipcc, env, tmp_path)
    assert b"; it is used from the next start on" in first.stdout, first.stderr
    count = len(hipcc.calls())
    hipcc.path.rename(hipcc.path.with_name("gone"))
    again = recompile(hello, run, hipcc, env, tmp_path)
    assert again.stdout == b"the module for this model and GPU is there already\n"
    hipcc.path.with_name("gone").rename(hipcc.path)
    shutil.rmtree(tmp_path / "kfd")
    other = recompile(hello, run, hipcc, kfd(110001), tmp_path)
    assert b"used from the next start on" in other.stdout
    assert len(hipcc.calls()) > count
    assert len(list((tmp_path / "cache" / "modules").glob("*.so"))) == 2


def test_the_record_says_what_the_module_is(
    hello: Path, run: Run, hipcc: Recorder, kfd: Kfd, tmp_path: Path
) -> None:
    recompile(hello, run, hipcc, kfd(110000), tmp_path)
    (module,) = (tmp_path / "cache" / "modules").glob("*.so")
    content = module.read_bytes()
    text = content[content.rindex(b'{"archs"') :].decode("latin-1")
    record, _end = json.JSONDecoder().raw_decode(text)
    assert record["kind"] == "amd"
    assert record["archs"] == ["gfx1100"]
    assert record["toolkit"] == "6.4.43484"
    assert "cubins" not in record


def test_a_module_that_cannot_be_mapped_any_more_is_made_again(
    hello: Path, run: Run, hipcc: Recorder, kfd: Kfd, tmp_path: Path, engine_source: Path
) -> None:
    """As after an upgrade of ROCm, whose libraries have another version in their names then."""
    env = kfd(110000)
    recompile(hello, run, hipcc, env, tmp_path)
    (module,) = (tmp_path / "cache" / "modules").glob("*.so")
    good = module.read_bytes()
    module.unlink()
    (tmp_path / "broken.so").write_bytes(b"\x7fELF, and no more")
    cache = ModuleCacheDriver(compiled_driver(engine_source), tmp_path / "cache")
    assert cache("store", module.stem, tmp_path / "broken.so").get("kept") == ""
    done = recompile(hello, run, hipcc, env, tmp_path)
    assert b"used from the next start on" in done.stdout
    assert module.read_bytes()[:100_000] == good[:100_000]


def test_without_hipcc_it_says_what_is_missing(
    hello: Path, run: Run, kfd: Kfd, tmp_path: Path
) -> None:
    env = {**kfd(110000), "PATH": str(tmp_path), "HOME": str(tmp_path)}
    for name in ("VIRTUAL_ENV", "CONDA_PREFIX"):
        env.pop(name, None)
    if Path("/opt/rocm").exists():
        pytest.skip("this machine has a ROCm")
    options = ("--gpu", "amd", "--cache-dir", tmp_path / "cache")
    done = run(hello, "--recompile", *options, env=env)
    assert done.returncode == 6
    assert b"no ROCm compiler: hipcc is not in PATH" in done.stderr
    assert b"--hipcc" in done.stderr


@pytest.mark.parametrize("variable", ["PATH", "HIP_PATH", "ROCM_PATH"])
def test_hipcc_is_found_where_rocm_says_it_is(
    hello: Path, run: Run, hipcc: Recorder, kfd: Kfd, tmp_path: Path, variable: str
) -> None:
    root = tmp_path / "rocm"
    for folder in ("bin", "lib"):
        (root / folder).mkdir(parents=True)
    hipcc.path.rename(root / "bin" / "hipcc")
    links = tmp_path / "links"
    links.mkdir()
    (links / "hipcc").symlink_to(root / "bin" / "hipcc")  # as /usr/bin has it
    env = dict(kfd(110000))
    env[variable] = f"{links}:{env['PATH']}" if variable == "PATH" else str(root)
    done = run(hello, "--recompile", "--gpu", "amd", "--cache-dir", tmp_path / "cache", env=env)
    assert done.returncode == 0, done.stderr
    assert hipcc.call("link")[-3:] == [f"-L{root}/lib", f"-Wl,-rpath,{root}/lib", "-lhipblas"]


def test_a_rocm_that_is_too_old_is_told(
    hello: Path, run: Run, recorder: Record, kfd: Kfd, tmp_path: Path
) -> None:
    old = recorder("hipcc", "HIP version: 5.7.31921-1949b1621")
    done = recompile(hello, run, old, kfd(110000), tmp_path)
    assert done.returncode == 6
    assert b"ROCm is too old, the engine needs 6.1: " in done.stderr
    assert b"is of 5.7.31921" in done.stderr


def test_a_hipcc_that_compiles_nothing_is_told_with_its_words(
    hello: Path, run: Run, kfd: Kfd, tmp_path: Path
) -> None:
    hipcc = Recorder(tmp_path / "hipcc", tmp_path)
    hipcc.path.write_text(
        f"#!/bin/sh\n[ $1 = --version ] && echo '{HIPCC_SAYS}' && exit\n"
        "echo 'fatal error: hipblas/hipblas.h: not found'; exit 1\n"
    )
    hipcc.path.chmod(0o755)
    done = recompile(hello, run, hipcc, kfd(110000), tmp_path)
    assert done.returncode == 6
    assert b"does not compile for gfx1100" in done.stderr
    assert b"fatal error: hipblas/hipblas.h: not found" in done.stderr
    # A compiler may be mended or installed before the next try.
    assert not list((tmp_path / "cache" / "modules").glob("*.log"))


def test_a_gpu_that_this_user_may_not_open_is_told(
    hello: Path, run: Run, hipcc: Recorder, kfd: Kfd, tmp_path: Path
) -> None:
    env = kfd(110000)
    (tmp_path / "kfd" / "kfd").unlink()
    done = recompile(hello, run, hipcc, env, tmp_path)
    assert done.returncode == 7
    assert b"add it to the group render" in done.stderr


@pytest.mark.parametrize(
    ("versions", "said"), [((), b"finds no GPU"), (None, b"no AMD driver (amdkfd) is loaded")]
)
def test_without_an_amd_gpu_it_says_so(
    hello: Path,
    run: Run,
    hipcc: Recorder,
    kfd: Kfd,
    tmp_path: Path,
    versions: tuple[int, ...] | None,
    said: bytes,
) -> None:
    env = kfd(*(versions or ()))
    if versions is None:
        shutil.rmtree(tmp_path / "kfd")
    done = recompile(hello, run, hipcc, env, tmp_path)
    assert done.returncode == 7
    assert said in done.stderr
    assert not (tmp_path / "cache").exists()


def test_nvidia_is_preferred_where_both_are(
    cast: Cast, iq_model: Path, run: Run, recorder: Record, kfd: Kfd, driver: Driver, tmp_path: Path
) -> None:
    hipcc, nvcc = recorder("hipcc"), recorder("nvcc", "release 13.0, V13.0.88")
    env = {**kfd(110000), "LD_LIBRARY_PATH": driver("")["LD_LIBRARY_PATH"]}
    tools = ["--nvcc", str(nvcc.path), "--hipcc", str(hipcc.path)]
    tools += ["--host-compiler", str(nvcc.path), "--cache-dir", str(tmp_path / "cache")]
    executable = cast(iq_model, name="iq")
    assert run(executable, "--recompile", *tools, env=env).returncode == 0
    assert nvcc.call("mmvq") and not (hipcc.folder / "calls").exists()
    assert run(executable, "--recompile", "--gpu", "amd", *tools, env=env).returncode == 0
    assert hipcc.call("mmvq")
    without = {**env, "LD_LIBRARY_PATH": "/nowhere"}
    done = run(executable, "--recompile", *tools, env=without)
    assert done.stdout == b"the module for this model and GPU is there already\n"
