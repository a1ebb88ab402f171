"""The sources from which GPU modules are compiled, as an executable carries them: one tar.

Of upstream, the backends that the target's machines can compile: all of CUDA's but its template
instances, which the runtime writes itself for the kernels that a model needs (ROCm compiles the
same files); all of Metal's. Of the engine's other headers those that these files reach. Our own
files, and the licence of each of the two.

One archive and not two hundred entries, because DEFLATE then sees all of it at once: 0.13 MB less.
"""

from __future__ import annotations

import io
import re
import tarfile
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from ingot.engine.pin import tree_files
from ingot.errors import IntegrityError

ARCHIVE = "gpu.tar"


@dataclass(frozen=True)
class _Family:
    """Backends made from the same files: where upstream has them, and which folders of
    ``native/`` hold our own.
    """

    backend: str
    folders: tuple[str, ...]
    endings: tuple[str, ...]
    ours: tuple[str, ...]
    # What no unit of runtime/gpu includes.
    left_out: tuple[str, ...] = ()


_CUDA = _Family(
    backend="ggml/src/ggml-cuda",
    folders=(".", "vendors"),
    endings=(".cu", ".cuh", ".h"),
    ours=("gpu", "cuda"),
    # Training, and Moore Threads' GPUs.
    left_out=("cross-entropy-loss.cu", "opt-step-adamw.cu", "opt-step-sgd.cu", "musa.h"),
)
_METAL = _Family(
    backend="ggml/src/ggml-metal",
    folders=(".", "kernels"),
    endings=(".m", ".cpp", ".h", ".metal"),
    ours=("gpu",),
)
# The system of a target -> what its machines can compile.
_CARRIED = {"linux": _CUDA, "macos": _METAL}
_HEADER_FOLDERS = ("ggml/include", "ggml/src")
_NOT_COMPILED = ("NOTES.md", "on-a-gpu.sh")
_INCLUDE = re.compile(r'^\s*#\s*(?:include|import)\s*"([^"]+)"', re.MULTILINE)


def collect_sources(engine: Path, native: Path, licence: Path, target: str) -> Mapping[str, Path]:
    """Name in the archive -> file, sorted; empty for a target that compiles no modules.

    ``target`` is a name such as ``linux-x86_64``; ``licence`` is that of our own files. Raises
    IntegrityError ``missing-gpu-sources`` when the engine has moved its backend.
    """
    family = _CARRIED.get(target.partition("-")[0])
    if family is None:
        return {}
    backend = [
        path
        for folder in family.folders
        for path in (engine / family.backend / folder).glob("*")
        if path.suffix in family.endings and path.name not in family.left_out
    ]
    ours = {
        f"ingot/{path.relative_to(native / folder).as_posix()}": path
        for folder in family.ours
        for path in tree_files(native / folder)
        if path.name not in _NOT_COMPILED
    }
    if not backend or not (engine / "LICENSE").is_file():
        raise IntegrityError(
            f"a GPU backend's sources are not in {engine / family.backend}",
            hint="the engine has moved them; see builder/ingot/engine/gpusources.py",
            code="missing-gpu-sources",
        )
    found = {
        path.relative_to(engine).as_posix(): path
        for path in (*backend, *_headers(engine, (*backend, *ours.values())))
    }
    found |= ours | {"ggml/LICENSE": engine / "LICENSE", "ingot/LICENSE": licence}
    return dict(sorted(found.items()))


def archive(files: Mapping[str, Path]) -> bytes:
    """A tar (ustar) of ``files``. The same names and contents give the same bytes."""
    output = io.BytesIO()
    with tarfile.open(fileobj=output, mode="w", format=tarfile.USTAR_FORMAT) as tar:
        for name, path in sorted(files.items()):
            content = path.read_bytes()
            member = tarfile.TarInfo(name)  # a regular file, mode 0644, time 0, owner 0
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
    return output.getvalue()


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
