"""Licence texts of everything that is compiled into the program and its modules."""

from __future__ import annotations

import re
from collections.abc import Mapping
from itertools import takewhile
from pathlib import Path

from ingot.errors import IntegrityError
from ingot.toolchain.zig import Zig

# Name in the executable -> where in the engine. A whole file is a licence text; a pattern cuts
# the licence out of a source file that carries it in a comment.
WHOLE = {
    "llama.cpp.txt": "LICENSE",
    "nlohmann-json.txt": "licenses/LICENSE-jsonhpp",
    "cpp-httplib.txt": "vendor/cpp-httplib/LICENSE",
    "xxhash.txt": "vendor/hash/xxhash/LICENSE",
    "sha256.txt": "vendor/hash/sha256/LICENSE",
    "rotate-bits.txt": "vendor/hash/rotate-bits/LICENSE.md",
}
COMMENT = {
    "miniaudio.txt": ("vendor/miniaudio/miniaudio.h", "This software is available as a choice"),
    "stb-image.txt": ("vendor/stb/stb_image.h", "This software is available under 2 licenses"),
    "llamafile-sgemm.txt": ("ggml/src/ggml-cpu/llamafile/sgemm.cpp", "// Copyright 2024 Mozilla"),
    "subprocess.h.txt": ("vendor/sheredom/subprocess.h", "This is free and unencumbered"),
}
_LONGEST = 16_384


def collect(engine: Path, compiler: Zig) -> Mapping[str, bytes]:
    """File name -> licence text, for the engine, what it vendors, and zig's runtime libraries.

    Raises IntegrityError (code ``missing-license``) when one is not where it should be: an
    executable must not be made without it.
    """
    texts: dict[str, bytes] = {}
    for name, place in WHOLE.items():
        texts[name] = _read(engine / place)
    for name, (place, opening) in COMMENT.items():
        texts[name] = cut_comment(_read(engine / place), opening, engine / place)
    for name, path in compiler.license_files:
        texts[name] = _read(path)
    return texts


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise _missing(path) from error


def _missing(path: Path) -> IntegrityError:
    return IntegrityError(
        f"a licence text that executables must carry is not in {path}",
        hint="the engine or zig has moved it; see builder/ingot/engine/nativelicenses.py",
        code="missing-license",
    )


def cut_comment(source: bytes, opening: str, path: Path) -> bytes:
    """The comment's text from the line with ``opening`` to the end of that comment.

    A comment is a C one, or a run of lines that begin with ``//`` when ``opening`` does.
    """
    start = source.find(opening.encode())
    text = source[max(start, 0) : max(start, 0) + _LONGEST].decode("utf-8", "replace")
    lines = text.splitlines()
    if opening.startswith("//"):
        lines = list(takewhile(lambda line: line.startswith("//"), lines))
    else:
        text, found, _rest = text.partition("*/")
        start = start if found else -1
        lines = text.splitlines()
    if start < 0 or not lines:
        raise _missing(path)
    plain = [re.sub(r"^(//| \*) ?", "", line).rstrip() for line in lines]
    return ("\n".join(plain).strip() + "\n").encode()
