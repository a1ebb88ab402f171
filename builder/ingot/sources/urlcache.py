"""What was fetched from plain URLs, in Ingot's own cache.

{INGOT_CACHE}/urls/KEY/NAME        the file; KEY is of the URL, the same for all parts of a split
                      /NAME.json   {"url", "size", "sha256", "validator"}
"""

from __future__ import annotations

import hashlib
import json
import os
import threading
from dataclasses import asdict, dataclass
from pathlib import Path
from urllib.parse import unquote, urlsplit, urlunsplit

from ingot.bundle.format import safe_file_name
from ingot.errors import InputError
from ingot.paths import cache_dir
from ingot.sources.choose import split_names

_NOTE_MAX = 1 << 16


@dataclass(frozen=True)
class Record:
    """What is known of a file that was fetched; ``validator`` None: the server has none."""

    url: str
    size: int
    sha256: str
    validator: str | None


def part_urls(url: str) -> list[str]:
    """The URLs of all parts of the split file that ``url`` is one of; ``[url]`` if of none."""
    parts = urlsplit(url)
    folder, slash, name = parts.path.rpartition("/")
    return [urlunsplit(parts._replace(path=f"{folder}{slash}{part}")) for part in split_names(name)]


def file_name(url: str) -> str:
    """The last name of the URL's path, safe as a file name."""
    name = unquote(urlsplit(url).path).rstrip("/").rpartition("/")[2]
    return safe_file_name(name)


def place(url: str) -> Path:
    """Where the file of ``url`` is, or would be."""
    key = hashlib.sha256(part_urls(url)[0].encode()).hexdigest()[:32]
    return cache_dir() / "urls" / key / file_name(url)


def record(url: str) -> Record | None:
    """What is known of ``url``, if its file is here and has the size recorded."""
    path = place(url)
    try:
        with _note(path).open("rb") as file:
            known = Record(**json.loads(file.read(_NOTE_MAX)))
        return known if known.url == url and path.stat().st_size == known.size else None
    except (OSError, ValueError, TypeError):
        return None


def remember(known: Record) -> None:
    """Keep ``known``; where that is not possible, the file is fetched again next time."""
    note = _note(place(known.url))
    temporary = note.with_name(f"{note.name}.{os.getpid()}.{threading.get_ident()}")
    try:
        temporary.write_text(json.dumps(asdict(known)))
        temporary.replace(note)
    except (OSError, InputError):
        return


def _note(path: Path) -> Path:
    return path.with_name(path.name + ".json")
