"""A Hub of this test's own, and a client that does not wait."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from ingot.sources.retry import Patience
from ingot.sources.settings import Settings
from ingot.sources.web import Web
from tests.hub.server import Hub

IMPATIENT = Patience(attempts=5, first_pause=0.0, connect=2.0, read=0.5)


@pytest.fixture
def hub() -> Iterator[Hub]:
    with Hub() as running:
        yield running


@pytest.fixture
def settings(hub: Hub, cache: Path, tmp_path: Path) -> Settings:
    return Settings(hub_cache=tmp_path / "hf" / "hub", endpoint=hub.url)


@pytest.fixture
def web(settings: Settings) -> Web:
    return Web(settings, IMPATIENT)
