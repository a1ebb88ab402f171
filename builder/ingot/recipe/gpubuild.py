"""An executable with GPU modules: the one without is there first, and stays if they fail.

Compiling takes minutes or half an hour, and needs tools that a machine may lack. So unless the
modules are in the cache, the executable is written without them, and replaced once they are made.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

from ingot.console import Console
from ingot.engine.image import RuntimeImage
from ingot.engine.pin import Sources
from ingot.errors import GpuError, IngotError, InputError
from ingot.recipe.build import BuildResult, build
from ingot.recipe.cudaplan import settled
from ingot.recipe.gpu import Wishes
from ingot.recipe.gpukit import find_kit, kept_modules
from ingot.recipe.gpumodule import GpuModule
from ingot.recipe.plan import Artefact, Inputs

_KEPT = "the executable is there and runs on the CPU; --require-gpu would make none"


@dataclass(frozen=True)
class GpuBuild:
    """An executable that gets the modules of ``wishes``. ``portable`` is as in GpuOptions."""

    artefact: Artefact
    inputs: Inputs
    runtime: RuntimeImage
    wishes: Wishes
    portable: bool
    sources: Sources
    progress: Console

    def run(self) -> BuildResult:
        """Build it: with its modules, or without and with the reason as ``gpu_error``.

        Raises what ``build`` does where not even the one without can be written.
        """
        kept = self._kept()
        first = self._write() if kept is None else None
        try:
            return self._write(*(self._make(first) if kept is None else kept))
        except (IngotError, OSError) as error:
            result = first or self._write()
            return replace(result, gpu_error=_gpu_error(result.path, error))

    def run_required(self) -> BuildResult:
        """Build it with its modules, or raise what was in the way; then nothing is written."""
        return self._write(*self._make())

    def _kept(self) -> tuple[GpuModule, ...] | None:
        """The modules, if the cache has all of them. What is in the way of others, _make tells."""
        try:
            return kept_modules(
                self._settled(), self.runtime, self.inputs.model, self.artefact.args, self.sources
            )
        except (IngotError, OSError):
            return None

    def _make(self, first: BuildResult | None = None) -> tuple[GpuModule, ...]:
        """The modules, compiled; ``first`` is what is there already."""
        kit = find_kit(self._settled(), self.sources, self.progress)
        if first:
            self.progress.say(
                f"{first.path} is there and runs on the CPU; its GPU module follows. "
                "A build that is stopped goes on next time."
            )
        return kit.modules(
            self.runtime, self.inputs.model, self.artefact.args, self.sources, self.progress
        )

    def _settled(self) -> Wishes:
        return settled(
            self.wishes, self.runtime, self.inputs.model, self.sources, portable=self.portable
        )

    def _write(self, *modules: GpuModule) -> BuildResult:
        """Write it, in place of what is there: ``check`` has allowed that."""
        return build(
            self.artefact, self.runtime, self.progress, inputs=self.inputs, modules=modules
        )


def _gpu_error(path: Path, error: IngotError | OSError) -> GpuError:
    """Why ``path`` is without the modules that were asked for."""
    if isinstance(error, OSError):
        error = InputError(
            f"{error.filename or 'the cache'}: {error.strerror or error}", code="os-error"
        )
    return GpuError(
        f"{path} is built without its GPU module: {error.message}",
        hint="; ".join(text for text in (error.hint, _KEPT) if text),
        code=error.code,
    )
