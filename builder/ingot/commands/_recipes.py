"""Recipes as command lines name them: read one, its lock if there is one, and what they ask for."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import click

from ingot.console import Console
from ingot.engine.pin import load_sources
from ingot.errors import InputError, UsageError
from ingot.recipe.lock import Lock, check_lock, lock_path, make_lock, read_lock
from ingot.recipe.make import Materials, find_materials
from ingot.recipe.orders import Order, digest, orders
from ingot.recipe.plan import source_date
from ingot.recipe.record import Record
from ingot.recipe.schema import Recipe
from ingot.recipe.tomlfile import read_toml
from ingot.sources.web import Web

DEFAULT = Path("ingot.toml")
F = TypeVar("F", bound=Callable[..., Any])


def of_built(command: F) -> F:
    """The arguments of verbs about what was built from a recipe: RECIPE, the folder, targets."""
    path = click.Path(path_type=Path)
    folder = "The folder that it was built into; default: the current one."
    target = "Only this executable. Repeatable."
    command = click.option("--target", "targets", multiple=True, help=target)(command)
    place = click.option("-o", "--output", "place", type=path, default=Path(), help=folder)
    return click.argument("recipe", type=path, default=DEFAULT)(place(command))


@dataclass(frozen=True)
class Opened:
    """A recipe with its orders; ``lock`` is None when it has none."""

    path: Path
    recipe: Recipe
    orders: tuple[Order, ...]
    digest: str
    lock: Lock | None = None

    @property
    def folder(self) -> Path:
        """Paths in the recipe are taken from here."""
        return self.path.absolute().parent


def is_recipe(text: str | None) -> bool:
    """Whether a command's MODEL is a recipe: a name that ends in .toml."""
    return text is not None and text.endswith(".toml")


def open_recipe(path: Path, *, targets: Sequence[str] = ()) -> Opened:
    """Read a recipe. ``targets`` are outputs to keep; none means all.

    Raises InputError ``no-recipe``, ``bad-recipe`` or ``duplicate-target``; UsageError.
    """
    recipe = read_toml(path, Recipe, what="recipe")
    found = orders(recipe)
    names = [order.output for order in found]
    for target in targets:
        if target not in names:
            raise UsageError(
                f"the recipe has no target {target!r}", hint=f"it has {', '.join(names)}"
            )
    kept = tuple(order for order in found if not targets or order.output in targets)
    return Opened(path, recipe, kept, digest(recipe))


def with_lock(opened: Opened, *, required: bool) -> Opened:
    """With the lock beside the recipe. Without ``required``, one that is missing is none.

    Raises InputError ``no-lock`` or ``lock-out-of-date``, IntegrityError ``bad-lock``.
    """
    path = lock_path(opened.path)
    try:
        lock = read_lock(path)
    except InputError:
        if required:
            raise
        return opened
    check_lock(lock, opened.digest, load_sources())
    return Opened(opened.path, opened.recipe, opened.orders, opened.digest, lock)


def to_build(opened: Opened, web: Web, progress: Console) -> list[tuple[Materials, Record]]:
    """Everything that ``opened`` asks for; a lock is made if there is none, and kept nowhere.

    Raises what ``make_lock`` and ``find_materials`` do.
    """
    lock, date = opened.lock, source_date()
    if lock is None:
        sources = load_sources()
        lock = make_lock(opened.orders, opened.digest, opened.folder, sources, web, progress)
    return [
        (
            find_materials(order, lock, opened.folder, web),
            Record(
                output=order.output,
                source_date=date,
                recipe=opened.recipe,
                lock=lock.only(order),
            ),
        )
        for order in opened.orders
    ]


def built(opened: Opened, place: Path) -> list[Path]:
    """The executables of ``opened`` in the folder ``place``. Raises InputError ``not-built``."""
    paths = [place / order.output for order in opened.orders]
    for path in paths:
        if not path.is_file():
            raise InputError(
                f"{path}: there is no such file",
                hint=f"'ingot build {opened.path}' makes it",
                code="not-built",
            )
    return paths
