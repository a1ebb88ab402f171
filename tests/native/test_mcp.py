"""MCP servers that `./hello serve` starts, and programs that its tools start."""

from __future__ import annotations

import json
import sys
from pathlib import Path

from tests.serving import announced, get, post

# A server of one tool, which tells the folder that the server was started in.
MCP_SERVER = """
import json, os, sys
for line in sys.stdin:
    ask = json.loads(line)
    if ask.get("method") == "initialize":
        answer = {"protocolVersion": "2024-11-05", "capabilities": {"tools": {}},
                  "serverInfo": {"name": "where", "version": "1"}}
    elif ask.get("method") == "tools/list":
        answer = {"tools": [{"name": "where", "description": "the folder",
                             "inputSchema": {"type": "object", "properties": {}}}]}
    elif ask.get("method") == "tools/call":
        answer = {"content": [{"type": "text", "text": os.getcwd()}]}
    else:
        continue
    print(json.dumps({"jsonrpc": "2.0", "id": ask["id"], "result": answer}), flush=True)
"""


def config(folder: Path, **servers: object) -> str:
    """A configuration file of these servers; its path."""
    path = folder / "mcp.json"
    path.write_text(json.dumps({"mcpServers": servers}))
    return str(path)


def test_an_mcp_server_works_in_its_folder(hello: Path, tmp_path: Path) -> None:
    script, folder = tmp_path / "server.py", tmp_path / "work here"
    script.write_text(MCP_SERVER)
    folder.mkdir()
    server = {"command": sys.executable, "args": [str(script)], "cwd": str(folder)}
    words = ("--mcp-servers-config", config(tmp_path, where=server))
    with announced(hello, "serve", "--port", "0", "-t", "1", *words) as running:
        names = [tool["tool"] for tool in get(f"{running.url}/tools")]
        assert len(names) == 1 and "where" in names[0]
        said = post(f"{running.url}/tools", {"tool": names[0], "params": {}})
    assert str(folder) in json.dumps(said)


def test_an_mcp_server_that_does_not_work_is_named(hello: Path, tmp_path: Path) -> None:
    servers = {
        "missing": {"command": "no-such-program"},
        "elsewhere": {"command": sys.executable, "cwd": str(tmp_path / "nowhere")},
        "silent": {"command": sys.executable, "args": ["-c", ""]},
    }
    words = ("--mcp-servers-config", config(tmp_path, **servers))
    with announced(hello, "serve", "--port", "0", "-t", "1", *words) as running:
        assert get(f"{running.url}/tools") == []
    for name in servers:
        assert sum(f"'{name}'" in line for line in running.before) == 1, running.before
    assert all(line.startswith("note: MCP ") for line in running.before)


def test_a_tool_runs_in_the_folder_that_is_asked_for(hello: Path, tmp_path: Path) -> None:
    body = {"tool": "exec_shell_command", "params": {"command": "pwd"}}
    with announced(hello, "serve", "--port", "0", "-t", "1", "--tools", "all") as running:
        said = post(f"{running.url}/tools", body, {"X-Tool-Cwd": str(tmp_path)})
    assert str(tmp_path) in json.dumps(said)
