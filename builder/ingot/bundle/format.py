"""The executable's format, version 1: written down here, once. docs/reference/format.md is this
text for people; runtime/bundle.cc reads what is written here; golden files hold all three to it.

Byte order is little endian; offsets and sizes are bytes from the start of the file, the program
included. No size is limited to 32 bits.

    0                native program (`program.size` bytes)
                     zeros up to a multiple of 4,096
                     ZIP entries, each: local header, extra field, data
                       manifest.json          method 0, always the first entry
                       models/NAME.gguf       method 0, data at a multiple of 65,536
                       hashes/NAME.gguf.sha256  method 0
                       modules/TARGET/NAME    method 0, data at a multiple of 4,096
                       licenses/NAME          method 8, or 0 where deflating gains nothing
                       ui/NAME                likewise
                       sources/NAME           likewise
                       recipe.json            likewise
                       sbom.json              likewise
                     central directory
                     ZIP64 end of central directory record (56 bytes)
                     ZIP64 end of central directory locator (20 bytes)
    size - 129       end of central directory record (22 bytes), whose comment is the tail
    size - 107       tail (107 bytes of ASCII):
                       "ingot-1 " + %016x offset of the manifest's data + " " + %016x its size
                       + " " + its sha256 (64 lowercase hex digits) + "\\n"

Why a tail in the comment: a reader finds everything with one read of 129 bytes at the end, while
any ZIP tool still sees an ordinary archive. (Rejected: a fixed offset inside the program, which
would have to be patched into a signed binary; a search for the comment from the end, which is how
ZIP readers are fooled.)

ZIP details that the writer always follows:

- Local headers carry the real sizes and CRC-32; there are no data descriptors.
- Weights always have the ZIP64 extra field (0x0001), sizes in the local header, sizes and offset
  in the central directory; other entries only where a number needs it. The ZIP64 end record is
  always there and the 16 and 32-bit fields of the plain one are saturated.
- Data is aligned by an extra field 0xD935 in the local header only: u16 alignment (32,768, the
  largest that fits, stands for 65,536 too), then zeros. Where an extra field cannot be long
  enough, zero bytes come before the local header.
- Made by: Unix, permissions 0644. Time: 1980-01-01 00:00:00. Flag bit 11 (UTF-8) only for names
  that are not ASCII. Methods 0 and 8, raw DEFLATE; ours is made by a pinned zopfli.
- Order: as above, sorted by name within a folder; models in the order main, projector, LoRA
  adapters as given, draft. So the same inputs give the same bytes.

The manifest is UTF-8 JSON with sorted keys, padded with spaces at its end, because its size must
be known before the hashes in it are. Weights are hashed as a tree: the sha256 of every chunk of
4,194,304 bytes (the last may be shorter), concatenated raw, is a `hashes/` entry whose own sha256
is therefore the root, and stands in the manifest.

Limits that a reader enforces:

    manifest              16 MiB
    entries               65,536
    name                  255 bytes of UTF-8; relative; no empty, "." or ".." component; no
                          backslash, colon or control character; unique
    central directory     32 MiB
    entry's data          inside the file, in order, overlapping nothing; no hole above 128 KiB
    compressed entry      64 MiB
"""

from __future__ import annotations

import re

from ingot.errors import IntegrityError

FORMAT = 1

PAGE = 4096
MODEL_ALIGNMENT = 65_536
MODULE_ALIGNMENT = 4096
CHUNK = 4 << 20

MANIFEST_NAME = "manifest.json"
MANIFEST_MAX = 16 << 20
ENTRIES_MAX = 65_536
NAME_MAX = 255
DIRECTORY_MAX = 32 << 20

STORED = 0
DEFLATED = 8

EOCD_SIZE = 22
TAIL_SIZE = 107
END_SIZE = EOCD_SIZE + TAIL_SIZE
LOCATOR_SIZE = 20
EOCD64_SIZE = 56

_TAIL = re.compile(rb"ingot-1 ([0-9a-f]{16}) ([0-9a-f]{16}) ([0-9a-f]{64})\n")
_ANY_TAIL = re.compile(rb"ingot-(\d+) ")


def tail(manifest_offset: int, manifest_size: int, manifest_sha256: str) -> bytes:
    """The 107 bytes that lead to the manifest."""
    text = f"ingot-{FORMAT} {manifest_offset:016x} {manifest_size:016x} {manifest_sha256}\n"
    raw = text.encode("ascii")
    assert len(raw) == TAIL_SIZE
    return raw


def parse_tail(raw: bytes) -> tuple[int, int, str] | None:
    """Manifest offset, size and sha256; None if ``raw`` is not a tail.

    Raises IntegrityError ``format-version`` for the tail of another format version.
    """
    match = _TAIL.fullmatch(raw)
    if match:
        return int(match[1], 16), int(match[2], 16), match[3].decode("ascii")
    other = _ANY_TAIL.match(raw)
    if other and int(other[1]) != FORMAT:
        raise IntegrityError(
            f"the executable has format {int(other[1])}; this Ingot reads format {FORMAT}",
            hint="use the version of Ingot that made it, or a newer one",
            code="format-version",
        )
    return None


def name_problem(name: str) -> str | None:
    """Why ``name`` cannot be an entry's name; None if it can."""
    try:
        raw = name.encode("utf-8")
    except UnicodeEncodeError:
        return "is not valid Unicode"
    if not 0 < len(raw) <= NAME_MAX:
        return f"has {len(raw)} bytes; 1 to {NAME_MAX} are allowed"
    if any(ord(c) < 32 or 127 <= ord(c) < 160 for c in name):
        return "has a control character"
    if "\\" in name or ":" in name:
        return "has a backslash or a colon"
    if any(part in ("", ".", "..") for part in name.split("/")):
        return "is not a plain relative path"
    return None


def safe_file_name(name: str) -> str:
    """A file name with what ``name_problem`` refuses replaced, at most 200 bytes long."""
    clean = "".join(
        "_" if ord(c) < 32 or 127 <= ord(c) < 160 or c in "\\:/" or 0xD800 <= ord(c) < 0xE000 else c
        for c in name
    )
    while len(clean.encode()) > 200:
        clean = clean[1:]
    return clean if clean not in ("", ".", "..") else "model"


def align(offset: int, alignment: int) -> int:
    """The first multiple of ``alignment`` that is not below ``offset``."""
    return -(-offset // alignment) * alignment
