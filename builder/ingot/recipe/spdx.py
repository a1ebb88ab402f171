"""Licences as SPDX writes them (specification 2.3, annex D): which texts are identifiers or
expressions. Models say theirs in any spelling, so the case of identifiers is put right.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import cache
from pathlib import Path

_TOKEN = re.compile(r"\s*([()]|[A-Za-z0-9.:+-]+)")
_REFERENCE = re.compile(r"(DocumentRef-[A-Za-z0-9.-]+:)?LicenseRef-[A-Za-z0-9.-]+")
_LONGEST = 1024  # characters of an expression


@cache
def identifiers() -> Mapping[str, str]:
    """Lower case -> the identifier, of licences and of exceptions."""
    text = Path(__file__).with_name("spdx.txt").read_text("ascii")
    return {line.lower(): line for line in text.splitlines() if not line.startswith("#")}


def expression(text: str) -> str | None:
    """``text`` as an SPDX expression in its proper spelling; None if it is none."""
    found = _tokens(text)
    if not found:
        return None
    spelled, depth, wanted = [], 0, True  # wanted: a licence or a parenthesis is due, no operator
    for at, word in enumerate(found):
        after_with = at > 0 and found[at - 1].upper() == "WITH"
        if word == "(" and wanted and not after_with:
            depth += 1
        elif word == ")" and not wanted and depth:
            depth -= 1
        elif word.upper() in ("AND", "OR", "WITH") and not wanted:
            word, wanted = word.upper(), True
        elif wanted and (licence := _licence(word, exception=after_with)):
            word, wanted = licence, False
        else:
            return None
        spelled.append(word)
    if wanted or depth:
        return None
    return " ".join(spelled).replace("( ", "(").replace(" )", ")")


def _tokens(text: str) -> list[str] | None:
    text = text.strip()
    if len(text) > _LONGEST:
        return None
    tokens, at = [], 0
    while at < len(text):
        match = _TOKEN.match(text, at)
        if match is None:
            return None
        tokens.append(match[1])
        at = match.end()
    return tokens


def _licence(token: str, *, exception: bool) -> str | None:
    if _REFERENCE.fullmatch(token):
        return None if exception else token
    known = identifiers().get(token.lower())
    if known or exception or not token.endswith("+"):
        return known
    plain = identifiers().get(token[:-1].lower())
    return f"{plain}+" if plain else None
