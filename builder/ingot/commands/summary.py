"""``ingot summary``: what was built from a recipe, for people and for CI systems."""

from __future__ import annotations

from pathlib import Path

import click

from ingot.commands import json_option, print_json
from ingot.commands._recipes import built, of_built, open_recipe
from ingot.errors import InputError
from ingot.recipe.summary import describe, markdown, outputs

_FILE = click.Path(path_type=Path, dir_okay=False)


@click.command(
    short_help="Say what was built from a recipe, as CI systems show it.",
    epilog="Example: ingot build model.toml -o release && ingot summary model.toml -o release",
)
@of_built
@click.option(
    "--page",
    type=_FILE,
    envvar="GITHUB_STEP_SUMMARY",
    show_envvar=True,
    help="Append the table to this file.",
)
@click.option(
    "--outputs",
    "variables",
    type=_FILE,
    envvar="GITHUB_OUTPUT",
    show_envvar=True,
    help="Append path, sha256 and executables (JSON) to this file, as NAME=VALUE.",
)
@json_option
def command(
    recipe: Path,
    place: Path,
    targets: tuple[str, ...],
    page: Path | None,
    variables: Path | None,
    as_json: bool,
) -> None:
    """Print a table of the executables that were built from RECIPE: sizes, hashes, tests."""
    opened = open_recipe(recipe, targets=targets)
    described = [describe(executable) for executable in built(opened, place)]
    table = markdown(described)
    if page is not None:
        _append(page, table)
    if variables is not None:
        _append(variables, outputs(described))
    if as_json:
        print_json({"executables": [one.to_json() for one in described]})
    else:
        click.echo(table, nl=False)


def _append(path: Path, text: str) -> None:
    try:
        with path.open("a", encoding="utf-8") as stream:
            stream.write(text)
    except OSError as error:
        raise InputError(
            f"{path}: cannot be written: {error.strerror}", code="unwritable-file"
        ) from error
