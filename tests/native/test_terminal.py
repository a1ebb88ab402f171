"""Nothing from a model or a manifest reaches a terminal raw."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.conftest import Cast, Run
from tests.models import DEMO

NAME, HOSTILE = "PyStdlib 7M", "a\x1b[31mb\x9b\nc"


@pytest.fixture(scope="module")
def hostile(cast: Cast, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An executable of a model whose name holds what a terminal obeys."""
    assert len(NAME) == len(HOSTILE.encode())
    model = tmp_path_factory.mktemp("hostile") / "model.gguf"
    model.write_bytes(DEMO.read_bytes().replace(NAME.encode(), HOSTILE.encode(), 1))
    return cast(model)


@pytest.mark.parametrize("words", [("info",), ("--help",)])
def test_what_the_model_says_is_escaped(hostile: Path, run: Run, words: tuple[str, ...]) -> None:
    text = run(hostile, *words).stdout.decode()
    assert "\x1b" not in text and "\x9b" not in text
    assert "a\\x1b[31mb\\x9b\\nc" in text


def test_errors_are_escaped(hello: Path, run: Run) -> None:
    for name in (b"x\x1b[31m.gguf", b"x\xff.gguf"):
        done = run(hello, "-p", "x", "-m", name)
        assert done.returncode == 3 and name not in done.stderr
        assert b"\\x" in done.stderr and b"\x1b" not in done.stderr
