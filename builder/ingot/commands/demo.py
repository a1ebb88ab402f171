"""``ingot demo``: the main job from end to end, with a small model that Ingot carries."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import click

from ingot import process
from ingot.bundle.output import check_output
from ingot.bundle.reader import is_bundle
from ingot.commands import json_option, print_json, print_text
from ingot.commands._recipes import open_recipe, to_build
from ingot.console import Console, size
from ingot.engine.pin import repository
from ingot.paths import cache_dir
from ingot.recipe.make import fetch_materials, make_order
from ingot.sources.settings import settings_from
from ingot.sources.web import Web

NAME = "pystdlib"
PROMPT = "def read_file(path):\n"
TOKENS = 64


@dataclass(frozen=True)
class Demo:
    """What the demo did: ``executable`` of ``size`` bytes continued ``prompt`` by ``text``."""

    executable: Path
    size: int
    prompt: str
    text: str
    seconds: float


def run_demo(output: Path, progress: Console, *, force: bool = False) -> Demo:
    """Build the demo executable as ``output`` and let it continue a prompt.

    An executable of ours at ``output`` is replaced; any other file only with ``force``.
    """
    force = force or (output.is_file() and is_bundle(output))
    check_output(output, (), force=force)
    web = Web(settings_from(offline=True))
    opened = open_recipe(repository() / "recipes" / "demo" / "demo.toml")
    ((materials, record),) = to_build(opened, web, progress)
    supplies = fetch_materials(materials, web, progress)
    result = make_order(materials.order, supplies, record, output, progress, force=force)
    with progress.step(f"Running {output}"):
        done = process.run(
            [output.absolute(), "-p", PROMPT, "-n", str(TOKENS), "--temp", "0"],
            log=cache_dir() / "logs" / "demo.log",
            what=str(output),
            stderr_to_log=True,
        )
    text = "\n".join(done.lines)
    return Demo(output, result.manifest.file_size, PROMPT, text, done.seconds)


@click.command(
    short_help="Build the demo executable and let it write some Python.",
    epilog="In a checkout the first time takes about ten minutes, later ones take seconds.",
)
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path),
    default=Path(NAME),
    help=f"The executable; default: {NAME} in the current folder.",
)
@click.option("--force", is_flag=True, help="Replace a file that is not an executable of ours.")
@json_option
def command(output: Path, force: bool, as_json: bool) -> None:
    """Build the demo executable and let it write some Python.

    Fetches and compiles the engine first if that was not done yet.
    """
    demo = run_demo(output, Console(), force=force)
    shown = str(output) if output.parent != Path() else f"./{output}"
    if as_json:
        print_json(
            {
                "output": str(demo.executable),
                "size": demo.size,
                "prompt": demo.prompt,
                "text": demo.text,
                "seconds": round(demo.seconds, 3),
            }
        )
        return
    print_text(f"{shown}  {size(demo.size)}, one file, nothing else needed. It wrote:\n")
    print_text(demo.prompt + demo.text)
    print_text(f"\nTalk to it: {shown}    Its web page: {shown} serve    More: {shown} --help")
