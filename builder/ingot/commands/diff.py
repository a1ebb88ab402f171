"""``ingot diff``: what differs between two executables."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import click

from ingot.bundle.compare import Difference, differences
from ingot.bundle.reader import open_bundle
from ingot.commands import json_option, print_json, print_text
from ingot.console import printable
from ingot.errors import AnswerNo

_SHOWN = 24  # characters of a value; hashes are told apart by fewer
_FILE = click.Path(path_type=Path)


@click.command(
    short_help="Say what differs between two executables.",
    epilog="Example: ingot diff hello hello-from-ci",
)
@click.argument("first", type=_FILE)
@click.argument("second", type=_FILE)
@json_option
def command(first: Path, second: Path, as_json: bool) -> None:
    """Compare FIRST and SECOND entry by entry, by the hashes in their manifests.

    Exit code 1 when something differs.
    """
    with open_bundle(first) as one, open_bundle(second) as other:
        found = differences(one.manifest, other.manifest)
    if as_json:
        print_json({"same": not found, "differences": [vars(item) for item in found]})
        click.get_current_context().exit(1 if found else 0)
    print_differences(found)
    if found:
        raise AnswerNo(f"{first} and {second} differ", code="different")
    print_text("they hold the same")


def print_differences(found: Sequence[Difference]) -> None:
    """A line for each."""
    for item in found:
        print_text(f"{printable(item.what)}: {_shown(item)}")


def _shown(item: Difference) -> str:
    if item.first is None:
        return "only in the second"
    if item.second is None:
        return "only in the first"
    return f"{_short(item.first)} and {_short(item.second)}"


def _short(text: str) -> str:
    text = printable(text)
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}…"
