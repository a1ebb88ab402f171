"""``ingot toolchain``: the tools that builds use, and what else can be made ready beforehand."""

from __future__ import annotations

from dataclasses import asdict

import click

from ingot.commands import json_option, print_json, print_text
from ingot.commands._text import table
from ingot.console import Console, size
from ingot.engine.pin import Sources, load_sources
from ingot.engine.runtime import ensure_runtime
from ingot.engine.shadertools import ensure_shader_tools
from ingot.errors import UsageError
from ingot.toolchain import cuda, vulkan
from ingot.toolchain.packages import tool_folder

NAMES = ("cuda", "vulkan", "runtime")


@click.command(
    short_help="List the build tools, or install what builds need.",
    epilog="Example: ingot toolchain install cuda",
)
@click.argument("action", type=click.Choice(["list", "install"]), default="list")
@click.argument("name", type=click.Choice(NAMES), required=False)
@click.option("--engine", metavar="VERSION", help="The runtime of another engine, to compare with.")
@json_option
def command(action: str, name: str | None, engine: str | None, as_json: bool) -> None:
    """List the build tools, or install what builds need.

    'install cuda' fetches NVIDIA's compiler as packages into Ingot's cache, under NVIDIA's own
    licence, for machines without a CUDA toolkit. 'install vulkan' fetches Vulkan's headers, from
    this machine's Debian mirror, and compiles the compiler of shaders; 'build --gpu vulkan' does
    the same by itself. 'install runtime' compiles the runtime now and not in the first build. All
    other tools come by themselves.
    """
    sources = load_sources()
    if engine is not None and (action, name) != ("install", "runtime"):
        raise UsageError("--engine goes with 'install runtime'")
    if action == "install":
        if name is None:
            raise UsageError("install needs a name", hint=f"one of: {', '.join(NAMES)}")
        if name == "runtime":
            _install_runtime(engine, as_json)
        else:
            install = _install_cuda if name == "cuda" else _install_vulkan
            install(sources, as_json)
    elif name is not None:
        raise UsageError("list takes no name")
    else:
        _list(sources, as_json)


def _install_cuda(sources: Sources, as_json: bool) -> None:
    toolkit = cuda.install(sources.tools, Console())
    if as_json:
        print_json({**asdict(toolkit), "nvcc": str(toolkit.nvcc)})
    else:
        print_text(f"{toolkit.nvcc}  nvcc {toolkit.version}")


def _install_vulkan(sources: Sources, as_json: bool) -> None:
    pins = vulkan.load_pins(sources.native / "toolchain.toml")
    headers = vulkan.ensure_headers(pins, Console())
    tools = ensure_shader_tools(sources, pins, Console())
    if as_json:
        document = {**asdict(headers), "include": str(headers.include)}
        print_json({**document, "glslc": str(tools.glslc), "compiler": pins.compiler})
    else:
        print_text(f"{headers.include}  Vulkan {headers.version}")
        print_text(f"{tools.glslc}  {pins.compiler}")


def _install_runtime(engine: str | None, as_json: bool) -> None:
    image = ensure_runtime(Console(), engine=engine)
    if as_json:
        print_json({"root": str(image.root), "target": image.target, **image.identity})
    else:
        print_text(f"{image.root}  {image.target}")


def _list(sources: Sources, as_json: bool) -> None:
    pins, shaders = sources.tools, vulkan.load_pins(sources.native / "toolchain.toml")
    rows = [(p.name, p.version, p.size, tool_folder(p).is_dir()) for p in pins.packages.values()]
    if pins.cuda:
        there = cuda.installed_nvcc(pins) is not None
        rows.append(("cuda", pins.cuda_version, sum(p.size for p in pins.cuda), there))
    there = vulkan.headers_folder(shaders).is_dir()
    rows.append(("vulkan", shaders.headers, shaders.size, there))
    search, headers = cuda.find(pins), vulkan.find(shaders)
    if as_json:
        keys = ("name", "version", "size", "installed")
        toolkit, found = search.toolkit, headers.headers
        print_json(
            {
                "tools": [dict(zip(keys, row, strict=True)) for row in rows],
                "nvcc": {**asdict(toolkit), "nvcc": str(toolkit.nvcc)} if toolkit else None,
                "vulkan": {**asdict(found), "include": str(found.include)} if found else None,
                "problems": [*search.problems, *headers.problems],
            }
        )
        return
    shown = [
        (name, version, size(count), "installed" if there else "not fetched yet")
        for name, version, count, there in rows
    ]
    print_text("\n".join(table(shown, right=(2,))))
    nvcc = search.toolkit.label if search.toolkit else f"none: {cuda.INSTALL_HINT}"
    include = headers.headers.label if headers.headers else f"none: {vulkan.INSTALL_HINT}"
    print_text("\n".join(("", f"CUDA compiler in use: {nvcc}", *search.problems)))
    print_text("\n".join((f"Vulkan headers in use: {include}", *headers.problems)))
