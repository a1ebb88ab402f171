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


def test_each_target_is_built_for_each_variant() -> None:
    found = orders(
        recipe(
            metadata={"name": "chat"},
            runtime={"args": ["-c", "1"]},
            variant=[
                {"id": "q8", "model": "hf://x/y:Q8_0"},
                {"id": "q4", "args": ["-c", "2"], "ui": False},
            ],
            target=[{}, {"output": "gpu", "gpu": {"modules": ["vulkan"]}, "args": ["-c", "3"]}],
        )
    )
    assert [(o.output, o.main.reference, o.args, o.ui, o.gpu) for o in found] == [
        ("chat-q8", "hf://x/y:Q8_0", ("-c", "1"), True, ()),
        ("chat-q4", "m.gguf", ("-c", "2"), False, ()),
        ("gpu-q8", "hf://x/y:Q8_0", ("-c", "3"), True, ("vulkan",)),
        ("gpu-q4", "m.gguf", ("-c", "3"), False, ("vulkan",)),
    ]
    assert {o.name for o in found} == {"chat"}


def test_a_target_extends_another() -> None:
    found = orders(
        recipe(
            target=[
                {"output": "c", "extends": "b", "args": ["-c", "2"]},
                {"output": "a", "ui": False, "args": ["-c", "1"]},
                {"output": "b", "extends": "a", "gpu": {"modules": ["vulkan"]}},
            ]
        )
    )
    assert [(o.output, o.args, o.ui, o.gpu) for o in found] == [
        ("c", ("-c", "2"), False, ("vulkan",)),
        ("a", ("-c", "1"), False, ()),
        ("b", ("-c", "1"), False, ("vulkan",)),
    ]


@pytest.mark.parametrize(
    ("targets", "code"),
    [
        ([{"output": "a", "extends": "a"}], "cyclic-target"),
        ([{"output": "a", "extends": "b"}, {"output": "b", "extends": "a"}], "cyclic-target"),
        ([{"output": "a", "extends": "nobody"}], "unknown-target"),
    ],
)
def test_what_cannot_be_extended(targets: list[dict[str, str]], code: str) -> None:
    with pytest.raises(InputError) as caught:
        orders(recipe(target=targets))
    assert caught.value.code == code


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
