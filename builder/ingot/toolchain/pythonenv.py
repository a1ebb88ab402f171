"""Python environments of pinned packages, made in the cache when a verb first needs one.

Ingot itself imports none of what they hold: it starts their Python as a child process. They are
made from whatever Python with pip there is, and made again when that one is another.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from ingot import process
from ingot.console import Progress, Step
from ingot.errors import IntegrityError, NetworkError
from ingot.paths import cache_dir, ensure_entry
from ingot.toolchain.packages import read_pins
from ingot.toolchain.pip import find_python, pip_command

PINS = Path(__file__).with_name("environments.toml")
_STAMP = "ready.json"
# What a user of these has set for other Pythons would be imported before what is pinned.
_CLEAN = {"PYTHONPATH": "", "PYTHONHOME": "", "PYTHONNOUSERSITE": "1"}


@dataclass(frozen=True)
class EnvironmentPins:
    """environments.toml: the packages of each environment, and the version of every package."""

    environments: Mapping[str, tuple[str, ...]]
    versions: Mapping[str, str]

    def requirements(self, name: str) -> list[str]:
        """What pip installs, such as ``numpy==2.4.6``."""
        return [f"{package}=={self.versions[package]}" for package in self.environments[name]]

    def constraints(self) -> list[str]:
        """The versions of whatever those need in turn."""
        return [f"{package}=={version}" for package, version in sorted(self.versions.items())]


def load_pins(path: Path = PINS) -> EnvironmentPins:
    """Read environments.toml; IntegrityError ``bad-pin`` when a package has no version."""
    document = read_pins(path)
    environments, versions = document.get("environments"), document.get("versions")
    if not isinstance(environments, dict) or not isinstance(versions, dict):
        raise _bad(path, "'environments' and 'versions' are needed")
    for package, version in versions.items():
        if not isinstance(version, str):
            raise _bad(path, f"the version of {package!r} is not a string")
    for name, packages in environments.items():
        if not isinstance(packages, list) or not packages:
            raise _bad(path, f"{name!r} is not a list of packages")
        for package in packages:
            if package not in versions:
                raise _bad(path, f"{package!r} of {name!r} has no version")
    return EnvironmentPins({name: tuple(found) for name, found in environments.items()}, versions)


def _bad(path: Path, what: str) -> IntegrityError:
    return IntegrityError(
        f"{path.name}: {what}", hint="restore the file from version control", code="bad-pin"
    )


def environment_folder(name: str) -> Path:
    """Where the environment is, or would be: another one for other pins."""
    key = hashlib.sha256("\n".join(_wanted(load_pins(), name)).encode()).hexdigest()
    return cache_dir() / "python" / f"{name}-{key[:16]}"


def ensure(name: str, progress: Progress) -> Path:
    """The Python of the environment ``name`` (of environments.toml), made if it is not there.

    Start it by ``environment_command``. Raises ToolchainError ``no-pip`` without a Python that has
    pip, NetworkError ``fetch-failed`` when pip cannot get something. Nothing half-made is left.
    """
    folder = environment_folder(name)
    if not _is_ready(folder):
        with progress.step(f"Setting up the Python environment '{name}' (once)") as step:
            ensure_entry(
                folder,
                lambda temporary: _make(temporary, name, step),
                on_wait=lambda: step.update(0, None, "waiting for another run that makes it"),
                keep=_is_ready,
            )
    return folder / "bin" / "python"


def environment_command(python: Path, script: Path, *words: str | os.PathLike[str]) -> list[str]:
    """The command that runs ``script`` by an environment's Python and imports nothing beside it."""
    return [str(python), "-P", str(script), *(os.fspath(word) for word in words)]


def clean_env(extra: Mapping[str, str] | None = None) -> dict[str, str]:
    """What to lay over our environment for such a child."""
    return {**_CLEAN, **(extra or {})}


def _wanted(pins: EnvironmentPins, name: str) -> list[str]:
    return [*pins.requirements(name), *pins.constraints()]


def _is_ready(folder: Path) -> bool:
    """Is it whole, and still of the Python that it was made from?"""
    try:
        made_from = json.loads((folder / _STAMP).read_text("utf-8"))["python"]
        return (folder / "bin" / "python").resolve(strict=True) == Path(made_from)
    except (OSError, ValueError, KeyError, TypeError):
        return False


def _make(folder: Path, name: str, step: Step) -> None:
    """Without a pip of its own, which Debian's Pythons cannot put there (they lack ensurepip)."""
    pins = load_pins()
    log = cache_dir() / "logs" / f"python-{name}.log"
    process.run([find_python(), "-P", "-m", "venv", "--without-pip", folder], log=log, what="venv")
    own = folder / "bin" / "python"
    listed = folder / "constraints.txt"
    listed.write_text("\n".join(pins.constraints()) + "\n")
    argv = [*pip_command(), "--python", str(own), "install", "--no-input"]
    argv += ["--only-binary", ":all:", "--progress-bar", "off", "--disable-pip-version-check"]
    argv += ["--constraint", str(listed), *pins.requirements(name)]
    done = process.run(
        argv,
        log=log,
        env=_CLEAN,
        on_line=lambda line: step.update(0, None, line.strip()[:60]),
        what="pip install",
        check=False,
    )
    if done.status:
        raise _pip_failure(name, done)
    (folder / _STAMP).write_text(json.dumps({"python": str(own.resolve())}) + "\n", "utf-8")


def _pip_failure(name: str, done: process.Completed) -> NetworkError:
    said: Sequence[str] = [line for line in done.lines if line.startswith(("ERROR", "error"))]
    quoted = "".join(f"\n    {line[:300]}" for line in (said or done.lines)[-4:])
    return NetworkError(
        f"the Python environment '{name}' could not be made{quoted}",
        hint=(
            "check the network and pip's settings (pip.conf, PIP_INDEX_URL, PIP_PROXY) and the "
            f"room on the disk; log: {done.log}"
        ),
        code="fetch-failed",
    )
