"""A running executable: its server on a free loopback port, and what it maps of its own file."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Server:
    process: subprocess.Popen[bytes]
    port: int

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def interrupt(self) -> None:
        self.process.send_signal(signal.SIGINT)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def serving(
    exe: Path,
    *arguments: str,
    verb: str | None = "serve",
    stdin: int | None = None,
    port: int | None = None,
) -> Iterator[Server]:
    """The running server, ended when the block is left; fails when it does not answer in 90 s."""
    port = port or free_port()
    words = [str(exe), *([verb] if verb else []), "--port", str(port), *arguments]
    process = subprocess.Popen(
        words, stdin=stdin, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    server = Server(process, port)
    try:
        _wait(server)
        yield server
    finally:
        end(process)


@dataclass(frozen=True)
class Announced:
    """A server that has just said where it answers."""

    process: subprocess.Popen[bytes]
    line: str
    before: list[str]
    """The lines on stderr that came first."""

    @property
    def url(self) -> str:
        """The first address of the line."""
        return self.line.split(": ", 1)[1].split()[0].rstrip(",")


@contextmanager
def announced(
    exe: Path, *arguments: str, env: Mapping[str, str] | None = None
) -> Iterator[Announced]:
    """Start ``exe`` with ``arguments``; the block begins as soon as it prints its address."""
    process = subprocess.Popen(
        [str(exe), *arguments],
        env={**os.environ, **(env or {})},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
    )
    assert process.stderr is not None
    try:
        before: list[str] = []
        for line in (raw.decode() for raw in process.stderr):
            if "OpenAI API under" in line:
                break
            before.append(line)
        else:
            raise AssertionError(f"it ended with {process.wait()}: {before}")
        yield Announced(process, line, before)
    finally:
        end(process)
        process.stderr.close()


def end(process: subprocess.Popen[bytes]) -> None:
    """Stop a process, by force if it does not end in 30 s."""
    process.terminate()
    try:
        process.wait(timeout=30)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def post(url: str, body: object, headers: Mapping[str, str] | None = None) -> Any:
    """The parsed answer to ``body`` as JSON; urllib's HTTPError when it is refused."""
    request = urllib.request.Request(
        url, json.dumps(body).encode(), {"Content-Type": "application/json", **(headers or {})}
    )
    with urllib.request.urlopen(request, timeout=120) as answer:
        return json.load(answer)


def get(url: str) -> Any:
    """The parsed answer to GET."""
    with urllib.request.urlopen(url, timeout=120) as answer:
        return json.load(answer)


def _wait(server: Server) -> None:
    end = time.monotonic() + 90
    while time.monotonic() < end:
        assert server.process.poll() is None, f"the server ended with {server.process.returncode}"
        try:
            with urllib.request.urlopen(f"{server.url}/health", timeout=5) as answer:
                if answer.status == 200:
                    return
        except (urllib.error.URLError, ConnectionError, TimeoutError):
            time.sleep(0.05)
    raise AssertionError("the server did not answer within 90 s")


def mapped_bytes(pid: int, exe: Path) -> tuple[int, int]:
    """Bytes of ``exe`` resident in a process (proc_pid_smaps): shared with others, and private."""
    shared = private = 0
    inside = False
    for line in Path(f"/proc/{pid}/smaps").read_text().splitlines():
        if re.match(r"^[0-9a-f]+-[0-9a-f]+ ", line):
            inside = line.endswith(os.fspath(exe))
        elif inside and line.startswith("Shared"):
            shared += int(line.split()[1]) * 1024
        elif inside and line.startswith("Private"):
            private += int(line.split()[1]) * 1024
    return shared, private
