"""What an executable does about GPUs: options, a broken driver, modules that do not fit, advice.

The driver is a stand-in that can be asked for its GPU and nothing else, as a broken one.
"""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from ingot.recipe.gpumodule import Compiler
from tests.conftest import Cast, Run
from tests.gpu.conftest import Driver

PROMPT = ("-p", "x", "-n", "2")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--gpu", "voodoo"), b"--gpu voodoo"),
        (("--gpu",), b"--gpu needs a value"),
        (("--gpu", "none", "--require-gpu"), b"contradict"),
        (("--recompile", "--nocompile"), b"contradict"),
    ],
)
def test_options_that_make_no_sense(
    hello: Path, run: Run, arguments: tuple[str, ...], said: bytes
) -> None:
    done = run(hello, *PROMPT, *arguments)
    assert done.returncode == 2
    assert said in done.stderr


def test_require_gpu_is_an_exit_code_where_there_is_none(hello: Path, run: Run) -> None:
    done = run(hello, *PROMPT, "--require-gpu", env={**os.environ, "LD_LIBRARY_PATH": "/nowhere"})
    assert done.returncode == 7
    assert done.stdout == b""


def test_a_driver_that_crashes_takes_nothing_with_it(hello: Path, run: Run, driver: Driver) -> None:
    env = driver("abort()")
    done = run(hello, *PROMPT, env=env)
    assert done.returncode == 0
    assert done.stdout
    facts = json.loads(run(hello, "doctor", "--json", env=env).stdout)
    assert facts["nvidia"]["devices"] == []
    assert "crashed or hung" in facts["nvidia"]["why"]


def test_a_driver_that_refuses_is_told(hello: Path, run: Run, driver: Driver) -> None:
    facts = json.loads(run(hello, "doctor", "--json", env=driver("return 999")).stdout)
    assert "error 999" in facts["nvidia"]["why"]


def test_a_gpu_without_a_module_gets_one_line_of_advice(
    hello: Path, run: Run, driver: Driver
) -> None:
    done = run(hello, *PROMPT, env=driver(""))
    assert done.returncode == 0
    lines = [line for line in done.stderr.decode().splitlines() if "--recompile" in line]
    assert len(lines) == 1
    assert "0.0 GB of weights stay on the CPU" in lines[0]
    assert "bf16" in lines[0]
    quiet = run(hello, *PROMPT, "--gpu", "none", env=os.environ)
    assert b"--recompile" not in quiet.stderr


def test_a_module_that_fails_its_test_is_remembered_and_not_used(
    compiler: Compiler,
    objects: Path,
    cast: Cast,
    iq_model: Path,
    run: Run,
    driver: Driver,
    tmp_path: Path,
) -> None:
    """All of --recompile but the GPU: the module is compiled, and its test cannot be passed."""
    executable = cast(iq_model, name="iq")
    options = ["--cache-dir", str(objects), "--nvcc", str(compiler.toolkit.nvcc)]
    env = driver("")
    first = run(executable, "--recompile", "--iq", "--force", *options, env=env, timeout=600)
    assert first.returncode == 7, first.stderr
    assert b"does not pass its test" in first.stderr
    again = run(executable, "--recompile", "--iq", *options, env=env)
    assert again.returncode == 6
    assert b"it failed before" in again.stderr
    answered = run(executable, *PROMPT, *options, env=env)
    assert answered.returncode == 0
    assert answered.stdout


def test_nothing_to_recompile_for(hello: Path, run: Run, tmp_path: Path) -> None:
    env = {**os.environ, "LD_LIBRARY_PATH": "/nowhere"}
    done = run(hello, "--recompile", "--iq", "--cache-dir", tmp_path / "c", env=env)
    assert done.returncode == 7
    assert not (tmp_path / "c").exists()
