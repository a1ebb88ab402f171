"""The recipes of this repository are recipes; which models the Hub has is not asked here."""

from __future__ import annotations

from pathlib import Path

import pytest

from ingot.recipe.gpu import parse_gpu
from ingot.recipe.orders import orders
from ingot.recipe.schema import Recipe
from ingot.recipe.tomlfile import read_toml
from ingot.sources.reference import HubReference, parse_reference
from tests.conftest import REPOSITORY

SHIPPED = sorted((REPOSITORY / "recipes").rglob("*.toml"))


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.stem)
def test_it_is_a_recipe(path: Path) -> None:
    for order in orders(read_toml(path, Recipe, what="recipe")):
        parse_gpu(order.gpu or ("none",))
        for need in order.needs:
            if need.reference.startswith("hf://"):
                assert isinstance(parse_reference(need.reference), HubReference)
            else:
                assert (path.parent / need.reference).is_file()


def test_there_is_one_of_each_kind() -> None:
    assert {path.stem for path in SHIPPED} == {"demo", "chat", "iq", "embedding", "vision"}
