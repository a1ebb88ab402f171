"""What the engine says about everything that goes into an executable, before it is written."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from ingot.bundle.manifest import DRAFT, LORA, MODEL, PROJECTOR
from ingot.bundle.reader import Bundle
from ingot.console import printable
from ingot.engine.image import RuntimeImage
from ingot.engine.judge import Files, judge_args, judge_model
from ingot.engine.kernels import engine_file, header_of
from ingot.errors import InputError, ToolchainError
from ingot.gguf.kernels import KernelSet
from ingot.recipe.plan import Inputs


@dataclass(frozen=True)
class Judgement:
    """The engine takes it. ``kernels`` is the main model's kernel set; None with a note where the
    engine could not be asked.
    """

    kernels: KernelSet | None = None
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Loaded:
    """What the engine is to load: the main model with its adapters and projector, and the draft."""

    main: Files
    draft: Files | None


def judge(
    runtime: RuntimeImage, loaded: Loaded, args: Sequence[str], *, new_args: bool = True
) -> Judgement:
    """Ask the engine of ``runtime``; about ``args`` only if they are new.

    Raises InputError and UsageError as judge_model and judge_args do.
    """
    try:
        if args and new_args:
            judge_args(runtime, args)
        if loaded.draft:
            judge_model(runtime, loaded.draft)
        verdict = judge_model(runtime, loaded.main, args)
    except ToolchainError as error:
        return Judgement(notes=(f"nothing was asked of the engine: {error.message}",))
    except InputError as error:
        if error.code != "no-kernel-set":
            raise
        return Judgement(notes=(f"{error.message}; the manifest goes without",))
    if verdict.template_fault is None:
        return Judgement(verdict.kernels)
    fault = printable(verdict.template_fault.strip().partition("\n")[0])
    note = (
        f"{loaded.main.model[1]}: its chat template cannot be used: {fault}; "
        "give another with --args \"--chat-template '…'\""
    )
    return Judgement(verdict.kernels, (note,))


@contextmanager
def of_inputs(inputs: Inputs) -> Iterator[Loaded]:
    """What the engine is to load, from the files of a build."""
    with ExitStack() as stack:
        files = [
            (role, (stack.enter_context(engine_file(weights)), weights.gguf.name))
            for role, weights in inputs.weights()
        ]
        yield _loaded(files)


@contextmanager
def of_bundle(bundle: Bundle) -> Iterator[Loaded]:
    """What the engine is to load, from an executable: headers, as tensors do not count."""
    with ExitStack() as stack:
        files = [
            (entry.role, (stack.enter_context(header_of(bundle.region(entry))), entry.name))
            for entry in bundle.manifest.with_role(MODEL, LORA, PROJECTOR, DRAFT)
        ]
        yield _loaded(files)


def _loaded(files: Sequence[tuple[str, tuple[Path, str]]]) -> Loaded:
    def of(role: str) -> tuple[tuple[Path, str], ...]:
        return tuple(file for its_role, file in files if its_role == role)

    main = Files(of(MODEL)[0], of(LORA), next(iter(of(PROJECTOR)), None))
    draft = next(iter(of(DRAFT)), None)
    return Loaded(main, Files(draft) if draft else None)
