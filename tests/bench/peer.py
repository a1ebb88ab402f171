"""The peer: the same engine compiled by the system's gcc for this very machine.

AMX is off in it, because gcc 12 compiles the engine's AMX code into something that crashes.
"""

from __future__ import annotations

import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

from ingot.console import Progress
from ingot.errors import ToolchainError
from tests import upstream

PROGRAMS = ("llama-completion", "llama-bench")
_NO_AMX = "-mno-amx-tile -mno-amx-int8 -mno-amx-bf16"


@dataclass(frozen=True)
class Peer:
    completion: Path
    bench: Path


def ensure_peer(progress: Progress) -> Peer:
    """Compile it once (about six minutes on two cores) into the cache."""
    for compiler in ("gcc", "g++"):
        if shutil.which(compiler) is None:
            raise ToolchainError(
                f"the benchmark compares with {compiler}, which is not here",
                hint="install gcc and g++",
            )
    definitions = {
        "CMAKE_C_COMPILER": "gcc",
        "CMAKE_CXX_COMPILER": "g++",
        "CMAKE_C_FLAGS": _NO_AMX,
        "CMAKE_CXX_FLAGS": _NO_AMX,
        "GGML_NATIVE": "ON",
        "LLAMA_BUILD_SERVER": "OFF",
    }
    folder = upstream.ensure("peer", PROGRAMS, definitions, progress, compiler=_gcc())
    return Peer(*(folder / program for program in PROGRAMS))


def _gcc() -> str:
    """Its version, and the flags that it takes -march=native for."""
    asked = ["gcc", "-march=native", "-E", "-v", "-x", "c", "/dev/null"]
    return subprocess.run(asked, check=True, capture_output=True, text=True).stderr
