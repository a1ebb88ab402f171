"""``ingot rebuild``: build an executable again from its own recipe and lock, and compare."""

from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path

import click

from ingot.bundle.output import check_output
from ingot.commands import json_option, print_json, print_note, print_text
from ingot.commands._outputs import OUTPUT
from ingot.commands.diff import print_differences
from ingot.console import Console
from ingot.errors import AnswerNo
from ingot.paths import make_folder
from ingot.recipe.rebuild import Rebuilt, Search, rebuild
from ingot.sources.settings import settings_from
from ingot.sources.web import Web

_FILE = click.Path(path_type=Path)


@click.command(
    short_help="Build an executable again from what it says itself, and compare.",
    epilog="Example: ingot rebuild hello-from-the-net",
)
@click.argument("file", type=_FILE)
@click.option(
    "--inputs",
    type=_FILE,
    default=Path(),
    help="The recipe's folder: where files are that it names by paths. Default: the current one. "
    "What is not there is taken from FILE.",
)
@click.option("--carried", is_flag=True, help="Take all models from FILE; nothing is fetched.")
@click.option("-o", "--output", type=OUTPUT, help="Keep what was built, under this name.")
@click.option("--offline", is_flag=True, help="Ask no server: use what is in the caches.")
@click.option("--force", is_flag=True, help="Replace an existing output.")
@json_option
def command(
    file: Path,
    inputs: Path,
    carried: bool,
    output: Path | None,
    offline: bool,
    force: bool,
    as_json: bool,
) -> None:
    """Build FILE again from the recipe and the lock inside it, and compare byte by byte.

    Program, modules, page and texts are made anew. Exit code 1 when anything differs.
    """
    if output is not None:
        check_output(output, (file,), force=force)
    web = Web(settings_from(offline=offline))
    # Where files of that size have room, and are perhaps copied by reflink.
    place = (output or file).absolute().parent
    place = place if os.access(place, os.W_OK) else Path(tempfile.gettempdir())
    with tempfile.TemporaryDirectory(prefix=".ingot-rebuild-", dir=place) as work:
        search = Search(inputs, make_folder(Path(work) / "carried"), carried)
        made = rebuild(file, Path(work) / file.name, search, web, Console())
        if output is not None:
            shutil.move(made.path, output)
    if as_json:
        print_json(_document(made, output))
        click.get_current_context().exit(0 if made.same else 1)
    for name in made.carried:
        print_note(f"{name} was taken from {file}, as its lock says")
    if not made.same:
        print_differences(made.differences)
        raise AnswerNo(f"{file} was not reproduced", code="not-reproduced")
    print_text(f"{file}  reproduced, byte by byte: {made.sha256[0]}")


def _document(made: Rebuilt, output: Path | None) -> dict[str, object]:
    return {
        "same": made.same,
        "sha256": {"original": made.sha256[0], "rebuilt": made.sha256[1]},
        "carried": list(made.carried),
        "differences": [vars(one) for one in made.differences],
        "output": str(output) if output is not None else None,
    }
