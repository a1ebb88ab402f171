"""Environments of pinned packages, made by the real pip from an index in a folder."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from ingot.console import NullProgress
from ingot.errors import IntegrityError, NetworkError
from ingot.toolchain import pythonenv
from ingot.toolchain.pythonenv import EnvironmentPins, clean_env, environment_command
from tests.unit.package_index import Index


@pytest.fixture
def pins(monkeypatch: pytest.MonkeyPatch) -> EnvironmentPins:
    made = EnvironmentPins({"tiny": ("small-thing",)}, {"small-thing": "1.0"})
    monkeypatch.setattr(pythonenv, "load_pins", lambda: made)
    return made


def _ask(python: Path, script: Path) -> str:
    command = environment_command(python, script)
    env = clean_env({"PATH": "/usr/bin:/bin"})
    return subprocess.run(command, env=env, capture_output=True, text=True, check=True).stdout


def test_every_package_of_every_environment_is_pinned() -> None:
    pins = pythonenv.load_pins()
    assert {"compare", "convert"} <= pins.environments.keys()
    for name in pins.environments:
        assert all("==" in line for line in pins.requirements(name))


def test_a_package_without_a_version_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "environments.toml"
    path.write_text('[environments]\nx = ["numpy"]\n[versions]\n')
    with pytest.raises(IntegrityError, match="'numpy' of 'x' has no version"):
        pythonenv.load_pins(path)


def test_it_is_made_once_and_holds_what_is_pinned(
    cache: Path, index: Index, pins: EnvironmentPins, tmp_path: Path
) -> None:
    index.wheel("small-thing", "1.0", {"small_thing.py": b"value = 'one'\n"})
    index.wheel("small-thing", "2.0", {"small_thing.py": b"value = 'two'\n"})
    script = tmp_path / "script.py"
    script.write_text("import small_thing; print(small_thing.value)")
    python = pythonenv.ensure("tiny", NullProgress())
    assert _ask(python, script) == "one\n"
    made = python.parent.stat().st_ino
    assert pythonenv.ensure("tiny", NullProgress()).parent.stat().st_ino == made


def test_nothing_beside_the_script_is_imported(
    cache: Path, index: Index, pins: EnvironmentPins, tmp_path: Path
) -> None:
    index.wheel("small-thing", "1.0", {"small_thing.py": b""})
    (tmp_path / "json.py").write_text("raise SystemExit('the wrong json')")
    script = tmp_path / "script.py"
    script.write_text("import json; print(json.dumps(1))")
    assert _ask(pythonenv.ensure("tiny", NullProgress()), script) == "1\n"


def test_it_is_made_again_when_its_python_has_gone(
    cache: Path, index: Index, pins: EnvironmentPins
) -> None:
    index.wheel("small-thing", "1.0", {"small_thing.py": b""})
    python = pythonenv.ensure("tiny", NullProgress())
    python.unlink()
    python.symlink_to("/nonexistent/python3")
    assert pythonenv.ensure("tiny", NullProgress()).exists()


def test_what_pip_cannot_get_is_a_network_error_and_leaves_nothing(
    cache: Path, index: Index, pins: EnvironmentPins
) -> None:
    with pytest.raises(NetworkError, match="'tiny' could not be made") as caught:
        pythonenv.ensure("tiny", NullProgress())
    assert "small-thing==1.0" in caught.value.message
    assert [path for path in (cache / "python").iterdir() if path.is_dir()] == []
