"""LlamaIndex's client for llamafile gets its vectors from an executable as from a llamafile."""

from __future__ import annotations

import hashlib
import json
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from ingot.paths import cache_dir, ensure_entry
from tests.clients.conftest import OPTIONS, openai_client
from tests.clients.plain import ask
from tests.models.packages import python
from tests.serving import Server, serving

pytestmark = [pytest.mark.network, pytest.mark.runtime]

PINS = Path(__file__).with_name("llama_index.txt")
SCRIPT = Path(__file__).with_name("llama_index_client.py")
TEXTS = ["The tide turns at noon.", "Water rises and falls.", "x"]


@pytest.fixture(scope="module")
def packages() -> Path:
    """The folder of the client's packages, installed once per machine: 15 s."""

    def make(folder: Path) -> None:
        pip = ["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-compile"]
        what = ["--no-deps", "--only-binary", ":all:", "--requirement", str(PINS)]
        python([*pip, *what, "--target", str(folder)])

    key = hashlib.sha256(PINS.read_bytes() + sys.version.encode()).hexdigest()
    return ensure_entry(cache_dir() / "tests" / f"llama-index-{key[:16]}", make)


@pytest.fixture(scope="module")
def like_llamafile(smollm2: Path) -> Iterator[Server]:
    """Started as the users of a llamafile start it."""
    with serving(smollm2, *OPTIONS, verb="--server") as running:
        yield running


def test_all_its_calls_give_the_vectors_of_the_openai_api(
    like_llamafile: Server, packages: Path
) -> None:
    question = json.dumps({"url": like_llamafile.url, "texts": TEXTS})
    answer = json.loads(python([str(SCRIPT)], stdin=question, env={"PYTHONPATH": str(packages)}))
    found = openai_client(like_llamafile).embeddings.create(model="smollm2", input=TEXTS)
    expected = [item.embedding for item in found.data]
    assert set(answer) == {"one by one", "together", "queries", "asynchronous"}
    for way, vectors in answer.items():
        assert len(vectors) == len(TEXTS), way
        for mine, theirs in zip(vectors, expected, strict=True):
            assert mine == pytest.approx(theirs, abs=1e-3), way


def test_serve_answers_as_llama_cpp_does(server: Server) -> None:
    (row,) = ask(server, "POST", "/embedding", {"content": TEXTS[0]}).document
    assert row["index"] == 0 and len(row["embedding"][0]) == 576
