"""``ingot repack``: the same weights with another runtime or other options."""

from __future__ import annotations

from pathlib import Path

import click

from ingot.bundle.reader import open_bundle
from ingot.commands import json_option
from ingot.commands._outputs import OUTPUT
from ingot.commands.build import show
from ingot.console import Console
from ingot.engine.runtime import ensure_runtime
from ingot.recipe.args import split_args
from ingot.recipe.build import Changes, repack


@click.command(
    short_help="Put a new runtime or new options around the same weights.",
    epilog="Example: ingot repack hello -o hello-new --engine current",
)
@click.argument("file", type=click.Path(path_type=Path))
@click.option(
    "-o",
    "--output",
    type=OUTPUT,
    help="The new executable; default: FILE is replaced in one step.",
)
@click.option(
    "--engine",
    type=click.Choice(["current"]),
    default="current",
    show_default=True,
    help="The runtime to use: the one that this Ingot builds.",
)
@click.option("--name", help="Another name; default: as it is.")
@click.option("--description", help="Another description; default: as it is.")
@click.option(
    "--args",
    "args",
    multiple=True,
    metavar="'ARGS…'",
    help="Other default arguments, instead of those it has. '' for none. Repeatable.",
)
@click.option("--ui/--no-ui", default=None, help="With or without the web page; default: as it is.")
@click.option(
    "--sources/--no-sources",
    default=None,
    help="With or without what GPU modules are compiled from; default: as it is.",
)
@click.option("--force", is_flag=True, help="Replace an existing output.")
@json_option
def command(
    file: Path,
    output: Path | None,
    engine: str,
    name: str | None,
    description: str | None,
    args: tuple[str, ...],
    ui: bool | None,
    sources: bool | None,
    force: bool,
    as_json: bool,
) -> None:
    """Put a new runtime or new options around the weights of the executable FILE."""
    changes = Changes(name, description, split_args(args) if args else None, ui, sources)
    with open_bundle(file):
        pass  # Say what is wrong with it before minutes go into a runtime.
    progress = Console()
    runtime = ensure_runtime(progress)
    target = output if output is not None else file
    show(repack(file, runtime, target, progress, changes=changes, force=force), as_json)
