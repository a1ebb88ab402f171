"""What is compiled into a runtime image beside our own code: the list that an SBOM is made from.

Versions are read off the sources that are compiled; where those do not say, there is none. The
licence texts of the same libraries are nativelicenses.py's and weblicenses.py's.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any
from urllib.parse import quote

from ingot.engine.weblicenses import listed_packages
from ingot.errors import IntegrityError
from ingot.toolchain.zig import Zig

FILE = "components.json"
# Where it is: vendored by the engine, linked into the program and all modules, in the web page.
ENGINE, LINKED, PAGE = "engine", "linked", "page"

_HEAD = 1 << 20  # bytes of a source file in which its version is looked for


@dataclass(frozen=True)
class Component:
    """A third-party library. ``license`` is an SPDX expression, or words where there is none;
    ``text`` the name of its licence's text in the image's ``licenses``.
    """

    name: str
    part: str
    version: str | None = None
    license: str | None = None
    purl: str | None = None
    text: str | None = None


@dataclass(frozen=True)
class _Vendored:
    """A library in the engine. ``version`` is a file and a pattern whose groups make the version.

    ``tag`` turns it into the name of upstream's tag, for those that are vendored as tagged.
    """

    name: str
    license: str
    text: str | None
    purl: str | None = None
    version: tuple[str, str] | None = None
    tag: str | None = None


_NUMBERS = (
    r"VERSION_MAJOR\s+(\d+).*?VERSION_MINOR\s+(\d+).*?VERSION_(?:PATCH|REVISION|RELEASE)\s+(\d+)"
)
VENDORED = (
    _Vendored(
        "cpp-httplib",
        "MIT",
        "cpp-httplib.txt",
        "pkg:github/yhirose/cpp-httplib",
        ("vendor/cpp-httplib/httplib.h", r'#define CPPHTTPLIB_VERSION "([\w.]+)"'),
        tag="v{}",
    ),
    _Vendored(
        "nlohmann/json",
        "MIT",
        "nlohmann-json.txt",
        "pkg:github/nlohmann/json",
        ("vendor/nlohmann/json.hpp", f"#define NLOHMANN_JSON_{_NUMBERS}"),
        tag="v{}",
    ),
    _Vendored(
        "miniaudio",
        "Unlicense OR MIT-0",
        "miniaudio.txt",
        "pkg:github/mackron/miniaudio",
        ("vendor/miniaudio/miniaudio.h", f"#define MA_{_NUMBERS}"),
    ),
    _Vendored(
        "stb_image",
        "MIT OR Unlicense",
        "stb-image.txt",
        "pkg:github/nothings/stb",
        ("vendor/stb/stb_image.h", r"stb_image - v([\d.]+)"),
    ),
    _Vendored("subprocess.h", "Unlicense", "subprocess.h.txt", "pkg:github/sheredom/subprocess.h"),
    _Vendored(
        "xxHash",
        "BSD-2-Clause",
        "xxhash.txt",
        "pkg:github/Cyan4973/xxHash",
        ("vendor/hash/xxhash/xxhash.h", f"#define XXH_{_NUMBERS}"),
    ),
    _Vendored("SHA-256 by Igor Pavlov", "public domain", "sha256.txt"),
    _Vendored("SHA-1 by Steve Reid", "public domain", None),
    _Vendored("rotate-bits", "MIT", "rotate-bits.txt"),
    _Vendored("llamafile sgemm", "MIT", "llamafile-sgemm.txt"),
)
_LLVM = "Apache-2.0 WITH LLVM-exception"
_LLVM_VERSION = re.compile(r"#\s*define _LIBCPP_VERSION (\d\d)(\d\d)(\d\d)\b")


def collect(engine: Path, compiler: Zig, page_licenses: str) -> tuple[Component, ...]:
    """The libraries of ``engine``, what ``compiler`` links statically, and the web page's packages.

    ``page_licenses`` is weblicenses.license_text(). Raises IntegrityError ``unknown-version`` where
    a library no longer says its version as it used to.
    """
    vendored = [_vendored(library, engine) for library in VENDORED]
    return (*vendored, *_linked(compiler), *_packages(page_licenses))


def _vendored(library: _Vendored, engine: Path) -> Component:
    version = purl = None
    if library.version:
        place, pattern = library.version
        version = read_version(engine / place, pattern)
    if library.purl:
        tag = f"@{library.tag.format(version)}" if library.tag else ""
        purl = library.purl + tag
    return Component(library.name, ENGINE, version, library.license, purl, library.text)


def read_version(path: Path, pattern: str) -> str:
    """The groups of ``pattern`` in ``path``, joined by dots. Raises IntegrityError."""
    try:
        with path.open("rb") as file:
            text = file.read(_HEAD).decode("utf-8", "replace")
    except OSError:
        text = ""
    match = re.search(pattern, text, re.DOTALL)
    if match is None:
        raise IntegrityError(
            f"{path} does not say its version",
            hint="the engine has changed it; see builder/ingot/engine/components.py",
            code="unknown-version",
        )
    return ".".join(str(int(part)) if part.isdigit() else part for part in match.groups())


def _linked(compiler: Zig) -> Iterator[Component]:
    """The C++ library's version is LLVM's; zig does not say that of the others."""
    lib = compiler.folder / "ziglang" / "lib"
    llvm = read_version(lib / "libcxx" / "include" / "__config", _LLVM_VERSION.pattern)
    yield Component("libc++", LINKED, llvm, _LLVM, text="libcxx.txt")
    yield Component("libc++abi", LINKED, license=_LLVM, text="libcxxabi.txt")
    yield Component("libunwind", LINKED, license=_LLVM, text="libunwind.txt")
    package = compiler.package
    purl = f"pkg:pypi/{package.name}@{package.version}"
    yield Component("zig compiler_rt", LINKED, package.version, "MIT", purl, "zig.txt")
    yield Component(
        "glibc start-up objects",
        LINKED,
        license="LGPL-2.1-or-later WITH GCC-exception-2.0-note",
        text="glibc.txt",
    )


def _packages(page_licenses: str) -> Iterator[Component]:
    for name, version, license_ in listed_packages(page_licenses):
        purl = f"pkg:npm/{quote(name, safe='/')}" + (f"@{quote(version)}" if version else "")
        yield Component(name, PAGE, version, license_, purl, "web-page.txt")


def write(path: Path, components: Sequence[Component]) -> None:
    """One JSON object per line of a list, without what is not known."""
    lines = [
        json.dumps({key: value for key, value in asdict(one).items() if value is not None})
        for one in components
    ]
    path.write_text("[\n" + ",\n".join(lines) + "\n]\n", "utf-8")


def read(path: Path) -> tuple[Component, ...]:
    """What ``write`` wrote. Raises IntegrityError ``bad-runtime-image``."""
    try:
        return tuple(_parse(item) for item in json.loads(path.read_text("utf-8")))
    except (OSError, ValueError, TypeError) as error:
        raise IntegrityError(
            f"{path} cannot be read ({error})",
            hint=f"remove its folder and build again: rm -r {path.parent}",
            code="bad-runtime-image",
        ) from error


_FIELDS = {field.name for field in fields(Component)}


def _parse(item: Any) -> Component:
    if not isinstance(item, dict) or not item.keys() <= _FIELDS:
        raise ValueError("it is not a list of components")
    if not all(isinstance(value, str) for value in item.values()):
        raise ValueError("a component has a value that is not text")
    return Component(**item)
