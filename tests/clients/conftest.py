"""One server of the instruct model for all clients."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import openai
import pytest

from tests.serving import Server, serving

# One thread: machines that test are busy, and the engine's threads spin. Four slots, which share
# the context as without -np. Greedy, because not every client can ask for a temperature.
OPTIONS = ("-t", "1", "-c", "4096", "-np", "4", "--kv-unified", "--temp", "0")


@pytest.fixture(scope="package")
def server(smollm2: Path) -> Iterator[Server]:
    with serving(smollm2, *OPTIONS) as running:
        yield running


@pytest.fixture
def client(server: Server) -> openai.OpenAI:
    return openai_client(server)


def openai_client(server: Server) -> openai.OpenAI:
    return openai.OpenAI(base_url=f"{server.url}/v1", api_key="none", max_retries=0, timeout=120)
