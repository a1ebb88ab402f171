"""What a CUDA module would take, before it is compiled: for which GPUs, how many units, how long.

The runtime's program answers, which plans the units, knows what each costs, and asks this machine's
driver for its GPUs.
"""

from __future__ import annotations

import json
import tempfile
from dataclasses import dataclass, replace
from pathlib import Path

from ingot import process
from ingot.engine.image import RuntimeImage
from ingot.engine.kernels import engine_file
from ingot.engine.pin import Sources
from ingot.errors import IngotError, ToolchainError
from ingot.gguf.join import Weights
from ingot.recipe.gpu import CudaWish, Wishes
from ingot.recipe.gpumodule import expected, find_compiler, kept_cuda

TIMEOUT = 60.0  # seconds; a driver that does not answer is given up after 20


@dataclass(frozen=True)
class CudaPlan:
    """``wish`` has its architectures: those of this machine's GPUs, or those that were named.

    ``cpu_seconds`` is an estimate, of one core, for all ``units`` and architectures.
    """

    wish: CudaWish
    units: int
    cpu_seconds: float


def plan_cuda(wish: CudaWish, runtime: RuntimeImage, model: Weights, *, here: bool) -> CudaPlan:
    """The plan for ``model``. With ``here``, this machine's GPUs if it has any, else ``wish``'s.

    ``wish`` must have architectures. Raises ToolchainError ``no-cuda-plan``.
    """
    words = [word for arch in wish.archs for word in ("--arch", arch)] + ["--here"] * here
    with tempfile.TemporaryDirectory(prefix="ingot-plan-") as folder, engine_file(model) as file:
        done = process.run(
            [runtime.program, "recompile", "--plan", *words, "-m", file.absolute()],
            log=Path(folder) / "log",
            timeout=TIMEOUT,
            what="the plan of the CUDA module",
            check=False,
            stderr_to_log=True,
        )
    try:
        said = json.loads("".join(done.lines))
        archs = tuple(str(arch) for arch in said["archs"])
        return CudaPlan(replace(wish, archs=archs), int(said["units"]), float(said["cpu_seconds"]))
    except (ValueError, KeyError, TypeError) as error:
        raise ToolchainError(
            "the runtime's program does not say what a CUDA module would take",
            hint="name the architectures: --gpu cuda:80,90",
            code="no-cuda-plan",
        ) from error


def settled(
    wishes: Wishes, runtime: RuntimeImage, model: Weights, sources: Sources, *, portable: bool
) -> Wishes:
    """``wishes`` with architectures where ``cuda`` has none: those of this machine's GPUs if it has
    any and the executable need not be ``portable``, else the default ones.

    Raises as ``find_compiler`` and ``plan_cuda`` do.
    """
    if wishes.cuda is None or wishes.cuda.archs:
        return wishes
    cuda = wishes.cuda.resolved(find_compiler(sources).toolkit.version)
    if not portable:
        cuda = plan_cuda(cuda, runtime, model, here=True).wish
    return replace(wishes, cuda=cuda)


def cuda_note(runtime: RuntimeImage, model: Weights, sources: Sources) -> str | None:
    """What ``--gpu cuda`` would add to an executable that was built without, and how long that
    takes here. None where this machine has no toolkit.
    """
    try:
        compiler = find_compiler(sources)
        wish = CudaWish().resolved(compiler.toolkit.version)
        plan = plan_cuda(wish, runtime, model, here=True)
        kept = kept_cuda(plan.wish, compiler, runtime, model, sources)
    except IngotError:
        return None
    takes = f"compiling its {plan.units} units here takes {expected(plan.cpu_seconds)}"
    return f"--gpu cuda adds a module for NVIDIA GPUs ({plan.wish.covers}); " + (
        "it was compiled here before" if kept else takes
    )
