"""An author's icon in place of the web page's own. Which files those are is the page's business:
its index.html names them, and a test holds them to it.
"""

from __future__ import annotations

import base64
import struct
from collections.abc import Mapping
from pathlib import Path
from xml.etree import ElementTree as ET

from ingot.bundle.inputs import open_input
from ingot.errors import InputError

LIMIT = 256 << 10  # bytes
SVG_ENTRY, ICO_ENTRY = "ui/favicon.svg", "ui/favicon.ico"
TOUCH_ENTRY = "ui/apple-touch-icon-180x180.png"
# Where the file is as it was given, by its ending.
ICON_ENTRIES = {".png": TOUCH_ENTRY, ".svg": SVG_ENTRY}

_PNG = b"\x89PNG\r\n\x1a\n"
_IHDR = struct.Struct(">8s4x4sII")
_SVG_ROOT = "{http://www.w3.org/2000/svg}svg"


def read_icon(path: Path) -> Mapping[str, bytes]:
    """The web page's files that the icon at ``path`` replaces: entry name -> content.

    A PNG also becomes an ICO with that PNG inside, and an SVG, which browsers prefer. Raises
    InputError ``bad-icon``.
    """
    with open_input(path) as (stream, size):
        if size > LIMIT:
            raise _bad(path, f"has {size} bytes; the limit is {LIMIT}")
        content = stream.read()
    if path.suffix.lower() == ".svg":
        return {SVG_ENTRY: _checked_svg(path, content)}
    if path.suffix.lower() != ".png" or not content.startswith(_PNG) or len(content) < _IHDR.size:
        raise _bad(path, "is neither a PNG nor an SVG")
    _magic, chunk, width, height = _IHDR.unpack_from(content)
    if chunk != b"IHDR" or not 16 <= width == height <= 1024:
        raise _bad(path, f"is {width} x {height} pixels, not a square of 16 to 1024")
    return {SVG_ENTRY: _as_svg(content, width), ICO_ENTRY: _as_ico(content, width)} | {
        TOUCH_ENTRY: content
    }


def _checked_svg(path: Path, content: bytes) -> bytes:
    if b"<!ENTITY" in content:
        raise _bad(path, "defines entities")
    try:
        root = ET.fromstring(content)  # noqa: S314 - bounded, and without entities
    except ET.ParseError as error:
        raise _bad(path, f"is no SVG: {error}") from error
    if root.tag != _SVG_ROOT:
        raise _bad(path, "is no SVG: its root is another element")
    return content


def _as_svg(png: bytes, width: int) -> bytes:
    data = base64.b64encode(png).decode()
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {width}">'
        f'<image width="{width}" height="{width}" href="data:image/png;base64,{data}"/></svg>\n'
    ).encode()


def _as_ico(png: bytes, width: int) -> bytes:
    """One image, stored as PNG; 0 stands for 256 and more."""
    side = width if width < 256 else 0
    directory = struct.pack("<HHH", 0, 1, 1)
    return directory + struct.pack("<BBBBHHII", side, side, 0, 0, 1, 32, len(png), 22) + png


def _bad(path: Path, what: str) -> InputError:
    return InputError(
        f"{path}: {what}", hint="give a square PNG, or an SVG, of 256 kB at most", code="bad-icon"
    )
