"""An executable for the builder's own use: the runtime's tools and CPU modules, and the demo model.

A bare program has no modules and computes on the slowest level; an executable takes ``-m`` as well
as its own model. It is kept in the cache, one for each runtime and its GPU modules, and never given
away.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from ingot.bundle.inputs import FileRegion
from ingot.bundle.writer import Source, write_bundle
from ingot.console import Progress
from ingot.engine.image import RuntimeImage
from ingot.engine.pin import repository
from ingot.paths import cache_dir, ensure_entry
from ingot.recipe.gpumodule import GpuModule
from ingot.recipe.plan import Artefact, load_inputs, plan

NAME = "ingot-tools"


def ensure_workbench(
    runtime: RuntimeImage, progress: Progress, modules: Sequence[GpuModule] = ()
) -> Path:
    """The executable for ``runtime``: all verbs of executables, and quantize and imatrix.

    With another engine's runtime: the verbs that ``ingot compare`` needs. ``modules`` are GPU
    modules that it carries as well: those of the model that -m will name.
    """
    key = "-".join((str(runtime.identity["key"]), *(module.sha256 for module in modules)))
    entry = cache_dir() / "workbenches" / key

    def make(folder: Path) -> None:
        _make(folder / NAME, runtime, modules, progress)

    return ensure_entry(entry, make) / NAME


def _make(
    output: Path, runtime: RuntimeImage, modules: Sequence[GpuModule], progress: Progress
) -> None:
    model = repository() / "recipes" / "demo" / "pystdlib-7m.gguf"
    artefact = Artefact(model, output, name=NAME, ui=False, sources=False)
    contents = plan(artefact, load_inputs(artefact), runtime, modules)
    tools = runtime.tools or runtime.program
    program = Source("program", "program", (FileRegion(tools, 0, tools.stat().st_size),))
    write_bundle(output, replace(contents, program=program), progress)
