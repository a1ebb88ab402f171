"""A small executable around a fake runtime."""

from __future__ import annotations

from pathlib import Path

import pytest

from ingot.console import NullProgress
from ingot.recipe.build import build
from ingot.recipe.plan import Artefact
from tests.golden.samples import TENSORS, T, fake_runtime, write_lora, write_model

LARGE = (*TENSORS, T("blk.0.ffn_up.weight", (1024, 2400)))  # 9.8 MB: three chunks


@pytest.fixture
def executable(tmp_path: Path) -> Path:
    """``hello`` with a model of three chunks, an adapter, a licence and the fake runtime."""
    licence = tmp_path / "LICENSE"
    licence.write_text("You may.\n")
    artefact = Artefact(
        model=write_model(tmp_path / "tiny.gguf", LARGE),
        output=tmp_path / "hello",
        description="A tiny one",
        args=("-c", "64"),
        loras=(write_lora(tmp_path / "style.gguf"),),
        license=licence,
    )
    return build(artefact, fake_runtime(tmp_path / "runtime"), NullProgress()).path
