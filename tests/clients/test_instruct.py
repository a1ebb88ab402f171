"""A real instruct model in an executable: its template, stops, JSON, streams and slots."""

from __future__ import annotations

import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import openai
import pytest

from tests.clients.conftest import openai_client
from tests.clients.plain import ask
from tests.conftest import Run
from tests.serving import Server, serving

pytestmark = [pytest.mark.network, pytest.mark.runtime]

# Texts whose greedy continuation is certain: CPU modules round differently, and where two tokens
# are nearly as likely, another one may come first.
SERIES = {
    "1, 2, 3, 4, 5, 6, 7,": " 8, 9, 10",
    "2, 4, 6, 8, 10, 12,": " 14, 16, 18",
    "10, 20, 30, 40, 50,": " 60, 70, 80",
    "A, B, C, D, E, F, G,": " H, I, J, K",
}
QUESTION = [{"role": "user", "content": "What is the capital of France?"}]


def chat(client: openai.OpenAI, messages: Any = QUESTION, **more: Any) -> Any:
    """One answer; Any, because the client's overloads are many."""
    create: Any = client.chat.completions.create
    return create(model="smollm2", messages=messages, **{"max_tokens": 24, **more})


def continued(client: openai.OpenAI, text: str, **more: Any) -> Any:
    create: Any = client.completions.create
    return create(model="smollm2", prompt=text, **{"max_tokens": 12, **more}).choices[0]


@pytest.fixture(scope="module")
def carried_and_by_hand(smollm2: Path, smollm2_gguf: Path) -> Iterator[tuple[Server, Server]]:
    """The executable, and the same one with the same model from a file."""
    # What a slot has computed before decides how sums are cut, unless that is switched off.
    options = ("-t", "1", "-c", "2048", "--deterministic")
    with (
        serving(smollm2, *options) as carried,
        serving(smollm2, "-m", str(smollm2_gguf), *options) as by_hand,
    ):
        yield carried, by_hand


def test_chat_goes_through_the_models_template(server: Server, client: openai.OpenAI) -> None:
    prompt = ask(server, "POST", "/apply-template", {"messages": QUESTION}).document["prompt"]
    counted = ask(server, "POST", "/tokenize", {"content": prompt, "parse_special": True})
    answer = chat(client, max_tokens=64)
    assert prompt.endswith("<|im_end|>\n<|im_start|>assistant\n")
    assert answer.usage.prompt_tokens == len(counted.document["tokens"])
    assert "<|im_" not in answer.choices[0].message.content
    by_hand = continued(client, prompt, max_tokens=64)
    assert by_hand.text == answer.choices[0].message.content


def test_an_answer_ends_where_the_model_ends_it(client: openai.OpenAI) -> None:
    answer = chat(client, [{"role": "user", "content": "Say only: yes"}], max_tokens=200)
    assert answer.choices[0].finish_reason == "stop"
    assert answer.usage.completion_tokens < 200


def test_a_stop_word_ends_the_text_before_it(client: openai.OpenAI) -> None:
    (series, rest) = next(iter(SERIES.items()))
    assert continued(client, series).text.startswith(rest)
    stopped = continued(client, series, stop=[" 10", "never said"])
    assert stopped.finish_reason == "stop"
    assert stopped.text == " 8, 9,"


def test_json_by_schema(client: openai.OpenAI) -> None:
    schema = {
        "type": "object",
        "properties": {
            "city": {"enum": ["Paris", "London"]},
            "population": {"type": "integer", "minimum": 0, "maximum": 99_999_999},
            "rivers": {"type": "array", "items": {"type": "string", "maxLength": 8}, "maxItems": 2},
        },
        "required": ["city", "population", "rivers"],
        "additionalProperties": False,
    }
    form = {"type": "json_schema", "json_schema": {"name": "city", "schema": schema}}
    answer = chat(client, max_tokens=100, response_format=form)
    document = json.loads(answer.choices[0].message.content)
    assert list(document) == ["city", "population", "rivers"]
    assert document["city"] in ("Paris", "London")
    assert 0 <= document["population"] <= 99_999_999
    assert all(len(river) <= 8 for river in document["rivers"])


def test_a_stream_has_the_same_text_and_its_usage_last(client: openai.OpenAI) -> None:
    chunks = list(chat(client, stream=True, stream_options={"include_usage": True}))
    pieces = [part.delta.content or "" for chunk in chunks for part in chunk.choices]
    whole = chat(client)
    assert len(pieces) > 3
    assert "".join(pieces) == whole.choices[0].message.content
    assert [chunk.usage is not None for chunk in chunks] == [False] * (len(chunks) - 1) + [True]
    assert chunks[-1].usage.prompt_tokens == whole.usage.prompt_tokens
    assert chunks[-1].usage.completion_tokens == whole.usage.completion_tokens


def test_four_slots_answer_at_once_what_each_answers_alone(
    server: Server, client: openai.OpenAI
) -> None:
    assert len(ask(server, "GET", "/slots").document) == 4
    alone = [continued(client, series).text for series in SERIES]
    with ThreadPoolExecutor(len(SERIES)) as pool:
        together = list(pool.map(lambda series: continued(client, series).text, SERIES))
    assert together == alone
    for text, rest in zip(together, SERIES.values(), strict=True):
        assert text.startswith(rest)


def test_the_same_file_by_hand_says_the_same(carried_and_by_hand: tuple[Server, Server]) -> None:
    clients = [openai_client(server) for server in carried_and_by_hand]
    for messages in (QUESTION, [{"role": "system", "content": "Be brief."}, *QUESTION]):
        mine, theirs = (chat(client, messages) for client in clients)
        assert mine.choices[0].message.content == theirs.choices[0].message.content != ""
        assert mine.usage.prompt_tokens == theirs.usage.prompt_tokens
    series = next(iter(SERIES))
    mine, theirs = (continued(client, series).text for client in clients)
    assert mine == theirs != ""


def test_completing_says_the_same_by_hand(smollm2: Path, smollm2_gguf: Path, run: Run) -> None:
    words = ("-p", "The tide turns at", "-n", "16", "--deterministic", "-c", "512", "-t", "1")
    mine = run(smollm2, *words)
    assert mine.returncode == 0 and mine.stdout
    assert run(smollm2, "-m", smollm2_gguf, *words).stdout == mine.stdout
