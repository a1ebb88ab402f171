"""The known differences in llama.cpp's server tests: ``differences.toml`` and the page of it.

``python -m tests.upstream.table`` writes the tables of docs/reference/llama-server.md anew.
"""

from __future__ import annotations

import tomllib
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Self

FILE = Path(__file__).with_name("differences.toml")
PAGE = Path(__file__).resolve().parents[2] / "docs" / "reference" / "llama-server.md"
_BEGIN, _END = "<!-- from tests/upstream/differences.toml -->\n", "<!-- end -->\n"


@dataclass(frozen=True)
class Group:
    """Tests that come out in the same way for the same reason."""

    tests: tuple[str, ...]
    executable: str
    upstream: str
    reason: str

    @classmethod
    def read(cls, entry: dict[str, object]) -> Self:
        """An entry of the file; ValueError says what is missing."""
        outcomes = {side: entry.get(side, entry.get("both")) for side in ("executable", "upstream")}
        tests, reason = entry.get("tests"), entry.get("reason")
        if not isinstance(tests, list) or not isinstance(reason, str) or not reason.strip():
            raise ValueError(f"an entry needs tests and a reason: {entry}")
        if not set(outcomes.values()) <= {"passed", "failed", "skipped"}:
            raise ValueError(f"an entry says how its tests come out: {entry}")
        return cls(tuple(tests), reason=" ".join(reason.split()), **outcomes)  # type: ignore[arg-type]


@dataclass(frozen=True)
class Table:
    """``files`` are numbers of tests by file; what no group names passes on both sides.

    Tests of ``unsteady`` may also be skipped or passed, by the speed or the network addresses of
    the machine.
    """

    files: dict[str, int]
    groups: tuple[Group, ...]
    unsteady: dict[str, str]

    @classmethod
    def read(cls, path: Path = FILE) -> Self:
        """The file; ValueError when a test is named twice."""
        document = tomllib.loads(path.read_text(encoding="utf-8"))
        groups = tuple(Group.read(entry) for entry in document.get("group", ()))
        counted = Counter(test for group in groups for test in group.tests)
        if twice := [test for test, times in counted.items() if times > 1]:
            raise ValueError(f"named twice: {', '.join(twice)}")
        return cls(document["files"], groups, document.get("unsteady", {}))

    def expected(self, side: str) -> dict[str, str]:
        """Outcomes other than passed, by test; ``side`` is executable or upstream."""
        pairs = ((test, getattr(group, side)) for group in self.groups for test in group.tests)
        return {test: outcome for test, outcome in pairs if outcome != "passed"}

    def differences(self) -> Iterator[Group]:
        """The groups in which the two sides differ."""
        return (group for group in self.groups if group.executable != group.upstream)

    def alike(self) -> Iterator[Group]:
        """The groups that do not pass on either side."""
        return (group for group in self.groups if group.executable == group.upstream)

    def unexpected(self, side: str, file: str, found: dict[str, tuple[str, str]]) -> list[str]:
        """One line for each test of ``file`` that comes out otherwise than the table says.

        ``found`` has the outcome and its reason by test. A test of the table that is not found,
        or that passes, is a stale entry.
        """
        here = {test: came for test, came in found.items() if test.startswith(f"{file}::")}
        expected = self.expected(side)
        names = {*here, *(test for test in expected if test.startswith(f"{file}::"))}
        lines = []
        for test in sorted(names):
            want = expected.get(test, "passed")
            outcome, why = here.get(test, ("missing", ""))
            if outcome != want and not (test in self.unsteady and outcome in ("passed", "skipped")):
                lines.append(f"{test}: {outcome}, the table says {want}; {why}")
        return lines

    def counts(self, side: str, file: str) -> str:
        """Passed/failed/skipped, as the table has them."""
        expected = Counter(
            outcome for test, outcome in self.expected(side).items() if test.startswith(f"{file}::")
        )
        failed, skipped = expected["failed"], expected["skipped"]
        return f"{self.files[file] - failed - skipped}/{failed}/{skipped}"

    def total(self, side: str) -> str:
        """The same of all files together."""
        each = [[int(n) for n in self.counts(side, file).split("/")] for file in self.files]
        return "/".join(str(sum(column)) for column in zip(*each, strict=True))


def page(table: Table) -> str:
    """The tables as Markdown."""
    lines = ["| file | tests | executable | llama-server |", "|---|---|---|---|"]
    for file, tests in table.files.items():
        counts = " | ".join(table.counts(side, file) for side in ("executable", "upstream"))
        lines.append(f"| {file} | {tests} | {counts} |")
    totals = " | ".join(table.total(side) for side in ("executable", "upstream"))
    lines.append(f"| all | {sum(table.files.values())} | {totals} |")
    lines += ["", "### Differences", "", *_rows(table.differences(), sides=True)]
    lines += ["", "### Not passed by either", "", *_rows(table.alike(), sides=False)]
    return "\n".join(lines) + "\n"


def _rows(groups: Iterator[Group], *, sides: bool) -> Iterator[str]:
    yield "| tests | executable | llama-server | why |" if sides else "| tests | outcome | why |"
    yield "|---|---|---|---|" if sides else "|---|---|---|"
    for group in groups:
        tests = "<br>".join(_named(group.tests))
        outcomes = [group.executable, group.upstream] if sides else [group.upstream]
        yield f"| {tests} | {' | '.join(outcomes)} | {group.reason} |"


def _named(tests: tuple[str, ...]) -> Iterator[str]:
    """Functions, with the number of their parameter sets."""
    counted = Counter(test.partition("[")[0] for test in tests)
    for name, times in counted.items():
        yield f"`{name}`" if times == 1 else f"`{name}` ({times} of its cases)"


def between(text: str) -> tuple[str, str, str]:
    """Split the page into the parts before, inside and after its generated tables."""
    before, begin, rest = text.partition(_BEGIN)
    inside, end, after = rest.partition(_END)
    assert begin and end, "the page has lost its marks"
    return before + begin, inside, end + after


def main() -> None:
    """Write the page's tables."""
    before, _inside, after = between(PAGE.read_text(encoding="utf-8"))
    PAGE.write_text(before + page(Table.read()) + after, encoding="utf-8")


if __name__ == "__main__":
    main()
