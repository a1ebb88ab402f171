"""From wishes to GPU modules: first what this machine makes them with, then the modules.

Two steps, so that a missing toolkit is told before anything is compiled.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ingot.console import Progress
from ingot.engine.image import RuntimeImage
from ingot.engine.pin import Sources
from ingot.gguf.join import Weights
from ingot.recipe.gpu import CudaWish, Wishes
from ingot.recipe.gpumodule import (
    Compiler,
    GpuModule,
    ensure_cuda,
    find_compiler,
    kept_cuda,
)
from ingot.recipe.vulkanmodule import VulkanKit, ensure_kit, ensure_vulkan, kept_vulkan


@dataclass(frozen=True)
class GpuKit:
    """What the wished modules are compiled with; None: there will be no such module."""

    cuda: tuple[CudaWish, Compiler] | None = None
    vulkan: VulkanKit | None = None

    def modules(
        self,
        runtime: RuntimeImage,
        model: Weights,
        args: Sequence[str],
        sources: Sources,
        progress: Progress,
    ) -> tuple[GpuModule, ...]:
        """The modules of ``runtime`` for ``model`` with the engine's arguments ``args``, from the
        cache or compiled, which takes minutes. Raises as ensure_cuda and ensure_vulkan do.
        """
        made: list[GpuModule] = []
        if self.cuda:
            made.append(ensure_cuda(*self.cuda, runtime, model, sources, progress))
        if self.vulkan:
            made.append(ensure_vulkan(self.vulkan, runtime, model, args, sources, progress))
        return tuple(made)


def kept_modules(
    wishes: Wishes, runtime: RuntimeImage, model: Weights, args: Sequence[str], sources: Sources
) -> tuple[GpuModule, ...] | None:
    """All modules that ``wishes`` names, if the cache has them; None if one has to be made first.

    Fetches and compiles nothing. Raises as find_compiler does, and InputError ``no-kernel-set``.
    """
    found: list[GpuModule | None] = []
    if wishes.cuda:
        found.append(kept_cuda(wishes.cuda, find_compiler(sources), runtime, model, sources))
    if wishes.vulkan:
        found.append(kept_vulkan(runtime, model, args, sources))
    kept = tuple(module for module in found if module is not None)
    return kept if len(kept) == len(found) else None


def find_kit(wishes: Wishes, sources: Sources, progress: Progress) -> GpuKit:
    """Compilers are found; Vulkan's headers are fetched where there are none.

    Raises as find_compiler and ensure_kit do.
    """
    return GpuKit(
        (wishes.cuda, find_compiler(sources)) if wishes.cuda else None,
        ensure_kit(sources, progress) if wishes.vulkan else None,
    )
