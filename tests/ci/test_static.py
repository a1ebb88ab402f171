"""The action, the workflows and their shell, without running them."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.ci.github import SCRIPTS, STAND_INS
from tests.conftest import REPOSITORY

ACTION = REPOSITORY / "action.yml"
WORKFLOWS = sorted((REPOSITORY / ".github" / "workflows").glob("*.yml"))
SHELL = sorted((REPOSITORY / "recipes" / "ci").glob("*.sh"))


def said(*argv: str | Path, given: str | None = None) -> str:
    """What a program of this environment complains about; nothing if it is content."""
    name, *words = argv
    done = subprocess.run(
        [SCRIPTS / name, *words],
        input=given,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    return done.stdout if done.returncode else ""


def steps(path: Path) -> Iterator[dict[str, Any]]:
    document = yaml.safe_load(path.read_text("utf-8"))
    parts = [document["runs"]] if "runs" in document else document["jobs"].values()
    for part in parts:
        yield from part["steps"]


def test_the_action_is_one() -> None:
    assert not said("check-jsonschema", "--builtin-schema", "vendor.github-actions", ACTION)


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.stem)
def test_a_workflow_is_one(path: Path) -> None:
    assert not said("check-jsonschema", "--builtin-schema", "vendor.github-workflows", path)
    assert not said("act", "--validate", "--strict", "--workflows", path)


def test_nobody_can_inject_anything() -> None:
    config = REPOSITORY / ".github" / "zizmor.yml"
    options = ("--offline", "--no-progress", "--min-severity", "medium", "--config", config)
    assert not said("zizmor", *options, ACTION, *WORKFLOWS)


@pytest.mark.parametrize("path", SHELL, ids=lambda path: path.stem)
def test_scripts_are_posix_shell(path: Path) -> None:
    assert not said("shellcheck", "--shell", "sh", path)


@pytest.mark.parametrize("path", [ACTION, *WORKFLOWS], ids=lambda path: path.stem)
def test_the_shell_in_steps(path: Path) -> None:
    for step in steps(path):
        if "run" in step:
            assert "${{" not in step["run"], "values come through env"
            assert not said("shellcheck", "--shell", "sh", "-", given=step["run"])


def test_what_is_used_is_what_the_tests_stand_in_for() -> None:
    used = {step["uses"] for path in (ACTION, *WORKFLOWS) for step in steps(path) if "uses" in step}
    assert used - {"./.ingot"} == {f"actions/{name}@{v}" for name, v in STAND_INS.items()}
