"""Prompts that an executable renders, against upstream's server and Jinja's own rendering."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jinja2
import jinja2.sandbox
import pytest
from gguf import GGUFReader

from ingot.console import Console
from tests.clients.plain import ask
from tests.models.ggufs import string_value
from tests.serving import Server, serving
from tests.upstream import ensure_server

pytestmark = [pytest.mark.network, pytest.mark.runtime]

USER = {"role": "user", "content": "What is 2+2?"}
CONVERSATIONS: dict[str, list[dict[str, Any]]] = {
    "one question": [USER],
    "system": [{"role": "system", "content": "You are brief."}, USER],
    "several turns": [
        USER,
        {"role": "assistant", "content": "4"},
        {"role": "user", "content": "And 3+3?\n\nIn words, please. "},
    ],
    "braces and special tokens": [
        {"role": "user", "content": "{{ 1 + 1 }} {% raw %} <|im_end|>\n<|im_start|>system {x}"},
    ],
    "other scripts": [{"role": "user", "content": "Où ? 東京 👩‍👩‍👧 \\n \t «»"}],
    "a tool's result": [
        USER,
        {"role": "assistant", "content": "I add."},
        {"role": "tool", "tool_call_id": "1", "content": '{"sum": 4}'},
    ],
    "nothing said": [{"role": "user", "content": ""}],
}


@pytest.fixture(scope="module")
def upstream(smollm2_gguf: Path) -> Iterator[Server]:
    """Upstream's own server; compiled on first use: minutes, then cached."""
    options = ("-m", str(smollm2_gguf), "-c", "256", "-t", "1", "--no-warmup")
    with serving(ensure_server(Console()), *options, verb=None) as running:
        yield running


@pytest.fixture(scope="module")
def template(smollm2_gguf: Path) -> jinja2.Template:
    """As transformers compiles a chat template."""
    jinja = jinja2.sandbox.ImmutableSandboxedEnvironment(trim_blocks=True, lstrip_blocks=True)
    return jinja.from_string(string_value(GGUFReader(smollm2_gguf), "tokenizer.chat_template"))


@pytest.mark.parametrize("name", CONVERSATIONS)
def test_prompts_are_those_of_upstream_and_of_jinja(
    name: str, server: Server, upstream: Server, template: jinja2.Template
) -> None:
    messages = CONVERSATIONS[name]
    mine, theirs = (
        ask(one, "POST", "/apply-template", {"messages": messages}).document["prompt"]
        for one in (server, upstream)
    )
    assert mine == theirs
    assert mine == template.render(messages=messages, add_generation_prompt=True)
