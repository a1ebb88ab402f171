"""Default arguments that an author bakes into an executable, for the engine."""

from __future__ import annotations

import shlex
from collections.abc import Sequence

from ingot.errors import UsageError

# Engine flags that name a file, which would not be there on another machine, and what to do.
_FILES = "it would name a file that other machines do not have: "
_REFUSED: dict[tuple[str, ...], str] = {
    ("-m", "--model"): _FILES + "the model is the one being built in",
    ("-mu", "--model-url", "-hf", "-hfr", "--hf-repo", "-hff", "--hf-file"): (
        "an executable carries its model: download the GGUF and build that"
    ),
    ("-mm", "--mmproj", "-mmu", "--mmproj-url"): _FILES + "give the projector with --mmproj",
    ("--lora", "--lora-scaled"): _FILES + "give the adapter with --lora",
    ("-md", "--model-draft", "--spec-draft-model", "-hfd", "-hfrd", "--hf-repo-draft"): (
        _FILES + "give the draft model with --draft"
    ),
}
_HINTS = {flag: hint for flags, hint in _REFUSED.items() for flag in flags}


def split_args(quoted: Sequence[str]) -> tuple[str, ...]:
    """Default arguments from shell-quoted strings such as ``-c 2048 --temp 0.2``.

    Raises UsageError ``bad-args``.
    """
    words: list[str] = []
    for text in quoted:
        try:
            words += shlex.split(text)
        except ValueError as error:
            raise UsageError(
                f"--args {text!r}: {error}", hint="close the quotation", code="bad-args"
            ) from error
    check_args(words)
    return tuple(words)


def check_args(words: Sequence[str]) -> None:
    """Refuse default arguments that cannot work on another machine. UsageError ``bad-args``."""
    for word in words:
        flag = word.split("=", 1)[0]
        if flag in _HINTS:
            raise UsageError(
                f"--args: {flag} cannot be a default argument", hint=_HINTS[flag], code="bad-args"
            )
        if not _is_text(word):
            raise UsageError(f"--args: {word!r} is not text", code="bad-args")


def _is_text(word: str) -> bool:
    """UTF-8 without NUL: anything else could not be passed on to the engine."""
    try:
        return b"\0" not in word.encode("utf-8")
    except UnicodeEncodeError:
        return False
