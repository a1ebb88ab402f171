"""Which Python runs pip, with Pythons that are shell scripts."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from ingot.errors import ToolchainError
from ingot.toolchain.pip import pip_command


@pytest.fixture
def path(tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A frozen Ingot with this folder alone on PATH."""
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", str(folder))
    monkeypatch.delenv("INGOT_PYTHON", raising=False)
    monkeypatch.setattr(sys, "frozen", True, raising=False)
    return folder


def _python(path: Path, status: int) -> Path:
    path.write_text(f"#!/bin/sh\nexit {status}\n")
    path.chmod(0o755)
    return path


def test_a_python_with_pip_is_its_own_client() -> None:
    assert pip_command() == [sys.executable, "-P", "-m", "pip"]


def test_a_frozen_ingot_takes_the_first_on_path_that_has_pip(path: Path) -> None:
    _python(path / "python3.12", 1)
    _python(path / "python3", 0)
    assert pip_command() == [str(path / "python3"), "-P", "-m", "pip"]


def test_ingot_python_goes_before_path(
    path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _python(path / "python3", 0)
    own = _python(tmp_path / "own", 0)
    monkeypatch.setenv("INGOT_PYTHON", str(own))
    assert pip_command()[0] == str(own)


def test_without_any_the_error_says_what_to_install(path: Path) -> None:
    _python(path / "python3", 1)
    with pytest.raises(ToolchainError) as caught:
        pip_command()
    assert caught.value.code == "no-pip"
    assert "INGOT_PYTHON" in (caught.value.hint or "")


def test_an_environment_without_pip_borrows_one(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "frozen", False)
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    _python(path / "python3.14", 0)
    assert pip_command()[0] == str(path / "python3.14")
