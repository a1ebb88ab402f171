"""The gate through which every GGUF enters: a bounded reader that treats the file as hostile.

It reads the header and skips over the weights, so its time and memory do not depend on their
size, and it refuses what the pinned engine would refuse (ggml/src/gguf.cpp), before a byte is
written. It never returns anything but a ``Gguf`` and never raises anything but ``InputError``.

The format (little endian; a string is a u64 length and that many bytes of UTF-8):

    offset  size  what
         0     4  magic "GGUF"
         4     4  u32 version: 2 or 3, which differ in nothing that is read here
         8     8  u64 number of tensors
        16     8  u64 number of key-value pairs
        24     -  key-value pairs:  string key, u32 type, value
                  types: 0 u8, 1 i8, 2 u16, 3 i16, 4 u32, 5 i32, 6 f32, 7 bool, 8 string,
                         9 array (u32 element type, u64 count, elements), 10 u64, 11 i64, 12 f64
         -     -  tensors:  string name, u32 number of dimensions, u64 each, u32 type, u64 offset
         -     -  zeros up to a multiple of general.alignment (u32, default 32), from the start
         -     -  data: each tensor at its offset from here, in the order of the table, each
                  padded to the alignment (the engine insists on exactly this placement)

Limits, beside "everything lies inside the file":

    key                        65,535 bytes (the specification's), unique, not empty
    key-value pairs            65,536
    string                     1 GiB (the engine's); kept in memory up to 4 MiB, else skipped
    array                      16,777,216 elements, no arrays in arrays; kept in memory up to
                               1,024 numbers, else skipped (a vocabulary is counted, not read)
    tensors                    131,072, unique names of at most 63 bytes (GGML_MAX_NAME)
    dimensions                 4, product below 2^63, first one a multiple of the type's block
    alignment                  a power of two, at most 65,536 (the alignment inside a bundle)
    header, all of the above   1 GiB (enforced by the cursor)
"""

from __future__ import annotations

import os
import shlex
import struct
from pathlib import Path
from typing import BinaryIO, NoReturn

from ingot.bundle.inputs import open_input
from ingot.errors import InputError
from ingot.gguf.cursor import INCOMPLETE, Cursor
from ingot.gguf.model import Array, Gguf, Scalar, SkippedString, Tensor, Value
from ingot.gguf.pieces import is_piece, refuse_piece
from ingot.gguf.types import RETIRED_TYPES, TENSOR_TYPES

MAX_KEY = 65_535
MAX_PAIRS = 65_536
MAX_STRING = 1 << 30
KEPT_STRING = 4 << 20
MAX_ARRAY = 1 << 24
KEPT_ARRAY = 1_024
MAX_TENSORS = 131_072
MAX_TENSOR_NAME = 63
MAX_DIMENSIONS = 4
MAX_ALIGNMENT = 65_536

DEFAULT_ALIGNMENT = 32
_SMALLEST_PAIR = 8 + 1 + 4 + 1
_SMALLEST_TENSOR = 8 + 4 + 4 + 8

_STRING, _ARRAY = 8, 9
_NUMBERS: dict[int, tuple[str, struct.Struct]] = {
    0: ("u8", struct.Struct("<B")),
    1: ("i8", struct.Struct("<b")),
    2: ("u16", struct.Struct("<H")),
    3: ("i16", struct.Struct("<h")),
    4: ("u32", struct.Struct("<I")),
    5: ("i32", struct.Struct("<i")),
    6: ("f32", struct.Struct("<f")),
    7: ("bool", struct.Struct("<?")),
    10: ("u64", struct.Struct("<Q")),
    11: ("i64", struct.Struct("<q")),
    12: ("f64", struct.Struct("<d")),
}

# First bytes of what people hand over instead of a GGUF, and what to do about it.
_LOOKALIKES: tuple[tuple[bytes, str, str], ...] = (
    (b"version https://git-lfs", "a Git LFS pointer", "fetch the real file with: git lfs pull"),
    (b"<!DOCTYPE", "a web page", "download the file itself, not the page that shows it"),
    (b"<html", "a web page", "download the file itself, not the page that shows it"),
    (
        b"PK\x03\x04",
        "a ZIP or PyTorch file",
        "make a GGUF of a checkpoint: ingot convert FOLDER -o NAME.gguf",
    ),
    (b"\x28\xb5\x2f\xfd", "a file compressed by Zstandard", "unpack it: zstd -d FILE"),
    (b"\x04\x22\x4d\x18", "a file compressed by LZ4", "unpack it: lz4 -d FILE"),
    (b"7z\xbc\xaf\x27\x1c", "a 7-Zip archive", "unpack it: 7z x FILE"),
    (b"Rar!", "a RAR archive", "unpack it: unrar x FILE"),
    (b"MZ", "a Windows program", "take the model out of it, or get it as a .gguf file"),
    (b"\x7fELF", "a program", "ingot extract FILE takes the model out of Ingot's executables"),
    (b"lmgg", "a GGML file from before GGUF", "get the model in GGUF format"),
    (b"tjgg", "a GGJT file from before GGUF", "get the model in GGUF format"),
    (b"fmgg", "a GGMF file from before GGUF", "get the model in GGUF format"),
    (b"FUGG", "a GGUF with its bytes swapped", "convert the model for little endian machines"),
)
_NOT_GGUF_HINT = "give a model in GGUF format; 'ingot convert' makes it from a Hugging Face folder"


def read_gguf(path: Path) -> Gguf:
    """Read the header of the GGUF file ``path``. Raises InputError only."""
    try:
        with open_input(path) as (stream, size):
            return read_gguf_from(stream, name=str(path), size=size)
    except InputError as error:
        if error.code.startswith("gguf-") and is_piece(path):
            refuse_piece(path)
        raise


def read_gguf_from(stream: BinaryIO, *, name: str, size: int, start: int = 0) -> Gguf:
    """Read the header of a GGUF of ``size`` bytes that begins at ``start`` in ``stream``.

    ``name`` is how errors call the file. Raises InputError (codes ``gguf-…``, ``file-unreadable``).
    """
    cursor = Cursor(stream, name, start, size)
    try:
        return _Parser(cursor).parse()
    except OSError as error:
        raise InputError(
            f"{name}: cannot be read: {error.strerror}", code="file-unreadable"
        ) from error


class _Parser:
    """One pass from the magic to the end of the tensor table."""

    def __init__(self, cursor: Cursor) -> None:
        self._cursor = cursor
        self._kv: dict[str, Value] = {}
        self._types: dict[str, str] = {}
        self._spans: dict[str, tuple[int, int]] = {}

    def parse(self) -> Gguf:
        version = self._version()
        tensor_count, pair_count = self._counts()
        for index in range(pair_count):
            self._pair(index)
        alignment = self._alignment()
        tensors_at = self._cursor.at
        table = self._tensors(tensor_count)
        data_at = _aligned(self._cursor.at, alignment) if table else self._cursor.at
        self._check_placement(table, data_at, alignment)
        cursor = self._cursor
        return Gguf(
            name=cursor.name,
            version=version,
            alignment=alignment,
            kv=self._kv,
            spans=self._spans,
            tensors=tuple(table),
            tensors_at=tensors_at,
            data_at=data_at,
            size=cursor.size,
        )

    def _version(self) -> int:
        cursor = self._cursor
        if cursor.size == 0:
            cursor.fail("gguf-empty", "the file is empty", INCOMPLETE)
        head = cursor.take(min(32, cursor.size), "the magic")
        cursor.at = 4
        if not head.startswith(b"GGUF"):
            self._refuse_magic(head)
        version = cursor.u32("the version")
        if version & 0xFFFF == 0 and version:
            cursor.fail(
                "gguf-endian",
                "the file is big endian",
                "convert the model again for little endian machines",
                at=4,
            )
        if version == 1:
            cursor.fail("gguf-version", "GGUF version 1 is too old", "convert it again", at=4)
        if version not in (2, 3):
            cursor.fail(
                "gguf-version",
                f"GGUF version {version} is not known; versions 2 and 3 are",
                "use a newer Ingot, or convert the model with an older tool",
                at=4,
            )
        return version

    def _refuse_magic(self, head: bytes) -> NoReturn:
        if b"GGUF".startswith(head[:4]):
            self._cursor.fail("gguf-truncated", "the file ends in its magic", INCOMPLETE, at=0)
        for magic, kind, hint in _LOOKALIKES:
            if head.startswith(magic):
                hint = hint.replace(" FILE", f" {shlex.quote(self._cursor.name)}")
                self._cursor.fail("gguf-magic", f"this is {kind}, not a GGUF", hint, at=0)
        folder = shlex.quote(os.path.dirname(self._cursor.name) or ".")
        if head[8:9] == b"{" and int.from_bytes(head[:8], "little") <= self._cursor.size:
            self._cursor.fail(
                "gguf-magic",
                "this is a safetensors file, not a GGUF",
                f"make a GGUF of its folder: ingot convert {folder} -o NAME.gguf",
                at=0,
            )
        shown = head[:4].hex(" ")
        self._cursor.fail("gguf-magic", f"not a GGUF: it begins with {shown}", _NOT_GGUF_HINT, at=0)

    def _counts(self) -> tuple[int, int]:
        cursor = self._cursor
        tensors = cursor.u64("the number of tensors")
        pairs = cursor.u64("the number of key-value pairs")
        for count, limit, at, what in (
            (tensors, MAX_TENSORS, 8, "tensors"),
            (pairs, MAX_PAIRS, 16, "key-value pairs"),
        ):
            if count > limit:
                cursor.fail("gguf-count", f"claims {count} {what}; the limit is {limit}", at=at)
        cursor.need(
            pairs * _SMALLEST_PAIR + tensors * _SMALLEST_TENSOR,
            f"a header of {pairs} key-value pairs and {tensors} tensors",
        )
        return tensors, pairs

    def _text(self, limit: int, what: str) -> str:
        cursor = self._cursor
        begin = cursor.at
        length = cursor.u64(f"the length of {what}")
        if length > limit:
            cursor.fail("gguf-count", f"{what} of {length} bytes; the limit is {limit}", at=begin)
        try:
            return cursor.take(length, what).decode("utf-8")
        except UnicodeDecodeError:
            cursor.fail("gguf-text", f"{what} is not UTF-8", at=begin)

    def _pair(self, index: int) -> None:
        cursor = self._cursor
        begin = cursor.at
        key = self._text(MAX_KEY, f"key {index}")
        if not key:
            cursor.fail("gguf-key", f"key {index} is empty", at=begin)
        if key in self._kv:
            cursor.fail("gguf-duplicate", f"the key {key!r} appears twice", at=begin)
        kind = cursor.u32(f"the type of {key}")
        self._types[key] = "array" if kind == _ARRAY else self._type_name(kind, key)
        self._kv[key] = self._array(key) if kind == _ARRAY else self._scalar(kind, key)
        self._spans[key] = (begin, cursor.at)

    def _type_name(self, kind: int, key: str) -> str:
        if kind == _STRING:
            return "string"
        if kind not in _NUMBERS:
            what = "an array inside an array" if kind == _ARRAY else f"the unknown type {kind}"
            self._cursor.fail("gguf-type", f"{key!r} holds {what}", at=self._cursor.at - 4)
        return _NUMBERS[kind][0]

    def _scalar(self, kind: int, key: str) -> Scalar | SkippedString:
        cursor = self._cursor
        if kind != _STRING:
            number = _NUMBERS[kind][1]
            value: Scalar = number.unpack(cursor.take(number.size, key))[0]
            return value
        begin = cursor.at
        length = cursor.u64(f"the length of {key}")
        if length > MAX_STRING:
            cursor.fail(
                "gguf-count", f"{key!r} has {length} bytes; the limit is {MAX_STRING}", at=begin
            )
        if length > KEPT_STRING:
            cursor.skip(length, key)
            return SkippedString(length)
        # The engine does not check values; a name with one bad byte must not make a model useless.
        return cursor.take(length, key).decode("utf-8", "replace")

    def _array(self, key: str) -> Array:
        cursor = self._cursor
        kind = cursor.u32(f"the element type of {key}")
        name = self._type_name(kind, key)
        count = cursor.u64(f"the length of {key}")
        if count > MAX_ARRAY:
            cursor.fail(
                "gguf-count",
                f"{key!r} claims {count} elements; the limit is {MAX_ARRAY}",
                at=cursor.at - 8,
            )
        if kind == _STRING:
            cursor.need(8 * count, key)
            cursor.skip_strings(count, key)
            return Array(name, count)
        number = _NUMBERS[kind][1]
        if count > KEPT_ARRAY:
            cursor.skip(count * number.size, key)
            return Array(name, count)
        raw = cursor.take(count * number.size, key)
        return Array(name, count, tuple(value for (value,) in number.iter_unpack(raw)))

    def _alignment(self) -> int:
        value = self._kv.get("general.alignment", DEFAULT_ALIGNMENT)
        at = self._spans.get("general.alignment", (0, 0))[0]
        stored_as = self._types.get("general.alignment", "u32")
        if stored_as != "u32" or not isinstance(value, int):
            self._cursor.fail("gguf-type", f"general.alignment is {stored_as}, not u32", at=at)
        if value <= 0 or value & (value - 1) or value > MAX_ALIGNMENT:
            self._cursor.fail(
                "gguf-alignment",
                f"general.alignment is {value}; it must be a power of two up to {MAX_ALIGNMENT}",
                at=at,
            )
        return value

    def _tensors(self, count: int) -> list[Tensor]:
        seen: set[str] = set()
        table = []
        for index in range(count):
            begin = self._cursor.at
            tensor = self._tensor(index)
            if tensor.name in seen:
                self._cursor.fail(
                    "gguf-duplicate", f"the tensor {tensor.name!r} appears twice", at=begin
                )
            seen.add(tensor.name)
            table.append(tensor)
        return table

    def _tensor(self, index: int) -> Tensor:
        cursor = self._cursor
        begin = cursor.at
        name = self._text(MAX_TENSOR_NAME, f"the name of tensor {index}")
        dimensions = cursor.u32(f"the shape of {name}")
        if dimensions > MAX_DIMENSIONS:
            cursor.fail(
                "gguf-shape",
                f"tensor {name!r} has {dimensions} dimensions; the limit is {MAX_DIMENSIONS}",
                at=begin,
            )
        shape = struct.unpack(f"<{dimensions}Q", cursor.take(8 * dimensions, f"shape of {name}"))
        kind = cursor.u32(f"the type of {name}")
        offset = cursor.u64(f"the offset of {name}")
        size = self._tensor_size(name, shape, kind, begin)
        return Tensor(name, shape, TENSOR_TYPES[kind].name, kind, offset, size)

    def _tensor_size(self, name: str, shape: tuple[int, ...], kind: int, at: int) -> int:
        cursor = self._cursor
        if kind in RETIRED_TYPES:
            cursor.fail(
                "gguf-type",
                f"tensor {name!r} has the retired type {RETIRED_TYPES[kind]}",
                "quantise the model again with a type that the engine still reads",
                at=at,
            )
        if kind not in TENSOR_TYPES:
            cursor.fail(
                "gguf-type",
                f"tensor {name!r} has the unknown type {kind}",
                "use a newer Ingot, or quantise the model with another type",
                at=at,
            )
        elements = 1
        for dimension in shape:
            elements *= dimension
        if elements >= 1 << 63 or any(dimension >= 1 << 63 for dimension in shape):
            cursor.fail("gguf-shape", f"tensor {name!r} has an absurd shape {shape}", at=at)
        tensor_type = TENSOR_TYPES[kind]
        if (shape[0] if shape else 1) % tensor_type.block:
            cursor.fail(
                "gguf-shape",
                f"tensor {name!r} has rows of {shape[0] if shape else 1} elements, "
                f"not a multiple of {tensor_type.name}'s {tensor_type.block}",
                at=at,
            )
        return elements // tensor_type.block * tensor_type.size

    def _check_placement(self, table: list[Tensor], data_at: int, alignment: int) -> None:
        """Every tensor must begin where the one before it ended, padded: as the engine insists.

        That also makes them aligned and free of overlaps.
        """
        cursor = self._cursor
        expected = 0
        for tensor in table:
            if tensor.offset != expected:
                cursor.fail(
                    "gguf-offset",
                    f"tensor {tensor.name!r} lies at data offset {tensor.offset}, not {expected}",
                )
            end = data_at + expected + tensor.size
            if end > cursor.size:
                cursor.fail(
                    "gguf-truncated",
                    f"the data of tensor {tensor.name!r} ends at byte {cursor.start + end}, "
                    f"the file at byte {cursor.start + cursor.size}",
                    INCOMPLETE,
                    at=data_at + expected,
                )
            expected = _aligned(expected + tensor.size, alignment)


def _aligned(offset: int, alignment: int) -> int:
    return -(-offset // alignment) * alignment
