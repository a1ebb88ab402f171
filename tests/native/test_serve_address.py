"""Where `./hello serve` answers: the line it prints, when, and ports and addresses it refuses."""

from __future__ import annotations

import http.client
import json
import socket
from pathlib import Path

import pytest

from tests.conftest import Run
from tests.serving import announced, free_port, get


def test_the_line_comes_when_it_answers_and_names_the_port_that_it_got(hello: Path) -> None:
    with announced(hello, "serve", "--port", "0") as server:
        assert get(f"{server.url}/health") == {"status": "ok"}
        assert server.line.startswith("hello: http://127.0.0.1:")
        assert "OpenAI API under /v1, web page at /" in server.line
        assert not server.before


def test_a_signal_right_after_the_line_ends_it(hello: Path) -> None:
    with announced(hello, "serve", "--port", "0") as server:
        server.process.terminate()
        assert server.process.wait(timeout=20) == 0


def test_a_host_has_a_line_too_and_a_prefix_is_part_of_it(hello: Path) -> None:
    words = ("serve", "--port", "0", "--host", "127.0.0.2", "--api-prefix", "/ai")
    with announced(hello, *words) as server:
        assert server.url.startswith("http://127.0.0.2:") and server.url.endswith("/ai")
        assert "OpenAI API under /ai/v1, web page at /ai/" in server.line
        assert get(f"{server.url}/health") == {"status": "ok"}


def test_an_address_from_the_environment_has_a_line(hello: Path) -> None:
    environment = {"LLAMA_ARG_HOST": "127.0.0.2", "LLAMA_ARG_PORT": str(free_port())}
    with announced(hello, "serve", env=environment) as server:
        assert server.url == f"http://127.0.0.2:{environment['LLAMA_ARG_PORT']}"
        assert get(f"{server.url}/health") == {"status": "ok"}


def test_several_addresses_are_all_in_the_line(hello: Path, tmp_path: Path) -> None:
    port, path = free_port(), str(tmp_path / "hello.sock")
    hosts = f"127.0.0.1,127.0.0.2,{path}"
    with announced(hello, "serve", "--port", str(port), "--host", hosts) as server:
        for address in (f"http://127.0.0.1:{port}", f"http://127.0.0.2:{port}", f"unix://{path}"):
            assert address in server.line
        connection = http.client.HTTPConnection("localhost")
        connection.sock = socket.socket(socket.AF_UNIX)
        connection.sock.connect(path)
        connection.request("GET", "/health")
        assert json.load(connection.getresponse()) == {"status": "ok"}


def test_a_port_that_is_taken_is_refused_on_any_address(hello: Path, run: Run) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.2", 0))
        taken.listen()
        port = taken.getsockname()[1]
        done = run(hello, "serve", "--host", "127.0.0.2", "--port", str(port))
    assert done.returncode == 3
    assert f"error: port {port} of 127.0.0.2 is in use".encode() in done.stderr
    assert b"http://" not in done.stderr


def test_an_address_of_another_machine_is_refused(hello: Path, run: Run) -> None:
    done = run(hello, "serve", "--host", "192.0.2.1", "--port", str(free_port()))
    assert done.returncode == 3 and b"192.0.2.1 cannot be used" in done.stderr


@pytest.mark.parametrize(
    ("host", "hint"),
    [
        ("127.0.0.1:8080", b"write --host 127.0.0.1 --port 8080"),
        ("[::1]:8080", b"write --host ::1 --port 8080"),
        ("[::1]", b"write --host ::1\n"),
    ],
)
def test_an_address_as_in_a_url_says_how_it_is_written(
    host: str, hint: bytes, hello: Path, run: Run
) -> None:
    done = run(hello, "serve", "--host", host, "--port", str(free_port()))
    assert done.returncode == 3 and b"hint: " + hint in done.stderr, done


def test_any_port_on_two_addresses_is_a_usage_error(hello: Path, run: Run) -> None:
    done = run(hello, "serve", "--host", "127.0.0.1,127.0.0.2", "--port", "0")
    assert done.returncode == 2 and b"--port 0 takes one address" in done.stderr


@pytest.mark.parametrize(
    ("words", "code"),
    [
        (("--list-devices",), 0),
        (("--version",), 0),
        (("--help",), 0),
        (("--ssl-key-file", "key.pem", "--ssl-cert-file", "cert.pem"), 2),
        (("--ssl-key-file", "key.pem"), 2),
    ],
)
def test_no_line_without_a_server(words: tuple[str, ...], code: int, hello: Path, run: Run) -> None:
    done = run(hello, "serve", "--port", "0", *words)
    assert done.returncode == code
    assert b"http://127.0.0.1" not in done.stderr
    if code:
        assert b"there is no TLS in this program" in done.stderr
