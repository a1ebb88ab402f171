"""``ingot build``: one model in, one executable out."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

import click
from click.core import ParameterSource

from ingot.bundle.format import safe_file_name
from ingot.bundle.manifest import MODULE
from ingot.bundle.output import check_output
from ingot.commands import json_option, print_json, print_note, print_text
from ingot.commands._models import REFERENCE, Models, Wanted, fetch_models, find_models
from ingot.commands._outputs import check_name, output_in
from ingot.commands._recipes import is_recipe, open_recipe, to_build, with_lock
from ingot.commands._text import engine_line
from ingot.console import Console, printable, size
from ingot.errors import GpuError, UsageError
from ingot.gguf.reader import read_gguf
from ingot.paths import make_folder
from ingot.recipe.args import split_args
from ingot.recipe.build import BuildResult
from ingot.recipe.gpu import GpuOptions, parse_gpu
from ingot.recipe.make import fetch_materials, make, make_order, with_fingerprint
from ingot.recipe.plan import Artefact, source_date
from ingot.sources.settings import settings_from
from ingot.sources.web import Web

_COMMAND_LINE = ParameterSource.COMMANDLINE
# What a recipe says itself.
_OF_A_MODEL = (
    *("hf", "name", "description", "args", "mmproj", "no_mmproj", "loras", "draft", "license_"),
    *("no_ui", "gpu", "no_sources", "fingerprint"),
)
_FILE = click.Path(path_type=Path)


@click.command(
    short_help="Make one executable from a GGUF model.",
    epilog='Example: ingot build model.gguf -o hello --args "-c 4096 --temp 0.2"',
)
@click.argument("model", type=REFERENCE, required=False)
@click.option("-hf", "--hf-repo", "hf", metavar="ORG/REPO[:QUANT]", help="MODEL, as in llama.cpp.")
@click.option(
    "-o",
    "--output",
    type=REFERENCE,
    metavar="PATH",
    help="The executable, or FOLDER/ to put it there; default: MODEL without .gguf.",
)
@click.option("--name", help="What the executable calls itself; default: the model's file name.")
@click.option("--description", help="One line for its help.")
@click.option(
    "--args",
    "args",
    multiple=True,
    metavar="'ARGS…'",
    help="Default engine arguments, quoted as for a shell; the user's own win. Repeatable.",
)
@click.option("--mmproj", type=REFERENCE, help="Projector for images or sound.")
@click.option("--no-mmproj", is_flag=True, help="Leave out the projector of MODEL's repository.")
@click.option("--lora", "loras", type=REFERENCE, multiple=True, help="LoRA adapter. Repeatable.")
@click.option("--draft", type=REFERENCE, help="Small model for speculative decoding.")
@click.option("--license", "license_", type=_FILE, help="The model's licence text.")
@click.option("--no-ui", is_flag=True, help="Leave out the web page.")
@click.option(
    "--gpu",
    envvar="INGOT_GPU",
    multiple=True,
    metavar="none|cuda[:ARCHS]|vulkan",
    help="Compile GPU modules for the model and carry them; default: none. cuda is for the GPUs of "
    "this machine, or for the usual ones if it has none; cuda:80,90,ptx names them. Repeatable, or "
    "joined by +.",
)
@click.option(
    "--require-gpu",
    is_flag=True,
    help="Write nothing if a GPU module cannot be made. Without this option the executable is then "
    "written without the module, and the exit code is 7.",
)
@click.option("--no-sources", is_flag=True, help="Leave out what GPU modules are compiled from.")
@click.option(
    "--fingerprint", is_flag=True, help="Run it, and record what it answers, for verify --answers."
)
@click.option("--locked", is_flag=True, help="Of a recipe: exactly what its lock says, or fail.")
@click.option("--target", "targets", multiple=True, help="Of a recipe: only this. Repeatable.")
@click.option("--offline", is_flag=True, help="Fetch no model: use what is in the caches.")
@click.option("--force", is_flag=True, help="Replace an existing output.")
@json_option
def command(
    model: str | None,
    hf: str | None,
    output: str | None,
    name: str | None,
    description: str | None,
    args: tuple[str, ...],
    mmproj: str | None,
    no_mmproj: bool,
    loras: tuple[str, ...],
    draft: str | None,
    license_: Path | None,
    no_ui: bool,
    gpu: tuple[str, ...],
    require_gpu: bool,
    no_sources: bool,
    fingerprint: bool,
    locked: bool,
    targets: tuple[str, ...],
    offline: bool,
    force: bool,
    as_json: bool,
) -> None:
    """Make one executable from MODEL.

    MODEL is a GGUF file, a ZIP or tar archive with one, an https URL of either, or a Hub
    repository: hf://ORG/REPO[:QUANT], ORG/REPO[:QUANT]. Any part of a split GGUF stands for all of
    it; the parts are joined. --mmproj, --lora and --draft take the same.

    Or MODEL is a recipe, a file that ends in .toml: then -o names a folder.
    """
    progress = Console()
    if output is not None:
        check_name(output)
    if is_recipe(model):
        given = click.get_current_context().get_parameter_source
        _refuse_beside_recipe([key for key in _OF_A_MODEL if given(key) is _COMMAND_LINE])
        results = _build_recipe(
            Path(str(model)),
            Path(output or ""),
            targets,
            progress,
            locked=locked,
            offline=offline,
            force=force,
            require_gpu=require_gpu,
        )
        finish(results, as_json)
        return
    if locked or targets:
        raise UsageError("--locked and --target are for recipes")
    _check_gpu([gpu], required=require_gpu)
    wanted = Wanted(model, hf, mmproj, loras, draft, projector=not no_mmproj)
    models, path = _fetch(wanted, output, progress, offline=offline, force=force)
    artefact = Artefact(
        model=models.model,
        output=path,
        name=name,
        description=description,
        args=split_args(args),
        mmproj=models.mmproj,
        loras=models.loras,
        draft=models.draft,
        license=license_,
        ui=not no_ui,
        sources=not no_sources,
        provenance=models.provenance,
        source_date=source_date(),
    )
    result = make(artefact, GpuOptions(gpu, require_gpu), progress, force=force)
    finish([with_fingerprint(result, progress) if fingerprint else result], as_json)


def _check_gpu(asked: Iterable[Sequence[str]], *, required: bool) -> None:
    """Refuse words that ``--gpu`` does not know, and ``--require-gpu`` where they ask for none."""
    wishes = [parse_gpu(words) for words in asked if words]
    if required and not any(wishes):
        raise UsageError(
            "--require-gpu: no GPU module is asked for", hint="name one, for example: --gpu cuda"
        )


def _refuse_beside_recipe(given: Sequence[str]) -> None:
    if given:
        option = {"license_": "license", "loras": "lora"}.get(given[0], given[0])
        raise UsageError(
            f"--{option.replace('_', '-')} cannot be given with a recipe",
            hint="say it in the recipe",
        )


def _build_recipe(
    path: Path,
    place: Path,
    targets: Sequence[str],
    progress: Console,
    *,
    locked: bool,
    offline: bool,
    force: bool,
    require_gpu: bool,
) -> list[BuildResult]:
    """Everything that the recipe asks for, into the folder ``place``."""
    opened = with_lock(open_recipe(path, targets=targets), required=locked)
    _check_gpu([order.gpu for order in opened.orders], required=require_gpu)
    make_folder(place)
    for order in opened.orders:  # before gigabytes are hashed or fetched
        check_output(place / order.output, (), force=force)
    web = Web(settings_from(offline=offline))
    return [
        make_order(
            materials.order,
            fetch_materials(materials, web, progress),
            record,
            place / materials.order.output,
            progress,
            force=force,
            require_gpu=require_gpu,
        )
        for materials, record in to_build(opened, web, progress)
    ]


def _fetch(
    wanted: Wanted, asked: str | None, progress: Console, *, offline: bool, force: bool
) -> tuple[Models, Path]:
    """The models, here, and the output, which is checked before gigabytes are fetched."""
    found = find_models(wanted, offline=offline)
    output = None
    if asked is not None and not asked.endswith("/"):
        output = output_in(asked, Path())
    elif found.file_name.lower().endswith(".gguf"):
        output = _default_output(asked, Path(found.file_name))
    if output is not None:
        check_output(output, (), force=force)
    models = fetch_models(found, progress)
    return models, output if output is not None else _default_output(asked, models.model)


def finish(results: Sequence[BuildResult], as_json: bool) -> None:
    """Print what was written. Raises GpuError, or with ``--json`` exits as it would, if one of
    ``results`` is without the GPU modules that were asked for.
    """
    for result in results:
        show(result, as_json)
    errors = [result.gpu_error for result in results if result.gpu_error]
    if errors and as_json:
        click.get_current_context().exit(GpuError.exit_code)
    for error in errors[1:]:
        print_note(error.message)
    if errors:
        raise errors[0]


def show(result: BuildResult, as_json: bool) -> None:
    """Print what was written."""
    manifest = result.manifest
    for note in result.notes:
        print_note(note)
    if as_json:
        document: dict[str, object] = {
            "output": str(result.path),
            "size": manifest.file_size,
            "overhead": manifest.file_size - int(manifest.about.model["size"]),
            "seconds": round(result.seconds, 3),
            "notes": list(result.notes),
            "manifest": manifest.to_json(),
        }
        if result.gpu_error:
            document |= result.gpu_error.document()
        print_json(document)
        return
    model = manifest.about.model
    print_text(f"{result.path}  {size(manifest.file_size)}")
    kind = printable(f"{model['architecture']} {model['quantization']}")
    print_text(f"  model   {kind}, {size(model['size'])}")
    print_text(f"  engine  {engine_line(manifest.about.engine)}")
    for entry in manifest.with_role(MODULE):
        if entry.gpu:
            covers = entry.gpu.covers
            print_text(f"  gpu     {entry.gpu.kind}: {covers}, {size(entry.size)}")


def _default_output(asked: str | None, model: Path) -> Path:
    """The model's name without its ending; ``asked`` may be a folder for it."""
    name = safe_file_name(model.name)
    if name.lower().endswith(".gguf"):
        return output_in(asked or "", Path(name[: -len(".gguf")]))
    read_gguf(model)  # what is wrong with the file is worth more than its name
    raise UsageError(
        f"{model}: the name does not end in .gguf, so there is no name for the output",
        hint="give one with -o",
        code="no-output-name",
    )
