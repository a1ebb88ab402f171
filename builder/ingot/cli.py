"""The root command. It knows the verbs by name and imports one only when it is asked for, so
that ``ingot --help`` and shell completion stay quick.
"""

from __future__ import annotations

import difflib
import importlib

import click

from ingot import __version__

# Verb -> what it does, in the order of ``ingot --help``. The text is repeated here so that help
# needs no imports; tests hold it equal to the verb's own.
VERBS: dict[str, str] = {
    "build": "Make one executable from a GGUF model.",
    "init": "Write a commented recipe for a model.",
    "lock": "Pin every input of a recipe.",
    "plan": "Say what building a recipe would do.",
    "test": "Run a recipe's tests against its executables.",
    "sign": "Sign what was built from a recipe.",
    "summary": "Say what was built from a recipe, as CI systems show it.",
    "collect": "Gather executables from several jobs, with their checksums.",
    "compare": "Say whether two models give the same answers.",
    "diff": "Say what differs between two executables.",
    "rebuild": "Build an executable again from what it says itself, and compare.",
    "inspect": "Show what is inside an executable or a GGUF.",
    "kernels": "Show what a model asks of a GPU: ops, types, head sizes.",
    "verify": "Check every byte of an executable against its manifest.",
    "extract": "Take files out of an executable.",
    "repack": "Put a new runtime or new options around the same weights.",
    "doctor": "Say what this machine offers to Ingot, and what is missing.",
    "toolchain": "List the build tools, or install what builds need.",
    "demo": "Build the demo executable and let it write some Python.",
    "completion": "Print the completion script for a shell.",
}


class LazyGroup(click.Group):
    """A group whose commands live in ``ingot.commands.<verb>`` as ``command``."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """All verbs, most used first."""
        return list(VERBS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import the verb's module and return its command."""
        if cmd_name not in VERBS:
            return None
        module = importlib.import_module(f"ingot.commands.{cmd_name}")
        command = module.command
        assert isinstance(command, click.Command)
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """As click does it, plus a guess at what an unknown verb was meant to be."""
        if args and args[0] not in VERBS and not args[0].startswith("-"):
            near = difflib.get_close_matches(args[0], VERBS, n=1, cutoff=0.5)
            guess = f" Did you mean '{near[0]}'?" if near else f" Verbs: {', '.join(VERBS)}."
            ctx.fail(f"There is no verb '{args[0]}'.{guess}")
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """List the verbs without importing them."""
        with formatter.section("Verbs"):
            formatter.write_dl(list(VERBS.items()))


@click.group(
    cls=LazyGroup,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog="Start with: ingot demo, or: ingot build MODEL.gguf -o hello",
)
@click.version_option(__version__, "--version", "-V", message="ingot %(version)s")
def root() -> None:
    """Make one executable out of a GGUF model: download it, run it, talk to it.

    Results go to stdout, progress to stderr. Every verb takes --json.
    """
