"""``ingot compare`` with servers: upstream's own llama-server, started as its users start it."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from gguf import GGMLQuantizationType as Quant

from ingot.console import Console
from ingot.parity.server import API_KEY
from tests.conftest import Ingot
from tests.models import DEMO
from tests.models.ggufs import other_tokens
from tests.models.quantised import converted
from tests.serving import Server, serving
from tests.upstream import ensure_server

pytestmark = [pytest.mark.network, pytest.mark.runtime]

KEY = "not-for-everybody"
PROMPT = "import os\nimport sys\n\ndef main("


@pytest.fixture(scope="module")
def llama_server() -> Path:
    """Upstream's, compiled on first use: minutes, then cached."""
    return ensure_server(Console())


@pytest.fixture(scope="module")
def server(llama_server: Path) -> Iterator[Server]:
    with serving(llama_server, "-m", str(DEMO), verb=None) as running:
        yield running


@pytest.fixture(scope="module")
def guarded(llama_server: Path) -> Iterator[Server]:
    """Asks for a key, and has little room."""
    options = ("-m", str(DEMO), "--api-key", KEY, "-c", "256", "-np", "1")
    with serving(llama_server, *options, verb=None) as running:
        yield running


def _document(done: subprocess.CompletedProcess[str], status: int = 0) -> dict[str, Any]:
    assert done.returncode == status, done.stderr
    document = json.loads(done.stdout)
    assert isinstance(document, dict)
    return document


def _error(done: subprocess.CompletedProcess[str], status: int = 3) -> dict[str, Any]:
    error = _document(done, status)["error"]
    assert isinstance(error, dict)
    return error


@pytest.mark.parametrize("side", ["GGUF", "executable"])
def test_upstreams_server_says_the_same(
    ingot: Ingot, hello: Path, server: Server, side: str
) -> None:
    words = ("compare", DEMO if side == "GGUF" else hello, server.url, "--positions", "40")
    done = ingot(*words, "--prompt", PROMPT, "-n", "12", "--require", "equivalent", "--json")
    found = _document(done)
    summary = found["text"]["summary"]
    assert found["verdict"] == "equivalent"
    assert [found[name]["kind"] for name in "ab"] == [side, "server"]
    assert 40 <= summary["positions"] <= 44
    assert 0 < summary["kl"]["mean"] < 5e-4
    assert summary["perplexity"]["log_ratio"] == pytest.approx(0, abs=0.005)
    assert found["layers"] is None
    (greedy,) = found["greedy"]["prompts"]
    assert greedy["first_divergence"] is None
    assert greedy["text_a"] == greedy["text_b"] != ""


def test_an_executables_server_says_what_upstreams_says(
    ingot: Ingot, hello: Path, server: Server
) -> None:
    with serving(hello) as ours:
        done = ingot("compare", server.url, f"{ours.url}/v1/", "--positions", "24", "--json")
    found = _document(done)
    assert found["verdict"] in ("identical", "equivalent")
    assert found["text"]["summary"]["kl"]["mean"] < 5e-4


def test_a_quantised_model_is_not_what_is_served(
    ingot: Ingot, server: Server, tmp_path: Path
) -> None:
    smaller = converted(tmp_path / "q4_0.gguf", Quant.Q4_0)
    words = ("--positions", "32", "--require", "equivalent")
    done = ingot("compare", smaller, server.url, *words)
    assert done.returncode == 1
    assert "verdict: compatible\n  mean KL divergence: " in done.stdout
    assert "error: the verdict is compatible, and equivalent is required" in done.stderr
    found = _document(ingot("compare", server.url, smaller, *words, "--json"), status=1)
    assert found["verdict"] == "compatible"
    assert found["text"]["summary"]["kl"]["mean"] > 1e-3


def test_a_server_with_other_tokens_is_refused(
    ingot: Ingot, llama_server: Path, tmp_path: Path
) -> None:
    other = other_tokens(tmp_path / "other.gguf")
    with serving(llama_server, "-m", str(other), verb=None) as running:
        error = _error(ingot("compare", DEMO, running.url, "--json"))
    assert error["code"] == "tokenizers-differ"
    assert " in A and " in error["message"]


def test_a_servers_key_comes_from_the_environment(ingot: Ingot, guarded: Server) -> None:
    words = ("compare", DEMO, guarded.url, "-c", "128", "--positions", "8", "--json")
    for given, hint in (("", "API key into INGOT_API_KEY"), ("x", "holds another key")):
        error = _error(ingot(*words, env={API_KEY: given}))
        assert error["code"] == "server-refuses"
        assert "401 Invalid API Key" in error["message"]
        assert hint in error["hint"]
    done = ingot(*words, env={API_KEY: KEY})
    assert _document(done)["verdict"] == "equivalent"
    assert KEY not in done.stdout + done.stderr


def test_a_server_with_too_little_room_says_so(ingot: Ingot, guarded: Server) -> None:
    error = _error(ingot("compare", DEMO, guarded.url, "--json", env={API_KEY: KEY}))
    assert error["code"] == "server-refuses"
    assert "exceeds the available context size" in error["message"]
    assert "-c" in error["hint"]


@pytest.mark.slow
def test_embedding_models(
    ingot: Ingot, llama_server: Path, server: Server, minilm_gguf: Path
) -> None:
    model = ("-m", str(minilm_gguf))
    with serving(llama_server, *model, "--embeddings", verb=None) as running:
        words = ("compare", minilm_gguf, running.url, "--require", "equivalent", "--json")
        found = _document(ingot(*words))
    assert found["embeddings"]["cosine"]["min"] > 0.9999
    with serving(llama_server, *model, verb=None) as running:
        error = _error(ingot("compare", minilm_gguf, running.url, "--json"))
    assert error["code"] == "server-without-vectors"
    assert "--embeddings" in error["hint"]
    error = _error(ingot("compare", minilm_gguf, server.url, "--json"))
    assert error["code"] == "vocabularies-differ"
