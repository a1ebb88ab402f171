"""Started as ``python -P __main__.py TASK REQUEST.json ANSWER.json`` in an environment of Ingot's.

What the user can mend is said in the answer, as ``error``, with exit status 3.
"""

from __future__ import annotations

import importlib
import json
import sys
import types
from pathlib import Path

TASKS = {"measure": "measure", "picture": "picture", "transformer": "transformer"}


def main(task: str, request: str, answer: str) -> int:
    """Do one task."""
    _find_ingot()
    module = importlib.import_module(f"ingot.parity.worker.{TASKS[task]}")
    from ingot.errors import InputError

    status = 0
    try:
        result = module.run(json.loads(Path(request).read_text("utf-8")))
    except InputError as error:
        result, status = error.document(), error.exit_code
    Path(answer).write_text(json.dumps(result), "utf-8")
    return status


def _find_ingot() -> None:
    """Make ``ingot`` importable, and nothing that is installed beside it for another Python."""
    package = types.ModuleType("ingot")
    package.__path__ = [str(Path(__file__).resolve().parents[2])]
    sys.modules["ingot"] = package


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
