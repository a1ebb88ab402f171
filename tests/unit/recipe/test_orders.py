from __future__ import annotations

import json

import pytest

from ingot.errors import InputError, UsageError
from ingot.recipe.orders import Need, digest, orders
from ingot.recipe.schema import Recipe, json_schema
from tests.conftest import REPOSITORY

PUBLISHED = REPOSITORY / "docs" / "reference" / "recipe.schema.json"


def recipe(**tables: object) -> Recipe:
    return Recipe.model_validate_json(json.dumps({"model": {"main": "m.gguf"}, **tables}))


def test_without_targets_there_is_one() -> None:
    (order,) = orders(recipe(metadata={"name": "hello"}, gpu={"modules": ["vulkan"]}))
    assert (order.output, order.name, order.main) == ("hello", "hello", Need("model", "m.gguf"))
    assert order.gpu == ("vulkan",)


def test_a_target_overrides() -> None:
    found = orders(
        recipe(
            runtime={"args": ["-c", "1"]},
            target=[
                {"output": "a"},
                {"output": "b", "model": "hf://x/y:Q8_0", "args": ["-c", "2"]},
            ],
        )
    )
    assert [(o.output, o.main.reference, o.args) for o in found] == [
        ("a", "m.gguf", ("-c", "1")),
        ("b", "hf://x/y:Q8_0", ("-c", "2")),
    ]


@pytest.mark.parametrize(
    ("reference", "output"),
    [
        ("dir/m.gguf", "m"),
        ("hf://org/repo:Q4_K_M", "repo-Q4_K_M"),
        ("https://host/a/m.gguf#sha256=00", "m"),
        ("m.tar.gz", "m"),
    ],
)
def test_names_follow_the_model(reference: str, output: str) -> None:
    assert orders(recipe(model={"main": reference}))[0].output == output


def test_a_system_prompt_reaches_terminal_and_page() -> None:
    (order,) = orders(recipe(runtime={"system-prompt": 'Say "hi".'}))
    assert order.args[:2] == ("--system-prompt", 'Say "hi".')
    assert json.loads(order.args[3]) == {"systemMessage": 'Say "hi".'}


@pytest.mark.parametrize("targets", [[{}, {}], [{"output": "x"}, {"output": "x"}]])
def test_two_of_one_name(targets: list[dict[str, str]]) -> None:
    with pytest.raises(InputError) as caught:
        orders(recipe(target=targets))
    assert caught.value.code == "duplicate-target"


@pytest.mark.parametrize("output", ["../x", "a/b", ".", "x\\y"])
def test_an_output_is_a_file_name(output: str) -> None:
    with pytest.raises(InputError) as caught:
        orders(recipe(target=[{"output": output}]))
    assert caught.value.code == "bad-output"


def test_arguments_that_name_files_are_refused() -> None:
    with pytest.raises(UsageError):
        orders(recipe(runtime={"args": ["-m", "x"]}))


def test_the_digest_is_of_what_it_says() -> None:
    assert digest(recipe()) == digest(recipe(runtime={"ui": True}))
    assert digest(recipe()) != digest(recipe(runtime={"ui": False}))


def test_the_schema_closes_every_table() -> None:
    schema = json_schema()
    tables = [schema, *schema["$defs"].values()]
    assert all(t["additionalProperties"] is False for t in tables if t.get("type") == "object")
    assert "max-size" in schema["$defs"]["Limits"]["properties"]


def test_the_published_schema_is_this_one() -> None:
    """To write it: python -m tests.unit.recipe.test_orders"""
    assert json.loads(PUBLISHED.read_text("utf-8")) == json_schema()


if __name__ == "__main__":
    PUBLISHED.write_text(json.dumps(json_schema(), indent=1) + "\n", "utf-8")
