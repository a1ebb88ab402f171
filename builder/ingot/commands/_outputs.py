"""Output files as command lines name them."""

from __future__ import annotations

import os
from pathlib import Path

import click

from ingot.errors import InputError, UsageError


def check_name(text: str) -> None:
    """Raises UsageError for no name, and for ``-``, which elsewhere means standard output."""
    if not text:
        raise UsageError("the name of the output is empty", hint="is a variable not set?")
    if text == "-":
        raise UsageError(
            "the output is a file and is not written to standard output",
            hint="name a file; ./- is a file of that name",
        )


class _OutputFile(click.Path):
    """The path of a file that a verb writes."""

    def convert(
        self,
        value: str | os.PathLike[str],
        param: click.Parameter | None,
        ctx: click.Context | None,
    ) -> str | bytes | os.PathLike[str]:
        """Refuse ``-`` and what ends in a slash."""
        text = os.fspath(value)
        check_name(text)
        if text.endswith("/"):
            raise InputError(
                f"{text}: is the name of a folder",
                hint=f"name the file inside it: {text}NAME",
                code="output-is-folder",
            )
        return super().convert(value, param, ctx)


OUTPUT = _OutputFile(path_type=Path)


class _OutputFolder(click.Path):
    """The path of a folder that a verb writes into."""

    def convert(
        self,
        value: str | os.PathLike[str],
        param: click.Parameter | None,
        ctx: click.Context | None,
    ) -> str | bytes | os.PathLike[str]:
        """Refuse ``-`` and no name."""
        if os.fspath(value) != os.fspath(Path()):
            check_name(os.fspath(value))
        return super().convert(value, param, ctx)


OUTPUT_FOLDER = _OutputFolder(path_type=Path)


def output_in(text: str, default: Path) -> Path:
    """The file that ``text`` names: ``default`` where it is empty, or inside it where it ends in a
    slash.

    Raises UsageError, InputError ``output-folder-missing``.
    """
    if text:
        check_name(text)
    if not text.endswith("/"):
        return Path(text) if text else default
    if not os.path.isdir(text):
        raise InputError(
            f"{text}: there is no such folder",
            hint=f"create it, or name the executable: -o {text}{default.name}",
            code="output-folder-missing",
        )
    return Path(text) / default.name
