"""``ingot completion``: the script that teaches a shell to complete Ingot's verbs and options."""

from __future__ import annotations

import click
from click.shell_completion import get_completion_class

from ingot.commands import json_option, print_json

SHELLS = {
    "bash": "~/.local/share/bash-completion/completions/ingot",
    "zsh": '"${fpath[1]}/_ingot"',
    "fish": "~/.config/fish/completions/ingot.fish",
}


def completion_script(shell: str) -> str:
    """The script for ``shell``. It calls ``ingot`` with ``_INGOT_COMPLETE`` set to ask it."""
    from ingot.cli import root

    kind = get_completion_class(shell)
    assert kind is not None
    return kind(root, {}, "ingot", "_INGOT_COMPLETE").source()


@click.command(
    short_help="Print the completion script for a shell.",
    epilog="For bash: ingot completion bash > " + SHELLS["bash"],
)
@click.argument("shell", type=click.Choice(list(SHELLS)))
@json_option
def command(shell: str, as_json: bool) -> None:
    """Print the completion script for a shell.

    Save it where the shell looks for such scripts, or evaluate it in the shell's start-up file.
    """
    script = completion_script(shell)
    if as_json:
        print_json({"shell": shell, "script": script, "usual_place": SHELLS[shell]})
    else:
        click.echo(script)
