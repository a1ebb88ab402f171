"""What the reader found in a GGUF: plain frozen data, no behaviour beyond look-ups."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

Scalar = int | float | bool | str


@dataclass(frozen=True)
class Array:
    """An array value. ``values`` holds short arrays of numbers or booleans; None if skipped."""

    element: str
    count: int
    values: tuple[Scalar, ...] | None = None


@dataclass(frozen=True)
class SkippedString:
    """A string too long to be kept; ``size`` is in bytes."""

    size: int


Value = Scalar | Array | SkippedString


@dataclass(frozen=True)
class Tensor:
    """One tensor: ``offset`` (bytes) counts from the start of the data section."""

    name: str
    shape: tuple[int, ...]
    type: str
    type_id: int
    offset: int
    size: int

    @property
    def elements(self) -> int:
        """Number of elements."""
        count = 1
        for dimension in self.shape:
            count *= dimension
        return count


@dataclass(frozen=True)
class Gguf:
    """A GGUF that passed the reader. All offsets and sizes are bytes from the GGUF's start.

    ``spans`` gives each key-value pair's first and past-the-end byte, ``tensors_at`` where the
    tensor table starts, ``data_at`` where the data section starts. ``size`` is the GGUF's whole
    size, whatever follows the last tensor included.
    """

    name: str
    version: int
    alignment: int
    kv: Mapping[str, Value]
    spans: Mapping[str, tuple[int, int]]
    tensors: tuple[Tensor, ...]
    tensors_at: int
    data_at: int
    size: int

    def text(self, key: str) -> str | None:
        """The string at ``key``; None if it is missing or not a string."""
        value = self.kv.get(key)
        return value if isinstance(value, str) else None

    def integer(self, key: str) -> int | None:
        """The integer at ``key``; None if it is missing or not an integer."""
        value = self.kv.get(key)
        return value if isinstance(value, int) and not isinstance(value, bool) else None

    def count(self, key: str) -> int | None:
        """The number of elements of the array at ``key``; None if it is not an array."""
        value = self.kv.get(key)
        return value.count if isinstance(value, Array) else None

    @property
    def architecture(self) -> str:
        """``general.architecture``, or ``unknown``."""
        return self.text("general.architecture") or "unknown"
