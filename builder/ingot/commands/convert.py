"""``ingot convert``: a GGUF out of a Hugging Face checkpoint."""

from __future__ import annotations

from pathlib import Path

import click

from ingot.commands import json_option, print_json
from ingot.commands._text import model_lines
from ingot.console import Console, size
from ingot.engine.pin import load_sources
from ingot.models.convert import TYPES, convert

_FILE = click.Path(path_type=Path)


@click.command(
    short_help="Make a GGUF out of a Hugging Face checkpoint.",
    epilog="Example: ingot convert Llama-3.2-1B -o llama-1b.gguf --type bf16",
)
@click.argument("folder", type=_FILE)
@click.option("-o", "--output", type=_FILE, help="The GGUF; default: the folder's name.")
@click.option(
    "--type",
    "kind",
    type=click.Choice(TYPES, case_sensitive=False),
    default="bf16",
    show_default=True,
    help="Of the large tensors.",
)
@click.option("--force", is_flag=True, help="Replace an existing output.")
@json_option
def command(folder: Path, output: Path | None, kind: str, force: bool, as_json: bool) -> None:
    """Convert the checkpoint in FOLDER (config.json, safetensors, tokenizer) to a GGUF.

    The engine's own converter does it, in a Python environment that is made for it once. No code of
    the checkpoint is run, and pickled weights are refused.
    """
    target = output if output is not None else Path(f"{folder.resolve().name}-{kind}.gguf")
    done = convert(folder, target, kind.lower(), load_sources().engine, Console(), force=force)
    if as_json:
        print_json(
            {
                "output": str(done.path),
                "size": done.facts.size,
                "model": done.facts.to_json(),
                "provenance": dict(done.provenance),
                "seconds": round(done.seconds, 3),
            }
        )
        return
    click.echo(f"{done.path}  {size(done.facts.size)}")
    click.echo("\n".join(model_lines(done.facts.to_json())))
