"""builder/bootstrap.py, which runs before anything is installed."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from types import ModuleType

import pytest

from ingot import paths
from tests.conftest import REPOSITORY


@pytest.fixture
def bootstrap(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """The module, with creating and installing replaced by notes in ``module.calls``."""
    spec = importlib.util.spec_from_file_location("bootstrap", REPOSITORY / "builder/bootstrap.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    calls: list[str] = []

    def create(folder: Path) -> None:
        calls.append("create")
        (folder / "bin").mkdir(parents=True, exist_ok=True)
        (folder / "bin" / "python").touch()

    def install(folder: Path, extras: str) -> None:
        calls.append(f"install {extras}")

    project = tmp_path / "pyproject.toml"
    project.write_text("1")
    monkeypatch.setattr(module, "create", create)
    monkeypatch.setattr(module, "install", install)
    monkeypatch.setattr(module, "PROJECT", project)
    monkeypatch.setattr(module, "calls", calls, raising=False)
    monkeypatch.setenv("INGOT_CACHE", str(tmp_path / "cache"))
    return module


def test_the_environment_is_made_once(bootstrap: ModuleType) -> None:
    assert bootstrap.ensure("dev") == bootstrap.ensure("dev")
    assert bootstrap.calls == ["create", "install dev"]


def test_a_cache_whose_name_is_not_utf_8_is_refused(
    bootstrap: ModuleType, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("INGOT_CACHE", f"{tmp_path}/\udcff")
    with pytest.raises(SystemExit, match=r"not UTF-8: .*xff/venvs'\nhint: set INGOT_CACHE"):
        bootstrap.ensure("")


def test_users_and_contributors_have_one_each(bootstrap: ModuleType) -> None:
    assert bootstrap.ensure("dev") != bootstrap.ensure("")


def test_a_changed_project_file_updates_it_in_place(bootstrap: ModuleType) -> None:
    first = bootstrap.ensure("")
    bootstrap.PROJECT.write_text("2")
    assert bootstrap.ensure("") == first
    assert bootstrap.calls == ["create", "install ", "install "]


def test_one_that_was_interrupted_is_made_again(
    bootstrap: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(folder: Path, extras: str) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(bootstrap, "install", interrupted)
        with pytest.raises(KeyboardInterrupt):
            bootstrap.ensure("")
    bootstrap.ensure("")
    assert bootstrap.calls == ["create", "create", "install "]


@pytest.mark.parametrize("variable", ["INGOT_CACHE", "XDG_CACHE_HOME", "HOME"])
def test_it_uses_the_same_cache_as_the_package(
    bootstrap: ModuleType, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, variable: str
) -> None:
    for name in ("INGOT_CACHE", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv(variable, str(tmp_path / "place"))
    assert bootstrap.cache_dir() == paths.cache_dir()
