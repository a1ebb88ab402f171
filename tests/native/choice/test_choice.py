"""The pure parts of choosing a GPU module: every case, on a machine without one."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.native.compiled import RUNTIME, compiled

Ask = Callable[[dict[str, Any]], dict[str, Any]]

HOPPER = {"driver": 13000, "devices": [{"name": "H200", "capability": 90}]}
ADA = {"driver": 12040, "devices": [{"name": "L4", "capability": 89}]}
NONE = {"why": "no NVIDIA driver"}
RADEON = {"devices": [{"name": "Radeon"}]}
LLVMPIPE = {"devices": [{"name": "llvmpipe", "software": True}]}

COMPILED = {"kind": "cuda", "compiled": True, "cubins": [90], "cuda": 13}
CUBIN = {"kind": "cuda", "cubins": [80, 90], "cuda": 12}
PTX = {"kind": "cuda", "cubins": [80], "ptx": 80, "cuda": 12}
VULKAN = {"kind": "vulkan"}


@pytest.fixture(scope="module")
def ask(engine_source: Path) -> Ask:
    here = Path(__file__).parent
    sources = [here / "driver.cc", RUNTIME / "gpu" / "choose.cc"]
    headers = [RUNTIME / "gpu" / "choose.h", RUNTIME / "gpu" / "device.h", RUNTIME / "measure.h"]
    flags = [f"-I{engine_source}/vendor", f"-I{engine_source}/ggml/include"]
    program = compiled("choice-driver", sources, headers, flags)

    def run(question: dict[str, Any]) -> dict[str, Any]:
        done = subprocess.run(
            [program], input=json.dumps(question), capture_output=True, text=True, check=True
        )
        answer: dict[str, Any] = json.loads(done.stdout)
        return answer

    return run


@pytest.mark.parametrize(
    ("cuda", "vulkan", "offers", "order"),
    [
        (HOPPER, {}, [CUBIN, COMPILED], [1, 0]),
        (HOPPER, {}, [PTX, CUBIN], [1, 0]),
        (HOPPER, RADEON, [VULKAN, PTX], [1, 0]),
        (NONE, RADEON, [CUBIN, VULKAN], [1]),
        (NONE, LLVMPIPE, [VULKAN], []),
        # A cubin runs on its own major architecture, from its minor on.
        (ADA, {}, [CUBIN], [0]),
        (ADA, {}, [{**CUBIN, "cubins": [90]}], []),
        (ADA, {}, [{**CUBIN, "cubins": [75]}], []),
        (ADA, {}, [{**PTX, "cubins": [90], "ptx": 90}], []),
        # Made with a newer CUDA than the driver speaks.
        (ADA, {}, [{**CUBIN, "cuda": 13}], []),
        (NONE, {"why": "no Vulkan"}, [], []),
    ],
)
def test_the_order(
    ask: Ask,
    cuda: dict[str, Any],
    vulkan: dict[str, Any],
    offers: list[dict[str, Any]],
    order: list[int],
) -> None:
    answer = ask({"cuda": cuda, "vulkan": vulkan, "offers": offers})
    assert answer["order"] == order
    assert len(answer["reasons"]) >= len(offers)
    assert (answer["reasons"][-1] == "the CPU computes") == (not order)


def test_modules_that_were_compiled_here_for_other_makers_come_first(ask: Ask) -> None:
    compiled = {"kind": "hip", "compiled": True}
    question = {"cuda": NONE, "hip": RADEON, "vulkan": RADEON, "offers": [VULKAN, compiled]}
    assert ask(question)["order"] == [1, 0]
    both = {**question, "cuda": HOPPER, "offers": [compiled, COMPILED]}
    assert ask({**both, "offers": [COMPILED, compiled]})["order"] == [0, 1], "NVIDIA first"


def test_a_software_device_is_used_only_when_asked_for(ask: Ask) -> None:
    question = {"vulkan": LLVMPIPE, "offers": [VULKAN]}
    refused = ask(question)
    assert refused["order"] == []
    assert "llvmpipe computes on the CPU" in refused["reasons"][0]
    assert ask({**question, "software": True})["order"] == [0]


def test_every_offer_gets_its_reason(ask: Ask) -> None:
    answer = ask({"cuda": ADA, "vulkan": {"why": "no Vulkan"}, "offers": [COMPILED, PTX, VULKAN]})
    assert answer["reasons"] == [
        "the CUDA module compiled here: made with CUDA 13, and the driver speaks 12",
        "the bundled CUDA module: has a cubin for compute capability 80",
        "the bundled Vulkan module: no Vulkan",
    ]


@pytest.mark.parametrize(
    ("made", "used", "worse"),
    [
        ([1.0, 0.01], [2.0, 0.02], False),
        ([1.0, 0.01], [1.0, 0.01], False),
        ([1.1, 0.011], [1.0, 0.01], False),  # within what two runs differ
        ([1.4, 0.014], [1.0, 0.01], True),
        ([0.1, 0.1], [1.0, 0.01], True),  # a fast prompt does not pay for slow answers
        ([0.0, 0.0], [1.0, 0.01], True),  # it could not be measured
        ([1.0, 0.01], [0.0, 0.0], False),  # nothing to compare with
    ],
)
def test_a_module_must_not_be_slower_than_what_is_used(
    ask: Ask, made: list[float], used: list[float], worse: bool
) -> None:
    assert ask({"made": made, "used": used})["worse"] is worse
