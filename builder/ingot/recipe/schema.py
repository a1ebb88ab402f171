"""What a recipe may say: one typed TOML file for one or more executables.

Keys are in kebab-case. Unknown ones are errors: a misspelt limit must not be a limit that is not
there. ``json_schema`` is what editors and ``docs/reference/recipe.schema.json`` get.
"""

from __future__ import annotations

import re
from typing import Annotated, Any, Literal

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    StringConstraints,
    field_validator,
    model_validator,
)

FORMAT = 1
TARGETS = ("linux-x86_64",)

_HASH = r"^[0-9a-f]{64}$"
_LINE = r"^[^\x00-\x1f\x7f]+$"

Line = Annotated[str, StringConstraints(min_length=1, max_length=4096, pattern=_LINE)]
Reference = Annotated[str, StringConstraints(min_length=1, max_length=4096, pattern=_LINE)]
Sha256 = Annotated[str, StringConstraints(pattern=_HASH)]
Text = Annotated[str, StringConstraints(min_length=1, max_length=65_536)]
Size = Annotated[int, Field(gt=0)]


def _kebab(name: str) -> str:
    return name.replace("_", "-").rstrip("-")


class Table(BaseModel):
    """A TOML table: closed, unchangeable."""

    model_config = ConfigDict(
        extra="forbid", frozen=True, alias_generator=_kebab, strict=True, validate_by_name=True
    )


class Source(Table):
    """A file to get: where from, and what it must be."""

    from_: Reference = Field(
        description="A path (from the recipe's folder), an https URL, or hf://org/repo[:quant]."
    )
    sha256: Sha256 | None = Field(
        default=None, description="Of the file, checked when it is fetched."
    )


Input = Reference | Source


class Model(Table):
    """The GGUF files, by role."""

    main: Input = Field(description="The model.")
    projector: Input | None = Field(default=None, description="For images or sound.")
    lora: tuple[Input, ...] = Field(default=(), description="Adapters, in order.")
    draft: Input | None = Field(default=None, description="A small model for speculative decoding.")


class Runtime(Table):
    """How the engine starts unless the user says otherwise."""

    args: tuple[Line, ...] = Field(default=(), description="Engine arguments, one word each.")
    system_prompt: Text | None = Field(
        default=None, description="For chat on a terminal and in the web page."
    )
    ui: bool = Field(default=True, description="Whether the web page is inside.")
    fingerprint: bool = Field(
        default=False, description="Whether its answers are recorded, for verify --answers."
    )


class Gpu(Table):
    """GPU modules to compile and carry."""

    modules: tuple[Line, ...] = Field(
        default=(),
        description='As --gpu takes them: "cuda", "cuda:80,90,ptx", "vulkan". None by default.',
    )
    sources: bool = Field(
        default=True, description="Whether --recompile is possible on the user's machine."
    )


class Metadata(Table):
    """What the executable says about itself."""

    name: Line | None = Field(default=None, description="Default: the model's file name.")
    description: Line | None = Field(default=None, description="One line for its help.")
    license: Line | None = Field(
        default=None, description="SPDX expression of the model's licence."
    )
    license_file: Reference | None = Field(default=None, description="Its text.")
    icon: Reference | None = Field(
        default=None, description="A square PNG or an SVG, for the web page."
    )
    homepage: Line | None = Field(default=None, description="Where the executable is published.")
    version: Line | None = Field(default=None, description="Of the executable.")


class Limits(Table):
    """Bounds that fail the build when the result is outside."""

    max_size: Size | None = Field(default=None, description="Of an executable, in bytes.")
    max_overhead: Size | None = Field(
        default=None, description="What it is larger than its weights."
    )


class Overrides(Table):
    """What a variant or a target may set instead of the recipe's own."""

    name: Line | None = Field(default=None, description="Instead of metadata.name.")
    model: Input | None = Field(
        default=None, description="Another main model: a quantisation, say."
    )
    args: tuple[Line, ...] | None = Field(default=None, description="Instead of runtime.args.")
    gpu: Gpu | None = Field(default=None, description="Instead of the recipe's [gpu].")
    ui: bool | None = Field(default=None, description="Instead of runtime.ui.")


class Variant(Overrides):
    """Each target is built once for each variant."""

    id: Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")] = Field(
        description="Goes into the file names: OUTPUT-ID."
    )


class Target(Overrides):
    """One executable, or one for each variant; what is set here wins over everything else."""

    platform: Literal["linux-x86_64"] = Field(
        default="linux-x86_64", description="What it runs on."
    )
    output: Line | None = Field(default=None, description="File name. Default: the recipe's name.")
    extends: Line | None = Field(
        default=None, description="The output of a target whose settings hold where this has none."
    )


class Expectation(Table):
    """A test of the executable: a prompt and what must come out, or a budget."""

    name: Line | None = None
    prompt: Text | None = None
    args: tuple[Line, ...] = Field(default=(), description="For this test, such as -n 8.")
    expect: Text | None = Field(default=None, description="Text that the answer must contain.")
    matches: Line | None = Field(
        default=None, description="A regular expression found in the answer."
    )
    api: Literal["openai"] | None = Field(
        default=None, description="Conformance of the server: models, chat, streaming, embeddings."
    )
    compare: Reference | None = Field(
        default=None,
        description="What its answers must be like: a GGUF, an executable, a Hugging Face folder "
        "or a server, as 'ingot compare' takes them; paths are from the recipe's folder.",
    )
    require: Literal["identical", "equivalent", "compatible"] = Field(
        default="compatible", description="The worst verdict of that comparison that passes."
    )
    text: Reference | None = Field(
        default=None, description="A file with the text to compare over. Default: Ingot's own."
    )
    first_token_seconds: Annotated[float, Field(gt=0)] | None = Field(
        default=None, description="Budget from the start to the first token."
    )
    memory: Size | None = Field(default=None, description="Budget for resident memory, in bytes.")

    @field_validator("matches")
    @classmethod
    def _compiles(cls, pattern: str | None) -> str | None:
        if pattern is not None:
            try:
                re.compile(pattern)
            except re.error as error:
                raise ValueError(f"is no regular expression: {error}") from error
        return pattern

    @model_validator(mode="after")
    def _asks_something(self) -> Expectation:
        asks = (self.expect, self.matches, self.first_token_seconds, self.memory)
        whole = (self.api, self.compare)
        if all(ask is None for ask in (*asks, *whole)):
            raise ValueError(
                "expects nothing: give expect, matches, api, compare, first-token-seconds or memory"
            )
        if self.prompt is None and all(ask is None for ask in whole):
            raise ValueError("has no prompt")
        return self


class Signing(Table):
    """How published files are signed."""

    command: tuple[Line, ...] = Field(
        min_length=1,
        description="A program and its arguments, run by 'ingot sign' for each executable; "
        "{file} is its path. It must leave the executable as it is.",
    )

    @field_validator("command")
    @classmethod
    def _names_the_file(cls, command: tuple[str, ...]) -> tuple[str, ...]:
        if not any("{file}" in word for word in command[1:]):
            raise ValueError("names no {file} to sign")
        return command


class Recipe(Table):
    """A whole recipe."""

    ingot: Literal[1] = Field(default=1, description="The format of this file.")
    model: Model
    runtime: Runtime = Runtime()
    gpu: Gpu = Gpu()
    metadata: Metadata = Metadata()
    limits: Limits = Limits()
    variant: tuple[Variant, ...] = Field(default=(), description="The same with other models, say.")
    target: tuple[Target, ...] = Field(default=(), description="None means one, for this machine.")
    test: tuple[Expectation, ...] = ()
    signing: Signing | None = None


def json_schema() -> dict[str, Any]:
    """The JSON Schema of recipes (draft 2020-12)."""
    schema = Recipe.model_json_schema(by_alias=True)
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Ingot recipe",
    } | schema
