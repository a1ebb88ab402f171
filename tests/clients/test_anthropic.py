"""The ``anthropic`` package as a client: ``/v1/messages`` and what belongs to it."""

from __future__ import annotations

from typing import Any

import anthropic
import openai
import pytest

from tests.serving import Server

pytestmark = [pytest.mark.network, pytest.mark.runtime]

COUNTING = "Continue: one, two, three, four,"


@pytest.fixture
def claude(server: Server) -> anthropic.Anthropic:
    return anthropic.Anthropic(base_url=server.url, api_key="none", max_retries=0, timeout=120)


def create(claude: anthropic.Anthropic, **more: Any) -> Any:
    """One message; Any, because the client's overloads are many."""
    function: Any = claude.messages.create
    asked = {"max_tokens": 16, "messages": [{"role": "user", "content": COUNTING}]}
    return function(model="smollm2", **{**asked, **more})


def text_of(message: Any) -> str:
    return "".join(block.text for block in message.content if block.type == "text")


def test_a_message_is_answered_and_counted(claude: anthropic.Anthropic) -> None:
    message = create(claude)
    assert message.type == "message" and message.role == "assistant"
    assert text_of(message)
    assert message.stop_reason in ("end_turn", "max_tokens")
    assert 0 < message.usage.output_tokens <= 16


def test_the_text_is_that_of_the_openai_api(
    claude: anthropic.Anthropic, client: openai.OpenAI
) -> None:
    chat: Any = client.chat.completions.create
    other = chat(
        model="smollm2",
        max_tokens=16,
        messages=[
            {"role": "system", "content": "You count."},
            {"role": "user", "content": COUNTING},
        ],
    )
    mine = create(claude, system="You count.")
    assert text_of(mine) == other.choices[0].message.content
    assert mine.usage.input_tokens + (mine.usage.cache_read_input_tokens or 0) == (
        other.usage.prompt_tokens
    )


def test_a_stream_joins_to_the_same_text(claude: anthropic.Anthropic) -> None:
    asked: Any = {"model": "smollm2", "max_tokens": 16}
    asked["messages"] = [{"role": "user", "content": COUNTING}]
    with claude.messages.stream(**asked) as stream:
        pieces = list(stream.text_stream)
        final = stream.get_final_message()
    assert len(pieces) > 1
    assert "".join(pieces) == text_of(final) == text_of(create(claude))
    assert final.usage.output_tokens >= len(pieces)


def test_stop_sequences_end_the_answer(claude: anthropic.Anthropic) -> None:
    whole = text_of(create(claude))
    word = whole.split()[1]
    stopped = create(claude, stop_sequences=[word])
    assert stopped.stop_sequence == word
    assert text_of(stopped) == whole[: whole.index(word)]
    assert stopped.stop_reason == "end_turn"  # Anthropic's own says stop_sequence


def test_tokens_are_counted_beforehand(claude: anthropic.Anthropic) -> None:
    messages: Any = [{"role": "user", "content": COUNTING}]
    alone = claude.messages.count_tokens(model="smollm2", messages=messages)
    with_system = claude.messages.count_tokens(
        model="smollm2", messages=messages, system="Count on, in words, and never stop." * 3
    )
    used = create(claude).usage
    assert alone.input_tokens == used.input_tokens + (used.cache_read_input_tokens or 0)
    assert with_system.input_tokens > alone.input_tokens


def test_models_are_listed(claude: anthropic.Anthropic) -> None:
    assert [model.id for model in claude.models.list()] == ["smollm2"]
