"""The page: complete by itself, the same for the same numbers, and harmless whatever names say."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET

import pytest

from ingot.parity import svg
from ingot.parity.report import page
from tests.unit.parity.documents import DOCUMENTS, document


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
