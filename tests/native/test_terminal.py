"""Nothing from a model or a manifest reaches a terminal raw."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.conftest import Cast, Run
from tests.models import DEMO
from tests.models.loadable import TOKENS, write

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


def test_the_log_is_escaped(hostile: Path, run: Run) -> None:
    done = run(hostile, "-p", "x", "-n", "1", "-t", "1", "-v")
    assert done.returncode == 0 and rb"a\x1b[31mb\x9b" in done.stderr
    assert b"\x1b[31mb" not in done.stderr and b"\x9b" not in done.stderr


def test_tokens_are_escaped(hello: Path, run: Run, tmp_path: Path) -> None:
    tokens = ["\x9b" if token == "a" else token for token in TOKENS]
    model = write(tmp_path / "m.gguf", tokenizer__ggml__tokens=tokens)
    done = run(hello, "tokenize", "-m", model, "-p", "\x9bb")
    assert done.returncode == 0 and b"\xc2\x9b" not in done.stdout, done
    assert b"\\x9b" in done.stdout or b"\\u009b" in done.stdout, done


def test_errors_are_escaped(hello: Path, run: Run) -> None:
    for name in (b"x\x1b[31m.gguf", b"x\xff.gguf"):
        done = run(hello, "-p", "x", "-m", name)
        assert done.returncode == 3 and name not in done.stderr
        assert b"\\x" in done.stderr and b"\x1b" not in done.stderr
