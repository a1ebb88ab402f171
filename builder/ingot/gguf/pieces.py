"""Pieces of a file that somebody cut in order to send or store it (split, 7-Zip, uploads to the
Hub): recognised by name, with the command that joins them. Parts of a split GGUF are no pieces.
"""

from __future__ import annotations

import os
import re
import shlex
from pathlib import Path
from typing import NoReturn

from ingot.errors import InputError

_PIECE = re.compile(
    r"(?P<stem>.+\.gguf)(?P<mark>[._-](?:(?:part|split|chunk|piece)[._-]?)?)"
    r"(?P<piece>[0-9]{1,5}|[a-z]{1,3})(?P<total>-?of-?[0-9]{1,5})?",
    re.IGNORECASE | re.DOTALL,
)
_LISTED = 12  # pieces that a hint names one by one


def is_piece(path: Path) -> bool:
    """Whether it is the name of a piece: ``m.gguf.part1of2``, ``m.gguf-split-a``, ``m.gguf.2``."""
    return _PIECE.fullmatch(path.name) is not None


def refuse_piece(path: Path) -> NoReturn:
    """Raises InputError ``file-piece`` with the command that joins the pieces."""
    match = _PIECE.fullmatch(path.name)
    assert match is not None  # is_piece() said so
    whole = path.with_name(match["stem"])
    names = _all_pieces(path, match)
    shown = names if len(names) <= _LISTED else [*names[:2], "…", names[-1]]
    words = " ".join(shlex.quote(str(path.with_name(name))) for name in shown)
    raise InputError(
        f"{path}: is one piece of a file that was cut into several",
        hint=f"join all of them in order, then build the whole: cat {words} > "
        f"{shlex.quote(str(whole))}",
        code="file-piece",
    )


def _all_pieces(path: Path, match: re.Match[str]) -> list[str]:
    """The names of all pieces in order: those that the name counts, else those that are here."""
    total = re.sub(r"\D", "", match["total"] or "")
    digits = len(match["piece"])
    if total and match["piece"].isdigit():
        return [
            f"{match['stem']}{match['mark']}{number:0{digits}d}{match['total']}"
            for number in range(1, min(int(total), 99_999) + 1)
        ]
    found = {path.name: match["piece"]}
    for name in _neighbours(path):
        other = _PIECE.fullmatch(name)
        same = other and (other["stem"], other["mark"]) == (match["stem"], match["mark"])
        if other and same and other["piece"].isdigit() == match["piece"].isdigit():
            found[name] = other["piece"]
    return sorted(found, key=lambda name: (len(found[name]), found[name]))


def _neighbours(path: Path) -> list[str]:
    try:
        return os.listdir(path.parent)
    except OSError:
        return []
