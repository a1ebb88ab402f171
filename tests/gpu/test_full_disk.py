"""A disk that fills up while a module is compiled: one message, nothing half-made, the old module
stays and is used.

The disk is a real, small one. Most cases use a stand-in for the compiler, so that they know when it
fills; one uses nvcc.
"""

from __future__ import annotations

import hashlib
import json
import shutil
import subprocess
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from ingot.recipe.gpumodule import Compiler
from tests.conftest import Cast, Run
from tests.gpu.conftest import NVCC_SAYS, Driver, Record, Recorder

Mount = Callable[[str], Path]

# Until nothing more fits, not even a byte in a file that is there.
FILL = "cat /dev/zero > {disk}/filler 2>/dev/null; echo >> {disk}/filler"


@pytest.fixture
def disk(mounted: Mount) -> Path:
    """Room enough to begin with (256 MiB, a module and its sources), and for little more."""
    return mounted("size=300m,mode=0755")


@pytest.fixture
def env(driver: Driver) -> Mapping[str, str]:
    """A machine with an NVIDIA GPU, as far as the driver tells."""
    return driver("")


def recompile(
    executable: Path, run: Run, nvcc: Path, host: Path, disk: Path, env: Mapping[str, str]
) -> subprocess.CompletedProcess[bytes]:
    tools = ("--nvcc", nvcc, "--host-compiler", host)
    return run(
        *(executable, "--recompile", "--iq", "--force", "--cache-dir", disk / "cache", *tools),
        env=env,
        timeout=600,
    )


def state(disk: Path) -> dict[str, str]:
    """Every file of the cache but kept objects, with its hash."""
    cache = disk / "cache"
    return {
        str(path.relative_to(cache)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in cache.rglob("*")
        if path.is_file() and path.parent.name != "objects"
    }


def check_refusal(
    done: subprocess.CompletedProcess[bytes], disk: Path, before: Mapping[str, str]
) -> None:
    assert done.returncode == 6, done.stderr
    lines = done.stderr.decode().splitlines()
    (error,) = (line for line in lines if line.startswith("error: "))
    (hint,) = (line for line in lines if line.startswith("hint: "))
    assert error.startswith("error: the disk is full: ")
    assert hint.startswith(f"hint: make room in {disk}/cache")
    assert hint.endswith(", or name another place with --cache-dir")
    assert ".ingot-tmp-" not in hint
    assert state(disk) == before  # no log of a failure either: there was none of the module's


@pytest.mark.parametrize("moment", ["a unit", "the link", "keeping it"])
def test_a_disk_that_fills_up_costs_one_message_and_no_module(
    hello: Path, run: Run, recorder: Record, env: Mapping[str, str], disk: Path, moment: str
) -> None:
    good = recorder("nvcc", NVCC_SAYS)
    first = recompile(hello, run, good.path, good.path, disk, env)
    assert first.returncode == 0, first.stderr
    before = state(disk)
    (name,) = (name for name in before if name.endswith(".so"))

    bad = filling(recorder, disk, moment)
    shutil.rmtree(disk / "cache" / "objects")  # or there is nothing to compile
    check_refusal(recompile(hello, run, bad.path, bad.path, disk, env), disk, before)

    (disk / "filler").unlink()
    doctor = run(hello, "doctor", "--json", "--cache-dir", disk / "cache", env=env)
    facts = json.loads(doctor.stdout)
    assert facts["gpu_module"] == "the CUDA module compiled here"
    shutil.rmtree(disk / "cache" / "objects")
    after = recompile(hello, run, good.path, good.path, disk, env)
    assert after.returncode == 0, after.stderr
    assert set(state(disk)) == set(before)
    assert name in state(disk)


def test_a_disk_without_room_for_the_module_is_named(
    hello: Path, run: Run, recorder: Record, env: Mapping[str, str], mounted: Mount
) -> None:
    """Compiled in another place, for want of room in this one."""
    small = mounted("size=1m,mode=0755")
    nvcc = recorder("nvcc", NVCC_SAYS).path
    done = recompile(hello, run, nvcc, nvcc, small, env)
    check_refusal(done, small, state(small))
    assert f"hint: make room in {small}/cache, " in done.stderr.decode()
    assert b"the module works but cannot be kept" in done.stderr
    assert [Path(name).suffix for name in state(small)] == [".lock"]


def filling(recorder: Record, disk: Path, moment: str) -> Recorder:
    fill = FILL.format(disk=disk)
    before = {
        "a unit": f'[ "$made" = "$module" ] || {{ {fill}; }}',
        "the link": f'case "$output" in */ggml-cuda.so) {fill};; esac',
        # The module is written, and is in memory as soon as this ends.
        "keeping it": f'case "$output" in */ggml-cuda.so) cp $made $output; {fill}; exit 0;; esac',
    }[moment]
    return recorder("nvcc-that-fills", NVCC_SAYS, before)


def test_the_real_compiler_on_a_disk_that_fills_up(
    compiler: Compiler,
    cast: Cast,
    iq_model: Path,
    run: Run,
    env: Mapping[str, str],
    disk: Path,
    tmp_path: Path,
) -> None:
    host = compiler.host.path
    if host is None:
        pytest.skip("no g++")
    executable = cast(iq_model, name="iq")
    nvcc = tmp_path / "nvcc"
    fill = FILL.format(disk=disk)
    nvcc.write_text(
        f'#!/bin/sh\ncase "$*" in *unit-*) [ -e {disk}/filler ] || {{ {fill}; }};; esac\n'
        f'exec {compiler.toolkit.nvcc} "$@"\n'
    )
    nvcc.chmod(0o755)
    done = recompile(executable, run, nvcc, host, disk, env)
    (lock,) = state(disk)
    assert lock.endswith(".lock")
    check_refusal(done, disk, {lock: hashlib.sha256(b"").hexdigest()})
    # The compiler's temporary files were on that disk, and are gone.
    began = nvcc.stat().st_mtime
    assert not [p for p in Path("/tmp").glob("tmpxft_*") if p.stat().st_mtime > began]
