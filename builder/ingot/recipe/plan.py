"""From an artefact to the contents of an executable: read and check every input, then plan.

``load_inputs`` reads headers; ``plan`` decides (of the runtime's files it asks the sizes). Neither
writes anything.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from ingot import __version__
from ingot.bundle.format import safe_file_name
from ingot.bundle.inputs import FileRegion, open_input
from ingot.bundle.manifest import (
    DRAFT,
    LICENSE,
    LORA,
    MODEL,
    MODULE,
    PROJECTOR,
    RECIPE,
    SBOM,
    SOURCE,
    UI,
    Description,
    GpuFacts,
    RecordedTest,
)
from ingot.bundle.writer import Contents, Last, Source
from ingot.engine.image import RuntimeImage
from ingot.errors import InputError, UsageError
from ingot.gguf.facts import model_facts
from ingot.gguf.join import Weights, load_weights
from ingot.recipe.args import check_args
from ingot.recipe.fit import check_draft, check_lora, check_model, check_projector
from ingot.recipe.gpumodule import GpuModule
from ingot.recipe.icon import read_icon
from ingot.recipe.sbom import SBOM_NAME, Ingredients, Provenance, write_sbom

MODEL_LICENSE = "licenses/model.txt"
RECORD_NAME = "recipe.json"
LICENSE_MAX = 4 << 20
_TEXT_MAX = 4096
_LATEST = 253_402_300_799  # seconds: the end of the year 9999
BUILDER = {"name": "ingot", "version": __version__}


@dataclass(frozen=True)
class Recorded:
    """What a manifest records after a build; None is nothing."""

    tests: tuple[RecordedTest, ...] | None = None
    answers: Mapping[str, Any] | None = None


@dataclass(frozen=True)
class Artefact:
    """One executable to build. ``name`` None means the model's file name without its ending;
    ``args`` are default arguments for the engine, one word each. ``provenance`` is for the SBOM, by
    the path that is given here as ``model``, ``mmproj``, ``loras`` or ``draft``. ``recipe`` is the
    content of recipe.json, ``source_date`` the SBOM's time in seconds since 1970, ``recorded``
    what was recorded of an executable that is built again.
    """

    model: Path
    output: Path
    name: str | None = None
    description: str | None = None
    args: tuple[str, ...] = ()
    mmproj: Path | None = None
    loras: tuple[Path, ...] = ()
    draft: Path | None = None
    license: Path | None = None
    ui: bool = True
    sources: bool = True
    provenance: Mapping[Path, Provenance] = field(default_factory=dict)
    version: str | None = None
    homepage: str | None = None
    icon: Path | None = None
    recipe: bytes | None = None
    source_date: int | None = None
    recorded: Recorded = Recorded()


@dataclass(frozen=True)
class Inputs:
    """The headers of an artefact's files, checked one by one and against each other; of the icon,
    the web page's files that it replaces.
    """

    model: Weights
    projector: Weights | None
    loras: tuple[Weights, ...]
    draft: Weights | None
    license: FileRegion | None
    icon: Mapping[str, bytes] = field(default_factory=dict)

    def weights(self) -> tuple[tuple[str, Weights], ...]:
        """(role, weights) in the format's order."""
        parts = [(MODEL, self.model)]
        if self.projector:
            parts.append((PROJECTOR, self.projector))
        parts += [(LORA, lora) for lora in self.loras]
        if self.draft:
            parts.append((DRAFT, self.draft))
        return tuple(parts)

    def files(self) -> tuple[Path, ...]:
        """Every file that will be read."""
        files = [path for _role, weights in self.weights() for path in weights.files]
        return (*files, self.license.path) if self.license else tuple(files)


def load_inputs(artefact: Artefact) -> Inputs:
    """Read and check all inputs of ``artefact``.

    Raises InputError (the codes of gguf.reader, gguf.join, recipe.fit, ``bad-license``,
    ``bad-name``) and UsageError ``bad-args``.
    """
    check_args(artefact.args)
    for key in ("name", "description", "version", "homepage"):
        if (text := getattr(artefact, key)) is not None:
            check_text(text, f"the {key}")
    model = load_weights(artefact.model)
    check_model(model.gguf)
    projector = load_weights(artefact.mmproj) if artefact.mmproj else None
    if projector:
        check_projector(projector.gguf, model.gguf)
    loras = tuple(load_weights(path) for path in artefact.loras)
    for lora in loras:
        check_lora(lora.gguf, model.gguf)
    draft = load_weights(artefact.draft) if artefact.draft else None
    if draft:
        check_draft(draft.gguf, model.gguf)
    licence = _read_license(artefact.license) if artefact.license else None
    icon = read_icon(artefact.icon) if artefact.icon else {}
    return Inputs(model, projector, loras, draft, licence, icon)


def plan(
    artefact: Artefact, inputs: Inputs, runtime: RuntimeImage, modules: Sequence[GpuModule] = ()
) -> Contents:
    """What goes into the executable."""
    names = entry_names(weights.file_name for _role, weights in inputs.weights())
    sources = [
        Source(name, role, weights.segments)
        for name, (role, weights) in zip(names, inputs.weights(), strict=True)
    ]
    if inputs.license:
        sources.append(Source(MODEL_LICENSE, LICENSE, (inputs.license,)))
    for module in modules:
        sources += gpu_sources(runtime, module)
    if artefact.recipe is not None:
        sources.append(Source(RECORD_NAME, RECIPE, (artefact.recipe,)))
    default_name = safe_file_name(inputs.model.file_name.removesuffix(".gguf"))
    about = describe(
        runtime,
        name=artefact.name or default_name,
        description=artefact.description,
        args=artefact.args,
        ui=artefact.ui,
        model=model_facts(inputs.model.gguf).to_json(),
    )
    about = replace(
        about,
        version=artefact.version,
        homepage=artefact.homepage,
        tests=artefact.recorded.tests,
        answers=artefact.recorded.answers,
    )
    own = [
        replace(source, segments=(icon,), deflated=None)
        if (icon := inputs.icon.get(source.name)) is not None
        else source
        for source in runtime_sources(runtime, ui=artefact.ui, sources=artefact.sources)
    ]
    facts = {
        name: model_facts(weights.gguf)
        for name, (_role, weights) in zip(names, inputs.weights(), strict=True)
    }
    provenance = dict(zip(names, _provenance(artefact, inputs), strict=True))
    ingredients = Ingredients(runtime.components, facts, provenance, artefact.source_date)
    last = sbom_entry(ingredients)
    return Contents(about, program_source(runtime), (*sources, *own), last)


def _provenance(artefact: Artefact, inputs: Inputs) -> Iterable[Provenance]:
    """In the order of ``inputs.weights()``. The sha256 of a part is not that of joined weights."""
    paths = [artefact.model, artefact.mmproj, *artefact.loras, artefact.draft]
    given = [path for path in paths if path is not None]
    for path, (_role, weights) in zip(given, inputs.weights(), strict=True):
        known = artefact.provenance.get(path, Provenance())
        yield known if len(weights.files) == 1 else replace(known, sha256=None)


def sbom_entry(ingredients: Ingredients) -> Last:
    """The entry with the SBOM, which is written last: it has the hashes of all others."""
    return Last(SBOM_NAME, SBOM, lambda manifest: write_sbom(manifest, ingredients))


def source_date() -> int | None:
    """SOURCE_DATE_EPOCH (reproducible-builds.org), seconds since 1970.

    Raises UsageError ``bad-source-date`` when it is set to anything else.
    """
    text = os.environ.get("SOURCE_DATE_EPOCH")
    if not text:
        return None
    if not text.isascii() or not text.isdigit() or int(text) > _LATEST:
        raise UsageError(
            f"SOURCE_DATE_EPOCH is {text!r}, not a number of seconds since 1970",
            hint="set it to one, or unset it",
            code="bad-source-date",
        )
    return int(text)


def describe(
    runtime: RuntimeImage,
    *,
    name: str,
    description: str | None,
    args: Sequence[str],
    ui: bool,
    model: dict[str, object],
) -> Description:
    """The manifest's head for an executable around ``runtime``."""
    engine, toolchain = runtime.identity["engine"], runtime.identity["toolchain"]
    assert isinstance(engine, dict) and isinstance(toolchain, dict)
    return Description(
        name=name,
        description=description,
        target=runtime.target,
        builder=BUILDER,
        engine=engine,
        toolchain=toolchain,
        runtime_key=str(runtime.identity["key"]),
        args=tuple(args),
        ui=ui,
        model=model,
    )


def program_source(runtime: RuntimeImage) -> Source:
    """The program at the start of the file."""
    return Source("program", "program", (_whole(runtime.program),))


def runtime_sources(runtime: RuntimeImage, *, ui: bool, sources: bool) -> tuple[Source, ...]:
    """The runtime's modules and licences; its web page and the GPU modules' sources if wanted."""
    modules = [
        Source(
            f"modules/{runtime.target}/{path.name}", MODULE, (_whole(path),), target=runtime.target
        )
        for path in runtime.modules
    ]
    small = [("licenses", LICENSE, runtime.licenses)]
    small += [("ui", UI, runtime.ui)] if ui else []
    small += [("sources", SOURCE, runtime.sources)] if sources else []
    rest = [
        Source(f"{group}/{name}", role, (_whole(path),), deflated=_deflated(runtime, group, name))
        for group, role, files in small
        for name, path in files
    ]
    return (*modules, *rest)


def _deflated(runtime: RuntimeImage, group: str, name: str) -> FileRegion | None:
    path = runtime.deflated.get(f"{group}/{name}")
    return _whole(path) if path else None


def gpu_sources(runtime: RuntimeImage, module: GpuModule) -> tuple[Source, ...]:
    """A compiled GPU module, and the licence that goes with it."""
    binary = Source(
        f"modules/{runtime.target}/{module.path.name}",
        MODULE,
        (_whole(module.path),),
        target=runtime.target,
        expected=module.sha256,
        gpu=module.facts,
    )
    if module.licence is None:
        return (binary,)
    return (binary, Source(gpu_license(module.facts), LICENSE, (_whole(module.licence),)))


def gpu_license(facts: GpuFacts) -> str:
    """The name of the entry with the licence of a GPU module."""
    return f"licenses/{facts.kind}-module.txt"


def entry_names(file_names: Iterable[str]) -> list[str]:
    """``models/NAME`` for each file name, made safe and unique."""
    names: list[str] = []
    for file_name in file_names:
        stem, dot, ending = safe_file_name(file_name).rpartition(".")
        stem, ending = (stem, dot + ending) if stem else (ending, "")
        name, number = f"models/{stem}{ending}", 1
        while name in names:
            number += 1
            name = f"models/{stem}-{number}{ending}"
        names.append(name)
    return names


def check_text(text: str, what: str) -> None:
    """Names and descriptions are one line of plain text. Raises InputError ``bad-name``."""
    if not text.strip() or len(text) > _TEXT_MAX or not text.isprintable():
        raise InputError(
            f"{what} {text[:80]!r} is not one line of plain text",
            hint=f"use 1 to {_TEXT_MAX} printable characters",
            code="bad-name",
        )


def _read_license(path: Path) -> FileRegion:
    with open_input(path) as (stream, size):
        if size > LICENSE_MAX:
            raise InputError(
                f"{path}: is no licence text: it has {size} bytes; the limit is {LICENSE_MAX}",
                code="bad-license",
            )
        content = stream.read()
    try:
        text = content.decode("utf-8")
    except UnicodeDecodeError as error:
        raise InputError(
            f"{path}: is not UTF-8 text (at byte {error.start})",
            hint="convert the licence to UTF-8",
            code="bad-license",
        ) from error
    if not text.strip() or "\0" in text:
        raise InputError(f"{path}: is not a licence text", code="bad-license")
    return FileRegion(path, 0, size)


def _whole(path: Path) -> FileRegion:
    with open_input(path) as (_stream, size):
        return FileRegion(path, 0, size)
