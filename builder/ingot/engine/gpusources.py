"""The sources from which a GPU module is compiled, as an executable carries them.

All of upstream's CUDA backend but its template instances, which the runtime writes itself for the
kernels that a model needs; of the engine's other headers those that these files reach; our own
files; and the licence of each of the two.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from pathlib import Path

from ingot.errors import IntegrityError

_BACKEND = "ggml/src/ggml-cuda"
_HEADER_FOLDERS = ("ggml/include", "ggml/src")
_ENDINGS = (".cu", ".cuh", ".h")
_NOT_COMPILED = ("NOTES.md", "on-a-gpu.sh")
# Training, and other makers' GPUs: no unit of runtime/gpu/cuda_units.cc includes them.
_LEFT_OUT = ("cross-entropy-loss.cu", "opt-step-adamw.cu", "opt-step-sgd.cu", "hip.h", "musa.h")
_INCLUDE = re.compile(r'^\s*#\s*include\s*"([^"]+)"', re.MULTILINE)


def collect_sources(engine: Path, native: Path, licence: Path) -> Mapping[str, Path]:
    """Name below ``sources/`` -> file, sorted. ``licence`` is that of our own files.

    Raises IntegrityError ``missing-gpu-sources`` when the engine has moved its CUDA backend.
    """
    backend = [
        path
        for folder in (engine / _BACKEND, engine / _BACKEND / "vendors")
        for path in folder.glob("*")
        if path.suffix in _ENDINGS and path.name not in _LEFT_OUT
    ]
    ours = [path for path in _files(native / "cuda") if path.name not in _NOT_COMPILED]
    if not backend or not (engine / "LICENSE").is_file():
        raise IntegrityError(
            f"the CUDA backend's sources are not in {engine / _BACKEND}",
            hint="the engine has moved them; see builder/ingot/engine/gpusources.py",
            code="missing-gpu-sources",
        )
    found = {
        f"cuda/{path.relative_to(engine).as_posix()}": path
        for path in (*backend, *_headers(engine, (*backend, *ours)))
    }
    found |= {f"cuda/ingot/{path.relative_to(native / 'cuda').as_posix()}": path for path in ours}
    found |= {"cuda/ggml/LICENSE": engine / "LICENSE", "cuda/ingot/LICENSE": licence}
    return dict(sorted(found.items()))


def _files(folder: Path) -> Iterable[Path]:
    """As pin.tree_hash counts them: no hidden files, no editors' backups."""
    for path in folder.rglob("*"):
        hidden = any(part.startswith(".") for part in path.relative_to(folder).parts)
        if path.is_file() and not hidden and not path.name.endswith("~"):
            yield path


def _headers(engine: Path, sources: Iterable[Path]) -> set[Path]:
    """The engine's headers outside the backend that ``sources`` include, directly or not."""
    found: set[Path] = set()
    waiting = list(sources)
    while waiting:
        text = waiting.pop().read_text("utf-8", "replace")
        for name in _INCLUDE.findall(text):
            for folder in _HEADER_FOLDERS:
                path = engine / folder / name
                if "/" not in name and path.is_file() and path not in found:
                    found.add(path)
                    waiting.append(path)
    return found
