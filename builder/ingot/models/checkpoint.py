"""Looking at a Hugging Face checkpoint before anything of it is loaded, as at any hostile input.

Read are config.json, the index of shards and the headers of safetensors files, within limits.
Nothing is imported or unpickled: code beside the weights stays where it is.
"""

from __future__ import annotations

import difflib
import json
import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ingot.errors import InputError
from ingot.models import safetensors

CONFIG, INDEX, SINGLE = "config.json", "model.safetensors.index.json", "model.safetensors"
TOKENIZERS = (
    "tokenizer.json",
    "tokenizer.model",
    "sentencepiece.bpe.model",
    "spiece.model",
    "vocab.json",
    "vocab.txt",
    "tekken.json",
)
PICKLED = (".bin", ".pt", ".pth", ".ckpt", ".pkl")  # how names of pickled weights end
JSON_MAX = 64 << 20  # bytes
_SHARD = re.compile(r"[A-Za-z0-9._-]+\.safetensors")


@dataclass(frozen=True)
class Checkpoint:
    """A folder whose parts are all there: ``weights`` are its safetensors files, sorted."""

    folder: Path
    architecture: str
    config: Mapping[str, Any]
    weights: tuple[Path, ...]


def open_checkpoint(
    folder: Path, supported: Collection[str] | None = None, *, tokenizer: bool = True
) -> Checkpoint:
    """Check ``folder`` and, unless it may be any, its architecture against those ``supported``.

    Raises InputError: ``no-checkpoint``, ``bad-checkpoint``, ``unknown-architecture``,
    ``pickled-weights``, ``missing-shard``, ``damaged-weights``, ``no-tokenizer``.
    """
    if not folder.is_dir():
        raise InputError(
            f"{folder}: is no folder",
            hint="give the folder of a Hugging Face checkpoint, the one with config.json in it",
            code="no-checkpoint",
        )
    config = read_object(folder / CONFIG)
    architecture = _architecture(folder, config, supported)
    weights = _weights(folder)
    # Where an index stands beside the single file, the engine's converter takes what the index
    # lists, and transformers the single file.
    single = folder / SINGLE
    for path in sorted({*weights, single} if single.is_file() else weights):
        safetensors.read(path)
    if tokenizer and not any((folder / name).is_file() for name in TOKENIZERS):
        raise InputError(
            f"{folder}: has no tokenizer ({', '.join(TOKENIZERS)})",
            hint="get the whole repository, not the weights alone",
            code="no-tokenizer",
        )
    return Checkpoint(folder, architecture, config, weights)


def read_object(path: Path) -> dict[str, Any]:
    """A JSON object. Raises InputError ``no-checkpoint`` or ``bad-checkpoint``."""
    try:
        with path.open("rb") as file:
            raw = file.read(JSON_MAX + 1)
    except OSError as error:
        raise InputError(
            f"{path}: {error.strerror}",
            hint="a Hugging Face checkpoint has it; get the whole repository",
            code="no-checkpoint",
        ) from error
    try:
        found = json.loads(raw) if len(raw) <= JSON_MAX else None
    except (ValueError, RecursionError):
        found = None
    if not isinstance(found, dict):
        raise InputError(
            f"{path}: is no JSON object",
            hint="get the repository again, or look at who wrote this file",
            code="bad-checkpoint",
        )
    return found


def _architecture(
    folder: Path, config: Mapping[str, Any], supported: Collection[str] | None
) -> str:
    named = config.get("architectures")
    first = named[0] if isinstance(named, list) and named else None
    if not isinstance(first, str):
        raise InputError(
            f"{folder / CONFIG}: names no architecture",
            hint='a language model\'s has "architectures"; is this the folder of one?',
            code="bad-checkpoint",
        )
    if supported is not None and first not in supported:
        near = difflib.get_close_matches(first, supported, n=3)
        raise InputError(
            f"{folder}: the architecture {first!r} cannot be converted",
            hint=f"{', '.join(near)} can" if near else "a newer engine may know it",
            code="unknown-architecture",
        )
    return first


def _weights(folder: Path) -> tuple[Path, ...]:
    if (folder / INDEX).is_file():
        table = read_object(folder / INDEX).get("weight_map")
        listed = list(table.values()) if isinstance(table, dict) else []
        if not listed or not all(isinstance(n, str) and _SHARD.fullmatch(n) for n in listed):
            raise InputError(
                f"{folder / INDEX}: is no index of shards",
                hint="get the repository again, or look at who wrote this file",
                code="bad-checkpoint",
            )
        names = set(listed)
        missing = sorted(name for name in names if not (folder / name).is_file())
        if missing:
            raise InputError(
                f"{folder}: {len(missing)} of {len(names)} shards are missing: {missing[0]}",
                hint="get the rest of the repository",
                code="missing-shard",
            )
        return tuple(sorted(folder / name for name in names))
    if (folder / SINGLE).is_file():
        return (folder / SINGLE,)
    pickled = sorted(path.name for path in folder.iterdir() if path.suffix in PICKLED)
    if pickled:
        raise InputError(
            f"{folder}: its weights are pickled ({pickled[0]}), and unpickling runs code",
            hint="get a checkpoint with safetensors, or convert it where that is safe",
            code="pickled-weights",
        )
    raise InputError(
        f"{folder}: has no {SINGLE}", hint="get the whole repository", code="missing-shard"
    )
