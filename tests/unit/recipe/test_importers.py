from __future__ import annotations

from pathlib import Path

import pytest

from ingot.errors import InputError
from ingot.recipe.importers import Draft, read_llamafile_args, read_modelfile
from ingot.recipe.schema import Recipe
from ingot.recipe.template import render
from ingot.recipe.tomlfile import read_toml

MODELFILE = '''
# a comment
FROM hf.co/org/repo:Q4_0
PARAMETER num_ctx 4096
PARAMETER stop "</s>"
parameter temperature 0.2
PARAMETER penalize_newline true
SYSTEM """
You are "brief".
Always.
"""
TEMPLATE """{{ .Prompt }}"""
ADAPTER ./a.gguf
'''


def parsed(draft: Draft, tmp_path: Path) -> Recipe:
    """The rendered recipe, read again."""
    path = tmp_path / "recipe.toml"
    path.write_text(render(draft), "utf-8")
    return read_toml(path, Recipe, what="recipe")


def test_a_modelfile(tmp_path: Path) -> None:
    draft = read_modelfile(MODELFILE)
    recipe = parsed(draft, tmp_path)
    assert recipe.model.main == "hf://org/repo:Q4_0"
    assert recipe.model.lora == ("./a.gguf",)
    assert recipe.runtime.args == ("-c", "4096", "-r", "</s>", "--temp", "0.2")
    assert recipe.runtime.system_prompt == 'You are "brief".\nAlways.'
    assert [note.split(" is left out")[0] for note in draft.notes] == [
        "PARAMETER penalize_newline",
        "TEMPLATE",
    ]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("FROM llama3:8b", "Modelfile:1: FROM llama3:8b names a model of Ollama's own registry"),
        ("SYSTEM x", "Modelfile: has no FROM"),
        ("FROM ./a.gguf\nFROM ./b.gguf", "Modelfile:2: has a second FROM"),
        ("FROM ./a.gguf\nGIVE up", "Modelfile:2: has the unknown instruction 'GIVE'"),
        ('FROM ./a.gguf\nSYSTEM """x', 'Modelfile:2: opens """ and never closes it'),
        ("FROM ./a.gguf\nPARAMETER seed", "Modelfile:2: gives 'seed' no value"),
    ],
)
def test_a_modelfile_that_cannot_be(text: str, said: str) -> None:
    with pytest.raises(InputError) as caught:
        read_modelfile(text)
    assert caught.value.message == said


def test_llamafile_args(tmp_path: Path) -> None:
    text = "-m\n/zip/model.gguf\n--mmproj\nmmproj.gguf\n--server\n-c\n0\n--gpu\nauto\n...\n"
    draft = read_llamafile_args(text)
    recipe = parsed(draft, tmp_path)
    assert (recipe.model.main, recipe.model.projector) == ("model.gguf", "mmproj.gguf")
    assert recipe.runtime.args == ("-c", "0")
    assert len(draft.notes) == 2


@pytest.mark.parametrize("text", ["-c\n0\n", "-m\n"])
def test_llamafile_args_without_a_model(text: str) -> None:
    with pytest.raises(InputError):
        read_llamafile_args(text)


@pytest.mark.parametrize(
    "text", ['a"b', "tab\there", "line\nline", "back\\slash\nx", "é\x7f", "'''"]
)
def test_any_text_survives_rendering(text: str, tmp_path: Path) -> None:
    recipe = parsed(Draft(main="m.gguf", system_prompt=text, args=["-r", "x" * 90]), tmp_path)
    assert recipe.runtime.system_prompt == text
    assert recipe.runtime.args == ("-r", "x" * 90)
