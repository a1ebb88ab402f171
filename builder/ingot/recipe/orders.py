"""From a recipe to the executables that it asks for: pure, nothing is looked up.

A recipe without targets is one order; each target is one, or one for each variant. What a target
sets wins over what its variant sets, and that over the recipe's own.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from ingot.bundle.format import safe_file_name
from ingot.errors import InputError
from ingot.recipe.args import check_args
from ingot.recipe.schema import Expectation, Input, Limits, Recipe, Source, Target, Variant

MAIN, PROJECTOR, ADAPTER, DRAFT = "model", "projector", "adapter", "draft"
LICENSE_TEXT, ICON = "license", "icon"
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
    version: str | None = None
    homepage: str | None = None
    license: str | None = None
    license_file: Need | None = None
    icon: Need | None = None
    args: tuple[str, ...] = ()
    gpu: tuple[str, ...] = ()
    ui: bool = True
    sources: bool = True
    fingerprint: bool = False
    limits: Limits = field(default_factory=Limits)
    tests: tuple[Expectation, ...] = ()

    @property
    def needs(self) -> tuple[Need, ...]:
        """All GGUF files, the main model first."""
        rest = [need for need in (self.projector, self.draft) if need is not None]
        return (self.main, *self.loras, *rest)

    @property
    def small(self) -> tuple[Need, ...]:
        """Other files, which the recipe names by paths."""
        return tuple(need for need in (self.license_file, self.icon) if need is not None)


def orders(recipe: Recipe) -> tuple[Order, ...]:
    """The executables of ``recipe``, in its order.

    Raises InputError ``duplicate-target`` when two would have one name, ``unknown-target`` or
    ``cyclic-target`` for what a target extends, and UsageError ``bad-args``.
    """
    targets = {target.output: target for target in recipe.target if target.output}
    found = tuple(
        _order(recipe, _extended(target, targets), variant)
        for target in recipe.target or (Target(),)
        for variant in recipe.variant or (None,)
    )
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


def _extended(target: Target, targets: Mapping[str, Target]) -> Target:
    """``target`` with what it inherits."""
    chain = [target]
    while (parent := chain[-1].extends) is not None:
        found = targets.get(parent)
        if found is None:
            raise InputError(
                f"a target extends {parent!r}, which is no target's output",
                hint=f"outputs are {', '.join(targets) or 'not given'}",
                code="unknown-target",
            )
        if found in chain:
            names = " -> ".join([*(str(one.output) for one in chain), parent])
            raise InputError(
                f"targets extend each other in a circle: {names}",
                hint="take out one 'extends'",
                code="cyclic-target",
            )
        chain.append(found)
    settings = {key: getattr(one, key) for one in reversed(chain) for key in one.model_fields_set}
    return target.model_copy(update=settings)


def _order(recipe: Recipe, target: Target, variant: Variant | None) -> Order:
    model, metadata, runtime = recipe.model, recipe.metadata, recipe.runtime

    def pick(key: str, default: Any) -> Any:
        """The target's own, else the variant's, else ``default``."""
        values = [getattr(one, key) for one in (target, variant) if one is not None]
        return next((value for value in values if value is not None), default)

    main = _need(MAIN, pick("model", model.main))
    gpu = pick("gpu", recipe.gpu)
    args = (*pick("args", runtime.args), *_system_prompt(runtime.system_prompt))
    check_args(args)
    name = pick("name", metadata.name)
    # A variant's file name comes from its id alone.
    model_name = _stem((_need(MAIN, model.main) if variant else main).reference)
    stem = target.output or (metadata.name if variant else name) or model_name
    return Order(
        output=_file_name(f"{stem}-{variant.id}" if variant else stem),
        platform=target.platform,
        main=main,
        projector=_need(PROJECTOR, model.projector) if model.projector else None,
        loras=tuple(_need(ADAPTER, lora) for lora in model.lora),
        draft=_need(DRAFT, model.draft) if model.draft else None,
        name=name,
        description=metadata.description,
        version=metadata.version,
        homepage=metadata.homepage,
        license=metadata.license,
        license_file=_need(LICENSE_TEXT, text) if (text := metadata.license_file) else None,
        icon=_need(ICON, metadata.icon) if metadata.icon else None,
        args=args,
        gpu=gpu.modules,
        ui=pick("ui", runtime.ui),
        sources=gpu.sources,
        fingerprint=runtime.fingerprint,
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
