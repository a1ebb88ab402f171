"""Ingot makes one executable out of a GGUF model: cast it once, run it anywhere."""

from __future__ import annotations

__version__ = "0.1.0"
