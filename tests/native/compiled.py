"""Parts of the runtime as small programs of their own, compiled by the pinned compiler."""

from __future__ import annotations

import hashlib
import subprocess
from collections.abc import Iterable, Sequence
from pathlib import Path

from ingot.console import NullProgress
from ingot.engine.pin import load_sources
from ingot.engine.runtime import choose_target
from ingot.paths import cache_dir, ensure_entry
from ingot.toolchain import zig

REPOSITORY = Path(__file__).resolve().parents[2]
RUNTIME = REPOSITORY / "runtime"
CXX_FLAGS = ("-std=c++17", "-O1", "-Wall", "-Wextra", "-Werror", f"-I{RUNTIME}")


def compilers() -> Path:
    """The folder of the pinned compiler's wrappers, ``cc`` and ``c++``."""
    sources = load_sources()
    installed = zig.install(sources.tools.packages["ziglang"], NullProgress())
    return zig.wrappers(installed, choose_target(sources))


def compiled(
    name: str,
    sources: Sequence[Path],
    headers: Iterable[Path],
    flags: Sequence[str],
    *,
    c: Sequence[str] = (),
) -> Path:
    """The program, compiled once for these files. ``c`` are words for a C file of the engine."""
    tools = compilers()
    digest = hashlib.sha256("\0".join((*CXX_FLAGS, *flags, *c, str(tools))).encode())
    for path in (*sources, *headers):
        digest.update(path.read_bytes())

    def make(folder: Path) -> None:
        objects = []
        if c:
            objects = [f"{folder}/c.o"]
            subprocess.run([f"{tools}/cc", *c, "-c", "-o", *objects], check=True)
        words = [*CXX_FLAGS, *flags, *map(str, sources), *objects]
        subprocess.run([f"{tools}/c++", *words, "-o", f"{folder}/{name}"], check=True)

    entry = ensure_entry(cache_dir() / "tests" / f"{name}-{digest.hexdigest()[:16]}", make)
    return entry / name
