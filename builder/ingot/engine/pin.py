"""Which engine is built, from which of our sources, with which tools: pins and the tree hash."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import cache
from pathlib import Path, PurePosixPath

from ingot.errors import InputError, IntegrityError
from ingot.toolchain.packages import (
    Package,
    ToolchainPins,
    load_toolchain,
    parse_package,
    read_pins,
)

DEFAULT_TARGET = "linux-x86_64"


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
    """What a runtime is made from: the checkout's native/ and runtime/ folders, and the pins."""

    repository: Path
    engine: EnginePin
    tools: ToolchainPins

    @property
    def native(self) -> Path:
        """The folder that says how upstream is compiled."""
        return self.repository / "native"

    @property
    def runtime(self) -> Path:
        """The folder of the C++ program."""
        return self.repository / "runtime"


def repository() -> Path:
    """The checkout that this package runs from.

    Raises InputError when Ingot was installed without its native sources.
    """
    root = Path(__file__).resolve().parents[3]
    if not (root / "native" / "engine.toml").is_file() or not (root / "runtime").is_dir():
        raise InputError(
            "the sources of the runtime are not installed with this copy of Ingot",
            hint="run Ingot from a checkout of its repository, by the ./ingot script there",
            code="no-native-sources",
        )
    return root


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
    """Everything that is pinned in this checkout, read and checked once per process."""
    root = repository()
    native = root / "native"
    return Sources(
        root, load_engine(native / "engine.toml"), load_toolchain(native / "toolchain.toml")
    )


def tree_hash(*folders: Path) -> str:
    """sha256 over names, executable bits and contents of all files below ``folders``, in order.

    Hidden files and editors' backups (``*~``) do not count.
    """
    digest = hashlib.sha256()
    for folder in folders:
        for path in sorted(folder.rglob("*")):
            name = path.relative_to(folder)
            hidden = any(part.startswith(".") for part in name.parts)
            if hidden or path.name.endswith("~") or not path.is_file():
                continue
            content = path.read_bytes()
            mode = "x" if path.stat().st_mode & 0o100 else "-"
            digest.update(f"{folder.name}/{name.as_posix()}\0{mode}{len(content)}\0".encode())
            digest.update(content)
    return digest.hexdigest()
