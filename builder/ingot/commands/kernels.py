"""``ingot kernels``: what a model asks of a GPU module."""

from __future__ import annotations

from pathlib import Path

import click

from ingot.bundle.manifest import MODEL
from ingot.bundle.reader import is_bundle, open_bundle
from ingot.commands import json_option, print_json, print_text
from ingot.commands._text import kernel_lines
from ingot.console import Console
from ingot.engine.kernels import ask_kernels, engine_file, header_of
from ingot.engine.runtime import ensure_runtime
from ingot.gguf.join import load_weights
from ingot.gguf.kernels import KernelSet


@click.command(
    short_help="Show what a model asks of a GPU: ops, types, head sizes.",
    epilog="Example: ingot kernels model.gguf --json",
)
@click.argument("model", type=click.Path(path_type=Path))
@json_option
def command(model: Path, as_json: bool) -> None:
    """Show the kernel set of MODEL, a GGUF or an executable.

    The engine is asked, which makes the model's graphs without its weights; an executable's
    manifest has the answer already.
    """
    kernels = _of_executable(model) if is_bundle(model) else _of_gguf(model)
    if as_json:
        print_json(kernels.to_json())
    else:
        print_text("\n".join(kernel_lines(kernels)))


def _of_gguf(path: Path) -> KernelSet:
    weights = load_weights(path)
    with engine_file(weights) as file:
        return ask_kernels(ensure_runtime(Console()), file, name=str(path))


def _of_executable(path: Path) -> KernelSet:
    with open_bundle(path) as bundle:
        about = bundle.manifest.about
        carried = about.model.get("kernels")
        if carried is not None:
            return KernelSet.from_json(carried)
        region = bundle.region(bundle.manifest.with_role(MODEL)[0])
    with header_of(region) as header:
        return ask_kernels(ensure_runtime(Console()), header, about.args, name=str(path))
