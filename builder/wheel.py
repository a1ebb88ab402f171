"""Run by hatchling for every wheel: puts in what stands for a checkout, the compiled runtime above
all, or fails.

Ingot is imported from the sources that are being packed. Editable installs get nothing: they run
from the checkout.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface


class WheelHook(BuildHookInterface):  # type: ignore[misc] # it has no types
    """What pyproject.toml names as the wheel's hook."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Add to ``build_data`` before a wheel is written; ``version`` is ``standard`` or
        ``editable``."""
        if version == "editable":
            return
        sys.path.insert(0, str(Path(self.root, "builder")))
        from ingot.engine.carried import carried_files, platform_tag
        from ingot.engine.pin import CARRIED
        from ingot.errors import IngotError

        try:
            files = carried_files()
            build_data["tag"] = f"py3-none-{platform_tag()}"
        except IngotError as error:
            self.app.abort(f"error: {error.message}\nhint: {error.hint}")
        build_data["pure_python"] = False
        for name, path in files.items():
            build_data["force_include"][str(path)] = f"ingot/{CARRIED}/{name}"
