"""Pieces of a file that somebody cut in order to send or store it (split, 7-Zip, uploads to the
Hub): recognised by name, with the command that joins them. Parts of a split GGUF are no pieces.
"""

from __future__ import annotations

import os
import re
import shlex
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NoReturn

from ingot.errors import InputError

_WORD = r"[._-](?:part|split|chunk|piece)[._-]?"
_TOTAL = r"(?P<total>-?of-?[0-9]{1,5})?"
_PATTERNS = (
    # m.gguf.part1of2, m.gguf-split-a
    rf"(?P<before>.+\.gguf)(?P<mark>{_WORD})(?P<piece>[0-9]{{1,5}}|[a-z]{{1,3}}){_TOTAL}",
    # m.gguf.001, and m.gguf.aa as split(1) counts; but no m.gguf.gz, m.gguf.bak
    rf"(?P<before>.+\.gguf)(?P<mark>[._-])(?P<piece>[0-9]{{1,5}}|x?(?!bz)[a-c][a-z]){_TOTAL}",
    # m.part01.gguf
    rf"(?P<before>.+)(?P<mark>{_WORD})(?P<piece>[0-9]{{1,5}}|[a-z]{{1,2}}){_TOTAL}(?P<after>\.gguf)",
)
_LISTED = 12  # pieces that a hint names one by one
_MOST = 99_999


@dataclass(frozen=True)
class _Name:
    """The name of a piece: ``before`` + ``mark`` + ``piece`` + ``total`` + ``after``."""

    before: str
    mark: str
    piece: str
    total: str
    after: str

    @property
    def whole(self) -> str:
        """The name of the file that was cut."""
        return self.before + self.after

    @property
    def number(self) -> int:
        """Its place among the pieces, from 0 or 1; letters count from ``a``, ``aa`` or ``xaa``."""
        if self.piece.isdigit():
            return int(self.piece)
        letters = self.piece.lower()
        digits = letters[1:] if len(letters) == 3 and letters[0] == "x" else letters
        return sum((ord(c) - ord("a")) * 26**place for place, c in enumerate(reversed(digits)))

    def numbered(self, number: int, width: int) -> _Name:
        """That of another piece of the same file, with at least ``width`` digits."""
        if self.piece.isdigit():
            return replace(self, piece=f"{number:0{width}d}")
        kept = self.piece[:1] if len(self.piece) == 3 and self.piece[0] in "xX" else ""
        letters = ""
        for _ in self.piece[len(kept) :]:
            number, rest = divmod(number, 26)
            letters = chr(ord("a") + rest) + letters
        return replace(self, piece=kept + (letters.upper() if self.piece.isupper() else letters))

    def __str__(self) -> str:
        return f"{self.before}{self.mark}{self.piece}{self.total}{self.after}"


def _name(text: str) -> _Name | None:
    for pattern in _PATTERNS:
        match = re.fullmatch(pattern, text, re.IGNORECASE | re.DOTALL)
        if match:
            found = {key: value or "" for key, value in match.groupdict().items()}
            return _Name(**{"after": "", **found})
    return None


def is_piece(path: Path) -> bool:
    """Whether it is the name of a piece: ``m.gguf.part1of2``, ``m.gguf-split-a``, ``m.gguf.2``."""
    return _name(path.name) is not None


def refuse_piece(path: Path) -> NoReturn:
    """Raises InputError ``file-piece`` with the command that joins the pieces."""
    name = _name(path.name)
    assert name is not None  # is_piece() said so
    here = _pieces_here(path, name)
    names = _all_pieces(name, here)
    missing = [str(one) for one in names if one.number not in here]
    raise InputError(
        f"{path}: is one piece of a file that was cut into several",
        hint=_get(missing, len(names)) + _join(path, name, names),
        code="file-piece",
    )


def _get(missing: list[str], count: int) -> str:
    if count == 1:
        return "get the other pieces too, and "
    shown = ", ".join(missing[:_LISTED]) + (" …" if len(missing) > _LISTED else "")
    return f"get {shown} too, and " if missing else ""


def _join(path: Path, name: _Name, names: list[_Name]) -> str:
    if len(names) == 1:
        return "join all of them in order with cat"
    texts = [shlex.quote(str(path.with_name(str(one)))) for one in names]
    shown = texts if len(texts) <= _LISTED else [*texts[:2], "…", texts[-1]]
    whole = shlex.quote(str(path.with_name(name.whole)))
    return f"join all of them in order, then build the whole: cat {' '.join(shown)} > {whole}"


def _all_pieces(name: _Name, here: dict[int, _Name]) -> list[_Name]:
    """The names of all pieces in order: those that the name counts, else up to the last here."""
    total = re.sub(r"\D", "", name.total)
    first = 0 if not name.piece.isdigit() or 0 in here else 1
    last = int(total) - 1 + first if total else max(here)
    padded = [len(one.piece) for one in here.values() if one.piece.startswith("0")]
    width = padded[0] if padded else 1
    numbers = range(first, min(last, _MOST) + 1)
    return [here.get(number) or name.numbered(number, width) for number in numbers]


def _pieces_here(path: Path, name: _Name) -> dict[int, _Name]:
    """By their numbers, the pieces beside ``path``, and itself."""
    found = {name.number: name}
    for text in _neighbours(path):
        other = _name(text)
        same = other is not None and other.piece.isdigit() == name.piece.isdigit()
        if other and same and replace(other, piece=name.piece) == name:
            found[other.number] = other
    return found


def _neighbours(path: Path) -> list[str]:
    try:
        return os.listdir(path.parent)
    except OSError:
        return []
