"""What an executable was built from, inside it: recipe.json, for ``ingot rebuild``.

The recipe without its comments, of the lock what concerns this executable, and the time that was
asked for. Nothing of it depends on where it was built.
"""

from __future__ import annotations

import json

from pydantic import Field, ValidationError

from ingot.bundle.manifest import RECIPE
from ingot.bundle.reader import Bundle
from ingot.errors import InputError, IntegrityError
from ingot.recipe.lock import Lock
from ingot.recipe.orders import document
from ingot.recipe.plan import RECORD_NAME
from ingot.recipe.schema import Recipe, Table

FORMAT = 1


class Record(Table):
    """``output`` names the recipe's target; ``source_date`` is SOURCE_DATE_EPOCH, in seconds."""

    format: int = Field(default=FORMAT, ge=FORMAT, le=FORMAT)
    output: str
    source_date: int | None = None
    recipe: Recipe
    lock: Lock


def encode(record: Record) -> bytes:
    """The entry's content."""
    lock = record.lock.model_dump(mode="json", by_alias=True, exclude_none=True)
    text = {
        "format": record.format,
        "output": record.output,
        "recipe": document(record.recipe),
        "lock": lock,
    }
    if record.source_date is not None:
        text["source-date"] = record.source_date
    return (json.dumps(text, indent=1, sort_keys=True) + "\n").encode("ascii")


def read_record(bundle: Bundle) -> Record:
    """The record in an executable.

    Raises InputError ``no-recipe`` when there is none, IntegrityError ``bad-recipe-entry`` when it
    is none of ours.
    """
    entries = bundle.manifest.with_role(RECIPE)
    if not entries:
        raise InputError(
            f"{bundle.path}: was not built from a recipe",
            hint="only what 'ingot build RECIPE.toml' made has one inside; 'repack' drops it",
            code="no-recipe",
        )
    try:
        return Record.model_validate_json(bundle.read(entries[0]))
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        where = ".".join(str(part) for part in first["loc"])
        raise IntegrityError(
            f"{bundle.path}: its {RECORD_NAME} cannot be used: {where}: {first['msg']}",
            hint="it was made by another version of Ingot, or was damaged",
            code="bad-recipe-entry",
        ) from error
