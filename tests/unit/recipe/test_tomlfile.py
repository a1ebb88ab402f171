"""Recipes as files: what is refused, on which line, and what was probably meant."""

from __future__ import annotations

from pathlib import Path

import pytest

from ingot.errors import InputError
from ingot.recipe.schema import Recipe
from ingot.recipe.tomlfile import locations, read_toml


def read(tmp_path: Path, text: str) -> Recipe:
    path = tmp_path / "recipe.toml"
    path.write_text(text)
    return read_toml(path, Recipe, what="recipe")


def refused(tmp_path: Path, text: str) -> list[str]:
    with pytest.raises(InputError) as caught:
        read(tmp_path, text)
    assert caught.value.code == "bad-recipe"
    return [line.strip().rpartition("/")[2] for line in caught.value.message.splitlines()]


def test_a_whole_recipe(tmp_path: Path) -> None:
    recipe = read(
        tmp_path,
        """
        [model]
        main = { from = "hf://org/repo:Q4_0" }
        lora = ["a.gguf", "b.gguf"]
        [runtime]
        args = ["-c", "4096"]
        system-prompt = "Be brief."
        [metadata]
        license = "MIT"
        [[target]]
        output = "small"
        model = "hf://org/repo:IQ2_S"
        gpu = { modules = ["cuda:90"] }
        [[test]]
        prompt = "x"
        matches = "^y"
        """,
    )
    assert recipe.model.lora == ("a.gguf", "b.gguf")
    assert recipe.runtime.system_prompt == "Be brief."
    assert recipe.target[0].gpu is not None
    assert recipe.target[0].gpu.modules == ("cuda:90",)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (
            '[model]\nmain = "m.gguf"\nprojektor = "p.gguf"\n',
            "recipe.toml:3: there is no key 'model.projektor': did you mean 'projector'?",
        ),
        ('[modle]\nmain = "m"\n', "recipe.toml:1: there is no key 'modle': did you mean 'model'?"),
        ("", "recipe.toml: 'model' is missing"),
        ('[model]\ndraft = "d"\n', "recipe.toml:1: 'model.main' is missing"),
        (
            '[model]\nmain = "m"\n[limits]\nmax-size = "2 GB"\n',
            (
                "recipe.toml:4: 'limits.max-size' is of the wrong type: "
                "input should be a valid integer"
            ),
        ),
        (
            '[model]\nmain = "m"\n[limits]\nmax-size = true\n',
            (
                "recipe.toml:4: 'limits.max-size' is of the wrong type: "
                "input should be a valid integer"
            ),
        ),
        (
            '[model]\nmain = "m"\n[[test]]\nprompt = "x"\n',
            (
                "recipe.toml:3: 'test' expects nothing: "
                "give expect, matches, api, compare, first-token-seconds or memory"
            ),
        ),
        (
            (
                '[model]\nmain = "m"\n[[test]]\nprompt = "x"\nexpect = "y"\n'
                '[[test]]\nprompt = """\n[a]\nb = 1\n"""\nmatches = "("\n'
            ),
            (
                "recipe.toml:11: 'test.matches' is no regular expression: "
                "missing ), unterminated subpattern at position 0"
            ),
        ),
        (
            '[model]\nmain = "m"\n[[target]]\nplatform = "amiga"\n',
            "recipe.toml:4: 'target.platform' input should be 'linux-x86_64'",
        ),
    ],
)
def test_what_is_wrong_has_a_line(tmp_path: Path, text: str, said: str) -> None:
    assert said in refused(tmp_path, text)


def test_every_problem_is_told_at_once(tmp_path: Path) -> None:
    assert len(refused(tmp_path, '[model]\nmian = "m"\n[metadata]\nnmae = "x"\n')) == 3


@pytest.mark.parametrize(
    "content", [b"[model\n", b"a = 1\na = 2\n", b"\xff", b"x = " + b"[" * 9999]
)
def test_what_is_no_toml(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "recipe.toml"
    path.write_bytes(content)
    with pytest.raises(InputError) as caught:
        read_toml(path, Recipe, what="recipe")
    assert caught.value.code == "bad-recipe"


def test_what_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(InputError) as caught:
        read_toml(tmp_path / "no.toml", Recipe, what="recipe")
    assert (caught.value.code, caught.value.hint) == ("no-recipe", "'ingot init' writes one")


def test_lines_of_keys() -> None:
    text = "a = 1\n[b]\nc = [\n 1,\n] # x\n'd e' = '''\n[f]\n'''\n[[g]]\nh.i = 1\n[[g]]\nh = 2\n"
    assert list(locations(text)) == [
        (("a",), 1),
        (("b",), 2),
        (("b", "c"), 3),
        (("b", "d e"), 6),
        (("g", 0), 9),
        (("g", 0, "h", "i"), 10),
        (("g", 1), 11),
        (("g", 1, "h"), 12),
    ]
