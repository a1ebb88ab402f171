"""From a Hugging Face checkpoint to a GGUF, by the pinned engine's own converter.

It runs in an environment of pinned packages, on a view of the checkpoint without its code: links to
the weights, and configurations that name no code to load. The converter asks for remote code to be
trusted, and in that view there is none.
"""

from __future__ import annotations

import json
import re
import shutil
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from ingot import __version__, process
from ingot.bundle.output import check_output
from ingot.console import Progress, Step
from ingot.engine.fetch import engine_source
from ingot.engine.pin import EnginePin
from ingot.errors import InputError, ToolchainError
from ingot.gguf.facts import ModelFacts, model_facts
from ingot.gguf.reader import read_gguf
from ingot.models.checkpoint import Checkpoint, open_checkpoint, read_object
from ingot.paths import cache_dir
from ingot.sources.digests import sha256_of
from ingot.toolchain import pythonenv

TYPES = ("f32", "f16", "bf16", "q8_0")
WORKER = Path(__file__).with_name("worker") / "convert.py"
_REGISTERED = re.compile(r"@ModelBase\.register\(([^)]*)\)")
_NAME = re.compile(r'"(\w+)"')
_PERCENT = re.compile(r"Writing:\s+(\d+)%")
# What says that code is to be loaded from the checkpoint.
_CODE = ("auto_map", "custom_pipelines", "trust_remote_code")
_TEXTS = (".json", ".txt", ".model", ".jinja", ".tiktoken")


@dataclass(frozen=True)
class Converted:
    """A GGUF that was written; ``provenance`` is in its metadata."""

    path: Path
    facts: ModelFacts
    provenance: Mapping[str, str]
    seconds: float


def supported(engine: Path) -> frozenset[str]:
    """The architectures that the engine's converter has code for. Nothing of it is run."""
    found: set[str] = set()
    for path in sorted((engine / "conversion").glob("*.py")):
        for match in _REGISTERED.finditer(path.read_text("utf-8")):
            found.update(_NAME.findall(match[1]))
    return frozenset(found)


def convert(
    folder: Path,
    output: Path,
    kind: str,
    pin: EnginePin,
    progress: Progress,
    *,
    force: bool = False,
) -> Converted:
    """Write ``output``, whole or not at all, with tensors of ``kind``.

    Raises InputError (``open_checkpoint``, ``check_output``), NetworkError, and ToolchainError with
    the converter's own words.
    """
    check_output(output, (), force=force)
    engine = engine_source(pin, progress)
    checkpoint = open_checkpoint(folder, supported(engine))
    provenance = _provenance(checkpoint, pin, progress)
    python = pythonenv.ensure("convert", progress)
    place = output.absolute().parent
    with tempfile.TemporaryDirectory(prefix=".ingot-convert-", dir=place) as name:
        view = _view(checkpoint, Path(name) / folder.resolve().name)
        made = Path(name) / "made.gguf"
        with progress.step(f"Converting {folder.name} to {kind}") as step:
            seconds = _run(python, engine, view, made, kind, provenance, step)
        facts = model_facts(read_gguf(made))
        made.replace(output)
    return Converted(output, facts, provenance, seconds)


def _provenance(checkpoint: Checkpoint, pin: EnginePin, progress: Progress) -> Mapping[str, str]:
    """Metadata keys. Hashes and names only: where the checkpoint lies is nobody else's business."""
    hashes = [f"{sha256_of(path, progress)}  {path.name}" for path in checkpoint.weights]
    return {
        "ingot.converted.architecture": checkpoint.architecture,
        "ingot.converted.weights": "\n".join(hashes),
        "ingot.converted.converter": f"llama.cpp {pin.commit}",
        "ingot.converted.by": f"ingot {__version__}",
    }


def _view(checkpoint: Checkpoint, view: Path) -> Path:
    """A folder with the checkpoint's data and none of its code."""
    view.mkdir()
    for path in checkpoint.weights:
        (view / path.name).symlink_to(path.resolve())
    for path in sorted(checkpoint.folder.iterdir()):
        if path.suffix == ".json" and path.is_file():
            _copy_json(path, view / path.name)
        elif path.suffix in _TEXTS and path.is_file():
            shutil.copyfile(path, view / path.name)
    return view


def _copy_json(path: Path, copy: Path) -> None:
    try:
        content = read_object(path)
    except InputError:
        return  # A list, or damaged: the converter does without it, or says so.
    for key in _CODE:
        content.pop(key, None)
    copy.write_text(json.dumps(content, ensure_ascii=False), "utf-8")


def _run(
    python: Path,
    engine: Path,
    view: Path,
    made: Path,
    kind: str,
    provenance: Mapping[str, str],
    step: Step,
) -> float:
    request = made.with_name("request.json")
    request.write_text(json.dumps({"engine": str(engine), "provenance": provenance}), "utf-8")
    command = pythonenv.environment_command(python, WORKER, request, view)
    done = process.run(
        [*command, "--outfile", str(made), "--outtype", kind],
        log=cache_dir() / "logs" / "convert.log",
        cwd=made.parent,
        env=pythonenv.clean_env(
            {
                "HF_HUB_OFFLINE": "1",
                "TRANSFORMERS_OFFLINE": "1",
                "HF_HOME": str(made.parent / "hf"),
                "PYTHONDONTWRITEBYTECODE": "1",
                "PYTHONHASHSEED": "0",
            }
        ),
        on_line=lambda line: _progress(line, step),
        what="the converter",
        check=False,
    )
    if done.status != 0 or not made.is_file():
        raise _failure(view.name, done)
    return done.seconds


def _progress(line: str, step: Step) -> None:
    match = _PERCENT.search(line)
    if match:
        step.update(int(match[1]), 100, "writing")


def _failure(name: str, done: process.Completed) -> ToolchainError:
    said = [line.strip() for line in done.lines if line.strip()]
    reason = said[-1] if said else f"it ended with status {done.status}"
    return ToolchainError(
        f"{name} could not be converted: {reason}", hint=f"log: {done.log}", code="convert-failed"
    )
