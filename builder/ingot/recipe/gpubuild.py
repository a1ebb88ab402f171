"""An executable with GPU modules: the one without is there first, and stays if they fail.

Compiling takes minutes or half an hour, and needs tools that a machine may lack. So unless the
modules are in the cache, the executable is written without them, and replaced once they are made.
"""

from __future__ import annotations

from collections.abc import Sequence
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
from ingot.recipe.judge import Judgement
from ingot.recipe.plan import Artefact, Inputs

_KEPT = "the executable is there and runs without it; with --require-gpu nothing would be written"


@dataclass(frozen=True)
class Failure:
    """Why the module ``name`` is not in an executable."""

    name: str
    error: IngotError


@dataclass(frozen=True)
class GpuBuild:
    """An executable that gets the modules of ``wishes``. ``portable`` is as in GpuOptions."""

    artefact: Artefact
    inputs: Inputs
    judgement: Judgement
    runtime: RuntimeImage
    wishes: Wishes
    portable: bool
    sources: Sources
    progress: Console

    def run(self) -> BuildResult:
        """Build it: with its modules, or without those that fail and with why as ``gpu_error``.

        Raises what ``build`` does where not even one without modules can be written.
        """
        kept = self._kept()
        if kept is not None:
            return self._with(kept, None, [])
        first = self._write()
        made: list[GpuModule] = []
        failures: list[Failure] = []
        for name, wishes in _one_by_one(self.wishes):
            try:
                made += self._make(wishes, first)
            except (IngotError, OSError) as error:
                failures.append(Failure(name, _named(error)))
        return self._with(made, first, failures)

    def run_required(self) -> BuildResult:
        """Build it with its modules, or raise what was in the way; then nothing is written."""
        return self._write(*self._make(self.wishes))

    def _with(
        self, modules: Sequence[GpuModule], first: BuildResult | None, failures: list[Failure]
    ) -> BuildResult:
        """Write it with ``modules``, in place of the ``first`` one without any, if that is there;
        ``failures`` are those of other modules.
        """
        result = first
        try:
            result = self._write(*modules) if modules else result
        except (IngotError, OSError) as error:
            failures = [*failures, Failure("GPU", _named(error))]
        result = result or self._write()
        return replace(result, gpu_error=_gpu_error(result.path, failures)) if failures else result

    def _kept(self) -> tuple[GpuModule, ...] | None:
        """The modules, if the cache has all of them. What is in the way of others, _make tells."""
        try:
            return kept_modules(
                self._settled(self.wishes),
                self.runtime,
                self.inputs.model,
                self.artefact.args,
                self.sources,
            )
        except (IngotError, OSError):
            return None

    def _make(self, wishes: Wishes, first: BuildResult | None = None) -> tuple[GpuModule, ...]:
        """The modules of ``wishes``, compiled; ``first`` is what is there already."""
        kit = find_kit(self._settled(wishes), self.sources, self.progress)
        if first:
            self.progress.say(
                f"{first.path} is there and runs on the CPU; its GPU module follows. "
                "A build that is stopped goes on next time."
            )
        return kit.modules(
            self.runtime, self.inputs.model, self.artefact.args, self.sources, self.progress
        )

    def _settled(self, wishes: Wishes) -> Wishes:
        return settled(
            wishes, self.runtime, self.inputs.model, self.sources, portable=self.portable
        )

    def _write(self, *modules: GpuModule) -> BuildResult:
        """Write it, in place of what is there: ``check`` has allowed that."""
        return build(
            self.artefact,
            self.runtime,
            self.progress,
            inputs=self.inputs,
            modules=modules,
            judgement=self.judgement,
        )


def _one_by_one(wishes: Wishes) -> list[tuple[str, Wishes]]:
    """A wish for each module, with the module's name."""
    each = [("CUDA", Wishes(cuda=wishes.cuda)), ("Vulkan", Wishes(vulkan=wishes.vulkan))]
    return [(name, wish) for name, wish in each if wish]


def _named(error: IngotError | OSError) -> IngotError:
    """As an error that says which file it is about."""
    if isinstance(error, OSError):
        return InputError(f"{error.filename or 'the cache'}: {error.strerror or error}")
    return error


def _gpu_error(path: Path, failures: Sequence[Failure]) -> GpuError:
    """Why ``path`` is without modules that were asked for."""
    reasons = (f"without its {one.name} module: {one.error.message}" for one in failures)
    first = failures[0].error
    return GpuError(
        f"{path} is built {'; and '.join(reasons)}",
        hint="; ".join(text for text in (first.hint, _KEPT) if text),
        code=first.code,
    )
