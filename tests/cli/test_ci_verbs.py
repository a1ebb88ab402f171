"""What CI systems ask of recipes: cache keys, the summary, executables without permissions."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
from pathlib import Path

import pytest

from ingot.engine.runtime import runtime_folder
from tests.conftest import Ingot
from tests.models import DEMO

pytestmark = pytest.mark.runtime


@pytest.fixture
def recipe(tmp_path: Path, hello: Path) -> Path:
    """A recipe that is built: ``hello`` lies beside it."""
    path = tmp_path / "recipe.toml"
    path.write_text(f'[model]\nmain = "{DEMO}"\n[metadata]\nname = "hello"\n')
    shutil.copy(hello, tmp_path)
    return path


def error(done: subprocess.CompletedProcess[str]) -> tuple[int, str]:
    return done.returncode, json.loads(done.stdout)["error"]["code"]


def test_the_key_of_the_runtime_needs_no_lock(ingot: Ingot, recipe: Path) -> None:
    key = ingot("plan", recipe, "--cache-key", "runtime").stdout.strip()
    entry = json.loads(ingot("plan", recipe, "--cache-key", "runtime", "--json").stdout)
    assert entry == {"key": key, "paths": [str(runtime_folder(key))]}
    assert runtime_folder(key).is_dir()


def test_the_key_of_the_models_is_that_of_the_lock(ingot: Ingot, recipe: Path) -> None:
    asked = ("plan", recipe, "--cache-key", "models", "--json")
    assert error(ingot(*asked)) == (3, "no-lock")
    assert ingot("lock", recipe).returncode == 0
    assert json.loads(ingot(*asked).stdout)["paths"] == [], "a path is not downloaded"


def test_a_summary_for_people_and_for_variables(ingot: Ingot, recipe: Path, hello: Path) -> None:
    page, variables = recipe.with_name("page"), recipe.with_name("variables")
    page.write_text("# Before\n")
    env = {"GITHUB_STEP_SUMMARY": str(page), "GITHUB_OUTPUT": str(variables)}
    done = ingot("summary", recipe, "-o", recipe.parent, env=env)
    assert done.returncode == 0, done.stderr
    digest = hashlib.sha256(hello.read_bytes()).hexdigest()
    assert page.read_text() == f"# Before\n{done.stdout}"
    assert f"| `{digest}` | not run |" in done.stdout
    lines = variables.read_text().splitlines()
    assert lines[:2] == [f"path={recipe.with_name('hello')}", f"sha256={digest}"]


def test_no_summary_of_what_is_not_there(ingot: Ingot, recipe: Path) -> None:
    recipe.with_name("hello").unlink()
    assert ingot("summary", recipe, "-o", recipe.parent, "--json").returncode == 3


def test_a_recipe_without_tests(ingot: Ingot, recipe: Path) -> None:
    words = ("test", recipe, "-o", recipe.parent, "--json")
    assert error(ingot(*words)) == (3, "no-tests")
    done = ingot(*words, "--if-any")
    assert (done.returncode, json.loads(done.stdout)) == (0, {"passed": True, "results": {}})


def test_what_lost_its_permissions_is_collected_and_gets_them_back(
    ingot: Ingot, recipe: Path
) -> None:
    recipe.with_name("hello").chmod(0o640)
    done = ingot("collect", recipe.parent, "-o", "release")
    assert done.returncode == 0, done.stderr
    found = recipe.with_name("cwd") / "release" / "hello"
    assert found.stat().st_mode & 0o777 == 0o750
    assert os.access(found, os.X_OK)
