"""One call of an executable's or the runtime's program: its answer, or its refusal as our error."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ingot import process
from ingot.errors import (
    GpuError,
    IngotError,
    InputError,
    IntegrityError,
    ToolchainError,
    UsageError,
)

_ERRORS: Mapping[int, type[IngotError]] = {
    2: UsageError,
    3: InputError,
    5: IntegrityError,
    7: GpuError,
}


def ask(
    name: str,
    argv: Sequence[str | os.PathLike[str]],
    folder: Path,
    env: Mapping[str, str] | None = None,
) -> Any:
    """The JSON document on stdout. ``name`` is how errors call the program; its log goes into
    ``folder``. Raises the error that its exit code stands for, or ToolchainError.
    """
    done = process.run(
        argv, log=folder / "log", env=env, what=name, check=False, stderr_to_log=True
    )
    if done.status:
        raise _refusal(name, done)
    try:
        return json.loads("".join(done.lines))
    except ValueError as error:
        raise ToolchainError(f"{name}: its answer cannot be read: {error}") from error


def _refusal(name: str, done: process.Completed) -> IngotError:
    """What the program said, as our own error."""
    said = [line for line in done.lines if line.startswith(("error: ", "hint: "))]
    words = {line.partition(": ")[0]: line.partition(": ")[2] for line in said}
    reason = words.get("error") or "\n    ".join(process.useful_lines(done.lines, 4))
    if "unknown command 'trace'" in reason:
        return InputError(
            f"{name}: this executable is too old to be compared",
            hint="put the current runtime into it: ingot repack FILE --engine current",
            code="executable-too-old",
        )
    kind = _ERRORS.get(done.status, ToolchainError)
    reason = reason or f"it ended with status {done.status}"
    return kind(f"{name}: {reason}", hint=words.get("hint"), code="side-failed")
