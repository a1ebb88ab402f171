"""Which engine is built, from which of our sources, with which tools: pins and the tree hash.

The one place that knows whether this package runs from a checkout or is an installed or frozen
copy, which carries what it needs of one.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path, PurePosixPath

from ingot.engine.appended import unpacked
from ingot.errors import InputError, IntegrityError
from ingot.frozen import is_frozen
from ingot.toolchain.packages import (
    Package,
    ToolchainPins,
    load_toolchain,
    parse_package,
    read_pins,
)

DEFAULT_TARGET = "linux-x86_64"
CARRIED = "carried"  # the folder of an installed package that stands for the checkout


@dataclass(frozen=True)
class EnginePin:
    """native/engine.toml: the package that carries llama.cpp, its commit, and where it lies."""

    package: Package
    commit: str
    subdirectory: PurePosixPath

    def identity(self) -> dict[str, str]:
        """The engine as manifests name it."""
        return {
            "package": self.package.name,
            "version": self.package.version,
            "commit": self.commit,
            "sha256": self.package.sha256,
        }


@dataclass(frozen=True)
class Sources:
    """What a runtime is made from: the checkout's native/ and runtime/ folders, and the pins.

    ``repository`` is the checkout, or what an installed copy carries of it. ``variant`` tells the
    build folders of other engines than native/engine.toml's from its own.
    """

    repository: Path
    engine: EnginePin
    tools: ToolchainPins
    variant: str = ""

    @property
    def native(self) -> Path:
        """The folder that says how upstream is compiled."""
        return self.repository / "native"

    @property
    def runtime(self) -> Path:
        """The folder of the C++ program."""
        return self.repository / "runtime"

    @property
    def images(self) -> Path:
        """The folder of prebuilt images, by their keys; only an installed copy has it."""
        return self.repository / "runtimes"


def repository() -> Path:
    """What this copy of Ingot carries, else the checkout that it runs from.

    Raises InputError when there is neither.
    """
    if is_frozen():
        return unpacked()
    package = Path(__file__).resolve().parents[1]
    # In this order: what is two folders above an installed package is anybody's.
    for root in (package / CARRIED, package.parents[1]):
        if (root / "native" / "engine.toml").is_file() and (root / "runtime").is_dir():
            return root
    raise InputError(
        "the sources of the runtime are not installed with this copy of Ingot",
        hint="install a wheel that ./dev wheel made, or run ./ingot in a checkout",
        code="no-native-sources",
    )


def load_engine(path: Path) -> EnginePin:
    """Read native/engine.toml; IntegrityError when something is missing, above all a sha256."""
    document = read_pins(path)
    commit, subdirectory = document.get("commit"), document.get("subdirectory")
    if not isinstance(commit, str) or not isinstance(subdirectory, str):
        raise IntegrityError(f"{path.name}: 'commit' and 'subdirectory' are needed", code="bad-pin")
    inside = PurePosixPath(subdirectory)
    if inside.is_absolute() or ".." in inside.parts:
        raise IntegrityError(f"{path.name}: 'subdirectory' leads outside", code="bad-pin")
    return EnginePin(parse_package(document, path.name), commit, inside)


@cache
def load_sources() -> Sources:
    """Everything that is pinned in ``repository()``, read and checked once per process."""
    root = repository()
    native = root / "native"
    return Sources(
        root, load_engine(native / "engine.toml"), load_toolchain(native / "toolchain.toml")
    )


def load_other_engines(folder: Path) -> dict[str, EnginePin]:
    """Engines that ``ingot compare`` can run as well, by version: native/engines/*.toml, each as
    native/engine.toml is. None where there is no such folder.
    """
    pins = [load_engine(path) for path in sorted(folder.glob("*.toml"))]
    return {pin.package.version: pin for pin in pins}


def choose_engine(sources: Sources, version: str | None) -> Sources:
    """``sources`` with the engine ``version``; as they are if it is None or their own.

    Raises InputError ``unknown-engine``.
    """
    if version is None or version == sources.engine.package.version:
        return sources
    others = load_other_engines(sources.native / "engines")
    if version not in others:
        raise InputError(
            f"there is no engine version '{version}'",
            hint=f"pinned versions: {', '.join(sorted({sources.engine.package.version, *others}))}",
            code="unknown-engine",
        )
    return replace(sources, engine=others[version], variant=f"-{version}")


def tree_hash(*folders: Path) -> str:
    """sha256 over names, executable bits and contents of all ``tree_files``, folder by folder."""
    digest = hashlib.sha256()
    for folder in folders:
        for path in tree_files(folder):
            name = path.relative_to(folder)
            content = path.read_bytes()
            mode = "x" if path.stat().st_mode & 0o100 else "-"
            digest.update(f"{folder.name}/{name.as_posix()}\0{mode}{len(content)}\0".encode())
            digest.update(content)
    return digest.hexdigest()


def tree_files(folder: Path) -> Iterator[Path]:
    """All files below ``folder`` that count, sorted.

    Hidden files, editors' backups (``*~``) and what Python leaves beside its sources do not.
    """
    for path in sorted(folder.rglob("*")):
        parts = path.relative_to(folder).parts
        passed_over = any(part.startswith(".") or part == "__pycache__" for part in parts)
        if not passed_over and not path.name.endswith("~") and path.is_file():
            yield path
