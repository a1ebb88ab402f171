"""Sides as users write them."""

from __future__ import annotations

from pathlib import Path

import pytest

from ingot.errors import UsageError
from ingot.parity.spec import Spec, parse


def _nothing(_path: Path) -> bool:
    return False


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        ("m.gguf", Spec("m.gguf", path=Path("m.gguf"))),
        ("m.gguf@0.3.36", Spec("m.gguf@0.3.36", path=Path("m.gguf"), engine="0.3.36")),
        ("a/m:cpu=sse42", Spec("a/m:cpu=sse42", path=Path("a/m"), cpu="sse42")),
        (
            "m.gguf@1.0:cpu=haswell:gpu=none",
            Spec(
                "m.gguf@1.0:cpu=haswell:gpu=none",
                path=Path("m.gguf"),
                engine="1.0",
                cpu="haswell",
                gpu="none",
            ),
        ),
        ("user@host/m.gguf", Spec("user@host/m.gguf", path=Path("user@host/m.gguf"))),
        ("a:b/m.gguf", Spec("a:b/m.gguf", path=Path("a:b/m.gguf"))),
        ("http://host:8080/", Spec("http://host:8080/", url="http://host:8080")),
    ],
)
def test_suffixes_are_taken_off_in_their_order(written: str, expected: Spec) -> None:
    assert parse(written, _nothing) == expected


def test_a_file_of_that_very_name_has_no_suffixes() -> None:
    name = "m.gguf@1:cpu=haswell"
    assert parse(name, lambda path: str(path) == name) == Spec(name, path=Path(name))


@pytest.mark.parametrize(
    ("written", "words"),
    [
        ("m.gguf:threads=2", "':threads=2' is no suffix"),
        ("m.gguf:haswell", "':haswell' is no suffix"),
        ("m.gguf:cpu=", "':cpu=' names no module"),
        ("m.gguf:cpu=a:cpu=b", "':cpu=' is given twice"),
        ("m.gguf:gpu=cuda", "there is no GPU kind 'cuda'"),
        ("m.gguf@", "'@' names no engine version"),
        ("m.gguf@-1", "'@-1' names no engine version"),
        ("", "empty"),
    ],
)
def test_what_is_no_suffix(written: str, words: str) -> None:
    with pytest.raises(UsageError) as caught:
        parse(written, _nothing)
    assert words in caught.value.message
    assert caught.value.hint
