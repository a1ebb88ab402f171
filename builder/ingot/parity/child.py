"""Tasks of the worker: files in, one JSON answer out, in an environment of pinned packages."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ingot import process
from ingot.console import Progress
from ingot.errors import InputError, ToolchainError
from ingot.toolchain import pythonenv

WORKER = Path(__file__).with_name("worker") / "__main__.py"
MEASURE, PICTURE, TRANSFORMER = "measure", "picture", "transformer"
_ENVIRONMENTS = {MEASURE: "compare", PICTURE: "compare", TRANSFORMER: "convert"}
_REFUSED = 3


def do(task: str, request: Mapping[str, Any], progress: Progress) -> Any:
    """The answer of one task.

    Raises InputError for what the worker says is wrong with its input, and ToolchainError with
    the end of its traceback when it fails otherwise.
    """
    python = pythonenv.ensure(_ENVIRONMENTS[task], progress)
    with tempfile.TemporaryDirectory(prefix="ingot-compare-") as name:
        folder = Path(name)
        (folder / "request.json").write_text(json.dumps(request), "utf-8")
        words = (folder / "request.json", folder / "answer.json")
        done = process.run(
            pythonenv.environment_command(python, WORKER, task, *words),
            log=folder / "log",
            env=pythonenv.clean_env({"MPLCONFIGDIR": name, "PYTHONDONTWRITEBYTECODE": "1"}),
            what=f"the worker ({task})",
            check=False,
        )
        if done.status not in (0, _REFUSED):
            raise _failure(task, done)
        answer = json.loads((folder / "answer.json").read_text("utf-8"))
    if done.status == _REFUSED:
        error = answer["error"]
        raise InputError(error["message"], hint=error["hint"], code=error["code"])
    return answer


def _failure(task: str, done: process.Completed) -> ToolchainError:
    said = "".join(f"\n    {line}" for line in done.lines[-4:])
    return ToolchainError(
        f"'{task}' failed with status {done.status}{said}",
        hint="is there memory enough? Fewer tokens take less: --tokens",
        code="worker-failed",
    )
