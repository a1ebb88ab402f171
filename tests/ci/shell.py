"""The script for any CI, as any CI starts it."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Mapping
from pathlib import Path

from tests.conftest import REPOSITORY

BUILD = REPOSITORY / "recipes" / "ci" / "build.sh"


def build_sh(
    *words: str | Path, env: Mapping[str, str], cwd: Path | None = None
) -> subprocess.CompletedProcess[str]:
    """Run recipes/ci/build.sh; ``env`` is laid over the environment, without GitHub's variables."""
    mine = {name: value for name, value in os.environ.items() if not name.startswith("GITHUB_")}
    return subprocess.run(
        [BUILD, *words],
        env={**mine, **env},
        cwd=cwd,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
        timeout=900,
    )
