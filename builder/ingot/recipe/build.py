"""Building an executable from a recipe, and putting a new runtime around an old one's weights."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from ingot.bundle.inputs import Segment
from ingot.bundle.manifest import LICENSE, WEIGHTS, Manifest
from ingot.bundle.output import check_output
from ingot.bundle.reader import Bundle, open_bundle
from ingot.bundle.writer import Contents, Source, write_bundle
from ingot.console import Progress
from ingot.engine.runtime import RuntimeImage
from ingot.recipe.args import check_args
from ingot.recipe.plan import (
    MODEL_LICENSE,
    Inputs,
    Recipe,
    check_text,
    describe,
    load_inputs,
    plan,
    program_source,
    runtime_sources,
)


@dataclass(frozen=True)
class BuildResult:
    """An executable that was written; ``seconds`` is what writing took."""

    path: Path
    manifest: Manifest
    seconds: float


@dataclass(frozen=True)
class Changes:
    """What a repack changes besides the runtime; None keeps what the executable has."""

    name: str | None = None
    description: str | None = None
    args: tuple[str, ...] | None = None
    ui: bool | None = None


def check(recipe: Recipe, *, force: bool = False) -> Inputs:
    """Validate everything that can be validated before a runtime is there. See load_inputs."""
    inputs = load_inputs(recipe)
    check_output(recipe.output, inputs.files(), force=force)
    return inputs


def build(
    recipe: Recipe,
    runtime: RuntimeImage,
    progress: Progress,
    *,
    force: bool = False,
    inputs: Inputs | None = None,
) -> BuildResult:
    """Build ``recipe``. ``inputs`` is what ``check`` returned, if it was called before.

    Raises InputError, UsageError or IntegrityError; then there is no output, or the old one.
    """
    inputs = inputs or check(recipe, force=force)
    return _write(recipe.output, plan(recipe, inputs, runtime), progress)


def repack(
    source: Path,
    runtime: RuntimeImage,
    output: Path,
    progress: Progress,
    *,
    changes: Changes | None = None,
    force: bool = False,
) -> BuildResult:
    """Write ``output`` with the weights and settings of ``source`` around ``runtime``.

    ``output`` may be ``source``: it is replaced in one step at the end. The weights are checked
    against their hashes while they are copied: IntegrityError ``entry-damaged``.
    """
    changes = changes or Changes()
    check_args(changes.args or ())
    for text, what in ((changes.name, "the name"), (changes.description, "the description")):
        if text is not None:
            check_text(text, what)
    with open_bundle(source) as bundle:
        in_place = output.exists() and output.samefile(source)
        check_output(output, (), force=force or in_place)
        return _write(output, _contents(bundle, runtime, changes), progress)


def _contents(bundle: Bundle, runtime: RuntimeImage, changes: Changes) -> Contents:
    old = bundle.manifest.about
    ui = old.ui if changes.ui is None else changes.ui
    about = describe(
        runtime,
        name=changes.name or old.name,
        description=changes.description if changes.description is not None else old.description,
        args=old.args if changes.args is None else changes.args,
        ui=ui,
        model=dict(old.model),
    )
    kept = _kept_sources(bundle)
    return Contents(about, program_source(runtime), (*kept, *runtime_sources(runtime, ui)))


def _kept_sources(bundle: Bundle) -> Sequence[Source]:
    """The weights, and the model's licence."""
    sources = []
    for entry in bundle.manifest.with_role(*WEIGHTS):
        hashes = bundle.manifest.entry(entry.leaves or "")
        assert hashes is not None  # decode() made sure
        segments: tuple[Segment, ...] = (bundle.region(entry),)
        sources.append(Source(entry.name, entry.role, segments, expected=hashes.sha256))
    licence = bundle.manifest.entry(MODEL_LICENSE)
    if licence is not None:
        sources.append(Source(licence.name, LICENSE, (bundle.read(licence),)))
    return sources


def _write(output: Path, contents: Contents, progress: Progress) -> BuildResult:
    started = time.monotonic()
    manifest = write_bundle(output, contents, progress)
    return BuildResult(output, manifest, time.monotonic() - started)
