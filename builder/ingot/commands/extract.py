"""``ingot extract``: files out of an executable."""

from __future__ import annotations

from pathlib import Path

import click

from ingot.bundle.extract import extract, select
from ingot.bundle.reader import open_bundle
from ingot.commands import json_option, print_json, print_text
from ingot.commands._outputs import OUTPUT_FOLDER
from ingot.console import Console, size


@click.command(short_help="Take files out of an executable.")
@click.argument("file", type=click.Path(path_type=Path))
@click.argument("names", nargs=-1)
@click.option(
    "-o",
    "--output",
    type=OUTPUT_FOLDER,
    default=Path(),
    help="Folder to write into; default: the current one.",
)
@click.option("--force", is_flag=True, help="Replace existing files.")
@json_option
def command(file: Path, names: tuple[str, ...], output: Path, force: bool, as_json: bool) -> None:
    """Take the entries NAMES, or all of them, out of the executable FILE.

    Names are those of 'ingot inspect --json'; the last part is enough where it is unique.
    """
    with open_bundle(file) as bundle:
        written = extract(bundle, select(bundle, names), output, force=force, progress=Console())
    if as_json:
        print_json(
            {
                "path": str(file),
                "files": [
                    {"name": item.name, "path": str(item.path), "size": item.size}
                    for item in written
                ],
            }
        )
        return
    for item in written:
        print_text(f"{item.path}  {size(item.size)}")
