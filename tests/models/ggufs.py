"""Copying between GGUF files with the reference library, key for key and byte for byte.

A copy that changes nothing equals a file of the engine's own converter, bit for bit: the order
of keys and tensors, the value types and the padding are kept.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Collection, Iterable, Mapping
from pathlib import Path

import numpy as np
import numpy.typing as npt
from gguf import GGUFReader, GGUFValueType, GGUFWriter
from gguf.gguf_reader import ReaderField, ReaderTensor

from tests.models import DEMO

Array = npt.NDArray[np.generic]

_ARCHITECTURE = "general.architecture"


def string_value(reader: GGUFReader, key: str) -> str:
    """The value of a string key; KeyError when the file has no such key."""
    return str(reader.fields[key].contents())


def copy_metadata(
    reader: GGUFReader,
    writer: GGUFWriter,
    *,
    only: tuple[str, ...] = ("",),
    replace: Mapping[str, int | str] | None = None,
) -> None:
    """Copy the keys that start with one of ``only``, some with another value of the same type.

    The architecture is left out, for GGUFWriter has written it already; so are the reader's own
    ``GGUF.*`` pseudo-keys, which stand for the header.
    """
    values = dict(replace or {})
    for field in reader.fields.values():
        if field.name.startswith("GGUF.") or field.name == _ARCHITECTURE:
            continue
        if field.name.startswith(only):
            _copy_field(field, writer, values.pop(field.name, None))
    if values:
        raise KeyError(f"the source has no key named {', '.join(sorted(values))}")


def _copy_field(field: ReaderField, writer: GGUFWriter, value: int | str | None) -> None:
    kind = field.types[0]
    element = field.types[-1] if kind == GGUFValueType.ARRAY else None
    writer.add_key_value(
        field.name, field.contents() if value is None else value, kind, sub_type=element
    )


def copy_tensors(
    tensors: Iterable[ReaderTensor], writer: GGUFWriter, keep: Collection[str] | None = None
) -> None:
    """Copy tensors as they are, in their order; with ``keep``, only those that it names."""
    for tensor in tensors:
        if keep is None or tensor.name in keep:
            writer.add_tensor(tensor.name, tensor.data, raw_dtype=tensor.tensor_type)


def save(writer: GGUFWriter, to: Path) -> Path:
    """Write everything to ``to`` in one rename, so that no reader meets half a fixture."""
    to.parent.mkdir(parents=True, exist_ok=True)
    temporary = to.with_name(f".{to.name}.{os.getpid()}.tmp")
    try:
        writer.write_header_to_file(temporary)
        writer.write_kv_data_to_file()
        writer.write_tensors_to_file()
        writer.close()
        temporary.replace(to)
    finally:
        temporary.unlink(missing_ok=True)
    return to


def other_tokens(to: Path) -> Path:
    """The demo model with two of its pieces exchanged, which have the same length."""
    one, other = (struct.pack("<Q", 4) + piece.encode() for piece in ("▁=", "▁+"))
    whole = DEMO.read_bytes()
    at, other_at = whole.index(one), whole.index(other)
    changed = bytearray(whole)
    changed[at : at + len(one)] = other
    changed[other_at : other_at + len(one)] = one
    to.write_bytes(changed)
    return to


def with_number(to: Path, key: str, value: int) -> Path:
    """The demo model with another value of a 32-bit integer key."""
    whole = bytearray(DEMO.read_bytes())
    at = whole.index(struct.pack("<Q", len(key)) + key.encode()) + 8 + len(key) + 4
    struct.pack_into("<I", whole, at, value)
    to.write_bytes(whole)
    return to


def with_architecture(to: Path, name: str) -> Path:
    """The demo model, which is a "llama", under another name of five letters."""
    whole = bytearray(DEMO.read_bytes())
    at = whole.index(_ARCHITECTURE.encode()) + len(_ARCHITECTURE) + 4 + 8
    whole[at : at + 5] = name.encode()
    to.write_bytes(whole)
    return to
