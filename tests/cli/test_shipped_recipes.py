"""The recipes of this repository: each is planned, with a Hub that has repositories of those names.

What the real Hub has under these names is not asked: files have the names that are usual there.
"""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from ingot.recipe.orders import orders
from ingot.recipe.schema import Recipe
from ingot.recipe.tomlfile import read_toml
from ingot.sources.reference import HubReference, parse_reference
from tests.conftest import REPOSITORY, Ingot
from tests.golden.samples import gguf_bytes, model_kv
from tests.hub.server import Hub

RECIPES = sorted((REPOSITORY / "recipes" / "hub").glob("*.toml"))


@pytest.mark.parametrize("path", RECIPES, ids=lambda path: path.stem)
def test_it_is_planned_and_locked(
    path: Path, ingot: Ingot, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    copy = tmp_path / "cwd" / path.name
    copy.write_bytes(path.read_bytes())
    wanted = orders(read_toml(path, Recipe, what="recipe"))
    monkeypatch.setenv("HF_HOME", str(tmp_path / "hf"))
    with Hub() as hub:
        monkeypatch.setenv("HF_ENDPOINT", hub.url)
        for order in wanted:
            reference = parse_reference(order.main.reference)
            assert isinstance(reference, HubReference)
            stem = reference.repo.partition("/")[2].removesuffix("-GGUF")
            files = {f"{stem}-{quant}.gguf": gguf_bytes(model_kv()) for quant in _quants(reference)}
            if path.stem == "vision":
                files[f"mmproj-{stem}-f16.gguf"] = gguf_bytes(model_kv())
            hub.add(reference.repo, files)

        done = ingot("plan", path.name, "--json")
        assert done.returncode == 0, done.stderr
        planned = json.loads(done.stdout)["executables"]
        assert [one["output"] for one in planned] == [order.output for order in wanted]
        assert all(len(one["items"]) == 1 + (path.stem == "vision") for one in planned)

        done = ingot("lock", path.name, "--json")
        assert done.returncode == 0, done.stderr
        (entry,) = json.loads(done.stdout)["inputs"]
        assert (entry.get("projector") is not None) is (path.stem == "vision")
        assert not hub.downloads()
        matrix = json.loads(ingot("plan", path.name, "--locked", "--matrix", "github").stdout)
        assert [job["target"] for job in matrix["include"]] == [order.output for order in wanted]


def _quants(reference: HubReference) -> set[str]:
    """The one that is asked for, and another beside it."""
    assert reference.quant is not None
    return {reference.quant.upper(), "Q2_K"}
