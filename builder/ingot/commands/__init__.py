"""The verbs: one module each, thin (parse, call the library, print).

Each module exposes ``command``, a click command; ``ingot.cli`` imports it when it is asked for.
What verbs share about options and output is here.
"""

from __future__ import annotations

import click

from ingot.console import json_text, printable_lines
from ingot.streams import say

json_option = click.option(
    "--json", "as_json", is_flag=True, help="Print one JSON document on stdout."
)


def print_json(document: object) -> None:
    """Print ``document`` as the one JSON document of a ``--json`` run."""
    click.echo(json_text(document))


def print_text(text: str) -> None:
    """Print lines of a result; what is in them from files is made safe for a terminal."""
    click.echo(printable_lines(text))


def print_note(text: str) -> None:
    """Tell the user something beside the result, if anybody listens."""
    say(f"note: {printable_lines(text)}")
