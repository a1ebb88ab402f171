"""One model against itself with other settings of the engine: what each of them costs in precision.

The base is the most precise that the engine has; every other setting changes one thing of it.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from ingot.console import Progress
from ingot.errors import InputError, UsageError
from ingot.parity.compare import (
    Request,
    make_job,
    measure_all,
    with_verdict,
    workspace,
    worst,
)
from ingot.parity.local import open_local
from ingot.parity.passages import cut
from ingot.parity.spec import parse

BASE = ("-ctk", "f32", "-ctv", "f32", "-fa", "off", "-b", "512", "-ub", "512")


@dataclass(frozen=True)
class Setting:
    """Engine options that are laid over BASE."""

    name: str
    options: tuple[str, ...]


SETTINGS = (
    Setting("KV cache F16", ("-ctk", "f16", "-ctv", "f16")),
    Setting("KV cache BF16", ("-ctk", "bf16", "-ctv", "bf16")),
    Setting("1 thread", ("-t", "1", "-tb", "1")),
    Setting("batches of 128", ("-ub", "128")),
    Setting("batches of 16", ("-ub", "16")),
    Setting("flash attention", ("-fa", "on")),
    Setting("the engine's defaults", ("-fa", "auto", "-ctk", "f16", "-ctv", "f16")),
)


def study(a: str, request: Request, progress: Progress) -> dict[str, Any]:
    """The document of a precision study: ``settings`` with a comparison for each."""
    spec = parse(a)
    if spec.path is None or spec.path.is_dir():
        raise UsageError(
            f"{a}: its engine's settings cannot be changed",
            hint="--precision takes an executable or a GGUF",
            code="not-local",
        )
    base = open_local(spec, progress, BASE)
    if base.embeds:
        raise InputError(f"{a}: gives vectors; --precision is for text", code="kinds-differ")
    tokens = base.tokenize(request.text, progress)
    passages = cut(tokens, context=request.context, limit=request.tokens)
    job = make_job(passages, request, (), layers=bool(request.layers))
    sides = [
        replace(open_local(spec, progress, (*BASE, *one.options)), name=f"{base.name}, {one.name}")
        for one in SETTINGS
    ]
    with workspace() as folder:
        reference, measured = measure_all(base, sides, passages, job, folder, progress)
    found = [
        with_verdict({"name": setting.name, "options": list(setting.options), **measures})
        for setting, (_numbers, measures) in zip(SETTINGS, measured, strict=True)
    ]
    return {
        "verdict": worst(found),
        "a": {"name": base.name, **reference.facts},
        "base": list(BASE),
        "precision": found,
    }
