"""An executable for the builder's own use: the runtime's tools and CPU modules, and the demo model.

A bare program has no modules and computes on the slowest level; an executable takes ``-m`` as well
as its own model. It is kept in the cache, one for each runtime, and never given away.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from ingot.bundle.inputs import FileRegion
from ingot.bundle.writer import Source, write_bundle
from ingot.console import Progress
from ingot.engine.pin import repository
from ingot.engine.runtime import RuntimeImage
from ingot.paths import cache_dir, ensure_entry
from ingot.recipe.plan import Artefact, load_inputs, plan

NAME = "ingot-tools"


def ensure_workbench(runtime: RuntimeImage, progress: Progress) -> Path:
    """The executable for ``runtime``: all verbs of executables, and quantize and imatrix."""
    entry = cache_dir() / "workbenches" / str(runtime.identity["key"])
    return ensure_entry(entry, lambda folder: _make(folder / NAME, runtime, progress)) / NAME


def _make(output: Path, runtime: RuntimeImage, progress: Progress) -> None:
    model = repository() / "recipes" / "demo" / "pystdlib-7m.gguf"
    artefact = Artefact(model, output, name=NAME, ui=False, sources=False)
    contents = plan(artefact, load_inputs(artefact), runtime)
    size = runtime.tools.stat().st_size
    program = Source("program", "program", (FileRegion(runtime.tools, 0, size),))
    write_bundle(output, replace(contents, program=program), progress)
