"""The safetensors format, read within limits and written from pieces of other files.

A file is a u64 (little endian) with the length of a JSON header, the header, and the tensors'
bytes, at offsets that count from the header's end and leave no hole. Source: the format's own
description, safetensors/README.md. Names, types and places are checked; a tensor's content is never
looked at.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from ingot.errors import InputError

HEADER_MAX = 100_000_000  # bytes, the format's own limit
TENSORS_MAX = 1 << 20
SIZES = {
    "F64": 8,
    "I64": 8,
    "U64": 8,
    "F32": 4,
    "I32": 4,
    "U32": 4,
    "F16": 2,
    "BF16": 2,
    "I16": 2,
    "U16": 2,
    "F8_E4M3": 1,
    "F8_E5M2": 1,
    "F8_E8M0": 1,
    "I8": 1,
    "U8": 1,
    "BOOL": 1,
    "C64": 8,
}
_ALIGNMENT = 8
_STEP = 64 << 20  # bytes that the kernel is asked to copy at once


@dataclass(frozen=True)
class Region:
    """``length`` bytes of a file from ``offset`` on."""

    path: Path
    offset: int
    length: int


@dataclass(frozen=True)
class Tensor:
    """A tensor: row-major, its bytes are those of ``regions``, one after another."""

    name: str
    dtype: str
    shape: tuple[int, ...]
    regions: tuple[Region, ...]

    @property
    def size(self) -> int:
        """Bytes."""
        return sum(region.length for region in self.regions)

    @property
    def row(self) -> int:
        """Bytes of one element of the first dimension."""
        return self.size // self.shape[0] if self.shape and self.shape[0] else 0


def read(path: Path) -> dict[str, Tensor]:
    """The tensors of a file, in the order of their bytes. Raises InputError ``damaged-weights``."""
    size = path.stat().st_size
    with path.open("rb") as file:
        length = int.from_bytes(file.read(8), "little")
        if size < 8 or length > min(HEADER_MAX, size - 8):
            raise _damaged(path, "its header is not whole")
        try:
            header = json.loads(file.read(length), object_pairs_hook=_unique)
        except (ValueError, RecursionError) as error:
            raise _damaged(path, f"its header is no JSON object ({error})") from error
    if not isinstance(header, dict) or len(header) > TENSORS_MAX:
        raise _damaged(path, "its header is no table of tensors")
    header.pop("__metadata__", None)
    start = 8 + length
    found = [_tensor(path, name, entry, start) for name, entry in header.items()]
    found.sort(key=lambda tensor: (tensor.regions[0].offset, tensor.size))
    at = start
    for tensor in found:
        if tensor.regions[0].offset != at:
            raise _damaged(path, f"tensor {tensor.name!r} does not begin where the last one ends")
        at += tensor.size
    if at != size:
        raise _damaged(path, f"has {size} bytes, and its header says {at}")
    return {tensor.name: tensor for tensor in found}


def write(path: Path, tensors: Sequence[Tensor], metadata: Mapping[str, str]) -> Iterator[int]:
    """Write ``tensors`` in their order; yields the bytes of each when they have been copied."""
    header: dict[str, object] = {"__metadata__": dict(sorted(metadata.items()))}
    at = 0
    for tensor in tensors:
        span = [at, at + tensor.size]
        header[tensor.name] = {
            "dtype": tensor.dtype,
            "shape": list(tensor.shape),
            "data_offsets": span,
        }
        at = span[1]
    raw = json.dumps(header, separators=(",", ":")).encode()
    raw += b" " * (-len(raw) % _ALIGNMENT)
    with path.open("xb") as sink:
        sink.write(len(raw).to_bytes(8, "little") + raw)
        sink.flush()
        for tensor in tensors:
            for region in tensor.regions:
                _copy(region, sink.fileno())
            yield tensor.size
        os.fsync(sink.fileno())


def _copy(region: Region, sink: int) -> None:
    """At the sink's position, by the kernel: nothing of it passes through our memory."""
    with region.path.open("rb", buffering=0) as source:
        at, left = region.offset, region.length
        while left:
            count = os.sendfile(sink, source.fileno(), at, min(left, _STEP))
            if count == 0:
                raise InputError(f"{region.path}: became shorter meanwhile", code="input-changed")
            at, left = at + count, left - count


def _unique(pairs: list[tuple[str, object]]) -> dict[str, object]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("it names something twice")
    return found


def _tensor(path: Path, name: str, entry: object, start: int) -> Tensor:
    fields = entry if isinstance(entry, dict) else {}
    dtype = fields.get("dtype")
    if dtype not in SIZES:
        raise _damaged(path, f"tensor {name!r} has the unknown type {dtype!r}")
    shape, span = (_numbers(fields.get(key)) for key in ("shape", "data_offsets"))
    if shape is None or span is None or len(span) != 2 or len(shape) > 8:
        raise _damaged(path, f"tensor {name!r} has no shape or no place")
    size = SIZES[dtype]
    for dimension in shape:
        size *= dimension
    if span[1] - span[0] != size:
        raise _damaged(path, f"tensor {name!r} has {span[1] - span[0]} bytes, its shape {size}")
    return Tensor(name, dtype, tuple(shape), (Region(path, start + span[0], size),))


def _numbers(value: object) -> list[int] | None:
    """A list of sensible sizes; None when it is none."""
    if not isinstance(value, list):
        return None
    if not all(isinstance(n, int) and not isinstance(n, bool) and 0 <= n < 1 << 48 for n in value):
        return None
    return value


def _damaged(path: Path, what: str) -> InputError:
    return InputError(f"{path}: {what}", hint="download it again", code="damaged-weights")
