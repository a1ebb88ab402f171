"""The page: complete by itself, the same for the same numbers, and harmless whatever names say."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET
from typing import Any

import pytest

from ingot.parity import svg
from ingot.parity.report import page

EVIL = "<script>alert(1)</script>"


def document(**changes: Any) -> dict[str, Any]:
    """A comparison, as ``ingot compare --json`` prints it."""
    positions = list(range(257, 257 + 400))
    summary = {
        "positions": 400,
        "kl": {"mean": 0.01, "mean_error": 0.001, "median": 0.005, "p99": 0.06, "max": 0.2},
        "top1": 0.93,
        "top5": 0.92,
        "perplexity": {
            "positions": 400,
            "a": {"value": 17.0, "error": 0.5},
            "b": {"value": 17.2, "error": None},
            "log_ratio": 0.01,
            "log_ratio_error": 0.004,
        },
        "logits": {"max": 1.5, "rms": 0.2},
    }
    apart = {
        "prompt": [1, 5],
        "tokens": 8,
        "text_a": f"for {EVIL} x",
        "text_b": "for i in",
        "first_divergence": 1,
        "candidates": [5, 6],
        "margin_a": 0.25,
        "margin_b": None,
    }
    same = {"prompt": [1], "tokens": 8, "text_a": "same", "text_b": "same"}
    return {
        "verdict": "compatible",
        "reasons": ["mean KL divergence: 0.01 > 0.001 (equivalent)"],
        "a": {"name": EVIL, "cpu_module": "haswell"},
        "b": {"name": "b.gguf"},
        "settings": {},
        "text": {
            "summary": summary,
            "positions": {"at": positions, "kl": [0.001 * (n % 50) for n in range(400)]},
        },
        "layers": [{"layer": n, "relative_rms": 0.01 * (n + 1)} for n in range(6)],
        "greedy": {
            "prompts": [apart, {**same, "first_divergence": None}],
            "diverged": 1,
            "first_divergence": {"min": 1, "quartiles": [1, 1, 1], "max": 1},
        },
        "embeddings": None,
        **changes,
    }


def embeddings() -> dict[str, Any]:
    """Of two embedding models."""
    return document(
        text=None,
        layers=None,
        greedy=None,
        embeddings={
            "texts": [{"cosine": 1 - 1e-6 * n, "relative_error": 1e-3 * n} for n in range(4)],
            "cosine": {"min": 1 - 3e-6, "mean": 1 - 1.5e-6},
            "relative_error": {"max": 3e-3, "mean": 1.5e-3},
        },
    )


def study() -> dict[str, Any]:
    """Of one model under several settings."""
    text = document()["text"]
    settings = [
        {"name": name, "options": [], "verdict": "equivalent", "reasons": [], "text": text}
        for name in ("KV cache F16", "1 thread")
    ]
    return {
        "verdict": "equivalent",
        "a": {"name": "a.gguf"},
        "base": ["-ctk", "f32"],
        "precision": settings,
    }


DOCUMENTS = {"texts": document(), "embeddings": embeddings(), "study": study()}


@pytest.mark.parametrize("name", DOCUMENTS)
def test_the_page_needs_nothing_and_is_the_same_each_time(name: str) -> None:
    text = page(DOCUMENTS[name])
    assert text == page(DOCUMENTS[name])
    assert not re.search(r"<script|<link|<img|@import|url\(|https?:", text)
    assert 'name="viewport"' in text
    assert "prefers-color-scheme: dark" in text


def test_names_and_texts_of_models_are_only_text() -> None:
    text = page(document())
    assert "<script" not in text
    assert text.count("&lt;script&gt;") == 2


@pytest.mark.parametrize("name", DOCUMENTS)
def test_every_plot_is_well_formed_and_has_a_name(name: str) -> None:
    plots = re.findall(r"<svg.*?</svg>", page(DOCUMENTS[name]), re.DOTALL)
    assert plots
    for plot in plots:
        root = ET.fromstring(plot)
        assert root.get("role") == "img"
        assert root.get("aria-label")
        assert len(root)


def test_a_fork_shows_what_is_shared_once() -> None:
    text = page(document())
    assert text.count("<pre>for </pre>") == 1
    assert '<pre class="b">i in</pre>' in text
    assert "they part at token 1; A prefers its own by 0.25" in text


def test_what_is_zero_everywhere_is_said_and_not_drawn() -> None:
    found = svg.plot([svg.mark(0, 0.0)], title="t", x_label="x", y_label="KL")
    assert found == '<p class="none">KL: zero everywhere</p>'


def test_many_values_are_drawn_as_spans() -> None:
    values = [float(n % 7) for n in range(1000)]
    marks = svg.binned(range(1000), values, bins=100)
    assert len(marks) == 100
    assert all(mark.low <= mark.middle <= mark.high for mark in marks)
    assert svg.binned([3, 4], [1.0, 2.0]) == [svg.mark(3, 1.0), svg.mark(4, 2.0)]


@pytest.mark.parametrize("highest", [1e-9, 0.0003, 0.09, 1.0, 7.4, 3000.0])
def test_an_axis_has_few_round_ticks_around_every_value(highest: float) -> None:
    for joined in (False, True):
        marks = [svg.mark(0, highest / 3), svg.mark(1, highest)]
        root = ET.fromstring(svg.plot(marks, title="t", x_label="x", y_label="y", joined=joined))
        grid = [float(line.get("y1", "")) for line in root.findall("line[@class='grid']")]
        dots = [float(dot.get("cy", "")) for dot in root.findall("circle")]
        assert 2 <= len(grid) <= 7
        assert min(grid) - 0.2 <= min(dots) <= max(dots) <= max(grid) + 0.2
