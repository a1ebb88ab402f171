"""The fingerprint of an executable: what it answers, and how sure it is, where it was built.

Recorded in the manifest after the build, as results of tests are: numbers depend on the machine's
CPU, and the bytes of a build must not. ``./model verify --answers`` holds a machine to it.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ingot import process
from ingot.errors import InputError

PROMPTS = ("The", "def add(a, b):\n", "1, 2, 3, 4,", "Question: why is the sky blue?\nAnswer:")
TOKENS = 16  # for each prompt
TOP = 4  # candidates of each token
ARGS = ("-c", "256", "--gpu", "none", "--deterministic")
TIMEOUT = 3600.0  # seconds: loading a large model from a slow disk, and 64 tokens


def take_fingerprint(executable: Path) -> Mapping[str, Any]:
    """The manifest's ``answers``, by running ``executable`` on this machine's CPU.

    Raises InputError ``no-answers`` when it cannot be asked, such as an encoder.
    """
    job = {"greedy": {"prompts": list(PROMPTS), "tokens": TOKENS, "top": TOP}}
    with tempfile.TemporaryDirectory(prefix="ingot-answers-") as folder:
        path = Path(folder) / "job.json"
        path.write_text(json.dumps(job), "utf-8")
        done = process.run(
            [executable.absolute(), "trace", "--job", path, *ARGS],
            log=Path(folder) / "log",
            env={"GGML_NO_BACKTRACE": "1"},  # no debugger when the engine gives up
            timeout=TIMEOUT,
            what=str(executable),
            check=False,
            stderr_to_log=True,
        )
        said = [line for line in done.lines if line.startswith("error: ")]
    if done.status != 0:
        reason = said[-1].removeprefix("error: ") if said else f"it ended with {done.status}"
        raise InputError(f"{executable}: no fingerprint: {reason}", code="no-answers")
    answer = json.loads(done.lines[-1])
    greedy = [
        {"prompt": one["prompt"], "tokens": one["tokens"], "steps": one["steps"]}
        for one in answer["greedy"]
    ]
    words = [word for word in ARGS if word not in ("--gpu", "none")]
    return {
        "args": words,
        "top": TOP,
        "cpu_module": answer["model"]["cpu_module"],
        "greedy": greedy,
    }
