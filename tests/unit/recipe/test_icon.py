"""Icons: what a PNG and an SVG become, and what is no icon."""

from __future__ import annotations

import base64
import struct
import zlib
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

from ingot.bundle.reader import open_bundle
from ingot.console import NullProgress
from ingot.engine.image import RuntimeImage
from ingot.errors import InputError
from ingot.recipe.build import build
from ingot.recipe.icon import ICO_ENTRY, LIMIT, SVG_ENTRY, TOUCH_ENTRY, read_icon
from ingot.recipe.plan import Artefact
from tests.models import DEMO

SVG = b'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 1 1"><circle r="1"/></svg>\n'


def png(width: int, height: int) -> bytes:
    """A grey one, as the PNG specification has it."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        body = kind + data
        return struct.pack(">I", len(data)) + body + struct.pack(">I", zlib.crc32(body))

    rows = b"".join(b"\0" + b"\x80" * width for _ in range(height))
    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    parts = (chunk(b"IHDR", header), chunk(b"IDAT", zlib.compress(rows)), chunk(b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts)


def test_a_png_is_there_in_all_three_forms(tmp_path: Path) -> None:
    path = tmp_path / "icon.png"
    path.write_bytes(png(64, 64))
    files = read_icon(path)
    assert files[TOUCH_ENTRY] == path.read_bytes()
    assert files[ICO_ENTRY].endswith(path.read_bytes())
    size, offset = struct.unpack_from("<II", files[ICO_ENTRY], 14)
    assert (size, offset) == (path.stat().st_size, len(files[ICO_ENTRY]) - size)
    (image,) = ET.fromstring(files[SVG_ENTRY])
    assert base64.b64decode(image.attrib["href"].partition(",")[2]) == path.read_bytes()


def test_an_svg_is_taken_as_it_is(tmp_path: Path) -> None:
    path = tmp_path / "icon.svg"
    path.write_bytes(SVG)
    assert read_icon(path) == {SVG_ENTRY: SVG}


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("wide.png", png(64, 32)),
        ("small.png", png(8, 8)),
        ("cut.png", png(64, 64)[:12]),
        ("jpeg.png", b"\xff\xd8\xff" + bytes(64)),
        ("text.svg", b"no markup"),
        ("html.svg", b"<html/>"),
        ("bomb.svg", b'<!DOCTYPE s [<!ENTITY a "aaaa">]>' + SVG),
        ("huge.svg", SVG + b" " * LIMIT),
        ("icon.gif", b"GIF89a"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_what_is_no_icon(tmp_path: Path, name: str, content: bytes) -> None:
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(InputError) as caught:
        read_icon(path)
    assert caught.value.code == "bad-icon"


@pytest.mark.runtime
def test_the_page_of_an_executable_has_it(runtime_image: RuntimeImage, tmp_path: Path) -> None:
    icon = tmp_path / "icon.png"
    icon.write_bytes(png(64, 64))
    page = dict(runtime_image.ui)["index.html"].read_text("utf-8")
    made = build(
        Artefact(model=DEMO, output=tmp_path / "hello", icon=icon), runtime_image, NullProgress()
    )
    with open_bundle(made.path) as bundle:
        for name, content in read_icon(icon).items():
            entry = bundle.manifest.entry(name)
            assert entry is not None
            assert bundle.read(entry) == content
            assert f'href="{name.removeprefix("ui/")}"' in page
