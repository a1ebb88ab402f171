from __future__ import annotations

from pathlib import Path

import pytest

from ingot.errors import ToolchainError
from ingot.toolchain import cmake
from ingot.toolchain.packages import Package

PACKAGE = Package("ninja", "1.2", "f", 1, "0" * 64)


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("[3/12] Building CXX object a/b.dir/llama.cpp.o", (3, 12, "3/12 llama.cpp")),
        ("[12/12] Linking CXX executable ingot-runtime", (12, 12, "12/12 ingot-runtime")),
        ("ninja: no work to do.", None),
        ("FAILED: [code=1] a.o", None),
    ],
)
def test_ninja_status_lines(line: str, expected: tuple[int, int, str] | None) -> None:
    assert cmake.parse_status(line) == expected


class Recorder:
    def __init__(self) -> None:
        self.seen: list[tuple[float, float | None, str]] = []

    def update(self, done: float, total: float | None = None, note: str = "") -> None:
        self.seen.append((done, total, note))


def _tools(tmp_path: Path, script: str) -> tuple[cmake.CMake, cmake.Ninja]:
    ninja = cmake.Ninja(PACKAGE, tmp_path / "n")
    ninja.program.parent.mkdir(parents=True)
    ninja.program.write_text(f"#!/bin/sh\n{script}\n")
    ninja.program.chmod(0o755)
    return cmake.CMake(PACKAGE, tmp_path / "c"), ninja


def test_a_build_reports_what_ninja_says(tmp_path: Path) -> None:
    tools = _tools(tmp_path, 'echo "[1/2] Building C object x/a.c.o"; echo "[2/2] Linking p"')
    step = Recorder()
    cmake.build(*tools, tmp_path, ["p"], log=tmp_path / "log", step=step)
    assert step.seen == [(1, 2, "1/2 a.c"), (2, 2, "2/2 p")]


def test_a_failed_build_quotes_the_compiler(tmp_path: Path) -> None:
    script = 'echo "[1/2] Building"; echo "FAILED: a.o"; echo "a.c:1: error: bad"; exit 1'
    with pytest.raises(ToolchainError, match="the compilation failed") as caught:
        cmake.build(
            *_tools(tmp_path, script), tmp_path, ["p"], log=tmp_path / "log", step=Recorder()
        )
    assert "a.c:1: error: bad" in caught.value.message


def test_flags_of_the_caller_do_not_reach_the_compiler(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CXXFLAGS", "-march=native")
    tools = _tools(tmp_path, 'echo "[1/1] flags=$CXXFLAGS"')
    step = Recorder()
    cmake.build(*tools, tmp_path, ["p"], log=tmp_path / "log", step=step)
    assert step.seen == [(1, 1, "1/1 flags=")]
