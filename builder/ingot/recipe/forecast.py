"""What building a recipe would do: sizes, downloads, warnings. Nothing is fetched or compiled."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

from ingot.errors import IngotError
from ingot.gguf.facts import model_facts
from ingot.gguf.join import load_weights
from ingot.recipe.make import Materials
from ingot.recipe.orders import Order
from ingot.sources.resolve import RemoteFile

OVERHEAD = 25_000_000  # bytes beside the weights, GPU modules excepted: the limit that tests hold
_CONTEXT = ("-c", "--ctx-size")


@dataclass(frozen=True)
class Item:
    """A file that an executable needs; ``size`` None is not known. ``here``: nothing to fetch."""

    role: str
    label: str
    size: int | None
    sha256: str | None
    here: bool


@dataclass(frozen=True)
class Forecast:
    """One executable. Sizes are bytes; ``size`` is an estimate, None if a file's is not known."""

    output: str
    platform: str
    gpu: tuple[str, ...]
    items: tuple[Item, ...]
    size: int | None
    download: int
    warnings: tuple[str, ...]

    def to_json(self) -> dict[str, Any]:
        """For ``--json``."""
        items = [vars(item) for item in self.items]
        return {
            **vars(self),
            "items": items,
            "gpu": list(self.gpu),
            "warnings": list(self.warnings),
        }


def forecast(materials: Materials) -> Forecast:
    """What building ``materials`` would do."""
    order = materials.order
    items = tuple(_item(need.role, file) for need, found in materials.found for file in found.files)
    sizes = [item.size for item in items]
    known = [size for size in sizes if size is not None]
    return Forecast(
        output=order.output,
        platform=order.platform,
        gpu=order.gpu,
        items=items,
        size=sum(known) + OVERHEAD if len(known) == len(sizes) else None,
        download=sum(item.size or 0 for item in items if not item.here),
        warnings=tuple(_warnings(materials)),
    )


def matrix(recipe: str, forecasts: Sequence[Forecast]) -> dict[str, list[dict[str, str]]]:
    """A job for each executable, as GitHub's ``strategy.matrix`` takes it."""
    return {
        "include": [
            {"recipe": recipe, "target": one.output, "platform": one.platform} for one in forecasts
        ]
    }


def _item(role: str, file: RemoteFile) -> Item:
    size = file.size
    here = file.local is not None and file.local.is_file()
    if size is None and here and file.local is not None:
        size = file.local.stat().st_size
    return Item(role, file.label, size, file.sha256, here)


def _warnings(materials: Materials) -> Iterator[str]:
    order = materials.order
    if order.license_file is None:
        yield "no licence text: give metadata.license-file"
    facts = _facts(materials)
    if facts is None:
        return
    trained = facts.get("context_length")
    asked = _context(order)
    if asked is not None and isinstance(trained, int) and asked > trained:
        yield f"-c {asked} is more than the {trained} tokens that the model was trained on"
    types = facts.get("tensor_types")
    iq = (
        sorted(name for name in types if name.lower().startswith("iq"))
        if isinstance(types, dict)
        else []
    )
    if iq and not order.gpu:
        yield f"no GPU module: {', '.join(iq)} will be computed on the CPU unless users --recompile"


def _facts(materials: Materials) -> Mapping[str, Any] | None:
    """Of the main model, if it is here and can be read: a forecast refuses nothing."""
    _need, found = materials.found[0]
    local = found.parts[0].local
    if local is None or not local.is_file() or found.member or local.suffix != ".gguf":
        return None
    try:
        return model_facts(load_weights(Path(local)).gguf).to_json()
    except IngotError:
        return None


def _context(order: Order) -> int | None:
    for flag, value in pairwise(order.args):
        if flag in _CONTEXT and value.isdecimal():
            return int(value)
    return None
