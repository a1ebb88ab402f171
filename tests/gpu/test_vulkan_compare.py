"""``ingot compare`` with a GGUF on a Vulkan device: Mesa's llvmpipe, where there is no GPU.

The cache is the user's own: in an empty one llvmpipe would compile all shaders again, in minutes.
"""

from __future__ import annotations

import json
from pathlib import Path

from gguf import GGMLQuantizationType as Quant

from ingot.console import Console
from ingot.parity.local import open_local
from ingot.parity.spec import parse
from tests.conftest import Ingot, Run
from tests.models import DEMO
from tests.models.quantised import converted

SLOW = 600  # seconds
LITTLE = ("--tokens", "64", "-c", "64", "--layers", "8")


def test_a_gguf_on_the_gpu_is_the_same_model(ingot: Ingot) -> None:
    words = ("compare", DEMO, f"{DEMO}:gpu=vulkan", *LITTLE, "--prompts", "1", "-n", "8")
    done = ingot(*words, "--require", "equivalent", "--json")
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert found["verdict"] == "equivalent"
    assert found["text"]["summary"]["logits"]["max"] > 0, "something else computed"
    assert found["b"]["gpu"].startswith("Vulkan0: ")
    assert "gpu" not in found["a"]
    assert len(found["layers"]) == 6


def test_the_module_has_the_kernels_of_that_gguf(run: Run, tmp_path: Path) -> None:
    """And not those of the model inside the workbench."""
    model = converted(tmp_path / "q4_0.gguf", Quant.Q4_0)
    side = open_local(parse(f"{model}:gpu=vulkan"), Console())
    words = ("doctor", "--json", *side.gpu_options, *side.model)
    done = run(side.program, *words, timeout=SLOW)
    assert done.returncode == 0, done.stdout
    assert b"stay on the CPU" not in done.stderr
    ops = json.loads(done.stdout)["placement"]["ops"]
    assert ops["Vulkan0"]["MUL_MAT"] > 50
    assert set(ops.get("CPU", {})) <= {"GET_ROWS"}, "only the lookup of tokens"
