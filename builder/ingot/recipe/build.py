"""Building an executable, and putting a new runtime around the weights of an old one."""

from __future__ import annotations

import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

from ingot.bundle.inputs import Segment, open_input
from ingot.bundle.manifest import (
    CUDA,
    LICENSE,
    MODULE,
    SBOM,
    SOURCE,
    WEIGHTS,
    Entry,
    Manifest,
)
from ingot.bundle.output import check_output
from ingot.bundle.reader import Bundle, open_bundle
from ingot.bundle.writer import Contents, Source, write_bundle
from ingot.console import Progress
from ingot.engine.image import RuntimeImage
from ingot.engine.pin import load_sources
from ingot.errors import GpuError, InputError
from ingot.gguf.facts import model_facts
from ingot.gguf.reader import read_gguf_from
from ingot.recipe import vulkanmodule
from ingot.recipe.args import check_args
from ingot.recipe.gpumodule import GpuModule, sources_digest
from ingot.recipe.judge import Judgement, judge, of_bundle, of_inputs
from ingot.recipe.plan import (
    MODEL_LICENSE,
    Artefact,
    Inputs,
    check_text,
    describe,
    gpu_license,
    load_inputs,
    plan,
    program_source,
    runtime_sources,
    sbom_entry,
    source_date,
)
from ingot.recipe.sbom import Ingredients, read_provenance
from ingot.toolchain.vulkan import load_pins


@dataclass(frozen=True)
class BuildResult:
    """An executable that was written; ``seconds`` is what writing took.

    ``notes`` are for the user: what was left out, and why. ``gpu_error`` says why it is without the
    GPU modules that were asked for.
    """

    path: Path
    manifest: Manifest
    seconds: float
    notes: tuple[str, ...] = ()
    gpu_error: GpuError | None = None


@dataclass(frozen=True)
class Changes:
    """What a repack changes besides the runtime; None keeps what the executable has."""

    name: str | None = None
    description: str | None = None
    args: tuple[str, ...] | None = None
    ui: bool | None = None
    sources: bool | None = None


def check(artefact: Artefact, *, force: bool = False) -> Inputs:
    """Validate everything that can be validated before a runtime is there. See load_inputs."""
    inputs = load_inputs(artefact)
    check_output(artefact.output, inputs.files(), force=force)
    return inputs


def build(
    artefact: Artefact,
    runtime: RuntimeImage,
    progress: Progress,
    *,
    force: bool = False,
    inputs: Inputs | None = None,
    modules: Sequence[GpuModule] = (),
    judgement: Judgement | None = None,
) -> BuildResult:
    """Build ``artefact``. ``inputs`` is what ``check`` returned, and ``judgement`` what
    ``ask_engine`` did, if they were called before.

    Raises InputError, UsageError or IntegrityError; then there is no output, or the old one.
    """
    inputs = inputs or check(artefact, force=force)
    judgement = judgement or ask_engine(artefact, inputs, runtime)
    contents = plan(artefact, inputs, runtime, modules)
    return _write(artefact.output, contents, judgement, progress)


def ask_engine(artefact: Artefact, inputs: Inputs, runtime: RuntimeImage) -> Judgement:
    """Whether the engine takes the inputs and the default arguments. Raises as ``judge`` does."""
    with of_inputs(inputs) as loaded:
        return judge(runtime, loaded, artefact.args)


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
        modules = [entry for entry in bundle.manifest.with_role(MODULE) if entry.gpu]
        fitting = [e for e in modules if e.gpu and e.gpu.sources == _digest(runtime, e.gpu.kind)]
        contents = _contents(bundle, runtime, changes, fitting)
        judgement = _judge_bundle(bundle, runtime, changes, contents.about.args)
        done = _write(output, contents, judgement, progress)
        left_out = tuple(
            f"{entry.name} is left out: it was compiled for another engine"
            for entry in modules
            if entry not in fitting
        )
        return replace(done, notes=(*done.notes, *left_out))


def _judge_bundle(
    bundle: Bundle, runtime: RuntimeImage, changes: Changes, args: Sequence[str]
) -> Judgement:
    """What the engine says about an executable's weights, and about arguments if they change.

    It is not asked about weights that are damaged, which the hashes find while they are copied.
    """
    try:
        with of_bundle(bundle) as loaded:
            return judge(runtime, loaded, args, new_args=changes.args is not None)
    except InputError as error:
        if not error.code.startswith("gguf-"):
            raise
        return Judgement(notes=(error.message,))


def _digest(runtime: RuntimeImage, kind: str) -> str:
    """Of the sources that a GPU module of ``kind`` has to be compiled from to fit ``runtime``."""
    if kind == CUDA:
        return sources_digest(runtime)
    sources = load_sources()
    pins = load_pins(sources.native / "toolchain.toml")
    return vulkanmodule.sources_digest(runtime, sources, pins)


def _contents(
    bundle: Bundle, runtime: RuntimeImage, changes: Changes, modules: Sequence[Entry]
) -> Contents:
    old = bundle.manifest.about
    ui = old.ui if changes.ui is None else changes.ui
    new = describe(
        runtime,
        name=changes.name or old.name,
        description=changes.description if changes.description is not None else old.description,
        args=old.args if changes.args is None else changes.args,
        ui=ui,
        model=dict(old.model),
    )
    # What it was built from, and how its tests ended, is no longer true of it.
    about = replace(new, version=old.version, homepage=old.homepage)
    kept = [*_kept_sources(bundle)]
    for entry in modules:
        kept += _kept_module(bundle, entry)
    sources = changes.sources
    if sources is None:
        sources = bool(bundle.manifest.with_role(SOURCE))
    own = runtime_sources(runtime, ui=ui, sources=sources)
    last = sbom_entry(_ingredients(bundle, runtime))
    return Contents(about, program_source(runtime), (*kept, *own), last)


def _ingredients(bundle: Bundle, runtime: RuntimeImage) -> Ingredients:
    """What can be read off the weights is read again; what cannot, the old SBOM knows."""
    facts = {}
    for entry in bundle.manifest.with_role(*WEIGHTS):
        region = bundle.region(entry)
        with suppress(InputError), open_input(region.path) as (stream, _size):
            # Damage is found by the hashes, while the weights are copied.
            gguf = read_gguf_from(stream, name=entry.name, start=region.offset, size=entry.size)
            facts[entry.name] = model_facts(gguf)
    old = bundle.manifest.with_role(SBOM)
    provenance = read_provenance(bundle.read(old[0])) if old else {}
    return Ingredients(runtime.components, facts, provenance, source_date())


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


def _kept_module(bundle: Bundle, entry: Entry) -> Sequence[Source]:
    """A GPU module that was compiled from the very sources of the new runtime, and its licence."""
    assert entry.gpu is not None
    region = (bundle.region(entry),)
    kept = [
        Source(
            entry.name, MODULE, region, target=entry.target, expected=entry.sha256, gpu=entry.gpu
        )
    ]
    licence = bundle.manifest.entry(gpu_license(entry.gpu))
    if licence is not None:
        kept.append(Source(licence.name, LICENSE, (bundle.read(licence),)))
    return kept


def _write(
    output: Path, contents: Contents, judgement: Judgement, progress: Progress
) -> BuildResult:
    """Write ``contents`` with what the engine said about the model."""
    started = time.monotonic()
    facts = {key: value for key, value in contents.about.model.items() if key != "kernels"}
    if judgement.kernels is not None:
        facts["kernels"] = judgement.kernels.to_json()
    contents = replace(contents, about=replace(contents.about, model=facts))
    manifest = write_bundle(output, contents, progress)
    return BuildResult(output, manifest, time.monotonic() - started, judgement.notes)
