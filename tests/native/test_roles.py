"""Projector, draft model and split files: carried inside, used without any flag or file."""

from __future__ import annotations

import base64
import json
import urllib.request
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import Cast, Run
from tests.models import DEMO, fixtures
from tests.serving import Server, serving


def chat(server: Server, content: object, **more: object) -> Any:
    """One greedy chat completion; the parsed answer."""
    body = {
        "messages": [{"role": "user", "content": content}],
        "max_tokens": 24,
        "temperature": 0,
        **more,
    }
    request = urllib.request.Request(
        f"{server.url}/v1/chat/completions",
        json.dumps(body).encode(),
        {"Content-Type": "application/json"},
    )
    with urllib.request.urlopen(request, timeout=120) as answer:
        return json.load(answer)


@pytest.fixture
def seeing(cast: Cast, tmp_path: Path) -> Path:
    """An executable with a projector whose file is gone."""
    projector = fixtures.projector(tmp_path / "projector.gguf")
    exe = cast(DEMO, mmproj=projector)
    projector.unlink()
    return exe


def test_pictures_go_through_the_carried_projector(seeing: Path, tmp_path: Path) -> None:
    def picture(blue: int) -> dict[str, object]:
        raw = fixtures.picture(tmp_path / f"{blue}.png", blue=blue).read_bytes()
        url = "data:image/png;base64," + base64.b64encode(raw).decode()
        return {"type": "image_url", "image_url": {"url": url}}

    words = {"type": "text", "text": "def look(picture):"}
    with serving(seeing) as server:
        without = chat(server, [words])
        dark, bright = chat(server, [picture(0), words]), chat(server, [picture(255), words])
    # the tiny projector makes four tokens of a picture
    assert dark["usage"]["prompt_tokens"] >= without["usage"]["prompt_tokens"] + 4
    texts = {answer["choices"][0]["message"]["content"] for answer in (without, dark, bright)}
    assert len(texts) >= 2


def test_the_carried_draft_model_drafts_and_changes_nothing(
    cast: Cast, hello: Path, tmp_path: Path
) -> None:
    draft = fixtures.draft_model(tmp_path / "draft.gguf")
    exe = cast(DEMO, draft=draft)
    draft.unlink()
    with serving(exe) as server:
        drafted = chat(server, "import os")
    with serving(hello) as server:
        plain = chat(server, "import os")
    assert drafted["timings"]["draft_n"] > 0
    assert drafted["choices"][0]["message"] == plain["choices"][0]["message"]


def test_a_split_model_is_joined(cast: Cast, hello: Path, run: Run, tmp_path: Path) -> None:
    parts = fixtures.split_model(tmp_path)
    joined = cast(parts[1])
    greedy = ("-p", "def add(a, b):", "-n", "16", "--temp", "0")
    assert run(joined, *greedy).stdout == run(hello, *greedy).stdout != b""
    assert run(joined, "verify").returncode == 0
