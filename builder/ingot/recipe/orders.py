"""From a recipe to the executables that it asks for: pure, nothing is looked up.

A recipe without targets is one order; each target is one, with its overrides applied.
"""

from __future__ import annotations

import hashlib
import json
import re
from dataclasses import dataclass, field

from ingot.bundle.format import safe_file_name
from ingot.errors import InputError
from ingot.recipe.args import check_args
from ingot.recipe.schema import Expectation, Input, Limits, Recipe, Source, Target

MAIN, PROJECTOR, ADAPTER, DRAFT = "model", "projector", "adapter", "draft"
_ENDING = re.compile(r"(\.gguf|\.zip|\.tar(\.\w+)?|\.tgz)$", re.IGNORECASE)


@dataclass(frozen=True)
class Need:
    """A file that an order needs: its reference as the recipe has it, and its hash if it says."""

    role: str
    reference: str
    sha256: str | None = None


@dataclass(frozen=True)
class Order:
    """One executable. ``output`` is a file name; ``gpu`` words are as ``--gpu`` takes them."""

    output: str
    platform: str
    main: Need
    projector: Need | None = None
    loras: tuple[Need, ...] = ()
    draft: Need | None = None
    name: str | None = None
    description: str | None = None
    license: str | None = None
    license_file: str | None = None
    args: tuple[str, ...] = ()
    gpu: tuple[str, ...] = ()
    ui: bool = True
    sources: bool = True
    limits: Limits = field(default_factory=Limits)
    tests: tuple[Expectation, ...] = ()

    @property
    def needs(self) -> tuple[Need, ...]:
        """All files, the main model first."""
        rest = [need for need in (self.projector, self.draft) if need is not None]
        return (self.main, *self.loras, *rest)


def orders(recipe: Recipe) -> tuple[Order, ...]:
    """The executables of ``recipe``, in its order.

    Raises InputError ``duplicate-target`` when two would have one name, and UsageError
    ``bad-args``.
    """
    found = tuple(_order(recipe, target) for target in recipe.target or (Target(),))
    names: set[str] = set()
    for order in found:
        if order.output in names:
            raise InputError(
                f"two targets of the recipe are called {order.output!r}",
                hint="give each a different output",
                code="duplicate-target",
            )
        names.add(order.output)
    return found


def digest(recipe: Recipe) -> str:
    """sha256 of what ``recipe`` says; comments, order and spelling of the file do not count."""
    text = json.dumps(document(recipe), sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()


def document(recipe: Recipe) -> dict[str, object]:
    """``recipe`` as JSON, without what it does not say."""
    dumped: dict[str, object] = recipe.model_dump(mode="json", by_alias=True, exclude_defaults=True)
    return dumped


def _order(recipe: Recipe, target: Target) -> Order:
    model, metadata = recipe.model, recipe.metadata
    main = _need(MAIN, target.model or model.main)
    gpu = target.gpu or recipe.gpu
    own = target.args if target.args is not None else recipe.runtime.args
    args = (*own, *_system_prompt(recipe.runtime.system_prompt))
    check_args(args)
    name = target.name or metadata.name
    return Order(
        output=_file_name(target.output or name or _stem(main.reference)),
        platform=target.platform,
        main=main,
        projector=_need(PROJECTOR, model.projector) if model.projector else None,
        loras=tuple(_need(ADAPTER, lora) for lora in model.lora),
        draft=_need(DRAFT, model.draft) if model.draft else None,
        name=name,
        description=metadata.description,
        license=metadata.license,
        license_file=metadata.license_file,
        args=args,
        gpu=gpu.modules,
        ui=recipe.runtime.ui,
        sources=gpu.sources,
        limits=recipe.limits,
        tests=recipe.test,
    )


def _need(role: str, given: Input) -> Need:
    return Need(role, given.from_, given.sha256) if isinstance(given, Source) else Need(role, given)


def _system_prompt(text: str | None) -> tuple[str, ...]:
    """For chat on a terminal, and for the web page; each takes its own and ignores the other."""
    if text is None:
        return ()
    return ("--system-prompt", text, "--ui-config", json.dumps({"systemMessage": text}))


def _stem(reference: str) -> str:
    name = reference.partition("#")[0].rstrip("/").rpartition("/")[2]
    return _ENDING.sub("", name.replace(":", "-"))


def _file_name(text: str) -> str:
    if safe_file_name(text) != text:
        raise InputError(
            f"{text!r} is no file name for an executable",
            hint="give an output of letters, digits, '.', '_' and '-', without folders",
            code="bad-output",
        )
    return text
