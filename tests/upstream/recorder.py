"""A pytest plugin for llama.cpp's server tests: writes what came of each test. Needs nothing else.

It is copied beside the tests and loaded with ``-p recorder``; ``INGOT_OUTCOMES`` names the JSON
file. Nothing that it loads may reach another machine than this one.
"""

from __future__ import annotations

import json
import os
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

_found: dict[str, dict[str, Any]] = {}


@pytest.fixture(scope="session", autouse=True)
def only_this_machine() -> Iterator[None]:
    """Refuse to connect to anything but a loopback address."""
    connect = socket.socket.connect

    def guarded(self: socket.socket, address: Any) -> None:
        host = address[0] if isinstance(address, tuple) else "localhost"
        if not (host.startswith("127.") or host in ("::1", "localhost")):
            raise OSError(f"the tests may not reach {host}")
        connect(self, address)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(socket.socket, "connect", guarded)
        yield


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Leave out what would pull a container's image from a registry."""
    reason = "needs an image from a registry"
    for item in items:
        if "container_engine" in getattr(item, "fixturenames", ()) or "docker_runtime" in item.name:
            item.add_marker(pytest.mark.skip(reason=reason))


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    """Keep the worst of a test's three phases, the seconds of all, and why it failed."""
    entry = _found.setdefault(report.nodeid, {"outcome": "passed", "seconds": 0.0, "why": ""})
    entry["seconds"] = round(entry["seconds"] + report.duration, 2)
    if report.outcome != "passed" and entry["outcome"] != "failed":
        entry |= {"outcome": report.outcome, "why": _why(report)}


def _why(report: pytest.TestReport) -> str:
    if report.skipped and isinstance(report.longrepr, tuple):
        return str(report.longrepr[2]).removeprefix("Skipped: ")
    crash = getattr(report.longrepr, "reprcrash", None)
    return str(crash.message if crash else report.longrepr)[:600]


def pytest_sessionfinish() -> None:
    """Write the file, also when the run was stopped."""
    Path(os.environ["INGOT_OUTCOMES"]).write_text(json.dumps(_found, indent=1))
