"""GPU modules around a stand-in for the runtime's program: the call, the cache, the errors."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from ingot.bundle.reader import open_bundle
from ingot.bundle.verify import verify
from ingot.console import NullProgress, Step
from ingot.engine.image import RuntimeImage
from ingot.engine.pin import load_sources
from ingot.errors import IntegrityError, ToolchainError
from ingot.gguf.join import load_weights
from ingot.recipe.build import BuildResult, build, repack
from ingot.recipe.gpu import CudaWish
from ingot.recipe.gpumodule import (
    Compiler,
    GpuModule,
    ensure_cuda,
    kept_cuda,
    sources_digest,
)
from ingot.recipe.plan import Artefact
from ingot.toolchain.cuda import Host, Toolkit
from tests.golden.samples import TENSORS, fake_runtime, write_model, write_split

QUIET = NullProgress()
WISH = CudaWish(("80", "90"), ptx=True)
DOCUMENT = {
    "module": "m.so",
    "bytes": 9,
    "archs": ["80", "90"],
    "ptx": True,
    "key": "cd" * 32,
    "cpu_seconds": 1.5,
    "wall_seconds": 1,
    "units": 2,
    "toolkit": "13.0.88",
    "host_compiler": "g++ 12.2.0",
}
# What a machine without GPUs would compile; then the module itself.
PLAN = {"archs": ["75", "80", "86", "89", "90", "120"], "here": False, "units": 2}
PROGRAM = """#!/bin/sh
[ "$1" = recompile ] || exit 0
case "$*" in *--plan*) echo '{plan}'; exit;; esac
printf '%s\\n' "$@" >> {calls}
while [ $# -gt 0 ]; do [ "$1" = --output ] && output=$2; shift; done
echo "[0/2] 0/1300 " >&2
echo "[1/2] 54/1300 mmvq" >&2
printf '\\177ELF cuda' > "$output"
echo "[2/2] 1300/1300 blas" >&2
{rest}
"""
SAY = f"echo '{json.dumps(DOCUMENT, indent=1)}'"


def program(calls: Path, rest: str = SAY, **plan: object) -> str:
    """A stand-in for the runtime's program that makes a module and then does ``rest``."""
    answer = json.dumps({**PLAN, "cpu_seconds": 1300.0, **plan})
    return PROGRAM.format(calls=calls, rest=rest, plan=answer)


@pytest.fixture
def calls(tmp_path: Path) -> Path:
    return tmp_path / "calls"


def runtime_that(folder: Path, calls: Path, rest: str = SAY) -> RuntimeImage:
    """An image whose program is a script that makes a module and then does ``rest``."""
    image = fake_runtime(folder, program(calls, rest).encode())
    image.program.chmod(0o755)
    return image


@pytest.fixture
def runtime(tmp_path: Path, calls: Path, cache: Path) -> RuntimeImage:
    return runtime_that(tmp_path / "runtime", calls)


@pytest.fixture
def compiler(tmp_path: Path) -> Compiler:
    host = tmp_path / "g++"
    host.touch()
    return Compiler(Toolkit(Path("/cuda/bin/nvcc"), "13.0.88", "PATH"), Host(host))


@pytest.fixture
def model(tmp_path: Path) -> Path:
    return write_model(tmp_path / "tiny.gguf")


def ensure(
    runtime: RuntimeImage, compiler: Compiler, model: Path, wish: CudaWish = WISH
) -> GpuModule:
    return ensure_cuda(wish, compiler, runtime, load_weights(model), load_sources(), QUIET)


def test_the_program_is_called_as_agreed(
    runtime: RuntimeImage, compiler: Compiler, model: Path, calls: Path, cache: Path
) -> None:
    module = ensure(runtime, compiler, model)
    words = calls.read_text().splitlines()
    jobs = words[words.index("--jobs") + 1]
    assert words[:-2] == [
        "recompile", "--sources", str(runtime.root / "sources/gpu.tar"),
        "--arch", "80", "--arch", "90", "--ptx", "-m", str(model),
        "--nvcc", "/cuda/bin/nvcc", "--host-compiler", str(compiler.host.path),
        "--jobs", jobs, "--object-cache", str(cache / "gpu-objects"), "--json",
    ]  # fmt: skip
    assert words[-2] == "--output"
    assert module.path.read_bytes() == b"\x7fELF cuda"
    assert module.facts.covers == "sm_80, sm_90, PTX"
    assert module.facts.sources == sources_digest(runtime)


def test_without_ptx_none_is_asked_for_and_a_split_model_is_named_by_its_first_part(
    runtime: RuntimeImage, compiler: Compiler, tmp_path: Path, calls: Path
) -> None:
    parts = write_split(tmp_path)
    ensure(runtime, compiler, parts[1], CudaWish(("80",), ptx=False))
    words = calls.read_text().splitlines()
    assert "--ptx" not in words
    assert words[words.index("-m") + 1] == str(parts[0])


def test_the_same_wish_is_compiled_once(
    runtime: RuntimeImage, compiler: Compiler, model: Path, tmp_path: Path, calls: Path
) -> None:
    def count() -> int:
        return calls.read_text().split().count("recompile")

    first = ensure(runtime, compiler, model)
    assert ensure(runtime, compiler, model) == first
    same_header = tmp_path / "other.gguf"
    same_header.write_bytes(model.read_bytes()[:-1] + b"x")
    assert ensure(runtime, compiler, same_header) == first
    assert count() == 1
    other_types = write_model(tmp_path / "third.gguf", TENSORS[:2])
    newer = replace(compiler, toolkit=replace(compiler.toolkit, version="13.1.80"))
    ensure(runtime, compiler, other_types)
    ensure(runtime, compiler, model, CudaWish(("80",), ptx=True))
    ensure(runtime, newer, model)
    assert count() == 4
    first.path.unlink()
    assert ensure(runtime, compiler, model) == first
    assert count() == 5
    first.path.write_bytes(b"\x7fELF bad!")
    assert ensure(runtime, compiler, model) == first
    assert count() == 6


def test_a_kept_module_is_found_without_compiling(
    runtime: RuntimeImage, compiler: Compiler, model: Path, calls: Path
) -> None:
    def kept(wish: CudaWish = WISH) -> GpuModule | None:
        return kept_cuda(wish, compiler, runtime, load_weights(model), load_sources())

    assert kept() is None
    assert not calls.exists()
    assert ensure(runtime, compiler, model) == kept()
    assert kept(CudaWish(("80",))) is None


class Recorded(NullProgress):
    """What a step was told."""

    def __init__(self) -> None:
        self.told: list[tuple[float, float | None, str]] = []

    @contextmanager
    def step(self, title: str) -> Iterator[Step]:
        self.told.append((0, None, title))
        yield self

    def update(self, done: float, total: float | None = None, note: str = "") -> None:
        self.told.append((done, total, note))


def test_progress_counts_work_and_says_at_once_how_long_it_takes(
    runtime: RuntimeImage, compiler: Compiler, model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _pid: {0, 1})
    progress = Recorded()
    ensure_cuda(WISH, compiler, runtime, load_weights(model), load_sources(), progress)
    assert progress.told == [
        (0, None, "Compiling the CUDA module (sm_80, sm_90, PTX)"),
        (0, 1300, "0/2 about 11 min on 2 cores"),
        (54, 1300, "1/2 mmvq"),
        (1300, 1300, "2/2 blas"),
    ]


FAILURES = {
    "its own words": (
        "echo 'error: nvcc failed on mmvq.cu: no room' >&2; echo 'hint: see /x.log' >&2; exit 6",
        "nvcc failed on mmvq.cu: no room",
        "see /x.log",
    ),
    "no words": ("echo 'Segmentation fault' >&2; exit 139", "exit status 139", "cuda-module.log"),
    "no document": ("true", "did not say", "cuda-module.log"),
    "another document": ('echo \'{"archs": [], "ptx": 1}\'', "did not say", "cuda-module.log"),
    "an empty module": (f': > "$output"; {SAY}', "did not say", "cuda-module.log"),
}


@pytest.mark.parametrize("case", FAILURES)
def test_a_failure_is_a_toolchain_error_and_leaves_nothing(
    tmp_path: Path, calls: Path, cache: Path, compiler: Compiler, model: Path, case: str
) -> None:
    rest, message, hint = FAILURES[case]
    runtime = runtime_that(tmp_path / "runtime", calls, rest)
    with pytest.raises(ToolchainError) as caught:
        ensure(runtime, compiler, model)
    assert (caught.value.exit_code, caught.value.code) == (6, "gpu-module-failed")
    assert message in caught.value.message
    assert hint in (caught.value.hint or "")
    assert [path.name for path in (cache / "gpu-modules").iterdir() if path.is_dir()] == []


def make(runtime: RuntimeImage, compiler: Compiler, model: Path, output: Path) -> BuildResult:
    module = ensure(runtime, compiler, model)
    return build(Artefact(model, output), runtime, QUIET, modules=[module])


def test_the_executable_carries_the_module_and_its_facts(
    runtime: RuntimeImage, compiler: Compiler, model: Path, tmp_path: Path
) -> None:
    made = make(runtime, compiler, model, tmp_path / "hello")
    with open_bundle(made.path) as bundle:
        assert verify(bundle, QUIET) == ()
        entry = bundle.manifest.entry("modules/linux-x86_64/ggml-cuda.so")
    assert entry is not None
    assert (entry.role, entry.target, entry.offset % 4096) == ("module", "linux-x86_64", 0)
    assert entry.to_json()["gpu"] == {
        "kind": "cuda",
        "archs": ["80", "90"],
        "ptx": True,
        "key": "cd" * 32,
        "sources": sources_digest(runtime),
        "toolkit": "13.0.88",
        "host_compiler": "g++ 12.2.0",
    }


def test_a_cached_module_that_was_altered_is_not_put_into_an_executable(
    runtime: RuntimeImage, compiler: Compiler, model: Path, tmp_path: Path
) -> None:
    module = ensure(runtime, compiler, model)
    module.path.write_bytes(b"\x7fELF bad!")
    with pytest.raises(IntegrityError):
        build(Artefact(model, tmp_path / "hello"), runtime, QUIET, modules=[module])
    assert not (tmp_path / "hello").exists()


def test_a_repack_keeps_the_module_while_its_sources_are_the_same(
    runtime: RuntimeImage, compiler: Compiler, model: Path, tmp_path: Path, calls: Path
) -> None:
    made = make(runtime, compiler, model, tmp_path / "hello")
    again = repack(made.path, runtime, tmp_path / "again", QUIET)
    assert "left out" not in " ".join(again.notes)
    assert again.path.read_bytes() == made.path.read_bytes()
    newer = runtime_that(tmp_path / "newer", calls)
    (newer.root / "sources/gpu.tar").write_bytes(b"z.cu\0// kernel\n")
    other = repack(made.path, newer, tmp_path / "other", QUIET)
    name = "modules/linux-x86_64/ggml-cuda.so"
    assert other.notes[-1] == f"{name} is left out: it was compiled for another engine"
    assert other.manifest.entry(name) is None
