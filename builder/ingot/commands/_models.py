"""Models as command lines name them: find out what is meant, then fetch it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import click
from click.shell_completion import CompletionItem

from ingot.console import Console
from ingot.errors import UsageError
from ingot.recipe.make import provenance_of
from ingot.recipe.sbom import Provenance
from ingot.sources.choose import Role
from ingot.sources.fetch import fetch
from ingot.sources.reference import parse_hub, parse_reference
from ingot.sources.resolve import Resolved, resolve
from ingot.sources.settings import settings_from
from ingot.sources.web import Web


class _Reference(click.types.StringParamType):
    name = "model"

    def shell_complete(
        self, ctx: click.Context, param: click.Parameter, incomplete: str
    ) -> list[CompletionItem]:
        """Files: what else a reference can be is not known here."""
        return [CompletionItem(incomplete, type="file")]


REFERENCE = _Reference()


@dataclass(frozen=True)
class Wanted:
    """References as they were given; exactly one of ``model`` and ``hf`` must be."""

    model: str | None
    hf: str | None = None
    mmproj: str | None = None
    loras: tuple[str, ...] = ()
    draft: str | None = None
    projector: bool = True


@dataclass(frozen=True)
class Found:
    """What they mean, before anything is fetched."""

    model: Resolved
    mmproj: Resolved | None
    loras: tuple[Resolved, ...]
    draft: Resolved | None
    web: Web

    @property
    def file_name(self) -> str:
        """Of the model, or of the archive that it is in."""
        return self.model.parts[0].name.rpartition("/")[2]

    @property
    def all(self) -> Sequence[Resolved]:
        """All of them, the model first."""
        single = [one for one in (self.mmproj, self.draft) if one is not None]
        return [self.model, *self.loras, *single]


@dataclass(frozen=True)
class Models:
    """Files that are here, and where those came from that were fetched."""

    model: Path
    mmproj: Path | None
    loras: tuple[Path, ...]
    draft: Path | None
    provenance: Mapping[Path, Provenance]


def find_models(wanted: Wanted, *, offline: bool) -> Found:
    """Ask what the references mean. Raises UsageError, and what ``resolve`` does."""
    web = Web(settings_from(offline=offline))

    def find(text: str, role: Role) -> Resolved:
        reference = parse_reference(text, endpoint=web.settings.endpoint)
        return resolve(reference, web, role=role, projector=False)

    if (wanted.model is None) == (wanted.hf is None):
        raise UsageError(
            "MODEL is given twice: by itself and with -hf" if wanted.model else "MODEL is missing",
            hint="give a path, a URL or ORG/REPO[:QUANT]; see 'ingot build --help'",
        )
    endpoint = web.settings.endpoint
    reference = (
        parse_hub(wanted.hf)
        if wanted.hf is not None
        else parse_reference(wanted.model or "", endpoint=endpoint)
    )
    projector = wanted.projector and wanted.mmproj is None
    return Found(
        resolve(reference, web, projector=projector),
        find(wanted.mmproj, "projector") if wanted.mmproj else None,
        tuple(find(text, "adapter") for text in wanted.loras),
        find(wanted.draft, "model") if wanted.draft else None,
        web,
    )


def fetch_models(found: Found, progress: Console) -> Models:
    """Bring all of them here. Raises what ``fetch`` does."""
    if found.model.projector is not None:
        name = found.model.projector.name
        progress.say(f"with the projector {name} of the same repository (not with --no-mmproj)")
    local = dict(zip(map(id, found.all), fetch(found.all, found.web, progress), strict=True))

    def place(one: Resolved | None) -> Path | None:
        return local[id(one)].model if one is not None else None

    model = local[id(found.model)]
    return Models(
        model.model,
        model.projector.path if model.projector else place(found.mmproj),
        tuple(local[id(lora)].model for lora in found.loras),
        place(found.draft),
        dict(provenance_of(local.values())),
    )
