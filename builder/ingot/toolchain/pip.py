"""pip, the client of the package index: our own, or that of another Python.

A frozen Ingot has none, nor have environments that other installers make.
"""

from __future__ import annotations

import importlib.util
import os
import shutil
import sys

from ingot import process
from ingot.errors import ToolchainError
from ingot.frozen import is_frozen
from ingot.paths import cache_dir

_NAMES = ("python3.14", "python3.13", "python3.12", "python3.11", "python3")
_PROBE = "import sys, pip; sys.exit(sys.version_info < (3, 11))"
_PROBE_SECONDS = 30.0


def pip_command() -> list[str]:
    """The words that start pip.

    Raises ToolchainError ``no-pip`` when neither INGOT_PYTHON nor PATH has a Python with pip.
    """
    return [find_python(), "-P", "-m", "pip"]


def find_python() -> str:
    """The Python whose pip that is; it may be our own."""
    if not is_frozen() and importlib.util.find_spec("pip") is not None:
        return sys.executable
    own = os.environ.get("INGOT_PYTHON")
    for name in (*([own] if own else []), *_NAMES):
        path = shutil.which(name)
        if path is not None and _has_pip(path):
            return path
    raise ToolchainError(
        "no Python 3.11 or newer with pip was found, and pip fetches the build tools",
        hint="install one (Debian 12 or newer: apt-get install python3-pip), or set INGOT_PYTHON",
        code="no-pip",
    )


def _has_pip(python: str) -> bool:
    """A name on PATH is not enough: version managers leave shims that only print an error."""
    log = cache_dir() / "logs" / "find-pip.log"
    try:
        probe = [python, "-c", _PROBE]
        return process.run(probe, log=log, check=False, timeout=_PROBE_SECONDS).status == 0
    except ToolchainError:
        return False
