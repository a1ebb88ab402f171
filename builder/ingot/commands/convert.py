"""``ingot convert``: a GGUF out of a Hugging Face checkpoint, or a checkpoint in another layout."""

from __future__ import annotations

from pathlib import Path

import click

from ingot.commands import json_option, print_json, print_note, print_text
from ingot.commands._outputs import OUTPUT
from ingot.commands._text import model_lines
from ingot.console import Console, size
from ingot.engine.pin import load_sources
from ingot.errors import UsageError
from ingot.models.convert import TYPES, convert
from ingot.models.relayout import LAYOUTS, Relaid, relayout

_FILE = click.Path(path_type=Path)


@click.command(
    short_help="Make a GGUF out of a Hugging Face checkpoint.",
    epilog="Example: ingot convert Llama-3.2-1B -o llama-1b.gguf --type bf16",
)
@click.argument("folder", type=_FILE)
@click.argument("out", type=_FILE, required=False)
@click.option("-o", "--output", type=OUTPUT, help="The GGUF; default: the folder's name.")
@click.option(
    "--type",
    "kind",
    type=click.Choice(TYPES, case_sensitive=False),
    default="bf16",
    show_default=True,
    help="Of the large tensors.",
)
@click.option(
    "--to",
    "layout",
    type=click.Choice(LAYOUTS),
    help="Write no GGUF but the checkpoint OUT in this layout: InternLM2 as Llama, or back.",
)
@click.option("--force", is_flag=True, help="Replace an existing output.")
@json_option
def command(
    folder: Path,
    out: Path | None,
    output: Path | None,
    kind: str,
    layout: str | None,
    force: bool,
    as_json: bool,
) -> None:
    """Convert the checkpoint in FOLDER (config.json, safetensors, tokenizer) to the GGUF OUT.

    The engine's own converter does it, in a Python environment that is made for it once. No code of
    the checkpoint is run, and pickled weights are refused.
    """
    if out is not None and output is not None:
        raise UsageError("OUT is given twice: by itself and with -o")
    output = out or output
    if layout is not None:
        if output is None:
            raise UsageError("OUT is missing", hint=f"ingot convert --to {layout} FOLDER OUT")
        _show_layout(relayout(folder, output, layout, Console()), as_json)
        return
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
    print_text(f"{done.path}  {size(done.facts.size)}")
    print_text("\n".join(model_lines(done.facts.to_json())))


def _show_layout(done: Relaid, as_json: bool) -> None:
    if as_json:
        print_json({**vars(done), "folder": str(done.folder), "left_out": list(done.left_out)})
        return
    print_text(f"{done.folder}  {done.tensors} tensors, {size(done.size)}")
    if done.left_out:
        names = ", ".join(done.left_out)
        print_note(f"left out, as it is code or too large: {names}")
