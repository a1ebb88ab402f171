"""``/v1/rerank``: an encoder with a classification head sorts documents by its scores."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from tests.clients.plain import ask
from tests.conftest import Cast
from tests.models import minilm
from tests.serving import Server, serving

pytestmark = [pytest.mark.network, pytest.mark.runtime]

QUERY = "Who plays the guitar?"
DOCUMENTS = [
    "A man is playing the guitar on stage.",
    "The stock market fell sharply.",
    "Rain is expected in the north.",
]
CLS, SEP = 101, 102


@pytest.fixture(scope="module")
def encoder(minilm_gguf: Path, cast: Cast, tmp_path_factory: pytest.TempPathFactory) -> Path:
    gguf = minilm.reranker(tmp_path_factory.mktemp("rerank") / "rerank.gguf", base=minilm_gguf)
    return cast(gguf, name="rerank")


@pytest.fixture(scope="module")
def server(encoder: Path) -> Iterator[Server]:
    with serving(encoder, "--rerank", "-t", "1") as running:
        yield running


@pytest.fixture(scope="module")
def scores(encoder: Path) -> list[float]:
    """The head's products, computed here, with the vectors of the pairs' first tokens."""
    with serving(encoder, "--pooling", "cls", "-t", "1") as running:

        def tokens(text: str) -> list[int]:
            asked = {"content": text, "add_special": False}
            found: list[int] = ask(running, "POST", "/tokenize", asked).document["tokens"]
            return found

        pairs = [[CLS, *tokens(QUERY), SEP, *tokens(text), SEP] for text in DOCUMENTS]
        asked = {"content": pairs, "embd_normalize": -1}
        vectors = [row["embedding"] for row in ask(running, "POST", "/embedding", asked).document]
    return [float(np.dot(minilm.head(), np.ravel(vector))) for vector in vectors]


@pytest.mark.parametrize("path", ["/v1/rerank", "/rerank", "/v1/reranking", "/reranking"])
def test_documents_are_sorted_by_the_heads_scores(
    server: Server, scores: list[float], path: str
) -> None:
    asked = {"model": "rerank", "query": QUERY, "documents": DOCUMENTS}
    results = ask(server, "POST", path, asked).document["results"]
    assert [row["relevance_score"] for row in results] == sorted(
        (row["relevance_score"] for row in results), reverse=True
    )
    found = {row["index"]: row["relevance_score"] for row in results}
    assert [found[index] for index in range(3)] == pytest.approx(scores, rel=0.02, abs=0.05)


def test_only_the_best_are_returned_when_asked_for(server: Server, scores: list[float]) -> None:
    asked = {"query": QUERY, "documents": DOCUMENTS, "top_n": 1}
    (best,) = ask(server, "POST", "/v1/rerank", asked).document["results"]
    assert best["index"] == int(np.argmax(scores))


def test_the_form_of_text_embeddings_inference(server: Server, scores: list[float]) -> None:
    asked = {"query": QUERY, "texts": DOCUMENTS, "return_text": True}
    rows = ask(server, "POST", "/rerank", asked).document
    assert rows[0]["text"] == DOCUMENTS[int(np.argmax(scores))]
