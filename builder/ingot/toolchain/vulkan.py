"""Vulkan's headers for GPU modules: those of an SDK that is there, or of two Debian packages.

The packages come from whatever mirror this machine's apt is set up for, by apt's own client, with
their hashes enforced here; they are unpacked in the cache and not installed. What shaders are
compiled with is ``engine/shadertools.py``.
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

from ingot import process
from ingot.console import Progress, Step
from ingot.errors import IntegrityError, NetworkError, ToolchainError
from ingot.paths import cache_dir, ensure_entry
from ingot.toolchain.deb import unpack_deb
from ingot.toolchain.packages import (
    Package,
    check_file,
    parse_package,
    read_pins,
    tables,
    watch,
)

INSTALL_HINT = "--gpu vulkan fetches them, as does: ingot toolchain install vulkan"
INSTALLED = "ingot toolchain"
_SYSTEM = Path("/usr/include")
_APT_HELPER = Path("/usr/lib/apt/apt-helper")
_FETCH_SECONDS = 300.0
_VERSION = re.compile(
    r"VK_HEADER_VERSION_COMPLETE\s+VK_MAKE_API_VERSION\(\s*0,\s*(\d+),\s*(\d+),\s*VK_HEADER_VERSION"
)
_PATCH = re.compile(r"#define VK_HEADER_VERSION\s+(\d+)")
_HEADER = "vulkan/vulkan_core.h"
_NEEDED = (_HEADER, "vulkan/vulkan.hpp", "spirv/unified1/spirv.hpp")
_SUBTREES = {
    "libvulkan-dev": ("usr/include/vulkan", "usr/include/vk_video"),
    "spirv-headers": ("usr/include/spirv/unified1",),
}
_SDK_HINT = "install the Vulkan SDK and name its folder in VULKAN_SDK, or build without vulkan"


@dataclass(frozen=True)
class DebianPackage:
    """A file of Debian's archive; ``pool`` is its folder below ``pool/``."""

    package: Package
    pool: str


@dataclass(frozen=True)
class VulkanPins:
    """The [vulkan] table of native/toolchain.toml. ``glslang`` carries glslang's sources, of
    ``glslang_version``, in its folder ``subdirectory``; ``oldest`` is what headers must have.
    """

    headers: str
    oldest: tuple[int, ...]
    debian: tuple[DebianPackage, ...]
    glslang: Package
    glslang_version: str
    subdirectory: str

    @property
    def size(self) -> int:
        """Bytes to fetch where there are no headers."""
        return self.glslang.size + sum(item.package.size for item in self.debian)

    @property
    def compiler(self) -> str:
        """What shaders are compiled with, for manifests."""
        return f"glslang {self.glslang_version} ({self.glslang.label})"


@dataclass(frozen=True)
class Headers:
    """Headers to compile with. ``version`` is like ``1.4.309``; ``origin`` says where they are
    from; ``digest`` is over the contents that count.
    """

    include: Path
    version: str
    origin: str
    digest: str

    @property
    def label(self) -> str:
        """``1.4.309 (VULKAN_SDK, /opt/vulkan/include)``."""
        return f"{self.version} ({self.origin}, {self.include})"


@dataclass(frozen=True)
class Search:
    """What a search found: headers that will do, and why others will not."""

    headers: Headers | None
    problems: tuple[str, ...] = ()


def load_pins(path: Path) -> VulkanPins:
    """Read the [vulkan] table of native/toolchain.toml. Raises IntegrityError ``bad-pin``."""
    where = f"{path.name}: [vulkan]"
    table = tables({"vulkan": read_pins(path).get("vulkan")}, path.name)["vulkan"]
    source = tables({"s": table.get("glslang_source")}, where)["s"]
    debian = []
    for name, pin in tables(table.get("debian"), f"{where}.debian").items():
        package = parse_package({**pin, "package": name}, f"{where}.debian.{name}")
        debian.append(DebianPackage(package, _text(pin, "pool", where)))
    oldest = table.get("headers_oldest")
    if not isinstance(oldest, list) or not all(isinstance(part, int) for part in oldest):
        raise IntegrityError(f"{where} needs 'headers_oldest', numbers", code="bad-pin")
    return VulkanPins(
        headers=_text(table, "headers", where),
        oldest=tuple(oldest),
        debian=tuple(debian),
        glslang=parse_package(source, f"{where}.glslang_source"),
        glslang_version=_text(table, "glslang", where),
        subdirectory=_text(source, "subdirectory", where),
    )


def _text(table: Mapping[str, object], key: str, where: str) -> str:
    value = table.get(key)
    if not isinstance(value, str) or not value:
        raise IntegrityError(f"{where} needs {key!r}", code="bad-pin")
    return value


def headers_folder(pins: VulkanPins) -> Path:
    """Where the unpacked headers are, or would be."""
    digest = hashlib.sha256("".join(item.package.sha256 for item in pins.debian).encode())
    return cache_dir() / "tools" / f"vulkan-headers-{pins.headers}-{digest.hexdigest()[:16]}"


def find(pins: VulkanPins, environ: Mapping[str, str] | None = None) -> Search:
    """Look for headers that are new enough, and change nothing."""
    problems = []
    for origin, include in _places(pins, os.environ if environ is None else environ):
        version = _version(include)
        if version is None:
            continue
        shown = ".".join(map(str, version))
        missing = [name for name in _NEEDED if not (include / name).is_file()]
        if version < pins.oldest:
            wanted = ".".join(map(str, pins.oldest))
            problems.append(f"{include} ({origin}) has Vulkan {shown}, and {wanted} is needed")
        elif missing:
            problems.append(f"{include} ({origin}) has no {missing[0]}")
        else:
            return Search(Headers(include, shown, origin, _digest(include)), tuple(problems))
    return Search(None, tuple(problems))


def _places(pins: VulkanPins, environ: Mapping[str, str]) -> Iterator[tuple[str, Path]]:
    if environ.get("VULKAN_SDK"):
        yield "VULKAN_SDK", Path(environ["VULKAN_SDK"]) / "include"
    yield INSTALLED, headers_folder(pins) / "usr" / "include"
    yield "system", _SYSTEM


def _version(include: Path) -> tuple[int, ...] | None:
    try:
        text = (include / _HEADER).read_text("utf-8", "replace")
    except OSError:
        return None
    complete, patch = _VERSION.search(text), _PATCH.search(text)
    return (int(complete[1]), int(complete[2]), int(patch[1])) if complete and patch else (0,)


def _digest(include: Path) -> str:
    digest = hashlib.sha256()
    for folder in ("vulkan", "vk_video", "spirv/unified1"):
        for path in sorted((include / folder).glob("*.h*")):
            digest.update(f"{folder}/{path.name}\0{path.stat().st_size}\0".encode())
            digest.update(path.read_bytes())
    return digest.hexdigest()


def ensure_headers(pins: VulkanPins, progress: Progress) -> Headers:
    """Headers that will do: found, or fetched. Raises as ``install`` does."""
    return find(pins).headers or install(pins, progress)


def install(pins: VulkanPins, progress: Progress) -> Headers:
    """Fetch and unpack the packages unless they are there already.

    Raises ToolchainError ``no-vulkan-headers`` where there is no apt, NetworkError where no mirror
    has them, IntegrityError.
    """

    def unpack(temporary: Path) -> None:
        for item in pins.debian:
            archive = _download(item, progress)
            copyright_file = f"usr/share/doc/{item.package.name}/copyright"
            unpack_deb(archive, (*_SUBTREES[item.package.name], copyright_file), temporary)

    include = ensure_entry(headers_folder(pins), unpack) / "usr" / "include"
    version = _version(include)
    if version is None or ".".join(map(str, version)) != pins.headers:
        raise IntegrityError(f"{include} has not Vulkan {pins.headers}", code="wrong-archive")
    return Headers(include, pins.headers, INSTALLED, _digest(include))


def _download(item: DebianPackage, progress: Progress) -> Path:
    package = item.package
    entry = cache_dir() / "downloads" / package.sha256
    if not (entry / package.filename).is_file():
        with progress.step(f"Fetching {package.label}") as step:
            ensure_entry(
                entry,
                lambda folder: _fetch(item, folder, step),
                on_wait=lambda: step.update(0, None, "waiting for another run that fetches it"),
                keep=lambda folder: (folder / package.filename).is_file(),
            )
    return entry / package.filename


def _fetch(item: DebianPackage, folder: Path, step: Step) -> None:
    package = item.package
    log = cache_dir() / "logs" / f"fetch-{package.name}.log"
    log.unlink(missing_ok=True)
    said: list[str] = []
    for mirror in _mirrors(log):
        address = f"{mirror}/pool/{item.pool}/{quote(package.filename)}"
        target = folder / package.filename
        argv: list[str | Path] = [_APT_HELPER, "download-file", address, target]
        argv.append(f"SHA256:{package.sha256}")
        with watch(folder, package, step):
            done = process.run(
                argv, log=log, check=False, timeout=_FETCH_SECONDS, what="apt-helper"
            )
        if done.status == 0:
            check_file(target, package, "apt-helper")
            return
        target.unlink(missing_ok=True)
        said += [line for line in done.lines if line.startswith("E:")]
    quoted = "".join(f"\n    {line[:300]}" for line in said[-4:])
    raise NetworkError(
        f"{package.filename} could not be fetched from this machine's package mirrors{quoted}",
        hint=f"{_SDK_HINT}; log: {log}",
        code="fetch-failed",
    )


def _mirrors(log: Path) -> tuple[str, ...]:
    """The sites of apt's sources, in their order, whether its lists were ever fetched or not."""
    apt = shutil.which("apt-get")
    if apt is None or not _APT_HELPER.is_file():
        raise ToolchainError(
            "there are no Vulkan headers, and no apt to fetch Debian's with",
            hint=_SDK_HINT,
            code="no-vulkan-headers",
        )
    argv = [apt, "indextargets", "--no-release-info", "--format", "$(SITE)"]
    done = process.run(argv, log=log, what="apt-get")
    return tuple(dict.fromkeys(line.rstrip("/") for line in done.lines if "://" in line))
