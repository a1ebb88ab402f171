"""Programs as sides, with scripts in their place: what they are asked, and what is made before."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from ingot.console import NullProgress, Progress
from ingot.engine.image import RuntimeImage
from ingot.errors import InputError
from ingot.gguf.join import Weights
from ingot.parity import gpu, local
from ingot.parity.local import Local, open_local
from ingot.parity.side import Job
from ingot.parity.spec import parse
from ingot.recipe.gpu import Wishes
from ingot.recipe.gpumodule import GpuModule
from tests.golden.samples import VULKAN_FACTS, fake_runtime, write_model

QUIET = NullProgress()
CPU = {"name": "CPU", "description": "a processor"}
MODEL = {"cpu_module": "haswell", "threads": 2, "vocabulary": 32}
ANSWERS = {
    "trace": {"model": {**MODEL, "backends": [CPU, {"name": "Vulkan0", "description": "a GPU"}]}},
    "embed": {"data": [{"embedding": [1.0]}]},
}


@dataclass(frozen=True)
class Program:
    """A script that answers as ANSWERS has it, and its calls."""

    path: Path
    log: Path

    def calls(self) -> dict[str, list[str]]:
        """Verb -> its arguments."""
        lines = [line.split() for line in self.log.read_text().splitlines()]
        return {words[0]: words[1:] for words in lines}


@pytest.fixture
def program(tmp_path: Path) -> Program:
    made = Program(tmp_path / "program", tmp_path / "calls")
    cases = "".join(f"{verb}) echo '{json.dumps(said)}' ;;\n" for verb, said in ANSWERS.items())
    made.path.write_text(f'#!/bin/sh\necho "$@" >> {made.log}\ncase $1 in\n{cases}esac\n')
    made.path.chmod(0o755)
    return made


def _side(program: Program, *options: str) -> Local:
    return Local("side", program.path, 32, embeds=False, gpu_options=options)


def test_the_gpu_that_computed_is_a_fact(program: Program, tmp_path: Path) -> None:
    words = ("--gpu", "vulkan", "--require-gpu")
    numbers = _side(program, *words).run(Job(), tmp_path, QUIET)
    assert numbers.facts["gpu"] == "Vulkan0: a GPU"
    assert program.calls()["trace"][-3:] == list(words)


def test_vectors_are_computed_where_the_side_says(program: Program, tmp_path: Path) -> None:
    assert _side(program, "--gpu", "none").embed(["x"], tmp_path, QUIET) == [[1.0]]
    assert program.calls()["embed"] == ["--json", "-p", "x", "--gpu", "none"]


@dataclass
class Making:
    """A kit, and the workbench: what they were asked for, in its order."""

    runtime: RuntimeImage
    done: list[object] = field(default_factory=list)

    def find(self, wishes: Wishes, *_rest: object) -> Making:
        self.done.append(wishes)
        return self

    def check_device(self, *_rest: object) -> None:
        self.done.append("device")

    def modules(
        self, runtime: RuntimeImage, model: Weights, args: Sequence[str], *_rest: object
    ) -> tuple[GpuModule, ...]:
        self.done.append((model.file_name, tuple(args)))
        return (GpuModule(Path("m.so"), "ab" * 32, VULKAN_FACTS),) * ("device" in self.done)

    def workbench(
        self, runtime: RuntimeImage, progress: Progress, modules: Sequence[GpuModule]
    ) -> Path:
        self.done.append([module.facts.kind for module in modules])
        return runtime.program


@pytest.fixture
def making(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Making:
    made = Making(fake_runtime(tmp_path / "runtime"))

    def ensure_runtime(*_words: object, **_more: Any) -> RuntimeImage:
        made.done.append("runtime")
        return made.runtime

    monkeypatch.setattr(local, "find_kit", made.find)
    monkeypatch.setattr(local, "ensure_runtime", ensure_runtime)
    monkeypatch.setattr(gpu, "check_device", made.check_device)
    monkeypatch.setattr(local, "ensure_workbench", made.workbench)
    return made


def test_a_gguf_gets_the_module_of_its_own(making: Making, tmp_path: Path) -> None:
    model = write_model(tmp_path / "tiny.gguf")
    side = open_local(parse(f"{model}:gpu=vulkan"), QUIET, ("-ctk", "f32"))
    made = ("tiny.gguf", ("-ctk", "f32"))
    assert making.done == [Wishes(vulkan=True), "runtime", "device", made, ["vulkan"]]
    assert side.gpu_options == ("--gpu", "vulkan", "--require-gpu")
    assert side.options == ("-ctk", "f32")


@pytest.mark.parametrize("suffix", ["", ":gpu=none"])
def test_otherwise_the_cpu_computes(making: Making, tmp_path: Path, suffix: str) -> None:
    model = write_model(tmp_path / "tiny.gguf")
    side = open_local(parse(f"{model}{suffix}"), QUIET)
    assert making.done == [Wishes(), "runtime", ("tiny.gguf", ()), []]
    assert side.gpu_options == ("--gpu", "none")


def test_a_wrong_cpu_module_is_told_before_a_gpu_module_is_compiled(
    making: Making, tmp_path: Path
) -> None:
    model = write_model(tmp_path / "tiny.gguf")
    with pytest.raises(InputError, match="no CPU module 'z80'"):
        open_local(parse(f"{model}:cpu=z80:gpu=vulkan"), QUIET)
    assert making.done == [Wishes(vulkan=True), "runtime"]


def test_an_engine_that_gets_no_gpu_modules_is_not_even_compiled(
    making: Making, tmp_path: Path
) -> None:
    model = write_model(tmp_path / "tiny.gguf")
    with pytest.raises(InputError, match="own engine only"):
        open_local(parse(f"{model}@9.9:gpu=vulkan"), QUIET)
    assert making.done == []
