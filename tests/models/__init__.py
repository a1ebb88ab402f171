"""Small models for tests: made on the spot from the demo model, or fetched and converted.

Nothing here is a test. Every maker writes exactly the path that it is given and returns it; what
to keep between runs is for the caller to decide.
"""

from __future__ import annotations

from pathlib import Path

DEMO = Path(__file__).resolve().parents[2] / "recipes" / "demo" / "pystdlib-7m.gguf"
"""The demo model: a real Llama of 6.8 million parameters, 57 tensors, embedding length 256."""
