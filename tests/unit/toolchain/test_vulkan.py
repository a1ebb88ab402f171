"""Vulkan's headers: which will do, and fetching them with the real apt from a mirror of ours."""

from __future__ import annotations

import functools
import hashlib
import threading
from collections.abc import Iterator
from dataclasses import replace
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from ingot.console import NullProgress
from ingot.errors import IntegrityError, NetworkError, ToolchainError
from ingot.toolchain import vulkan
from ingot.toolchain.packages import Package
from tests.conftest import REPOSITORY
from tests.unit.toolchain.test_deb import data, entry, package

QUIET = NullProgress()
CORE = """#define VK_HEADER_VERSION {2}
#define VK_HEADER_VERSION_COMPLETE VK_MAKE_API_VERSION(0, {0}, {1}, VK_HEADER_VERSION)
"""
PATHS = {
    "libvulkan-dev": ("vulkan/vulkan_core.h", "vulkan/vulkan.hpp", "vk_video/codec.h"),
    "spirv-headers": ("spirv/unified1/spirv.hpp",),
}


@pytest.fixture
def pins() -> vulkan.VulkanPins:
    return vulkan.load_pins(REPOSITORY / "native" / "toolchain.toml")


@pytest.fixture(autouse=True)
def no_system(tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(vulkan, "_SYSTEM", tmp_path / "nothing")
    monkeypatch.delenv("VULKAN_SDK", raising=False)


def sdk(folder: Path, version: tuple[int, int, int], *, without: str = "") -> Path:
    for name in (path for paths in PATHS.values() for path in paths):
        path = folder / "include" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if name != without:
            path.write_text(CORE.format(*version) if "core" in name else "// h\n")
    return folder


def test_the_pins_are_complete(pins: vulkan.VulkanPins) -> None:
    assert {item.package.name for item in pins.debian} == set(PATHS)
    assert pins.headers == ".".join(map(str, pins.oldest))
    assert pins.glslang.build_backend
    assert "glslang 16" in pins.compiler


@pytest.mark.parametrize(
    ("line", "what"),
    [("headers = ", "headers"), ("headers_oldest = ", "headers_oldest"), ("pool = ", "pool")],
)
def test_a_pin_that_lacks_something_is_refused(tmp_path: Path, line: str, what: str) -> None:
    text = (REPOSITORY / "native" / "toolchain.toml").read_text()
    kept = [row for row in text.splitlines() if not row.startswith(line)]
    path = tmp_path / "toolchain.toml"
    path.write_text("\n".join(kept))
    with pytest.raises(IntegrityError, match=what) as caught:
        vulkan.load_pins(path)
    assert caught.value.code == "bad-pin"


def test_an_sdk_that_is_new_enough_is_taken(tmp_path: Path, pins: vulkan.VulkanPins) -> None:
    found = vulkan.find(pins, {"VULKAN_SDK": str(sdk(tmp_path / "sdk", (1, 4, 321)))}).headers
    assert found is not None
    assert (found.version, found.origin) == ("1.4.321", "VULKAN_SDK")
    (tmp_path / "sdk/include/vulkan/vulkan.hpp").write_text("// other\n")
    again = vulkan.find(pins, {"VULKAN_SDK": str(tmp_path / "sdk")}).headers
    assert again is not None
    assert again.digest != found.digest


@pytest.mark.parametrize(
    ("version", "without", "problem"),
    [
        ((1, 3, 239), "", "has Vulkan 1.3.239, and 1.4.309 is needed"),
        ((1, 4, 321), "spirv/unified1/spirv.hpp", "has no spirv/unified1/spirv.hpp"),
    ],
)
def test_one_that_will_not_do_is_passed_over_with_a_reason(
    tmp_path: Path,
    pins: vulkan.VulkanPins,
    monkeypatch: pytest.MonkeyPatch,
    version: tuple[int, int, int],
    without: str,
    problem: str,
) -> None:
    monkeypatch.setattr(vulkan, "_SYSTEM", sdk(tmp_path / "new", (1, 4, 400)) / "include")
    old = sdk(tmp_path / "old", version, without=without)
    search = vulkan.find(pins, {"VULKAN_SDK": str(old)})
    assert search.headers is not None
    assert search.headers.origin == "system"
    assert len(search.problems) == 1
    assert problem in search.problems[0]


@pytest.fixture
def mirror(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder that this machine's apt takes for its only mirror."""
    folder = tmp_path / "mirror"
    folder.mkdir()
    handler = functools.partial(SimpleHTTPRequestHandler, directory=folder)
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        site = f"http://127.0.0.1:{server.server_port}"
        (tmp_path / "sources.list").write_text(f"deb {site} stable main\n")
        (tmp_path / "apt.conf").write_text(
            f'Dir::Etc::sourcelist "{tmp_path}/sources.list"; Dir::Etc::sourceparts "/dev/null";'
            'Acquire::http::Proxy "DIRECT"; Acquire::Retries "0";'
        )
        monkeypatch.setenv("APT_CONFIG", str(tmp_path / "apt.conf"))
        yield folder
        server.shutdown()


@pytest.fixture
def served(mirror: Path, pins: vulkan.VulkanPins) -> vulkan.VulkanPins:
    """Pins of two small packages that the mirror has."""
    items = []
    for item in pins.debian:
        name = item.package.name
        entries = [entry(f"./usr/share/doc/{name}/copyright")]
        for path in PATHS[name]:
            text = CORE.format(1, 4, 309).encode() if "core" in path else b"// h\n"
            entries.append(entry(f"./usr/include/{path}", text))
        pool = mirror / "pool" / item.pool
        pool.mkdir(parents=True)
        raw = package(mirror, data(entries)).rename(pool / item.package.filename).read_bytes()
        digest = hashlib.sha256(raw).hexdigest()
        items.append(replace(item, package=replace(item.package, size=len(raw), sha256=digest)))
    return replace(pins, debian=tuple(items))


def test_headers_are_fetched_once_and_found_from_then_on(served: vulkan.VulkanPins) -> None:
    assert vulkan.find(served).headers is None
    made = vulkan.ensure_headers(served, QUIET)
    assert (made.version, made.origin) == ("1.4.309", "ingot toolchain")
    assert (made.include / "vk_video/codec.h").is_file()
    assert list(made.include.parents[1].glob("usr/share/doc/*/copyright"))
    assert vulkan.find(served).headers == made
    assert vulkan.install(served, QUIET) == made


def _changed(pins: vulkan.VulkanPins, package: Package) -> vulkan.VulkanPins:
    first, *rest = pins.debian
    return replace(pins, debian=(replace(first, package=package), *rest))


def test_another_hash_is_refused_and_nothing_stays(served: vulkan.VulkanPins, cache: Path) -> None:
    wrong = _changed(served, replace(served.debian[0].package, sha256="1" * 64))
    with pytest.raises(NetworkError, match="Hash Sum mismatch"):
        vulkan.install(wrong, QUIET)
    assert not [path for path in cache.glob("downloads/*") if path.is_dir()]


def test_a_mirror_without_the_package_is_a_network_error_with_a_way_out(
    served: vulkan.VulkanPins, mirror: Path
) -> None:
    next(mirror.rglob("libvulkan-dev*")).unlink()
    with pytest.raises(NetworkError, match="404") as caught:
        vulkan.install(served, QUIET)
    assert caught.value.code == "fetch-failed"
    assert "VULKAN_SDK" in (caught.value.hint or "")


def test_without_apt_the_way_out_is_an_sdk(
    pins: vulkan.VulkanPins, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(ToolchainError) as caught:
        vulkan.ensure_headers(pins, QUIET)
    assert caught.value.code == "no-vulkan-headers"
    assert "Vulkan SDK" in (caught.value.hint or "")
