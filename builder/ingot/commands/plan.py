"""``ingot plan``: what building a recipe would do."""

from __future__ import annotations

import json
from pathlib import Path

import click

from ingot.commands import json_option, print_json, print_text
from ingot.commands._recipes import DEFAULT, Opened, open_recipe, with_lock
from ingot.console import size
from ingot.engine.pin import load_sources
from ingot.paths import cache_dir
from ingot.recipe.cachekeys import CacheEntry, models_entry, runtime_entry
from ingot.recipe.forecast import Forecast, forecast, matrix
from ingot.recipe.make import find_materials
from ingot.sources.settings import settings_from
from ingot.sources.web import Web


@click.command(
    short_help="Say what building a recipe would do.",
    epilog="Example: ingot plan model.toml --matrix github",
)
@click.argument("recipe", type=click.Path(path_type=Path), default=DEFAULT)
@click.option("--target", "targets", multiple=True, help="Only this executable. Repeatable.")
@click.option("--matrix", "kind", type=click.Choice(["github"]), help="One job per executable.")
@click.option(
    "--cache-key",
    "keep",
    type=click.Choice(["runtime", "models"]),
    help="The key under which to keep the compiled runtime, or what the lock downloads.",
)
@click.option("--locked", is_flag=True, help="Fail unless the lock fits.")
@click.option("--offline", is_flag=True, help="Ask no server: use what is in the caches.")
@json_option
def command(
    recipe: Path,
    targets: tuple[str, ...],
    kind: str | None,
    keep: str | None,
    locked: bool,
    offline: bool,
    as_json: bool,
) -> None:
    """Say what building RECIPE would do: files, sizes, downloads, warnings. Changes nothing."""
    opened = open_recipe(recipe, targets=targets)
    if keep:
        _show_entry(_cache_entry(opened, keep), as_json)
        return
    opened = with_lock(opened, required=locked)
    web = Web(settings_from(offline=offline))
    found = [
        forecast(find_materials(order, opened.lock, opened.folder, web)) for order in opened.orders
    ]
    if kind:
        click.echo(json.dumps(matrix(str(recipe), found), separators=(",", ":")))
    elif as_json:
        download = sum(
            {i.label: i.size or 0 for f in found for i in f.items if not i.here}.values()
        )
        print_json({"executables": [one.to_json() for one in found], "download": download})
    else:
        for one in found:
            _show(one)


def _cache_entry(opened: Opened, keep: str) -> CacheEntry:
    if keep == "runtime":
        return runtime_entry(opened.orders, load_sources())
    lock = with_lock(opened, required=True).lock
    assert lock is not None
    return models_entry(opened.orders, lock, settings_from().hub_cache, cache_dir() / "urls")


def _show_entry(entry: CacheEntry, as_json: bool) -> None:
    if as_json:
        print_json({"key": entry.key, "paths": [str(path) for path in entry.paths]})
    else:
        click.echo(entry.key)


def _show(one: Forecast) -> None:
    about = size(one.size) if one.size is not None else "of unknown size"
    print_text(f"{one.output}  {one.platform}, about {about}")
    for item in one.items:
        where = "here" if item.here else "to fetch"
        count = size(item.size) if item.size is not None else "size unknown"
        print_text(f"  {item.role:<9} {item.label}, {count}, {where}")
    print_text(f"  gpu       {', '.join(one.gpu) or 'none'}")
    for warning in one.warnings:
        print_text(f"  warning: {warning}")
