"""``ingot sign``: have what was built from a recipe signed, by the recipe's own command."""

from __future__ import annotations

from pathlib import Path

import click

from ingot.commands import json_option, print_json, print_text
from ingot.commands._recipes import built, of_built, open_recipe
from ingot.console import Console
from ingot.errors import InputError
from ingot.recipe.signing import sign


@click.command(
    short_help="Sign what was built from a recipe.",
    epilog="Example: ingot build model.toml -o release && ingot sign model.toml -o release",
)
@of_built
@json_option
def command(recipe: Path, place: Path, targets: tuple[str, ...], as_json: bool) -> None:
    """Run the signing command of RECIPE for each executable that was built from it.

    A build runs no such command: it needs keys, and a recipe may come from anybody.
    """
    opened = open_recipe(recipe, targets=targets)
    signing = opened.recipe.signing
    if signing is None:
        raise InputError(
            f"{recipe}: says nothing about signing",
            hint='add [signing] with command = ["minisign", "-Sm", "{file}"], say',
            code="no-signing",
        )
    progress = Console()
    done = []
    for executable in built(opened, place):
        with progress.step(f"Signing {executable.name}"):
            done.append(sign(executable, signing.command))
    if as_json:
        print_json({"signed": [{"file": str(one.path), "sha256": one.sha256} for one in done]})
        return
    for one in done:
        print_text(f"{one.path}  signed, sha256 {one.sha256}")
