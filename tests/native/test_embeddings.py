"""``embed`` on a real sentence encoder gives the vectors that a second implementation gives."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest

from tests.models import minilm

pytestmark = [pytest.mark.network, pytest.mark.runtime, pytest.mark.slow]

Floats = npt.NDArray[np.float32]

SENTENCES = (
    "A man is playing the guitar on stage.",
    "Someone performs music with a string instrument.",
    "The stock market fell sharply after the announcement.",
    "Où est la bibliothèque ? Près du café, à l'angle — naturellement !",
    "Zażółć gęślą jaźń; Ångström, Übermut & naïveté.",
    "x",
    "Wait... what?! (No -- really: 50% off, $3.99/kg, e-mail me@example.com #today)",
    "東京は日本の首都です。",
    # Longer than the 128 tokens at which the checkpoint's tokenizer.json would cut.
    "The committee met on the third of March to discuss the repair of the old stone bridge, "
    "whose foundations had been weakened by the winter floods; " * 8,
)
GUITAR, PARAPHRASE, MARKET = 0, 1, 2


@pytest.fixture(scope="module")
def embedder(minilm_gguf: Path, cast: Callable[..., Path]) -> Path:
    """An executable around the converted encoder."""
    return cast(minilm_gguf)


@pytest.fixture(scope="module")
def vectors(embedder: Path) -> Floats:
    """What the executable says about all sentences, asked in one call."""
    return embed(embedder, SENTENCES)


def test_vectors_equal_those_of_transformers(vectors: Floats, minilm_checkpoint: Path) -> None:
    expected = minilm.reference_vectors(SENTENCES, checkpoint=minilm_checkpoint)
    assert vectors.shape == expected.shape == (len(SENTENCES), minilm.DIMENSIONS)
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1.0, atol=1e-4)
    cosines = (vectors * expected).sum(axis=1)
    for sentence, cosine in zip(SENTENCES, cosines, strict=True):
        assert cosine > 0.999, f"{cosine:.6f} for {sentence[:60]!r}"


def test_a_paraphrase_is_nearer_than_another_subject(vectors: Floats) -> None:
    likeness = vectors @ vectors.T
    assert likeness[GUITAR, PARAPHRASE] > 0.4
    assert likeness[GUITAR, PARAPHRASE] > likeness[GUITAR, MARKET] + 0.3


def test_a_text_gets_the_same_vector_alone_and_among_others(
    embedder: Path, vectors: Floats
) -> None:
    for index in (PARAPHRASE, len(SENTENCES) - 1):
        (alone,) = embed(embedder, SENTENCES[index : index + 1])
        assert float(alone @ vectors[index]) > 0.9999


def test_plain_output_is_one_line_of_floats_per_text(embedder: Path, vectors: Floats) -> None:
    lines = run_embed(embedder, SENTENCES[:3]).splitlines()
    assert len(lines) == 3
    printed = np.array([[float(word) for word in line.split()] for line in lines])
    np.testing.assert_allclose(printed, vectors[:3], atol=1e-3)


def embed(executable: Path, sentences: Sequence[str]) -> Floats:
    """The vectors in the order of the sentences, from ``embed --json``."""
    answer = json.loads(run_embed(executable, sentences, "--json"))
    rows = sorted(answer["data"], key=lambda row: int(row["index"]))
    assert [row["index"] for row in rows] == list(range(len(sentences)))
    return np.array([row["embedding"] for row in rows], dtype=np.float32)


def run_embed(executable: Path, sentences: Sequence[str], *options: str) -> str:
    """Run ``embed`` with one ``-p`` per sentence and return stdout."""
    texts = [word for sentence in sentences for word in ("-p", sentence)]
    done = subprocess.run(
        [executable, "embed", *texts, *options], capture_output=True, timeout=300, check=False
    )
    assert done.returncode == 0, done.stderr.decode(errors="replace")[-2000:]
    return done.stdout.decode()
