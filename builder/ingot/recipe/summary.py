"""What came out of a build, for the pages and the variables of a CI system."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ingot.bundle.manifest import RecordedTest
from ingot.bundle.reader import open_bundle
from ingot.console import size
from ingot.toolchain.packages import sha256_of


@dataclass(frozen=True)
class Built:
    """An executable; ``size`` in bytes. ``tests`` are None when its manifest records none."""

    path: Path
    target: str
    size: int
    sha256: str
    tests: tuple[RecordedTest, ...] | None = None

    def to_json(self) -> dict[str, Any]:
        """For ``--json`` and CI outputs."""
        return {
            "file": self.path.name,
            "path": str(self.path),
            "target": self.target,
            "size": self.size,
            "sha256": self.sha256,
            "tests": None if self.tests is None else [vars(test) for test in self.tests],
        }


def describe(executable: Path) -> Built:
    """Read and hash ``executable``. Raises what ``open_bundle`` does."""
    with open_bundle(executable) as bundle:
        manifest = bundle.manifest
    return Built(
        path=executable.absolute(),
        target=manifest.about.target,
        size=manifest.file_size,
        sha256=sha256_of(executable),
        tests=manifest.about.tests,
    )


def markdown(built: Sequence[Built]) -> str:
    """A table, and under it the tests that failed."""
    rows = [
        "| executable | target | size | sha256 | tests |",
        "|---|---|--:|---|---|",
        *(
            f"| `{one.path.name}` | {one.target} | {size(one.size)} | `{one.sha256}` "
            f"| {_tests(one)} |"
            for one in built
        ),
    ]
    failed = [
        f"- `{one.path.name}`: {_plain(test.name)}"
        for one in built
        for test in one.tests or ()
        if not test.passed
    ]
    if failed:
        rows += ["", "Tests that failed:", "", *failed]
    return "\n".join(rows) + "\n"


def outputs(built: Sequence[Built]) -> str:
    """``path`` and ``sha256``, one line for each executable, and ``executables``, a JSON list.

    In the form of GitHub's GITHUB_OUTPUT: NAME=VALUE, or NAME<<END, lines, END where there are
    several. The former is also what dotenv files look like.
    """
    document = json.dumps([one.to_json() for one in built], separators=(",", ":"))
    values = {
        "path": [str(one.path) for one in built],
        "sha256": [one.sha256 for one in built],
        "executables": [document],
    }
    # No value may end the list early and go on with names of its own choice.
    end = f"end-{hashlib.sha256(document.encode()).hexdigest()}"
    return "".join(_output(name, lines, end) for name, lines in values.items())


def _output(name: str, lines: Sequence[str], end: str) -> str:
    if len(lines) == 1 and "\n" not in lines[0]:
        return f"{name}={lines[0]}\n"
    return "\n".join([f"{name}<<{end}", *lines, end]) + "\n"


def _tests(one: Built) -> str:
    if one.tests is None:
        return "not run"
    passed = sum(test.passed for test in one.tests)
    return f"{passed} of {len(one.tests)} passed"


def _plain(text: str) -> str:
    """A test's name, which anybody wrote, as one line of Markdown that means nothing."""
    line = " ".join(text.split())
    return "".join(f"\\{char}" if char in r"\`*_[]<>|#&!" else char for char in line)
