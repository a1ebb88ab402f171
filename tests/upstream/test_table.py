"""The table of differences: what it reports, and what it refuses to be."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.upstream.table import Table

TEXT = """\
[files]
"test_a.py" = 3

[unsteady]
"test_a.py::three" = "needs an address that some machines lack"

[[group]]
executable = "failed"
upstream = "passed"
reason = "a difference"
tests = ["test_a.py::one"]
"""


def _table(folder: Path, text: str = TEXT) -> Table:
    path = folder / "differences.toml"
    path.write_text(text, encoding="utf-8")
    return Table.read(path)


def _lines(table: Table, side: str, one: str, two: str, three: str = "passed") -> list[str]:
    names = {"one": one, "two": two, "three": three}
    found = {f"test_a.py::{name}": (outcome, "why") for name, outcome in names.items()}
    return table.unexpected(side, "test_a.py", found)


def test_what_the_table_says_is_expected(tmp_path: Path) -> None:
    table = _table(tmp_path)
    assert _lines(table, "executable", "failed", "passed") == []
    assert _lines(table, "upstream", "passed", "passed") == []
    assert table.counts("executable", "test_a.py") == "2/1/0"
    assert table.total("upstream") == "3/0/0"


def test_a_failure_that_is_not_in_the_table_is_told_with_its_reason(tmp_path: Path) -> None:
    (line,) = _lines(_table(tmp_path), "executable", "failed", "failed")
    assert line == "test_a.py::two: failed, the table says passed; why"


def test_a_difference_that_is_gone_is_stale(tmp_path: Path) -> None:
    table = _table(tmp_path)
    (line,) = _lines(table, "executable", "passed", "passed")
    assert line.startswith("test_a.py::one: passed, the table says failed")
    assert table.unexpected("executable", "test_a.py", {})[0].startswith("test_a.py::one: missing")


def test_an_unsteady_test_may_be_skipped_and_may_not_fail(tmp_path: Path) -> None:
    table = _table(tmp_path)
    assert _lines(table, "upstream", "passed", "passed", "skipped") == []
    assert len(_lines(table, "upstream", "passed", "passed", "failed")) == 1


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ('reason = "a difference"', 'reason = " "', "reason"),
        ('"failed"', '"broken"', "how its tests come out"),
        ('["test_a.py::one"]', '["test_a.py::one", "test_a.py::one"]', "named twice"),
    ],
)
def test_an_entry_is_whole_and_alone(tmp_path: Path, old: str, new: str, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        _table(tmp_path, TEXT.replace(old, new))
