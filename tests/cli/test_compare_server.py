"""``ingot compare`` with upstream's own ``llama-server``, compiled from its sources as they are."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from gguf import GGMLQuantizationType as Quant

from ingot.console import Console
from tests import upstream
from tests.conftest import Ingot
from tests.models import DEMO
from tests.models.ggufs import other_tokens
from tests.models.quantised import converted
from tests.serving import Server, serving

pytestmark = [pytest.mark.network, pytest.mark.runtime, pytest.mark.slow]

TEXT = "".join(
    f"def scale_{n}(values, by={n}):\n    total = [value * by for value in values]\n\n"
    for n in range(30)
)
KEY = "sesame"


@pytest.fixture(scope="module")
def llama_server() -> Path:
    """The program: two minutes the first time."""
    return upstream.ensure_server(Console())


@pytest.fixture(scope="module")
def server(llama_server: Path) -> Iterator[Server]:
    with _serving(llama_server, "-m", str(DEMO)) as running:
        yield running


@pytest.fixture
def text(tmp_path: Path) -> Path:
    path = tmp_path / "text.txt"
    path.write_text(TEXT)
    return path


def _serving(program: Path, *words: str) -> Any:
    return serving(program, "-np", "1", "-c", "512", *words, verb=None)


def _document(done: subprocess.CompletedProcess[str], status: int = 0) -> dict[str, Any]:
    assert done.returncode == status, done.stderr
    document = json.loads(done.stdout)
    assert isinstance(document, dict)
    return document


def test_upstreams_server_says_what_the_file_says(
    ingot: Ingot, server: Server, text: Path, tmp_path: Path
) -> None:
    words = ("--text", text, "--positions", "40", "--prompts", "3", "-n", "12", "--prompt", "def f")
    page = tmp_path / "r.html"
    done = ingot(
        "compare", DEMO, server.url, *words, "--report", page, "--require", "equivalent", "--json"
    )
    found = _document(done)
    summary = found["text"]["summary"]
    assert found["b"] == {"name": server.url, "kind": "server"}
    assert 40 <= summary["positions"] <= 44
    assert 0 < summary["kl"]["mean"] < 1e-3
    assert summary["top1"] > 0.95
    assert found["layers"] is None
    assert (len(found["greedy"]["prompts"]), found["greedy"]["diverged"]) == (4, 0)
    assert server.url in page.read_text()


def test_another_model_is_further_away(
    ingot: Ingot, server: Server, text: Path, tmp_path: Path
) -> None:
    smaller = converted(tmp_path / "q4_0.gguf", Quant.Q4_0)
    words = ("--text", text, "--positions", "40", "--json")
    found = _document(ingot("compare", server.url, smaller, DEMO, *words))
    far, near = (item["text"]["summary"]["kl"]["mean"] for item in found["comparisons"])
    assert far > 10 * near
    assert [item["verdict"] for item in found["comparisons"]] == ["compatible", "equivalent"]


def test_a_server_that_wants_a_key(ingot: Ingot, llama_server: Path, text: Path) -> None:
    words = ("--text", text, "--positions", "8", "--json")
    with _serving(llama_server, "-m", str(DEMO), "--api-key", KEY) as running:
        for key, hint in ((None, "put the server's API key into"), ("x", "holds another key")):
            env = {"INGOT_API_KEY": key or ""}
            done = ingot("compare", DEMO, running.url, *words, env=env)
            error = _document(done, status=3)["error"]
            assert error["code"] == "server-refuses"
            assert hint in error["hint"]
        done = ingot("compare", DEMO, running.url, *words, env={"INGOT_API_KEY": KEY})
        assert _document(done)["verdict"] == "equivalent"
        assert KEY not in done.stdout + done.stderr


def test_a_server_of_other_tokens_or_too_short_a_context(
    ingot: Ingot, llama_server: Path, text: Path, tmp_path: Path
) -> None:
    other = other_tokens(tmp_path / "other.gguf")
    with _serving(llama_server, "-m", str(other)) as running:
        done = ingot("compare", DEMO, running.url, "--text", text, "--json")
        assert _document(done, status=3)["error"]["code"] == "tokenizers-differ"
    with _serving(llama_server, "-m", str(DEMO), "-c", "256") as running:
        done = ingot("compare", DEMO, running.url, "--text", text, "--json")
        error = _document(done, status=3)["error"]
        assert error["code"] == "server-refuses"
        assert "context" in error["hint"]
