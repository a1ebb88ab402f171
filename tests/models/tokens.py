"""The demo model with other tokens."""

from __future__ import annotations

import struct
from pathlib import Path

from tests.models import DEMO


def other_tokens(to: Path) -> Path:
    """Write the demo model with two of its pieces exchanged, which have the same length."""
    one, other = (struct.pack("<Q", 4) + piece.encode() for piece in ("▁=", "▁+"))
    whole = DEMO.read_bytes()
    at, other_at = whole.index(one), whole.index(other)
    changed = bytearray(whole)
    changed[at : at + len(one)] = other
    changed[other_at : other_at + len(one)] = one
    to.write_bytes(changed)
    return to
