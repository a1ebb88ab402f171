from __future__ import annotations

import subprocess
import sys
from pathlib import Path, PurePosixPath

import pytest

from ingot.engine import pin
from ingot.engine.appended import append, unpacked
from ingot.engine.pin import tree_hash
from ingot.errors import IntegrityError


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """Files such as are carried."""
    root = tmp_path / "tree"
    for name in ("native/x.cc", "native/tool", "runtimes/k/program"):
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(name)
    (root / "native" / "tool").chmod(0o775)
    return root


@pytest.fixture
def program(tmp_path: Path, tree: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An executable with ``tree`` appended, in the place of ours."""
    path = tmp_path / "ingot"
    path.write_text("#!/bin/sh\necho runs; exit 0\n")
    path.chmod(0o755)
    append(path, {PurePosixPath(p.relative_to(tree)): p for p in tree.rglob("*") if p.is_file()})
    monkeypatch.setattr(sys, "frozen", True, raising=False)
    monkeypatch.setattr(sys, "executable", str(path))
    return path


def test_what_was_appended_is_unpacked_once_with_its_modes(
    program: Path, tree: Path, cache: Path
) -> None:
    folder = pin.repository()
    assert folder.parent == cache / "carried"
    for name in ("native", "runtimes"):
        assert tree_hash(folder / name) == tree_hash(tree / name)
    before = folder.stat().st_mtime_ns
    assert unpacked() == folder
    assert folder.stat().st_mtime_ns == before


def test_the_program_still_runs(program: Path) -> None:
    assert subprocess.run([program], capture_output=True, check=True).stdout == b"runs\n"


def test_other_content_has_another_place(program: Path, tree: Path, cache: Path) -> None:
    first = unpacked()
    (tree / "native" / "x.cc").write_text("changed")
    append(program, {PurePosixPath("native/x.cc"): tree / "native" / "x.cc"})
    assert unpacked() != first


@pytest.mark.parametrize("missing", [30, 100])
def test_a_truncated_ingot_says_so(program: Path, cache: Path, missing: int) -> None:
    program.write_bytes(program.read_bytes()[:-missing])
    with pytest.raises(IntegrityError, match="is not whole") as caught:
        unpacked()
    assert caught.value.code == "damaged-ingot"
    assert not cache.exists()
