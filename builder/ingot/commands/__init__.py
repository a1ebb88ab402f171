"""The verbs: one module each, thin (parse, call the library, print).

Each module exposes ``command``, a click command; ``ingot.cli`` imports it when it is asked for.
What verbs share about options and output is here.
"""

from __future__ import annotations

import json

import click

json_option = click.option(
    "--json", "as_json", is_flag=True, help="Print one JSON document on stdout."
)


def print_json(document: object) -> None:
    """Print ``document`` as the one JSON document of a ``--json`` run."""
    click.echo(json.dumps(document, indent=2, ensure_ascii=False))
