"""``ingot lock``: pin every input of a recipe."""

from __future__ import annotations

from pathlib import Path

import click

from ingot.commands import json_option, print_json, print_text
from ingot.commands._recipes import DEFAULT, open_recipe
from ingot.console import Console, size
from ingot.engine.pin import load_sources
from ingot.errors import AnswerNo
from ingot.recipe.lock import Lock, lock_path, make_lock, read_lock, write_lock
from ingot.sources.settings import settings_from
from ingot.sources.web import Web


@click.command(
    short_help="Pin every input of a recipe.",
    epilog="Example: ingot lock model.toml && ingot build model.toml --locked --offline",
)
@click.argument("recipe", type=click.Path(path_type=Path), default=DEFAULT)
@click.option("--check", is_flag=True, help="Change nothing; exit code 1 if anything is new.")
@click.option("--offline", is_flag=True, help="Ask no server: use what is in the caches.")
@json_option
def command(recipe: Path, check: bool, offline: bool, as_json: bool) -> None:
    """Pin every input of RECIPE: commits, sizes, hashes, engine and build tools.

    Writes RECIPE with the ending .lock beside it. Files whose hash no server tells are fetched.
    """
    opened = open_recipe(recipe)
    web = Web(settings_from(offline=offline))
    sources = load_sources()
    lock = make_lock(opened.orders, opened.digest, opened.folder, sources, web, Console())
    path = lock_path(recipe)
    if check and read_lock(path) != lock:
        raise AnswerNo(
            f"{path}: is out of date", hint="'ingot lock' makes it anew", code="lock-out-of-date"
        )
    if not check:
        write_lock(path, lock)
    if as_json:
        print_json({"lock": str(path), **lock.model_dump(mode="json", exclude_none=True)})
        return
    _show(path, lock)


def _show(path: Path, lock: Lock) -> None:
    print_text(str(path))
    for entry in lock.inputs:
        for file in (*entry.files, *([entry.projector] if entry.projector else [])):
            at = f" at {file.commit[:12]}" if file.commit else ""
            name = f"{file.repo}/{file.name}" if file.repo else file.name
            print_text(f"  {entry.role:<9} {name}{at}, {size(file.size)}, {file.sha256[:12]}…")
    print_text(f"  engine    {lock.engine['package']} {lock.engine['version']}")
