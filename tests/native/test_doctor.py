"""``doctor`` of an executable: what is there, what is chosen, where the model runs."""

from __future__ import annotations

import json
import os
from pathlib import Path

from tests.conftest import Run

NO_GPU = {**os.environ, "LD_LIBRARY_PATH": "/nowhere"}


def test_every_op_and_weight_has_its_place(hello: Path, run: Run) -> None:
    done = run(hello, "doctor", "--json", env=NO_GPU)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert found["gpu_module"] == ""
    assert found["reasons"][-1] == "the CPU computes"
    placement = found["placement"]
    assert set(placement["ops"]) == {"CPU"}
    assert placement["ops"]["CPU"]["MUL_MAT"] > 0
    kernels = json.loads(run(hello, "info", "--json").stdout)["model"]["kernels"]
    tensors = sum(share["count"] for share in kernels["weights"].values())
    assert len(placement["weights"]["CPU"]["tensors"]) == tensors


def test_in_words(hello: Path, run: Run) -> None:
    lines = run(hello, "doctor", env=NO_GPU).stdout.decode().splitlines()
    assert any(line.startswith("ran on CPU") and "MUL_MAT" in line for line in lines)
    assert any(line.startswith("weights CPU") for line in lines)


def test_quick_does_not_run_the_model(hello: Path, run: Run) -> None:
    found = json.loads(run(hello, "doctor", "--quick", "--json", env=NO_GPU).stdout)
    assert "placement" not in found
    assert found["reasons"]


def test_a_model_that_cannot_be_run_is_a_finding(hello: Path, run: Run, tmp_path: Path) -> None:
    broken = tmp_path / "broken.gguf"
    broken.write_bytes(b"GGUF" + bytes(64))
    done = run(hello, "doctor", "--json", "-m", broken, env=NO_GPU)
    assert done.returncode == 1
    found = json.loads(done.stdout)
    assert "could not be loaded" in found["problem"]
    assert found["reasons"]
