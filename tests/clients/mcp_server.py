"""An MCP server over stdio, as small as the protocol lets it be: JSON-RPC, a message per line.

Its tools tell where it runs and read a file there, by a relative name.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Any

_TOOLS = [
    {"name": "where", "description": "The working directory", "inputSchema": {"type": "object"}},
    {
        "name": "read",
        "description": "The text of a file in the working directory",
        "inputSchema": {
            "type": "object",
            "properties": {"name": {"type": "string"}},
            "required": ["name"],
        },
    },
]


def _call(name: str, arguments: dict[str, Any]) -> dict[str, Any]:
    try:
        text = os.getcwd() if name == "where" else Path(arguments["name"]).read_text("utf-8")
    except OSError as error:
        return {"content": [{"type": "text", "text": str(error)}], "isError": True}
    return {"content": [{"type": "text", "text": text}]}


def _result(method: str, params: dict[str, Any]) -> dict[str, Any]:
    if method == "initialize":
        return {
            "protocolVersion": params["protocolVersion"],
            "capabilities": {"tools": {}},
            "serverInfo": {"name": "tests", "version": "1"},
        }
    if method == "tools/list":
        return {"tools": _TOOLS}
    return _call(params["name"], params.get("arguments") or {})


def main() -> None:
    """Answer requests until stdin ends; notifications have no id and get no answer."""
    for line in sys.stdin:
        message = json.loads(line)
        if "id" in message:
            result = _result(message["method"], message.get("params") or {})
            reply = {"jsonrpc": "2.0", "id": message["id"], "result": result}
            print(json.dumps(reply), flush=True)


if __name__ == "__main__":
    main()
