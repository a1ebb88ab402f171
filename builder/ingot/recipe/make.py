"""From artefacts and wishes to executables: the runtime, the GPU modules, then the file."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from ingot.bundle.amend import record as record_results
from ingot.console import Console
from ingot.engine.pin import load_sources
from ingot.engine.runtime import ensure_runtime
from ingot.errors import AnswerNo, InputError
from ingot.recipe.build import BuildResult, ask_engine, build, check
from ingot.recipe.cudaplan import cuda_note
from ingot.recipe.fingerprint import take_fingerprint
from ingot.recipe.gpu import NONE, GpuOptions, Wishes, parse_gpu
from ingot.recipe.gpubuild import GpuBuild
from ingot.recipe.gpukit import find_kit
from ingot.recipe.lock import Lock, locked_need, locked_path, resolve_need
from ingot.recipe.orders import Need, Order
from ingot.recipe.plan import Artefact, Recorded
from ingot.recipe.record import Record, encode
from ingot.recipe.sbom import Provenance
from ingot.recipe.schema import Limits
from ingot.sources.address import shown
from ingot.sources.fetch import Fetched, fetch
from ingot.sources.resolve import Resolved
from ingot.sources.web import Web

_OVER_LIMIT = "the executable was written; raise the limit, or build less in"


def make(
    artefact: Artefact, gpu: GpuOptions, progress: Console, *, force: bool = False
) -> BuildResult:
    """Build ``artefact`` with the GPU modules that ``gpu`` names; no words mean none, and a note
    of what they would add.

    Where a module cannot be made, the result is an executable without any and ``gpu_error``; with
    ``gpu.required`` nothing is written and the reason is raised. Raises what ``check``,
    ``ensure_runtime`` and ``build`` do.
    """
    wishes = parse_gpu(gpu.words) if gpu.words else Wishes()
    inputs = check(artefact, force=force)
    sources = load_sources()
    if gpu.required:
        find_kit(wishes, sources, progress)  # a missing tool is told before anything is compiled
    runtime = ensure_runtime(progress)
    judgement = ask_engine(artefact, inputs, runtime)
    if not wishes:
        result = build(artefact, runtime, progress, force=force, inputs=inputs, judgement=judgement)
        note = None if gpu.words else cuda_note(runtime, inputs.model, sources)
        return replace(result, notes=(*result.notes, note)) if note else result
    job = GpuBuild(artefact, inputs, judgement, runtime, wishes, gpu.portable, sources, progress)
    return job.run_required() if gpu.required else job.run()


@dataclass(frozen=True)
class Materials:
    """An order's files, found but perhaps not fetched; the ``small`` ones are here."""

    order: Order
    found: tuple[tuple[Need, Resolved], ...]
    small: Mapping[Need, Path]


@dataclass(frozen=True)
class Supplies:
    """An order's files, all here."""

    local: Mapping[Need, Fetched]
    small: Mapping[Need, Path]


def find_materials(order: Order, lock: Lock | None, folder: Path, web: Web) -> Materials:
    """What ``order`` needs: by ``lock``, or as it is now. ``folder`` is the recipe's."""

    def find(need: Need) -> Resolved:
        return locked_need(need, lock, folder, web) if lock else resolve_need(need, folder, web)

    small = {
        need: locked_path(need, lock, folder) if lock else folder / need.reference
        for need in order.small
    }
    return Materials(order, tuple((need, find(need)) for need in order.needs), small)


def fetch_materials(materials: Materials, web: Web, progress: Console) -> Supplies:
    """Bring all of it here. Raises what ``fetch`` does."""
    fetched = fetch([found for _need, found in materials.found], web, progress)
    needs = (need for need, _found in materials.found)
    return Supplies(dict(zip(needs, fetched, strict=True)), materials.small)


def make_order(
    order: Order,
    supplies: Supplies,
    record: Record,
    output: Path,
    progress: Console,
    *,
    force: bool = False,
    require_gpu: bool = False,
    recorded: Recorded | None = None,
) -> BuildResult:
    """Build an order as ``output``, with ``record`` inside.

    ``require_gpu``: fail where a GPU module of the order cannot be made, and write nothing.

    ``recorded`` is what an executable that is built again has recorded; without it, an order that
    wants a fingerprint is run for it.

    Raises AnswerNo ``over-limit`` when the executable is larger than the recipe allows; it is
    there all the same, to be looked at.
    """
    artefact = replace(
        _artefact(order, output, supplies.local),
        license=supplies.small[order.license_file] if order.license_file else None,
        icon=supplies.small[order.icon] if order.icon else None,
        recipe=encode(record),
        source_date=record.source_date,
        recorded=recorded or Recorded(),
    )
    gpu = GpuOptions(order.gpu or (NONE,), require_gpu and bool(order.gpu), portable=True)
    result = make(artefact, gpu, progress, force=force)
    if order.fingerprint and recorded is None:
        result = with_fingerprint(result, progress)
    _check_limits(order.limits, result)
    return result


def with_fingerprint(result: BuildResult, progress: Console) -> BuildResult:
    """Run what was built, and record what it answers; a note where it cannot be asked."""
    try:
        with progress.step(f"Recording the answers of {result.path.name}"):
            answers = take_fingerprint(result.path)
    except InputError as error:
        return replace(result, notes=(*result.notes, error.message))
    return replace(result, manifest=record_results(result.path, progress, answers=answers))


def _artefact(order: Order, output: Path, local: Mapping[Need, Fetched]) -> Artefact:
    main = local[order.main]
    own = main.projector.path if main.projector else None
    return Artefact(
        model=main.model,
        output=output,
        name=order.name,
        description=order.description,
        version=order.version,
        homepage=order.homepage,
        args=order.args,
        mmproj=local[order.projector].model if order.projector else own,
        loras=tuple(local[lora].model for lora in order.loras),
        draft=local[order.draft].model if order.draft else None,
        ui=order.ui,
        sources=order.sources,
        provenance=_provenance(order, local),
    )


def provenance_of(fetched: Iterable[Fetched]) -> Iterator[tuple[Path, Provenance]]:
    """For the SBOM, by the file that stands for the model. Paths on this machine are nobody else's
    business.
    """
    for one in fetched:
        for file in (one.parts[0], one.projector):
            if file is not None and file.source.url is not None:
                yield file.path, Provenance(shown(file.source.url), file.sha256)


def _provenance(order: Order, local: Mapping[Need, Fetched]) -> dict[Path, Provenance]:
    """With the licence that the recipe names for its main model."""
    known = dict(provenance_of(local.values()))
    if order.license is not None:
        main = local[order.main].model
        known[main] = replace(known.get(main, Provenance()), license=order.license)
    return known


def _check_limits(limits: Limits, result: BuildResult) -> None:
    whole = result.manifest.file_size
    overhead = whole - int(result.manifest.about.model["size"])
    for what, count, limit in (
        ("its size", whole, limits.max_size),
        ("what it has beside the weights", overhead, limits.max_overhead),
    ):
        if limit is not None and count > limit:
            raise AnswerNo(
                f"{result.path}: {what} is {count} bytes; the recipe's limit is {limit}",
                hint=_OVER_LIMIT + (f"; {result.gpu_error.message}" if result.gpu_error else ""),
                code="over-limit",
            )
