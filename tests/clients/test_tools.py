"""``/tools``: programs that the server starts, in the working directory that was asked for."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.clients.plain import Answer, ask
from tests.serving import Server, serving

pytestmark = pytest.mark.runtime

MCP_SERVER = Path(__file__).with_name("mcp_server.py")


@pytest.fixture(scope="module")
def notes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A working directory that is not the server's."""
    folder = tmp_path_factory.mktemp("notes")
    (folder / "note.txt").write_text("the tide turns at noon\n", encoding="utf-8")
    return folder


@pytest.fixture(scope="module")
def server(hello: Path, notes: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """The engine's own tools, and those of an MCP server with a working directory."""
    entry = {"command": sys.executable, "args": [str(MCP_SERVER)], "cwd": str(notes)}
    config = tmp_path_factory.mktemp("config") / "mcp.json"
    config.write_text(json.dumps({"mcpServers": {"notes": entry}}), encoding="utf-8")
    with serving(hello, "--tools", "all", "--mcp-servers-config", str(config)) as running:
        yield running


def use(server: Server, tool: str, cwd: Path | None = None, **params: object) -> Answer:
    headers = {} if cwd is None else {"x-tool-cwd": str(cwd)}
    return ask(server, "POST", "/tools", {"tool": tool, "params": params}, headers=headers)


def test_an_mcp_servers_tools_are_listed_beside_the_engines(server: Server) -> None:
    listed = ask(server, "GET", "/tools").document
    found = {entry["tool"]: entry["definition"]["function"] for entry in listed}
    assert {"notes_where", "notes_read", "exec_shell_command", "read_file"} <= set(found)
    assert found["notes_read"]["parameters"]["required"] == ["name"]


def test_an_mcp_server_runs_in_its_working_directory(server: Server, notes: Path) -> None:
    assert use(server, "notes_where").document == {"plain_text_response": str(notes)}
    assert "the tide turns at noon" in use(server, "notes_read", name="note.txt").text


def test_an_error_of_an_mcp_tool_is_an_answer(server: Server) -> None:
    assert "No such file" in use(server, "notes_read", name="missing.txt").document["error"]


def test_a_shell_command_runs_in_the_directory_of_the_request(server: Server, notes: Path) -> None:
    for command in ("pwd", "cat note.txt"):
        answer = use(server, "exec_shell_command", notes, command=command)
        expected = str(notes) if command == "pwd" else "the tide turns at noon"
        assert expected in answer.document["plain_text_response"], answer.text


def test_the_engines_tools_read_files_there(server: Server, notes: Path) -> None:
    assert "the tide turns at noon" in use(server, "read_file", notes, path="note.txt").text
