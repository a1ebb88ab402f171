"""GitHub Actions on this machine: act runs the workflows for real, with its own evaluation of
expressions, matrices and outputs. Actions of GitHub's are stood for by those in ``actions/``.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ingot.paths import cache_dir
from tests.conftest import REPOSITORY

SCRIPTS = Path(sys.executable).parent  # where pip puts programs
US = "OWNER/ingot@VERSION"
SECRET = "a secret"  # SIGNING_KEY of the caller's
STAND_INS = {
    "checkout": "v7",
    "cache": "v6",
    "upload-artifact": "v7",
    "download-artifact": "v8",
    "attest-build-provenance": "v4",
}


@dataclass(frozen=True)
class Finished:
    """A run of act: its exit status, its events, and what the stand-ins recorded."""

    status: int
    events: list[dict[str, Any]]
    log: list[list[str]]

    @property
    def said(self) -> str:
        """All that was printed, for a failure's report."""
        return "".join(
            f"{event.get('job', '')}: {str(event.get('msg', '')).rstrip()}\n"
            for event in self.events
        )

    def pages(self) -> list[str]:
        """The step summary of each job that has one. act tells of it after the step that wrote it,
        and again after the action around that.
        """
        told = {e["job"]: e["content"] for e in self.events if e.get("command") == "summary"}
        return list(told.values())

    def results(self) -> dict[str, str]:
        """Job -> ``success`` or ``failure``."""
        return {e["job"]: e["jobResult"] for e in self.events if "jobResult" in e}

    def recorded(self, what: str) -> list[list[str]]:
        """Of the stand-ins: their lines about ``what``, without that word."""
        return [rest for word, *rest in self.log if word == what]


class GitHub:
    """A caller's repository in ``caller``, and what lies beside it while its workflows run."""

    def __init__(self, folder: Path) -> None:
        self.store = folder
        self.caller = folder / "caller"
        for name in ("homes", "artifacts", "caller/.github/workflows"):
            (folder / name).mkdir(parents=True)
        leave = shutil.ignore_patterns(".*cache", ".git", "__pycache__", "shared", "dist")
        shutil.copytree(REPOSITORY, folder / "ingot", ignore=leave)
        # The environment of these tests, instead of one for each job. It means the same checkout.
        self.command = folder / "ingot-command"
        self.command.write_text(f'#!/bin/sh\nexec "{sys.executable}" -P -m ingot "$@"\n')
        self.command.chmod(0o755)

    def run(self, workflow: str, env: Mapping[str, str]) -> Finished:
        """Run ``workflow`` as a push would."""
        path = self.caller / ".github" / "workflows" / "caller.yml"
        path.write_text(workflow)
        stand_ins = [
            f"actions/{name}@{version}={Path(__file__).parent / 'actions' / name}"
            for name, version in STAND_INS.items()
        ]
        # The cache is shared, so that no job compiles the runtime; homes are not.
        shared = {"INGOT_CACHE": str(cache_dir()), "INGOT_GPU": "none", "STORE": str(self.store)}
        argv = [
            *(str(SCRIPTS / "act"), "push", "--json", "--directory", str(self.caller)),
            *("--platform", "ubuntu-latest=-self-hosted", "--no-skip-checkout"),
            *("--pull=false", "--no-cache-server", "--concurrent-jobs", "2"),
            *("--action-cache-path", str(self.store / "act"), "--workflows", str(path)),
            *_repeated("--local-repository", [f"{US}={self.store / 'ingot'}", *stand_ins]),
            *("--secret", f"SIGNING_KEY={SECRET}"),
            *_repeated("--env", [f"{name}={value}" for name, value in {**shared, **env}.items()]),
        ]
        done = subprocess.run(
            argv,
            env={
                "PATH": os.environ["PATH"],
                "HOME": str(self.store / "act-home"),
                "DOCKER_HOST": "unix:///nowhere",
            },
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
            timeout=900,
        )
        events = [_event(line) for line in done.stdout.splitlines()]
        log = self.store / "log"
        lines = log.read_text().splitlines() if log.exists() else []
        return Finished(done.returncode, events, [line.split("\t") for line in lines])


def _repeated(option: str, values: list[str]) -> list[str]:
    return [word for value in values for word in (option, value)]


def _event(line: str) -> dict[str, Any]:
    try:
        event = json.loads(line)
    except ValueError:
        return {"msg": line}
    return event if isinstance(event, dict) else {"msg": line}
