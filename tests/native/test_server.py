"""`./hello serve`, talked to by the `openai` package as an application would."""

from __future__ import annotations

import json
import math
import socket
import subprocess
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import openai
import pytest

from tests.conftest import Cast, Run
from tests.models import DEMO
from tests.serving import Server, serving


def ask(client: openai.OpenAI, **more: Any) -> Any:
    """One chat completion of a fixed question; Any, because the client's overloads are many."""
    question = [{"role": "user", "content": "Write a function that adds two numbers."}]
    create: Any = client.chat.completions.create
    return create(model="hello", messages=question, temperature=0, **more)


@pytest.fixture(scope="module")
def server(hello: Path) -> Iterator[Server]:
    with serving(hello) as running:
        yield running


@pytest.fixture
def client(server: Server) -> openai.OpenAI:
    return openai.OpenAI(base_url=f"{server.url}/v1", api_key="none", max_retries=0, timeout=120)


def test_models_lists_the_executables_name(client: openai.OpenAI) -> None:
    assert [model.id for model in client.models.list()] == ["hello"]


def test_chat_answers_and_counts_tokens(client: openai.OpenAI) -> None:
    answer = ask(client, max_tokens=12)
    assert answer.choices[0].message.content
    assert 0 < answer.usage.completion_tokens <= 12


def test_stream_joins_to_the_same_text(client: openai.OpenAI) -> None:
    chunks = [chunk for chunk in ask(client, max_tokens=12, stream=True) if chunk.choices]
    pieces = [chunk.choices[0].delta.content for chunk in chunks if chunk.choices[0].delta.content]
    assert len(pieces) > 1
    assert "".join(pieces) == ask(client, max_tokens=12).choices[0].message.content


def test_json_by_schema_is_obeyed_even_by_a_tiny_model(client: openai.OpenAI) -> None:
    schema = {
        "type": "object",
        "properties": {
            "name": {"type": "string", "maxLength": 8},
            "count": {"type": "integer", "minimum": 0, "maximum": 99},
        },
        "required": ["name", "count"],
        "additionalProperties": False,
    }
    form = {"type": "json_schema", "json_schema": {"name": "thing", "schema": schema}}
    answer = ask(client, max_tokens=200, response_format=form)
    document = json.loads(answer.choices[0].message.content)
    assert set(document) == {"name", "count"}
    assert isinstance(document["name"], str) and 0 <= document["count"] <= 99


def test_embeddings_come_from_the_same_server_and_equal_the_verbs(
    client: openai.OpenAI, hello: Path, run: Run
) -> None:
    texts = ["import os", "class Foo:"]
    vectors = [item.embedding for item in client.embeddings.create(model="hello", input=texts).data]
    assert all(math.isclose(sum(x * x for x in vector), 1, rel_tol=1e-3) for vector in vectors)
    mine = [
        item["embedding"]
        for item in json.loads(
            run(hello, "embed", "--json", "-p", texts[0], "-p", texts[1]).stdout
        )["data"]
    ]
    for ours, theirs in zip(mine, vectors, strict=True):
        assert sum(a * b for a, b in zip(ours, theirs, strict=True)) > 0.999


def test_web_page_is_served_gzipped_and_whole(server: Server) -> None:
    import gzip

    request = urllib.request.Request(f"{server.url}/", headers={"Accept-Encoding": "gzip"})
    with urllib.request.urlopen(request, timeout=30) as answer:
        assert answer.headers["Content-Encoding"] == "gzip"
        assert b"<html" in gzip.decompress(answer.read())


def test_pages_of_other_sites_are_not_let_in(server: Server) -> None:
    request = urllib.request.Request(
        f"{server.url}/v1/models", headers={"Origin": "https://example.com"}
    )
    with urllib.request.urlopen(request, timeout=30) as answer:
        assert answer.headers.get("Access-Control-Allow-Origin", "") not in (
            "*",
            "https://example.com",
        )


def test_a_port_in_use_is_one_clear_error(server: Server, hello: Path, run: Run) -> None:
    done = run(hello, "serve", "--port", str(server.port))
    assert done.returncode == 3
    assert f"port {server.port} is in use".encode() in done.stderr and b"--port" in done.stderr


def test_a_bad_port_is_a_usage_error(hello: Path, run: Run) -> None:
    for port in ("65536", "70000", "-1", "web", "1x", ""):
        done = run(hello, "serve", "--port", port)
        assert done.returncode == 2 and b"--port takes a whole number" in done.stderr, port


def test_ctrl_c_ends_it_cleanly(hello: Path) -> None:
    with serving(hello) as running:
        running.interrupt()
        assert running.process.wait(timeout=60) == 0


def test_no_web_page_when_the_author_left_it_out(cast: Cast) -> None:
    with serving(cast(DEMO, ui=False)) as running:
        with pytest.raises(urllib.error.HTTPError) as refused:
            urllib.request.urlopen(
                urllib.request.Request(f"{running.url}/", headers={"Accept-Encoding": "gzip"}),
                timeout=30,
            )
        assert refused.value.code == 404
        assert (
            json.load(urllib.request.urlopen(f"{running.url}/v1/models", timeout=30))["data"][0][
                "id"
            ]
            == "hello"
        )


def test_chat_on_a_terminal_has_the_web_page_too(hello: Path) -> None:
    """The whole start: chat in a pseudo-terminal, the address printed, one answer, /exit."""
    import os
    import pty
    import re
    import select
    import time

    pid, terminal = pty.fork()
    if pid == 0:
        os.execv(hello, [os.fspath(hello), "-n", "12", "--temp", "0"])

    unread = b""

    def read_until(pattern: bytes, seconds: float = 90) -> re.Match[bytes]:
        """The next match; what comes after it stays for the next call."""
        nonlocal unread
        end = time.monotonic() + seconds
        while not (found := re.search(pattern, unread)):
            assert time.monotonic() < end, unread
            if select.select([terminal], [], [], 0.2)[0]:
                unread += os.read(terminal, 65536)
        unread = unread[found.end() :]
        return found

    page = read_until(rb"web page: (http://127\.0\.0\.1:\d+)\s")
    read_until(rb"/exit")
    health = json.load(urllib.request.urlopen(f"{page.group(1).decode()}/health", timeout=30))
    assert health == {"status": "ok"}
    os.write(terminal, b"def add(a, b):\n")
    read_until(rb"t/s")
    os.write(terminal, b"/exit\n")
    read_until(rb"Exiting")
    end = time.monotonic() + 30
    while True:
        done, status = os.waitpid(pid, os.WNOHANG)
        if done:
            break
        assert time.monotonic() < end, "it did not end"
        if select.select([terminal], [], [], 0.1)[0]:
            try:
                os.read(terminal, 65536)
            except OSError:
                pass
    assert os.waitstatus_to_exitcode(status) == 0


def test_without_a_terminal_and_input_it_serves(hello: Path) -> None:
    """As a service or a double click starts it: /dev/null as standard input."""
    with serving(hello, verb=None, stdin=subprocess.DEVNULL) as running:
        assert json.load(urllib.request.urlopen(f"{running.url}/health", timeout=30)) == {
            "status": "ok"
        }


def test_chat_with_an_api_key_is_refused_at_once(hello: Path, run: Run) -> None:
    done = run(hello, "chat", "--api-key", "secret")
    assert done.returncode == 2 and b"serve --api-key" in done.stderr


def test_a_port_given_by_the_author_is_the_one_that_is_used(cast: Cast, run: Run) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        done = run(cast(DEMO, args=("--port", str(port))), "serve")
    assert done.returncode == 3 and f"port {port} is in use".encode() in done.stderr
