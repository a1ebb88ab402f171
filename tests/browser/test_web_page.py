"""The web page as a person uses it, in a real Chromium: send, watch it stream, stop, come back."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect, sync_playwright

from tests.serving import Server, serving

SCREENSHOT = os.environ.get("INGOT_SCREENSHOT")  # a path: keep the picture for the docs
FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
]


def chromium() -> str:
    for name in ("chromium", "chromium-browser", "google-chrome"):
        if found := shutil.which(name):
            return found
    raise AssertionError("no Chromium on this machine: ./dev installs it where it can")


@pytest.fixture(scope="module")
def server(hello: Path) -> Iterator[Server]:
    # An answer that does not end by itself, so that stopping it is no race.
    endless = ("-n", "-1", "--ignore-eos", "--context-shift", "--temp", "0.7", "--seed", "1")
    with serving(hello, *endless) as running:
        yield running


@pytest.fixture
def page(server: Server, tmp_path: Path) -> Iterator[Page]:
    with sync_playwright() as driver:
        context = driver.chromium.launch_persistent_context(
            str(tmp_path / "profile"),
            executable_path=chromium(),
            headless=True,
            args=FLAGS,
            viewport={"width": 1100, "height": 760},
        )
        page = context.new_page()
        page.set_default_timeout(60_000)
        yield page
        context.close()


def send(page: Page, text: str) -> None:
    box = page.locator("textarea").first
    box.fill(text)
    box.press("Enter")


def answer(page: Page) -> str:
    return page.get_by_label("Assistant message with actions").last.inner_text()


def wait_for_growth(page: Page, beyond: int) -> int:
    """Length of the answer once it is longer than ``beyond`` characters; fails after 60 s."""
    page.wait_for_function(
        """beyond => {
            const all = document.querySelectorAll('[aria-label="Assistant message with actions"]');
            return all.length > 0 && all[all.length - 1].innerText.length > beyond;
        }""",
        arg=beyond,
    )
    return len(answer(page))


def test_load_send_stream_stop_reload(page: Page, server: Server) -> None:
    errors: list[str] = []
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.goto(server.url)
    expect(page.get_by_placeholder("Type a message")).to_be_visible()

    send(page, "def add(a, b):")
    expect(page.get_by_label("User message with actions")).to_contain_text("def add(a, b):")
    # tokens arrive one after another while the answer is still being written
    first = wait_for_growth(page, 0)
    second = wait_for_growth(page, first)
    stop = page.get_by_role("button", name="Stop", exact=True)
    expect(stop).to_be_visible()
    wait_for_growth(page, second + 40)
    if SCREENSHOT:
        page.screenshot(path=SCREENSHOT)

    stop.click()
    expect(stop).to_be_hidden()
    page.wait_for_timeout(500)
    stopped = answer(page)
    page.wait_for_timeout(1500)
    assert answer(page) == stopped

    # the conversation is kept by the browser and found again, by its address and in the list
    words = max(stopped.splitlines(), key=len).strip()
    page.reload()
    expect(page.get_by_label("Assistant message with actions").last).to_contain_text(words)
    page.goto(server.url)
    page.get_by_label("Expand navigation").click()
    page.get_by_role("link", name="def add(a, b):").last.click()
    expect(page.get_by_label("Assistant message with actions").last).to_contain_text(words)
    assert errors == []


def test_nothing_is_fetched_from_elsewhere(page: Page, server: Server) -> None:
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.goto(server.url)
    send(page, "import os")
    wait_for_growth(page, 0)
    outside = [url for url in asked if not url.startswith((server.url, "data:", "blob:"))]
    assert asked and outside == []
