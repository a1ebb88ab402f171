"""The plots of a comparison as a PNG, by matplotlib in the environment's own Python."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ingot.console import Progress
from ingot.parity import child


def draw(document: Mapping[str, Any], path: Path, progress: Progress) -> None:
    """Write the picture."""
    with progress.step(f"Drawing {path}"):
        child.do(child.PICTURE, {"document": document, "path": str(path.absolute())}, progress)
