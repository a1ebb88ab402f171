"""What differs between two executables, by their manifests: entry by entry, hash by hash."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from ingot.bundle.manifest import Entry, Manifest

# Where things lie follows from what they are.
_PLACES = ("entries", "file_size", "program")


@dataclass(frozen=True)
class Difference:
    """``what`` is an entry's name or a dotted key of the manifest; None means that one lacks it."""

    what: str
    first: str | None
    second: str | None


def differences(first: Manifest, second: Manifest) -> list[Difference]:
    """Everything that differs, in the order of the file; none when they hold the same.

    Weights are compared by their chunk hashes, everything else by its sha256. Manifests are
    believed: ``verify`` checks them.
    """
    found = list(_keys("", first.to_json(), second.to_json()))
    if first.program_sha256 != second.program_sha256:
        found.append(Difference("program", first.program_sha256, second.program_sha256))
    a, b = _hashes(first), _hashes(second)
    names = [*a, *(name for name in b if name not in a)]
    return found + [
        Difference(name, a.get(name), b.get(name)) for name in names if a.get(name) != b.get(name)
    ]


def _hashes(manifest: Manifest) -> dict[str, str]:
    return {entry.name: _hash(entry, manifest) for entry in manifest.entries}


def _hash(entry: Entry, manifest: Manifest) -> str:
    leaves = manifest.entry(entry.leaves) if entry.leaves else None
    return (leaves.sha256 if leaves else entry.sha256) or ""


def _keys(path: str, a: Mapping[str, Any], b: Mapping[str, Any]) -> Iterator[Difference]:
    for key in sorted({*a, *b}):
        if not path and key in _PLACES:
            continue
        name = f"{path}.{key}" if path else key
        one, other = a.get(key), b.get(key)
        if isinstance(one, dict) and isinstance(other, dict):
            yield from _keys(name, one, other)
        elif one != other:
            yield Difference(
                name, None if one is None else str(one), None if other is None else str(other)
            )
