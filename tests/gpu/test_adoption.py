"""A module that was compiled is kept only if it is not slower than what computes without it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

import pytest

from tests.conftest import Run
from tests.gpu.conftest import NVCC_SAYS, STAND_IN, Driver, Record


def recompile(
    executable: Path, run: Run, nvcc: Path, cache: Path, env: Mapping[str, str]
) -> tuple[int, str]:
    words = ("--recompile", "--iq", "--cache-dir", cache, "--nvcc", nvcc, "--host-compiler", nvcc)
    done = run(executable, *words, env=env, timeout=600)
    return done.returncode, (done.stdout + done.stderr).decode()


def test_a_slower_module_is_not_kept(
    hello: Path, run: Run, recorder: Record, driver: Driver, tmp_path: Path
) -> None:
    nvcc = recorder("nvcc", NVCC_SAYS).path
    env = {name: value for name, value in driver("").items() if name not in STAND_IN}
    level = json.loads(run(hello, "doctor", "--quick", "--json", env=env).stdout)["cpu_module"]
    if level in ("sse42", "baseline"):
        pytest.skip("this processor has nothing faster than the stand-in")
    status, said = recompile(hello, run, nvcc, tmp_path / "cache", env)
    assert status == 7, said
    assert "is slower than the CPU: " in said
    assert not list((tmp_path / "cache" / "modules").glob("*.so"))
    status, said = recompile(hello, run, nvcc, tmp_path / "cache", env)
    assert (status, "it failed before" in said) == (6, True)


def test_the_times_are_told_and_kept(
    hello: Path, run: Run, recorder: Record, driver: Driver, tmp_path: Path
) -> None:
    nvcc = recorder("nvcc", NVCC_SAYS).path
    status, said = recompile(hello, run, nvcc, tmp_path / "cache", driver(""))
    assert status == 0, said
    assert "ms for a token's product" in said
    assert "with the CPU" in said
    (kept,) = (tmp_path / "cache" / "modules").glob("*.so")
    assert b'"generation_seconds":' in kept.read_bytes()
