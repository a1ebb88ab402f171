"""CMake and Ninja: configure, build, and progress read off Ninja's status line."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from ingot import process
from ingot.console import Progress, Step
from ingot.toolchain.packages import Package, installed

NINJA_STATUS = "[%f/%t] "
_STATUS = re.compile(r"\[(\d+)/(\d+)\] (.*)")


@dataclass(frozen=True)
class CMake:
    """The unpacked cmake package."""

    package: Package
    folder: Path

    @property
    def program(self) -> Path:
        """The ``cmake`` executable."""
        return self.folder / "cmake" / "data" / "bin" / "cmake"


@dataclass(frozen=True)
class Ninja:
    """The unpacked ninja package."""

    package: Package
    folder: Path

    @property
    def program(self) -> Path:
        """The ``ninja`` executable."""
        return self.folder / f"ninja-{self.package.version}.data" / "scripts" / "ninja"


def install(package: Package, progress: Progress) -> CMake:
    """Fetch and unpack CMake unless it is there already."""
    return CMake(package, installed(package, progress))


def install_ninja(package: Package, progress: Progress) -> Ninja:
    """Fetch and unpack Ninja unless it is there already."""
    return Ninja(package, installed(package, progress))


def build_env(cmake: CMake, ninja: Ninja) -> dict[str, str]:
    """The environment of configure and build.

    Compiler variables of the caller would override the toolchain file or leak flags into the
    program, so they are emptied; a fixed locale keeps messages parseable.
    """
    cleared = dict.fromkeys(("CFLAGS", "CXXFLAGS", "CPPFLAGS", "LDFLAGS", "CC", "CXX"), "")
    path = os.pathsep.join(
        (str(ninja.program.parent), str(cmake.program.parent), os.environ.get("PATH", os.defpath))
    )
    return {**cleared, "PATH": path, "NINJA_STATUS": NINJA_STATUS, "LC_ALL": "C", "CLICOLOR": "0"}


def forget_other_checkout(folder: Path, project: Path) -> None:
    """CMake refuses a build folder that was made from another source folder: drop its cache.

    Ninja then compiles again whatever a command line with another path in it made. Two checkouts
    that take turns pay for that; a folder for each would keep 300 MB per deleted clone.
    """
    try:
        text = (folder / "CMakeCache.txt").read_text("utf-8", "replace")
    except FileNotFoundError:
        return
    if f"CMAKE_HOME_DIRECTORY:INTERNAL={project}\n" not in text:
        (folder / "CMakeCache.txt").unlink()
        shutil.rmtree(folder / "CMakeFiles", ignore_errors=True)


def configure(
    cmake: CMake,
    ninja: Ninja,
    source: Path,
    build: Path,
    definitions: Mapping[str, str],
    *,
    log: Path,
    step: Step,
) -> None:
    """Run ``cmake -G Ninja``; quick when nothing changed. Raises ToolchainError."""
    step.update(0, None, "configuring")
    argv: list[str | Path] = [cmake.program, "-G", "Ninja", "-S", source, "-B", build]
    argv += [f"-D{name}={value}" for name, value in definitions.items()]
    argv.append(f"-DCMAKE_MAKE_PROGRAM={ninja.program}")
    process.run(argv, log=log, env=build_env(cmake, ninja), what="cmake")


def build(
    cmake: CMake,
    ninja: Ninja,
    folder: Path,
    targets: Sequence[str],
    *,
    log: Path,
    step: Step,
) -> None:
    """Build ``targets`` with one job per core; ``step`` follows Ninja's count.

    Raises ToolchainError that quotes the first error of the compiler.
    """

    def follow(line: str) -> None:
        seen = parse_status(line)
        if seen is not None:
            step.update(*seen)

    process.run(
        [ninja.program, "-C", folder, *targets],
        log=log,
        env=build_env(cmake, ninja),
        on_line=follow,
        what="the compilation",
    )


def parse_status(line: str) -> tuple[int, int, str] | None:
    """``[12/224] Building CXX object a/b/llama.cpp.o`` -> (12, 224, "12/224 llama.cpp")."""
    match = _STATUS.match(line)
    if match is None:
        return None
    done, total, what = int(match[1]), int(match[2]), match[3]
    words = what.split()
    name = words[-1].rsplit("/", 1)[-1].removesuffix(".o") if words else ""
    return done, total, f"{done}/{total} {name}"
