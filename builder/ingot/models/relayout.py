"""A checkpoint in another layout: InternLM2 as Llama and back, safetensors in and out.

Tensors are moved by the kernel, in pieces of whole rows: bit for bit, at the speed of the disk, and
with no more memory than the headers take. OUT is there completely or not at all.
"""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ingot import __version__
from ingot.console import Progress, Step, size
from ingot.errors import InputError
from ingot.models import safetensors
from ingot.models.checkpoint import (
    CONFIG,
    INDEX,
    JSON_MAX,
    PICKLED,
    Checkpoint,
    open_checkpoint,
    read_object,
)
from ingot.models.internlm2 import (
    ARCHITECTURES,
    INTERNLM2,
    LLAMA,
    TOKENIZER_CLASSES,
    convert_config,
    convert_tensors,
    read_shape,
)
from ingot.models.safetensors import Tensor

LAYOUTS = (LLAMA, INTERNLM2)
_TOKENIZER_CONFIG = "tokenizer_config.json"
_CODE = (".py", ".pyc", ".so")
_WEIGHTS = (".safetensors", *PICKLED)


@dataclass(frozen=True)
class Relaid:
    """A checkpoint that was written; ``size`` is the bytes of its tensors. ``left_out`` are files
    of the original that it does not have.
    """

    folder: Path
    tensors: int
    size: int
    left_out: tuple[str, ...]


def relayout(source: Path, output: Path, to: str, progress: Progress) -> Relaid:
    """Write the checkpoint ``source`` as ``output`` in the layout ``to``.

    Raises InputError: the codes of ``open_checkpoint``, ``convert_tensors`` and ``check_folder``.
    """
    wanted = INTERNLM2 if to == LLAMA else LLAMA
    check_folder(source, output)
    checkpoint = open_checkpoint(source, {ARCHITECTURES[wanted]}, tokenizer=False)
    tensors = _read(checkpoint)
    converted = convert_tensors(tensors, read_shape(checkpoint.config), to)
    place = output.absolute().parent
    with tempfile.TemporaryDirectory(prefix=f".{output.name}.ingot-", dir=place) as name:
        folder = Path(name) / output.name
        folder.mkdir()
        with progress.step(f"Writing {output.name} in the layout of {to}") as step:
            total = _write_weights(folder, checkpoint, converted, wanted, step)
        left_out = _carry(checkpoint, folder, to)
        _sync(folder)
        folder.rename(output)
    return Relaid(output, len(converted), total, left_out)


def check_folder(source: Path, output: Path) -> None:
    """Whether ``output`` can be made. Raises InputError ``output-exists``, ``output-is-input``,
    ``output-folder-missing`` or ``output-unwritable``.
    """
    if source.exists() and output.resolve().is_relative_to(source.resolve()):
        raise InputError(f"{output}: lies in the checkpoint itself", code="output-is-input")
    if os.path.lexists(output):
        raise InputError(
            f"{output}: exists already", hint="give a folder that is new", code="output-exists"
        )
    parent = output.absolute().parent
    if not parent.is_dir():
        raise InputError(f"{parent}: there is no such folder", code="output-folder-missing")
    if not os.access(parent, os.W_OK | os.X_OK):
        raise InputError(f"{parent}: the folder is not writable", code="output-unwritable")


def _read(checkpoint: Checkpoint) -> dict[str, Tensor]:
    found: dict[str, Tensor] = {}
    for path in checkpoint.weights:
        for name, tensor in safetensors.read(path).items():
            if name in found:
                raise InputError(
                    f"{path}: has the tensor {name!r} once more", code="damaged-weights"
                )
            found[name] = tensor
    return found


def _write_weights(
    folder: Path, checkpoint: Checkpoint, converted: Mapping[str, Tensor], was: str, step: Step
) -> int:
    """Each tensor into the file that it, or the first part of it, came from."""
    total = sum(tensor.size for tensor in converted.values())
    _check_room(folder, total)
    metadata = {"format": "pt", "ingot": f"{was} in another layout, by ingot {__version__}"}
    table: dict[str, str] = {}
    done = 0
    for path in checkpoint.weights:
        own = [tensor for tensor in converted.values() if tensor.regions[0].path == path]
        table.update((tensor.name, path.name) for tensor in own)
        for count in safetensors.write(folder / path.name, own, metadata):
            done += count
            step.update(done, total, f"{size(done)} of {size(total)}")
    if (checkpoint.folder / INDEX).is_file():
        index = {"metadata": {"total_size": total}, "weight_map": dict(sorted(table.items()))}
        _write_json(folder / INDEX, index)
    return total


def _check_room(folder: Path, needed: int) -> None:
    free = shutil.disk_usage(folder).free
    if needed > free:
        raise InputError(
            f"{folder.parent}: the disk is full: {needed} bytes are needed, {free} are available",
            hint="make room, or choose another folder",
            code="disk-full",
        )


def _carry(checkpoint: Checkpoint, folder: Path, to: str) -> tuple[str, ...]:
    """Configurations, changed, and all other files that are neither weights nor code."""
    _write_json(folder / CONFIG, convert_config(checkpoint.config, to))
    left_out = []
    for path in sorted(checkpoint.folder.iterdir()):
        if path.name in (CONFIG, INDEX) or path.suffix in _WEIGHTS:
            continue
        if path.is_symlink() and not path.exists():
            continue
        if not path.is_file() or path.suffix in _CODE or path.stat().st_size > JSON_MAX:
            left_out.append(path.name)
        elif path.name == _TOKENIZER_CONFIG:
            _write_json(folder / path.name, _tokenizer(read_object(path), to))
        else:
            shutil.copyfile(path, folder / path.name)
    return tuple(left_out)


def _tokenizer(config: Mapping[str, Any], to: str) -> dict[str, Any]:
    """Without pointers to code; of the class that is both models' in transformers."""
    found = {key: value for key, value in config.items() if key != "auto_map"}
    if found.get("tokenizer_class") in (*TOKENIZER_CLASSES.values(), None):
        found["tokenizer_class"] = TOKENIZER_CLASSES[to]
    return found


def _write_json(path: Path, document: Mapping[str, Any]) -> None:
    text = json.dumps(document, indent=2, ensure_ascii=False, sort_keys=True)
    path.write_text(text + "\n", "utf-8")


def _sync(folder: Path) -> None:
    fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
