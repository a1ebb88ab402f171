"""The report of ``ingot compare`` on a phone: readable, light and dark, without scripts."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Literal

import pytest
from playwright.sync_api import Browser, Page, Request, sync_playwright

from ingot.parity.report import page as report
from tests.browser.test_web_page import FLAGS, chromium
from tests.unit.parity.documents import DOCUMENTS

pytestmark = pytest.mark.browser

PHONE = 360  # CSS pixels
SMALLEST_TEXT = 9  # CSS pixels, of labels in plots


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=chromium(), headless=True, args=FLAGS)
        yield browser
        browser.close()


def _open(
    browser: Browser,
    path: Path,
    name: str,
    *,
    width: int = PHONE,
    scheme: Literal["light", "dark"] = "light",
) -> Page:
    path.write_text(report(DOCUMENTS[name]), "utf-8")
    context = browser.new_context(
        viewport={"width": width, "height": 740}, color_scheme=scheme, java_script_enabled=True
    )
    page = context.new_page()
    page.goto(path.as_uri())
    return page


@pytest.mark.parametrize("name", DOCUMENTS)
@pytest.mark.parametrize("width", [PHONE, 1200])
def test_nothing_is_wider_than_the_screen_nor_too_small_to_read(
    browser: Browser, tmp_path: Path, name: str, width: int
) -> None:
    page = _open(browser, tmp_path / "r.html", name, width=width)
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    heights = page.evaluate(
        "[...document.querySelectorAll('svg text')].map(t => t.getBoundingClientRect().height)"
    )
    assert heights
    assert min(heights) >= SMALLEST_TEXT
    page.context.close()


def test_labels_of_a_plot_do_not_cover_each_other(browser: Browser, tmp_path: Path) -> None:
    page = _open(browser, tmp_path / "r.html", "texts")
    overlaps = page.evaluate(
        """() => [...document.querySelectorAll('svg')].flatMap(svg => {
            const boxes = [...svg.querySelectorAll('text')].map(t => t.getBoundingClientRect());
            return boxes.flatMap((a, i) => boxes.slice(i + 1).filter(b =>
                a.left + 1 < b.right && b.left + 1 < a.right &&
                a.top + 2 < b.bottom && b.top + 2 < a.bottom));
        }).length"""
    )
    assert overlaps == 0
    page.context.close()


def test_dark_is_dark(browser: Browser, tmp_path: Path) -> None:
    def lightness(scheme: Literal["light", "dark"]) -> tuple[int, int]:
        page = _open(browser, tmp_path / "r.html", "texts", scheme=scheme)
        colours: list[str] = page.evaluate(
            "(s => [s.backgroundColor, s.color])(getComputedStyle(document.body))"
        )
        page.context.close()
        paper, ink = (int(colour.split("(")[1].split(",")[0]) for colour in colours)
        return paper, ink

    light, dark = lightness("light"), lightness("dark")
    assert light[0] > 200 > 60 > light[1]
    assert dark[0] < 60 < 200 < dark[1]


def test_nothing_else_is_fetched_and_forks_open(browser: Browser, tmp_path: Path) -> None:
    path = tmp_path / "r.html"
    path.write_text(report(DOCUMENTS["texts"]), "utf-8")
    context = browser.new_context(
        viewport={"width": PHONE, "height": 740}, java_script_enabled=False
    )
    asked: list[Request] = []
    context.on("request", lambda request: asked.append(request))
    page = context.new_page()
    page.goto(path.as_uri())
    assert [request.url for request in asked] == [path.as_uri()]
    assert page.get_by_text("i in", exact=True).is_visible()
    same = page.get_by_text("same", exact=True)
    assert not same.is_visible()
    page.get_by_text("Prompt 2: the same for 8 tokens").click()
    assert same.is_visible()
    context.close()
