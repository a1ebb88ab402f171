from __future__ import annotations

import json
from pathlib import Path

from ingot.bundle.manifest import RecordedTest
from ingot.recipe.summary import Built, markdown, outputs

ONE = Built(Path("/out/hello"), "linux-x86_64", 38_700_000, "a" * 64)
TESTS = (RecordedTest("writes", True), RecordedTest("a|b\n# [x](y)", False))
TWO = Built(Path("/out/two"), "linux-x86_64", 1_000, "b" * 64, TESTS)


def test_a_table() -> None:
    assert markdown([ONE]) == (
        "| executable | target | size | sha256 | tests |\n"
        "|---|---|--:|---|---|\n"
        f"| `hello` | linux-x86_64 | 38.7 MB | `{'a' * 64}` | not run |\n"
    )


def test_failed_tests_are_named_and_no_name_is_markdown() -> None:
    text = markdown([ONE, TWO])
    assert "| 1 of 2 passed |" in text
    assert text.endswith("\n\nTests that failed:\n\n- `two`: a\\|b \\# \\[x\\](y)\n")


def test_one_executable_is_one_line_each() -> None:
    path, sha256, executables = outputs([ONE]).splitlines()
    assert (path, sha256) == ("path=/out/hello", f"sha256={'a' * 64}")
    name, _, value = executables.partition("=")
    assert (name, json.loads(value)) == ("executables", [ONE.to_json()])


def test_several_are_several_lines_that_nobody_can_end_early() -> None:
    hostile = Built(Path("/out\nEOF\nsha256=1/x"), "linux-x86_64", 1, "c" * 64)
    lines = outputs([ONE, hostile]).splitlines()
    name, _, end = lines[0].partition("<<")
    assert name == "path"
    assert lines[1 : lines.index(end)] == ["/out/hello", "/out", "EOF", "sha256=1/x"]
    assert lines[-1].startswith("executables=")


def test_tests_in_json() -> None:
    assert ONE.to_json()["tests"] is None
    assert [one["passed"] for one in TWO.to_json()["tests"]] == [True, False]
