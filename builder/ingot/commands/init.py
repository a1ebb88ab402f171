"""``ingot init``: a commented recipe to start from."""

from __future__ import annotations

from pathlib import Path

import click

from ingot.commands import json_option, print_json, print_note, print_text
from ingot.commands._outputs import OUTPUT
from ingot.commands._recipes import DEFAULT
from ingot.errors import InputError, UsageError
from ingot.gguf.facts import model_facts
from ingot.gguf.join import load_weights
from ingot.recipe.importers import Draft, read_llamafile_args, read_modelfile
from ingot.recipe.template import render
from ingot.sources.reference import FileReference, parse_reference
from ingot.sources.settings import settings_from

_TEXT_MAX = 1 << 20


@click.command(
    short_help="Write a commented recipe for a model.",
    epilog="Examples: ingot init model.gguf, ingot init ORG/REPO:Q4_K_M, ingot init Modelfile",
)
@click.argument("model")
@click.option("-o", "--output", type=OUTPUT, default=DEFAULT)
@click.option("--force", is_flag=True, help="Replace an existing file.")
@json_option
def command(model: str, output: Path, force: bool, as_json: bool) -> None:
    """Write a recipe for MODEL, with every key explained.

    MODEL is what 'ingot build' takes, an Ollama Modelfile, or the .args file of a llamafile.
    """
    draft = _draft(model)
    if output.exists() and not force:
        raise UsageError(f"{output}: exists", hint="give --force, or another name with -o")
    if not _is_text(model):
        raise InputError(
            f"{model}: is a name that is not UTF-8, as a recipe has to be",
            hint="rename the file, or give it a link with another name",
            code="bad-name",
        )
    text = render(draft)
    output.write_text(text, "utf-8")
    for note in draft.notes:
        print_note(note)
    if as_json:
        print_json({"recipe": str(output), "main": draft.main, "notes": draft.notes})
    else:
        print_text(f"{output}  (next: ingot lock {output}, ingot build {output})")


def _is_text(name: str) -> bool:
    return not any("\ud800" <= character <= "\udfff" for character in name)


def _draft(model: str) -> Draft:
    path = Path(model)
    if path.name == ".args" or path.suffix == ".args":
        return read_llamafile_args(_text(path))
    if path.name.startswith("Modelfile") or path.suffix.lower() == ".modelfile":
        return read_modelfile(_text(path), name=model)
    reference = parse_reference(model, endpoint=settings_from(offline=True).endpoint)
    draft = Draft(main=model)
    if isinstance(reference, FileReference) and path.suffix == ".gguf":
        facts = model_facts(load_weights(path).gguf).to_json()
        draft.name = path.stem.lower().replace(" ", "-")
        licence = facts.get("license")
        draft.license = licence if isinstance(licence, str) else None
    return draft


def _text(path: Path) -> str:
    try:
        raw = path.read_bytes()[: _TEXT_MAX + 1]
        if len(raw) > _TEXT_MAX:
            raise InputError(f"{path}: is larger than {_TEXT_MAX} bytes", code="bad-input")
        return raw.decode("utf-8-sig")
    except OSError as error:
        raise InputError(f"{path}: {error.strerror}", code="no-such-file") from error
    except UnicodeDecodeError as error:
        raise InputError(f"{path}: is not UTF-8 text", code="bad-input") from error
