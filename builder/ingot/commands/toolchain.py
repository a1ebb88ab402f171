"""``ingot toolchain``: the tools that builds use, and NVIDIA's compiler for those who want it."""

from __future__ import annotations

from dataclasses import asdict

import click

from ingot.commands import json_option, print_json
from ingot.commands._text import table
from ingot.console import Console, size
from ingot.engine.pin import load_sources
from ingot.errors import UsageError
from ingot.toolchain import cuda
from ingot.toolchain.packages import ToolchainPins, tool_folder


@click.command(
    short_help="List the build tools, or install the CUDA compiler.",
    epilog="Example: ingot toolchain install cuda",
)
@click.argument("action", type=click.Choice(["list", "install"]), default="list")
@click.argument("name", type=click.Choice(["cuda"]), required=False)
@json_option
def command(action: str, name: str | None, as_json: bool) -> None:
    """List the build tools, or install the CUDA compiler.

    'install cuda' fetches NVIDIA's compiler as packages into Ingot's cache, under NVIDIA's own
    licence, for machines without a CUDA toolkit. All other tools come by themselves.
    """
    pins = load_sources().tools
    if action == "install":
        if name is None:
            raise UsageError("install needs the name of a toolchain", hint="the only one is: cuda")
        _install(pins, as_json)
    elif name is not None:
        raise UsageError("list takes no name")
    else:
        _list(pins, as_json)


def _install(pins: ToolchainPins, as_json: bool) -> None:
    toolkit = cuda.install(pins, Console())
    if as_json:
        print_json({**asdict(toolkit), "nvcc": str(toolkit.nvcc)})
    else:
        click.echo(f"{toolkit.nvcc}  nvcc {toolkit.version}")


def _list(pins: ToolchainPins, as_json: bool) -> None:
    rows = [(p.name, p.version, p.size, tool_folder(p).is_dir()) for p in pins.packages.values()]
    if pins.cuda:
        there = cuda.installed_nvcc(pins) is not None
        rows.append(("cuda", pins.cuda_version, sum(p.size for p in pins.cuda), there))
    search = cuda.find(pins)
    if as_json:
        keys = ("name", "version", "size", "installed")
        toolkit = search.toolkit
        print_json(
            {
                "tools": [dict(zip(keys, row, strict=True)) for row in rows],
                "nvcc": {**asdict(toolkit), "nvcc": str(toolkit.nvcc)} if toolkit else None,
                "problems": search.problems,
            }
        )
        return
    shown = [
        (name, version, size(count), "installed" if there else "not fetched yet")
        for name, version, count, there in rows
    ]
    click.echo("\n".join(table(shown, right=(2,))))
    found = search.toolkit.label if search.toolkit else f"none: {cuda.INSTALL_HINT}"
    click.echo("\n".join(("", f"CUDA compiler in use: {found}", *search.problems)))
