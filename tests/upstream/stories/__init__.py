"""A tiny Llama that tells stories, trained for llama.cpp's server tests.

The tests were written for models of a hub, whose words and token counts they expect. ``pieces.txt``
is a vocabulary that gives their prompts the same counts, and ``train.py`` teaches a model of 0.3
million parameters the same words. Both servers run it.
"""

from __future__ import annotations

from pathlib import Path

HERE = Path(__file__).resolve().parent
MODEL = HERE / "stories.gguf"
"""With the pieces of all variants: see ``variants``."""
LORA = HERE / "lora.gguf"
