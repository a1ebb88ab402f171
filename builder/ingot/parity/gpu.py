"""``:gpu=`` of a side: what is made for a GGUF, what programs are told, which GPU computed."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from ingot.bundle.manifest import CUDA, VULKAN, GpuFacts
from ingot.errors import GpuError, InputError
from ingot.parity.program import ask
from ingot.parity.spec import Spec
from ingot.recipe.gpu import CudaWish, Wishes

NONE = "none"
# A kind of GPU -> what ``ingot build`` makes for it with --gpu cuda or --gpu vulkan.
_MADE: Mapping[str, Wishes] = {"nvidia": Wishes(cuda=CudaWish()), "vulkan": Wishes(vulkan=True)}
_KINDS = {CUDA: "nvidia", VULKAN: "vulkan"}


def asks_for_one(spec: Spec) -> bool:
    """Does the side name a kind of GPU, so that this one has to compute?"""
    return spec.gpu not in (None, NONE, "auto")


def wishes_of(spec: Spec) -> Wishes:
    """The module that has to be made for the GGUF of ``spec``.

    Raises InputError ``no-such-module`` where Ingot makes none.
    """
    if not asks_for_one(spec):
        return Wishes()
    if spec.engine is not None:
        raise InputError(
            f"{spec.written}: GPU modules are made for this Ingot's own engine only",
            hint="leave out @version, or compute on the CPU, without :gpu=",
            code="no-such-module",
        )
    made = _MADE.get(spec.gpu or "")
    if made is None:
        raise InputError(
            f"{spec.written}: Ingot makes no GPU module for '{spec.gpu}'",
            hint=f"it makes them for {' and '.join(_MADE)}; vulkan runs on GPUs of any maker",
            code="no-such-module",
        )
    return made


def options_of(
    spec: Spec, carried: Iterable[GpuFacts], default: str | None = None
) -> tuple[str, ...]:
    """What the program that has the modules ``carried`` is told; ``default`` is for sides without
    ``:gpu=``. Raises InputError ``no-such-module``.
    """
    kind = spec.gpu or default
    if kind is None:
        return ()
    if not asks_for_one(spec):
        return ("--gpu", kind)
    if kind not in (_KINDS[facts.kind] for facts in carried):
        raise InputError(
            f"{spec.written}: it carries no GPU module for '{kind}'",
            hint="make an executable with one: ingot build MODEL --gpu cuda or --gpu vulkan",
            code="no-such-module",
        )
    return ("--gpu", kind, "--require-gpu")


def check_device(spec: Spec, program: Path, folder: Path) -> None:
    """Said by the runtime's ``program`` before a module is compiled for minutes.

    Raises GpuError ``no-gpu`` when there is no GPU of the kind that ``spec`` names.
    """
    words = ("doctor", "--quick", "--json", "--gpu", NONE)
    found = ask(spec.written, [program, *words], folder)[spec.gpu or ""]
    if not found["devices"]:
        raise GpuError(
            f"{spec.written}: there is no such GPU: {found['why']}",
            hint="'doctor' of any executable tells more; without :gpu= the CPU computes",
            code="no-gpu",
        )


def device_in(model: Mapping[str, Any]) -> str | None:
    """What computed beside the CPU, by trace's ``model``: ``CUDA0: NVIDIA H100``."""
    others = [item for item in model.get("backends", ()) if item["name"] != "CPU"]
    return ", ".join(f"{item['name']}: {item['description']}" for item in others) or None
