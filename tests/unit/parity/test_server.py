"""A server's side, against small servers with one fault each. The real one: tests/cli."""

from __future__ import annotations

import json
import math
import threading
from array import array
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from ingot.console import NullProgress
from ingot.errors import InputError, NetworkError
from ingot.parity.server import API_KEY, CANDIDATES, open_server
from ingot.parity.side import Job, Listed, Tokens
from ingot.parity.spec import parse
from tests.serving import free_port

Answer = tuple[int, Any]
Serve = Callable[[Callable[[str, dict[str, Any]], Answer]], str]
MODELS = {"data": [{"id": "m", "meta": {"n_vocab": 32}}]}


# As the engine answered until the end of 2024, and llamafile longer.
OLDER = {
    "content": "a",
    "completion_probabilities": [
        {"content": "a", "probs": [{"tok_str": "a", "prob": 0.75}, {"tok_str": "b", "prob": 0.25}]}
    ],
}


@pytest.fixture
def asked() -> list[str | None]:
    """The header ``Authorization`` of every request."""
    return []


@pytest.fixture
def serve(asked: list[str | None]) -> Iterator[Serve]:
    running: list[ThreadingHTTPServer] = []

    def start(answer: Callable[[str, dict[str, Any]], Answer]) -> str:
        class Handler(BaseHTTPRequestHandler):
            def _reply(self) -> None:
                raw = self.rfile.read(int(self.headers.get("Content-Length") or 0))
                asked.append(self.headers.get("Authorization"))
                status, document = answer(self.path, json.loads(raw or b"{}"))
                body = document if isinstance(document, bytes) else json.dumps(document).encode()
                self.send_response(status)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            do_GET = do_POST = _reply

            def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
                pass

        server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        running.append(server)
        return f"http://127.0.0.1:{server.server_port}"

    yield start
    for server in running:
        server.shutdown()
        server.server_close()


def model(path: str, body: dict[str, Any]) -> Answer:
    """A model that says the token after the last one, and knows one other."""
    if path == "/v1/models":
        return 200, MODELS
    if path == "/tokenize":
        ids = list(body["content"].encode())
        return 200, {"tokens": [1, *ids] if body["add_special"] else ids}
    steps, last = [], body["prompt"][-1]
    for _ in range(body["n_predict"]):
        last += 1
        listed = [{"id": last, "logprob": math.log(0.75)}, {"id": 0, "logprob": math.log(0.25)}]
        steps.append({"id": last, "top_logprobs": listed})
    return 200, {"content": "abc", "completion_probabilities": steps}


def test_tokens_scores_and_texts(serve: Serve, tmp_path: Path) -> None:
    side = open_server(parse(serve(model) + "/v1"))
    assert side.vocabulary == 32
    assert side.tokenize("hi", NullProgress()) == Tokens((104, 105), 1)
    job = Job(sequences=((1, 2, 3, 4), (1, 9, 8, 7)), first=2, prompts=((5,),), continued=3)
    numbers = side.run(job, tmp_path, NullProgress())
    assert isinstance(numbers.scores, Listed)
    ids = array("i", numbers.scores.ids.read_bytes())
    logs = array("f", numbers.scores.logs.read_bytes())
    rows = [list(ids[at : at + 3]) for at in range(0, len(ids), CANDIDATES)]
    assert rows == [[4, 0, -1], [5, 0, -1], [9, 0, -1], [8, 0, -1]]
    assert list(logs[:2]) == pytest.approx([math.log(0.75), math.log(0.25)])
    (greedy,) = numbers.greedy
    assert (greedy.tokens, greedy.text) == ((6, 7, 8), "abc")
    assert greedy.steps[0][1][1] == pytest.approx(math.log(0.25))


def test_no_server() -> None:
    with pytest.raises(NetworkError, match="no server answers there") as caught:
        open_server(parse(f"http://127.0.0.1:{free_port()}"))
    assert (caught.value.code, caught.value.exit_code) == ("no-server", 4)


def _other(path: str, answer: Answer) -> Callable[[str, dict[str, Any]], Answer]:
    return lambda asked, body: answer if asked == path else model(asked, body)


@pytest.mark.parametrize(
    ("path", "answer", "code"),
    [
        ("/v1/models", (404, {}), "not-a-llama-server"),
        ("/v1/models", (200, b"<html>"), "server-refuses"),
        ("/v1/models", (401, {"error": {"message": "Invalid API Key"}}), "server-refuses"),
        ("/tokenize", (404, {}), "not-a-llama-server"),
        ("/tokenize", (200, {"tokens": ["a"]}), "not-a-llama-server"),
        ("/completion", (200, {"content": "x"}), "server-without-logprobs"),
        ("/completion", (200, {"completion_probabilities": []}), "server-without-logprobs"),
        ("/completion", (200, OLDER), "server-without-logprobs"),
        ("/completion", (501, b"<html>"), "not-a-llama-server"),
        ("/completion", (501, {"error": {"message": "embeddings only"}}), "server-refuses"),
        ("/completion", (400, {"error": {"message": "exceeds the context"}}), "server-refuses"),
        ("/v1/embeddings", (200, {"data": []}), "server-without-vectors"),
        ("/v1/embeddings", (501, {"error": {"message": "not so"}}), "server-without-vectors"),
    ],
)
def test_what_is_no_such_server(
    serve: Serve, tmp_path: Path, path: str, answer: Answer, code: str
) -> None:
    spec = parse(serve(_other(path, answer)))
    with pytest.raises(InputError) as caught:
        side = open_server(spec)
        side.tokenize("a", NullProgress())
        if path == "/v1/embeddings":
            side.embed(["a"], tmp_path, NullProgress())
        side.run(Job(sequences=((1, 2),), first=0), tmp_path, NullProgress())
    assert caught.value.code == code
    assert caught.value.hint


def test_the_key_is_sent_with_every_request_and_shown_nowhere(
    serve: Serve,
    asked: list[str | None],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    netrc = tmp_path / "netrc"
    netrc.write_text("machine 127.0.0.1 login somebody password else\n")
    monkeypatch.setenv("NETRC", str(netrc))
    monkeypatch.setenv(API_KEY, " geheim-ß \n")
    side = open_server(parse(serve(model)))
    side.tokenize("hi", NullProgress())
    assert {str(header).encode("latin-1").decode() for header in asked} == {"Bearer geheim-ß"}
    assert len(asked) == 4
    assert "geheim" not in repr(side)


@pytest.mark.parametrize(
    ("key", "hint"), [("", "put the server's API key into"), ("x", "holds another key")]
)
def test_a_key_that_is_missing_or_wrong(
    serve: Serve, monkeypatch: pytest.MonkeyPatch, key: str, hint: str
) -> None:
    monkeypatch.setenv(API_KEY, key)
    spec = parse(serve(_other("/v1/models", (401, {"error": {"message": "Invalid API Key"}}))))
    with pytest.raises(InputError, match="401 Invalid API Key") as caught:
        open_server(spec)
    assert hint in str(caught.value.hint)
