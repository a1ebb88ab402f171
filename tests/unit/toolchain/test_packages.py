from __future__ import annotations

import subprocess
import sys
import zipfile
from dataclasses import replace
from pathlib import Path

import pytest

from ingot.console import NullProgress
from ingot.errors import IngotError, IntegrityError, NetworkError, ToolchainError
from ingot.toolchain import packages
from tests.unit.package_index import Index

QUIET = NullProgress()
GOOD = {
    "package": "x",
    "version": "1",
    "filename": "x-1.whl",
    "size": 3,
    "sha256": "0" * 64,
}


@pytest.mark.parametrize("key", GOOD)
def test_a_pin_without_one_of_its_fields_is_refused(key: str) -> None:
    table = {k: v for k, v in GOOD.items() if k != key}
    with pytest.raises(IntegrityError, match=f"pins.toml.*'{key}'"):
        packages.parse_package(table, "pins.toml")


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("sha256", "0" * 63),
        ("sha256", "A" * 64),
        ("filename", "../x"),
        ("filename", ".hidden"),
        ("size", 0),
        ("size", True),
        ("size", "3"),
    ],
)
def test_a_pin_with_a_bad_value_is_refused(key: str, value: object) -> None:
    with pytest.raises(IntegrityError) as caught:
        packages.parse_package({**GOOD, key: value}, "pins.toml")
    assert caught.value.code == "bad-pin"


def test_a_machine_without_pins_is_told_which_have_them(tmp_path: Path) -> None:
    pins = tmp_path / "toolchain.toml"
    pins.write_text(
        '[target.t]\nzig = "z"\ncmake = "c"\n[tool.a]\nversion = "1"\n'
        f'[tool.a.linux-x86_64]\nfilename = "a"\nsize = 1\nsha256 = "{"0" * 64}"\n'
    )
    with pytest.raises(ToolchainError) as caught:
        packages.load_toolchain(pins, "plan9-mips")
    assert caught.value.code == "unsupported-host"
    assert "linux-x86_64" in (caught.value.hint or "")
    assert packages.load_toolchain(pins, "linux-x86_64").identity() == {"a": "1"}


def test_a_file_that_is_not_toml_is_a_clear_error(tmp_path: Path) -> None:
    (tmp_path / "pins.toml").write_text("=")
    with pytest.raises(IntegrityError, match=r"pins\.toml"):
        packages.read_pins(tmp_path / "pins.toml")


def test_a_wheel_is_fetched_once_and_unpacked_with_its_modes(cache: Path, index: Index) -> None:
    package = index.wheel("tool", "1.0", {"tool/bin/go": b"#!/bin/sh\n", "tool/data": b"x"})
    folder = packages.installed(package, QUIET)
    assert folder == cache / "tools" / f"tool-{package.sha256[:16]}"
    assert (folder / "tool" / "bin" / "go").stat().st_mode & 0o777 == 0o555
    assert (folder / "tool" / "data").stat().st_mode & 0o777 == 0o444
    (index.folder / package.filename).unlink()
    assert packages.installed(package, QUIET) == folder
    assert _leftovers(cache) == []


def test_a_source_archive_is_fetched_without_its_build_backend(cache: Path, index: Index) -> None:
    package = index.sdist("engine-package", "1.2.3", {"vendor/x": b"1"})
    path = packages.download(package, QUIET)
    assert packages.sha256_of(path) == package.sha256
    assert [p.name for p in path.parent.iterdir()] == [package.filename]


def test_another_hash_is_an_integrity_error_and_leaves_nothing(cache: Path, index: Index) -> None:
    package = replace(index.wheel("tool", "1.0", {}), sha256="1" * 64)
    with pytest.raises(IntegrityError) as caught:
        packages.download(package, QUIET)
    assert caught.value.code == "hash-mismatch"
    assert _leftovers(cache) == []
    assert not (cache / "downloads" / package.sha256).exists()


def test_a_missing_package_is_a_network_error_with_pips_words_and_a_way_out(
    cache: Path, index: Index
) -> None:
    package = replace(index.wheel("tool", "1.0", {}), name="absent")
    with pytest.raises(NetworkError) as caught:
        packages.download(package, QUIET)
    assert "No matching distribution found for absent==1.0" in caught.value.message
    assert "PIP_FIND_LINKS" in (caught.value.hint or "")
    assert str(cache / "logs" / "fetch-absent.log") in (caught.value.hint or "")
    assert _leftovers(cache) == []


def test_two_processes_fetch_once(cache: Path, index: Index) -> None:
    package = index.wheel("tool", "1.0", {"tool/x": b"x" * 1000})
    script = (
        "from ingot.toolchain.packages import *; from ingot.console import NullProgress\n"
        f"installed({package!r}, NullProgress())"
    )
    both = [subprocess.Popen([sys.executable, "-c", script]) for _ in range(2)]
    assert [one.wait(120) for one in both] == [0, 0]
    assert (cache / "logs" / "fetch-tool.log").read_text().count("$ ") == 1
    assert (packages.tool_folder(package) / "tool" / "x").read_bytes() == b"x" * 1000


def _leftovers(cache: Path) -> list[str]:
    return [p.name for p in cache.rglob("*") if ".tmp-" in p.name]


@pytest.mark.parametrize("name", ["../out", "/abs", "a/../../out"])
def test_a_wheel_that_leads_outside_is_refused(tmp_path: Path, name: str) -> None:
    path = tmp_path / "x.whl"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr(name, b"x")
    with QUIET.step("") as step, pytest.raises(IntegrityError) as caught:
        packages.unpack_wheel(path, tmp_path / "into", step)
    assert caught.value.code == "unsafe-archive"
    assert not (tmp_path / "out").exists()


def test_a_wheel_with_a_link_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "x.whl"
    entry = zipfile.ZipInfo("link")
    entry.external_attr = 0o120777 << 16
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr(entry, "/etc/passwd")
    with QUIET.step("") as step, pytest.raises(IntegrityError, match="link"):
        packages.unpack_wheel(path, tmp_path / "into", step)


def test_a_truncated_wheel_is_damaged(tmp_path: Path) -> None:
    path = tmp_path / "x.whl"
    path.write_bytes(b"PK\x03\x04")
    with QUIET.step("") as step, pytest.raises(IngotError, match="damaged"):
        packages.unpack_wheel(path, tmp_path / "into", step)
