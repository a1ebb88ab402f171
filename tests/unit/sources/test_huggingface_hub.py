"""The cache is shared with huggingface_hub itself: each finds what the other fetched.

It is no dependency of Ingot; the extra ``convert`` brings it along.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from ingot.console import NullProgress
from ingot.sources.fetch import fetch
from ingot.sources.reference import HubReference
from ingot.sources.resolve import resolve
from ingot.sources.retry import Patience
from ingot.sources.settings import Settings
from ingot.sources.web import Web
from tests.hub.server import File, Hub

pytest.importorskip("huggingface_hub", reason="huggingface_hub is not installed")

REPO = "org/tiny-GGUF"
MODEL = b"GGUF" + bytes(range(256)) * 100
SMALL = File(b"GGUF small", lfs=False)


def theirs(settings: Settings, path: str, **env: str) -> Path:
    """What huggingface_hub says where ``path`` is."""
    program = "import sys, huggingface_hub as h; print(h.hf_hub_download(sys.argv[1], sys.argv[2]))"
    done = subprocess.run(
        [sys.executable, "-P", "-c", program, REPO, path],
        env={
            **os.environ,
            "HF_HUB_CACHE": str(settings.hub_cache),
            "HF_ENDPOINT": settings.endpoint,
            "HF_HUB_DISABLE_XET": "1",
            **env,
        },
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    return Path(done.stdout.strip())


@pytest.fixture(autouse=True)
def repository(hub: Hub) -> None:
    hub.add(REPO, {"tiny-Q8_0.gguf": MODEL, "small/tiny-Q2_K.gguf": SMALL})


@pytest.mark.parametrize("path", ["tiny-Q8_0.gguf", "small/tiny-Q2_K.gguf"])
def test_it_finds_what_ingot_fetched(path: str, web: Web, settings: Settings) -> None:
    fetched = fetch([resolve(HubReference(REPO, file=path), web)], web, NullProgress())[0]
    assert theirs(settings, path, HF_HUB_OFFLINE="1") == fetched.model


@pytest.mark.parametrize("path", ["tiny-Q8_0.gguf", "small/tiny-Q2_K.gguf"])
def test_ingot_finds_what_it_fetched(path: str, hub: Hub, web: Web, settings: Settings) -> None:
    place = theirs(settings, path)
    asked = len(hub.downloads())
    offline = Web(Settings(settings.hub_cache, hub.url, offline=True), Patience())
    for client in (offline, web):
        resolved = resolve(HubReference(REPO, file=path), client)
        assert fetch([resolved], client, NullProgress())[0].model == place
    assert len(hub.downloads()) == asked
