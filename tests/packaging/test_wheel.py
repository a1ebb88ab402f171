"""The wheel: what it carries, that it works where nothing can be compiled, and that there is none
without the runtime.
"""

from __future__ import annotations

import json
import os
import sys
import zipfile
from collections.abc import Callable
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest

from ingot.engine.image import RuntimeImage
from ingot.engine.pin import load_sources
from tests.conftest import REPOSITORY
from tests.golden.samples import seed_cache
from tests.packaging.conftest import Do

real = [pytest.mark.slow, pytest.mark.runtime, pytest.mark.network]
TAG = "py3-none-manylinux_2_28_x86_64"

Initialize = Callable[[str], dict[str, Any]]


@pytest.fixture(scope="session")
def wheel(do: Do, runtime_image: RuntimeImage, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Made by way of a source archive, in an environment with hatchling alone."""
    folder = tmp_path_factory.mktemp("wheel")
    do(REPOSITORY / "dev", "wheel", "--outdir", folder)
    (found,) = folder.glob("*.whl")
    return found


@pytest.fixture(scope="session")
def installed(do: Do, wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The ``ingot`` of a fresh environment that nobody may write to."""
    folder = tmp_path_factory.mktemp("venv") / "venv"
    do(sys.executable, "-m", "venv", folder)
    do(folder / "bin" / "python", "-m", "pip", "install", "--quiet", wheel)
    (carried,) = folder.glob("lib/python*/site-packages/ingot/carried")
    for path in (carried, *carried.rglob("*")):
        path.chmod(path.stat().st_mode & ~0o222)
    return folder / "bin" / "ingot"


class TestWheel:
    pytestmark = real

    def test_it_is_for_one_platform_and_whole(
        self, wheel: Path, runtime_image: RuntimeImage
    ) -> None:
        assert wheel.name.endswith(f"-{TAG}.whl")
        with zipfile.ZipFile(wheel) as archive:
            names = set(archive.namelist())
            (info,) = (name for name in names if name.endswith(".dist-info/WHEEL"))
            assert "Root-Is-Purelib: false" in archive.read(info).decode()
        files = [path for path in runtime_image.root.rglob("*") if path.is_file()]
        place = f"ingot/carried/runtimes/{runtime_image.root.name}"
        assert {f"{place}/{f.relative_to(runtime_image.root).as_posix()}" for f in files} <= names
        assert wheel.stat().st_size < 40e6

    def test_it_makes_the_same_demo_without_a_compiler(
        self, do: Do, installed: Path, bare: dict[str, str], demo: bytes, tmp_path: Path
    ) -> None:
        do(installed, "demo", "-o", "demo", env=bare, cwd=tmp_path)
        assert (tmp_path / "demo").read_bytes() == demo
        # The runtime is used in place, and nothing is fetched.
        assert sorted(os.listdir(tmp_path / "cache")) == ["digests", "logs"]

    def test_its_doctor_says_that_the_runtime_is_carried(
        self, do: Do, installed: Path, bare: dict[str, str], tmp_path: Path
    ) -> None:
        facts = json.loads(do(installed, "doctor", "--json", env=bare, cwd=tmp_path).stdout)
        assert (facts["runtime_carried"], facts["runtime_cached"]) == (True, False)
        assert not (tmp_path / "cache").exists()

    def test_without_the_runtime_there_is_no_wheel(
        self, do: Do, tools: Path, tmp_path: Path
    ) -> None:
        empty = {**os.environ, "INGOT_CACHE": str(tmp_path / "cache")}
        build = (tools, "-m", "build", "--wheel", "--outdir", tmp_path / "out")
        done = do(*build, env=empty, check=False)
        assert done.returncode != 0
        said = done.stdout + done.stderr
        assert "error: the runtime for linux-x86_64" in said
        assert "./dev wheel" in said and "Traceback" not in said
        assert not list(tmp_path.glob("out/*"))


@pytest.fixture
def initialize(monkeypatch: pytest.MonkeyPatch) -> Initialize:
    """builder/wheel.py's hook, as hatchling calls it, less hatchling: version -> build data."""
    interface = ModuleType("interface")
    interface.BuildHookInterface = object  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "hatchling.builders.hooks.plugin.interface", interface)
    for name in ("hatchling", "hatchling.builders", "hatchling.builders.hooks"):
        monkeypatch.setitem(sys.modules, name, ModuleType(name))
    monkeypatch.setitem(sys.modules, "hatchling.builders.hooks.plugin", ModuleType("plugin"))
    monkeypatch.setattr(sys, "path", list(sys.path))
    spec = spec_from_file_location("wheel_hook", REPOSITORY / "builder" / "wheel.py")
    assert spec is not None and spec.loader is not None
    module = module_from_spec(spec)
    spec.loader.exec_module(module)

    def abort(message: str) -> None:
        raise SystemExit(message)

    def call(version: str) -> dict[str, Any]:
        hook = module.WheelHook()
        hook.root, hook.app = str(REPOSITORY), SimpleNamespace(abort=abort)
        data: dict[str, Any] = {"pure_python": True, "force_include": {}}
        hook.initialize(version, data)
        return data

    return call


def test_an_editable_install_needs_no_runtime(initialize: Initialize, cache: Path) -> None:
    assert initialize("editable") == {"pure_python": True, "force_include": {}}


def test_a_wheel_gets_all_that_stands_for_a_checkout(initialize: Initialize, cache: Path) -> None:
    seed_cache(b"program")
    data = initialize("standard")
    assert (data["pure_python"], data["tag"]) == (False, TAG)
    places = data["force_include"]
    root = load_sources().repository
    for name in ("LICENSE", "native/engine.toml", "runtime/main.cc", "recipes/demo/LICENSE"):
        assert places[str(root / name)] == f"ingot/carried/{name}"
    assert any(place.endswith("/program") for place in places.values())


def test_a_damaged_runtime_makes_no_wheel(initialize: Initialize, cache: Path) -> None:
    seed_cache(b"program")
    (program,) = cache.glob("runtimes/*/program")
    program.write_bytes(b"pro")
    with pytest.raises(SystemExit, match="is damaged"):
        initialize("standard")
