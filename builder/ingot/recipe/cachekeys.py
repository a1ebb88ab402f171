"""What a CI system may keep between runs, and under which keys. Pure: nothing is looked up.

A key is the same exactly as long as what is kept under it is of use.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from ingot.engine.pin import Sources
from ingot.engine.runtime import choose_target, runtime_folder, runtime_key
from ingot.recipe.lock import Lock, LockedFile
from ingot.recipe.orders import Order


@dataclass(frozen=True)
class CacheEntry:
    """Files and folders to keep under ``key``; no paths mean that there is nothing to keep."""

    key: str
    paths: tuple[Path, ...]


def runtime_entry(orders: Sequence[Order], sources: Sources) -> CacheEntry:
    """The compiled runtimes of ``orders``. With them in the cache, nothing is compiled but GPU
    modules. The key is the runtime's own, or the sha256 of several.
    """
    platforms = sorted({order.platform for order in orders})
    keys = [runtime_key(sources, choose_target(sources, platform)) for platform in platforms]
    return CacheEntry(
        keys[0] if len(keys) == 1 else _digest(keys), tuple(runtime_folder(key) for key in keys)
    )


def models_entry(orders: Sequence[Order], lock: Lock, hub: Path, urls: Path) -> CacheEntry:
    """What ``orders`` download by ``lock``: into ``hub`` from repositories, into ``urls`` else.

    Raises InputError ``lock-out-of-date``.
    """
    files = [file for order in orders for file in _files(order, lock)]
    facts = {(file.repo or file.url or "", file.commit or "", file.sha256) for file in files}
    places = [
        (hub, any(file.repo for file in files)),
        (urls, any(file.url and not file.repo for file in files)),
    ]
    return CacheEntry(_digest(sorted(facts)), tuple(place for place, used in places if used))


def _files(order: Order, lock: Lock) -> list[LockedFile]:
    """Those that are fetched: a file that the recipe names by a path is in nobody's cache."""
    inputs = [lock.find(need) for need in order.needs]
    every = [file for one in inputs for file in (*one.files, one.projector) if file is not None]
    return [file for file in every if file.repo or file.url]


def _digest(facts: Sequence[object]) -> str:
    return hashlib.sha256(json.dumps(facts).encode()).hexdigest()
