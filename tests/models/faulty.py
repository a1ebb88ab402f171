"""Faults of Hugging Face checkpoints: each function does one to the good folder it is given."""

from __future__ import annotations

import json
import pickle
import shutil
from pathlib import Path
from typing import Any

from ingot.models.checkpoint import CONFIG, INDEX, SINGLE

TRAP = "was-unpickled"  # the file in the folder that its pickle creates when it is unpickled


class _Trap:
    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return open, (str(self.path), "w")


def add_pickle(folder: Path) -> Path:
    """Weights as a pickle beside what there is."""
    path = folder / "pytorch_model.bin"
    path.write_bytes(pickle.dumps({"lm_head.weight": _Trap(folder / TRAP)}))
    return path


def pickled(folder: Path) -> None:
    """Weights as a pickle and in no other way."""
    add_pickle(folder)
    (folder / SINGLE).unlink()


def misnamed(folder: Path) -> None:
    """A pickle that is called safetensors."""
    add_pickle(folder).replace(folder / SINGLE)


def missing_shard(folder: Path) -> None:
    """One of two."""
    table = {"a": "model-00001-of-00002.safetensors", "b": "model-00002-of-00002.safetensors"}
    (folder / INDEX).write_text(json.dumps({"weight_map": table}))
    (folder / SINGLE).rename(folder / table["a"])


def truncated(folder: Path) -> None:
    """By one byte."""
    path = folder / SINGLE
    path.write_bytes(path.read_bytes()[:-1])


def truncated_beside_an_index(folder: Path) -> None:
    """Both ways of naming weights, and only the shard is whole."""
    shard = "model-00001-of-00001.safetensors"
    shutil.copy(folder / SINGLE, folder / shard)
    (folder / INDEX).write_text(json.dumps({"weight_map": {"a": shard}}))
    truncated(folder)


def without_tokenizer(folder: Path) -> None:
    """But with its configuration."""
    (folder / "tokenizer.model").unlink()


def configure(folder: Path, **changes: object) -> None:
    """Other values in config.json."""
    content = json.loads((folder / CONFIG).read_text())
    (folder / CONFIG).write_text(json.dumps({**content, **changes}))
