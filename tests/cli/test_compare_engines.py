"""``ingot compare``: the same GGUF by two versions of the engine, and by two CPU modules."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest

from ingot.console import Console
from ingot.engine.image import RuntimeImage
from ingot.engine.pin import load_other_engines, load_sources
from ingot.engine.runtime import ensure_runtime
from tests.conftest import Cast, Ingot, ingot_in
from tests.models import DEMO
from tests.models.hf_llama import LAYERS, hf_llama

pytestmark = [pytest.mark.network, pytest.mark.runtime, pytest.mark.slow]

VERSIONS = sorted(load_other_engines(load_sources().native / "engines"))
AVX2, AVX512 = "haswell", "skylakex"


@pytest.fixture(scope="module", params=VERSIONS)
def version(request: pytest.FixtureRequest) -> str:
    """Each other engine, compiled: minutes, once."""
    ensure_runtime(Console(), engine=request.param)
    return str(request.param)


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> dict[int, Path]:
    """The demo model and one four times as deep, in IQ4_XS, by their layers."""
    home = tmp_path_factory.mktemp("models")
    ingot = ingot_in(home)
    made = {}
    for times in (1, 4):
        layers = LAYERS * times
        checkpoint = hf_llama(home / f"hf-{layers}", times=times)
        whole, made[layers] = home / f"{layers}.gguf", home / f"{layers}-iq4_xs.gguf"
        for words in (("convert", checkpoint, whole), ("quantize", whole, made[layers], "IQ4_XS")):
            done = ingot(*words)
            assert done.returncode == 0, done.stderr
    return made


def _compare(ingot: Ingot, a: object, b: object, *words: object) -> dict[str, Any]:
    done: subprocess.CompletedProcess[str] = ingot(
        "compare", str(a), str(b), "--tokens", "1024", "--json", *map(str, words)
    )
    assert done.returncode == 0, done.stderr
    document = json.loads(done.stdout)
    assert isinstance(document, dict)
    return document


def _growth(document: dict[str, Any]) -> tuple[float, float]:
    """The mean error of the first and of the last third of the layers."""
    errors = [item["relative_rms"] for item in document["layers"]]
    third = len(errors) // 3
    return sum(errors[:third]) / third, sum(errors[-third:]) / third


def test_two_engines_part_with_depth(
    ingot: Ingot, version: str, models: dict[int, Path], tmp_path: Path
) -> None:
    ends = {}
    for layers, model in models.items():
        page = tmp_path / f"{layers}.html"
        words = ("--prompts", "4", "--report", page)
        found = _compare(ingot, model, f"{model}@{version}", *words)
        other = load_other_engines(load_sources().native / "engines")[version]
        assert found["a"]["engine"] == load_sources().engine.commit
        assert found["b"]["engine"] == other.commit != found["a"]["engine"]
        assert found["a"]["cpu_module"] == found["b"]["cpu_module"] != "baseline"
        assert len(found["layers"]) == layers
        first, ends[layers] = _growth(found)
        # With some CPU modules both versions compute the same bits.
        assert first < ends[layers] or first == ends[layers] == 0
        assert "Error by layer" in page.read_text()
    assert all(0 <= end < 0.2 for end in ends.values())


def test_every_cpu_module_is_there_in_both(version: str, runtime_image: RuntimeImage) -> None:
    other = ensure_runtime(Console(), engine=version)
    names = [module.name for module in other.modules]
    assert names == [module.name for module in runtime_image.modules]


def test_two_cpu_modules_part_with_depth(ingot: Ingot, cast: Cast, models: dict[int, Path]) -> None:
    for layers, model in models.items():
        hello = cast(model, name=f"deep-{layers}")
        found = _compare(ingot, f"{hello}:cpu={AVX2}", hello)
        used = [found[side]["cpu_module"] for side in "ab"]
        if used[0] == used[1]:
            pytest.skip("this machine has no more than AVX2")
        first, last = _growth(found)
        assert (len(found["layers"]), used[0]) == (layers, AVX2)
        assert 0 < first < last < 0.2


def test_the_pinned_version_may_be_named(ingot: Ingot) -> None:
    version = load_sources().engine.package.version
    assert _compare(ingot, DEMO, f"{DEMO}@{version}")["verdict"] == "identical"


def test_an_engine_can_be_made_ready_beforehand(ingot: Ingot, version: str) -> None:
    done = ingot("toolchain", "install", "runtime", "--engine", version, "--json")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["engine"]["version"] == version
    for words, status, code in (
        (("install", "runtime", "--engine", "9.9"), 3, "unknown-engine"),
        (("install", "vulkan", "--engine", version), 2, "usage"),
        (("list", "--engine", version), 2, "usage"),
    ):
        done = ingot("toolchain", *words, "--json")
        assert (done.returncode, json.loads(done.stdout)["error"]["code"]) == (status, code)
