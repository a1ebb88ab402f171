"""Asking the engine whether it takes a model and default arguments, through the runtime's program.

The engine loads models without their weights (``runtime/judge/model.cc``), so what is handed over
may be a header alone, as long as the file has the whole model's size.
"""

from __future__ import annotations

import json
import os
import signal
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from ingot import process
from ingot.console import printable
from ingot.engine.image import RuntimeImage
from ingot.errors import InputError, IntegrityError, ToolchainError, UsageError
from ingot.gguf.kernels import KernelSet

TIMEOUT = 120.0  # seconds; a model of 4 GiB takes less than 0.2
_PREFIXES = (
    "the engine cannot load this model: ",
    "the engine cannot make this model's graph: ",
    "error loading model: ",
)
_CACHE_FLAGS = {
    "-ctk": ("-ctk", "--cache-type-k", "--cache_type_k"),
    "-ctv": ("-ctv", "--cache-type-v", "--cache_type_v"),
}


@dataclass(frozen=True)
class Files:
    """GGUF files that the engine loads together; of each, what messages call it."""

    model: tuple[Path, str]
    adapters: tuple[tuple[Path, str], ...] = ()
    projector: tuple[Path, str] | None = None

    def all(self) -> tuple[tuple[Path, str], ...]:
        """Every file with its name."""
        last = (self.projector,) if self.projector else ()
        return (self.model, *self.adapters, *last)


@dataclass(frozen=True)
class Verdict:
    """What the engine says about a model that it takes.

    ``template_fault`` is why it cannot use the chat template, None if it can or there is none.
    """

    kernels: KernelSet
    template_fault: str | None = None


def judge_model(runtime: RuntimeImage, files: Files, args: Sequence[str] = ()) -> Verdict:
    """Let the engine load ``files``.

    KV caches are F16 and what the default arguments ``args`` ask for, whatever the environment
    says, so that the same inputs give the same set. Raises InputError ``engine-refuses`` with the
    engine's reason when it does not take them, ``no-kernel-set`` when its answer cannot be read;
    ToolchainError when it cannot be asked.
    """
    words: list[str | Path] = ["check-model", "-m", files.model[0].absolute(), *_caches(args)]
    for path, _name in files.adapters:
        words += ["--lora", path.absolute()]
    if files.projector:
        words += ["--mmproj", files.projector[0].absolute()]
    try:
        done = _ask(runtime, words)
    except ToolchainError as error:
        if error.code != "tool-timeout":
            raise
        raise _refusal(files, error.message) from error
    if done.status != 0:
        raise _refusal(files, _said(done.lines, "error: ") or _ending(done.status))
    return _verdict(done.lines, files.model[1])


def judge_args(runtime: RuntimeImage, args: Sequence[str]) -> None:
    """Let the engine's own parser judge default arguments.

    Raises UsageError ``bad-args``; ToolchainError when the engine cannot be asked.
    """
    with tempfile.TemporaryDirectory(prefix="ingot-args-") as folder:
        path = Path(folder) / "args.json"
        path.write_text(json.dumps(list(args)), "utf-8")
        done = _ask(runtime, ["check-args", path])
    if done.status != 0:
        reason = _said(done.lines, "error: ") or f"the engine {_ending(done.status)}"
        hint = _said(done.lines, "hint: ")
        raise UsageError(f"--args: {printable(reason)}", hint=hint, code="bad-args")


def _ask(runtime: RuntimeImage, words: Sequence[str | Path]) -> process.Completed:
    with tempfile.TemporaryDirectory(prefix="ingot-engine-") as folder:
        return process.run(
            [runtime.program, *words],
            log=Path(folder) / "log",
            env=_environment(folder),
            timeout=TIMEOUT,
            what="the engine",
            check=False,
            stderr_to_log=True,
        )


def _environment(folder: str) -> Mapping[str, str | None]:
    """No settings of this machine's user, and no debugger when the engine gives up."""
    own = {name: None for name in os.environ if name.startswith(("LLAMA_", "GGML_"))}
    return {**own, "GGML_NO_BACKTRACE": "1", "XDG_CONFIG_HOME": folder}


def _caches(args: Sequence[str]) -> list[str]:
    """``-ctk TYPE -ctv TYPE`` as ``args`` have them, the last of each, or F16."""
    words = []
    for flag, spellings in _CACHE_FLAGS.items():
        values = [args[at + 1] for at in range(len(args) - 1) if args[at] in spellings]
        words += [flag, values[-1] if values else "f16"]
    return words


def _said(lines: Sequence[str], prefix: str) -> str | None:
    said = [line for line in lines if line.startswith(prefix)]
    return said[-1].removeprefix(prefix) if said else None


def _ending(status: int) -> str:
    if status >= 0:
        return f"ended with {status}"
    try:
        return f"crashed ({signal.Signals(-status).name})"
    except ValueError:
        return f"crashed (signal {-status})"


def _refusal(files: Files, reason: str) -> InputError:
    """The engine's reason, with the names that the user knows instead of the files it was given."""
    about_another = any(reason.startswith(f"{path.absolute()}: ") for path, _name in files.all())
    for prefix in _PREFIXES:
        reason = reason.removeprefix(prefix)
    for path, name in files.all():
        reason = reason.replace(str(path.absolute()), name)
    about = "" if about_another else f"{files.model[1]}: the engine cannot load it: "
    message = about + printable(reason)
    return InputError(
        message,
        hint="convert it again or get another file; it may also need a newer engine",
        code="engine-refuses",
    )


def _verdict(lines: Sequence[str], name: str) -> Verdict:
    try:
        document = json.loads("".join(lines))
        fault = document["template_fault"]
        return Verdict(KernelSet.from_json(document["kernels"]), str(fault) if fault else None)
    except (ValueError, KeyError, TypeError, RecursionError, IntegrityError) as error:
        raise InputError(
            f"{name}: no kernel set: the engine was asked, and its answer cannot be read",
            hint="install this copy of Ingot again",
            code="no-kernel-set",
        ) from error
