"""Which npm packages reach the web page, and their licence texts.

The bundler does not say, so it is read off the sources: the packages that they import, and what
those depend on. That names a few too many and misses none.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

_HEAD = "The web page contains these npm packages, or parts of them:"
_UNKNOWN = "see its text"
_SOURCES = {".ts", ".js", ".svelte", ".css"}
_LICENSE_NAMES = ("LICENSE", "LICENCE", "COPYING", "NOTICE")
_IMPORT = re.compile(
    r"""(?:\bfrom|\bimport|@import|@plugin)\s*\(?\s*['"]((?:@[\w.-]+/)?[A-Za-z0-9][\w.-]*)"""
)
# Imported for types, tests and virtual modules; the bundler's own side never reaches the page.
_BUILD_TIME = ("vite", "@vite")
# What SvelteKit and its PWA plug-in put into a page without being imported by name.
_IMPLIED = (
    "svelte",
    "@sveltejs/kit",
    "workbox-core",
    "workbox-precaching",
    "workbox-routing",
    "workbox-strategies",
    "workbox-window",
)


def imported_names(texts: Iterable[str]) -> set[str]:
    """Names of packages that source texts import: ``katex``, ``@scope/name``."""
    names = {name for text in texts for name in _IMPORT.findall(text)}
    return {name for name in names if not name.startswith(_BUILD_TIME)}


def closure(packages: Mapping[str, Mapping[str, object]], names: Iterable[str]) -> list[str]:
    """Paths (``node_modules/a/node_modules/b``) of ``names`` and all that they depend on.

    ``packages`` is the table of that name in package-lock.json, version 3. Names that are not in
    it (aliases of the project itself, modules of Node.js) are left out.
    """
    waiting = [f"node_modules/{name}" for name in names]
    found: set[str] = set()
    while waiting:
        path = waiting.pop()
        if path in found or path not in packages:
            continue
        found.add(path)
        needs = packages[path].get("dependencies")
        if isinstance(needs, Mapping):
            waiting += [_resolve(packages, path, str(name)) for name in needs]
    return sorted(found)


def _resolve(packages: Mapping[str, object], path: str, name: str) -> str:
    """As Node.js looks a package up: beside the one that asks, then further and further out."""
    while path:
        nested = f"{path}/node_modules/{name}"
        if nested in packages:
            return nested
        path = path.rpartition("/node_modules/")[0]
    return f"node_modules/{name}"


def license_text(project: Path) -> str:
    """One text: name, version and licence of each package, then each distinct licence text once.

    ``project`` holds package-lock.json, src/ and an installed node_modules/.
    """
    lock = json.loads((project / "package-lock.json").read_text("utf-8"))["packages"]
    files = [p for p in sorted((project / "src").rglob("*")) if p.is_file()]
    sources = [p for p in files if p.suffix in _SOURCES and ".stories." not in p.name]
    names = imported_names(path.read_text("utf-8", "replace") for path in sources)
    listed: list[str] = []
    texts: dict[str, list[str]] = {}
    for place in closure(lock, sorted(names | set(_IMPLIED))):
        entry = lock[place]
        label = f"{place.rpartition('node_modules/')[2]} {entry.get('version', '')}"
        listed.append(f"{label}: {entry.get('license', _UNKNOWN)}")
        for text in _texts(project / place):
            texts.setdefault(text, []).append(label)
    for path in files:  # what the sources themselves vendor
        if path.name.upper().startswith(_LICENSE_NAMES):
            texts.setdefault(_tidy(path), []).append(path.parent.name)
    parts = [_HEAD, ""]
    parts += dict.fromkeys(listed)
    for text, labels in texts.items():
        parts += ["", "-" * 72, ", ".join(dict.fromkeys(labels)), "", text]
    return "\n".join(parts) + "\n"


def listed_packages(text: str) -> tuple[tuple[str, str | None, str | None], ...]:
    """(name, version, licence) of each package that ``license_text`` has listed in ``text``."""
    head, _line, _texts = text.partition("-" * 72)
    found = []
    for line in head.removeprefix(_HEAD).split("\n"):
        label, colon, license_ = line.partition(": ")
        if colon:
            name, _space, version = label.rpartition(" ")
            known = license_ if license_ != _UNKNOWN else None
            found.append((name, version or None, known))
    return tuple(found)


def _texts(folder: Path) -> Iterator[str]:
    if not folder.is_dir():
        return
    for path in sorted(folder.iterdir()):
        named = path.name.upper().startswith(_LICENSE_NAMES)
        if named and path.is_file() and path.suffix.lower() in ("", ".md", ".txt", ".mit", ".bsd"):
            yield _tidy(path)


def _tidy(path: Path) -> str:
    return path.read_text("utf-8", "replace").strip().replace("\r\n", "\n")
