"""The ``openai`` package beyond chat: Responses, completions, embeddings, models."""

from __future__ import annotations

import math
from typing import Any

import openai
import pytest

pytestmark = pytest.mark.runtime

QUESTION = "Continue: one, two, three, four,"


def respond(client: openai.OpenAI, **more: Any) -> Any:
    """One response; Any, because the client's overloads are many."""
    create: Any = client.responses.create
    return create(model="smollm2", **{"input": QUESTION, "max_output_tokens": 16, **more})


def chat(client: openai.OpenAI, messages: list[dict[str, str]]) -> Any:
    create: Any = client.chat.completions.create
    return create(model="smollm2", max_tokens=16, messages=messages)


def test_a_response_is_the_chats_answer(client: openai.OpenAI) -> None:
    response = respond(client, instructions="You count.")
    messages = [
        {"role": "system", "content": "You count."},
        {"role": "user", "content": QUESTION},
    ]
    answer = chat(client, messages)
    assert response.status == "completed"
    assert response.output_text == answer.choices[0].message.content != ""
    assert response.usage.input_tokens == answer.usage.prompt_tokens
    assert response.usage.output_tokens == answer.usage.completion_tokens


def test_a_response_streams(client: openai.OpenAI) -> None:
    events = list(respond(client, stream=True))
    pieces = [event.delta for event in events if event.type == "response.output_text.delta"]
    assert events[0].type == "response.created" and events[-1].type == "response.completed"
    assert len(pieces) > 1
    assert "".join(pieces) == events[-1].response.output[0].content[0].text
    assert "".join(pieces) == respond(client).output_text


def test_events_of_a_response_lack_the_index_that_the_packages_helper_needs(
    client: openai.OpenAI,
) -> None:
    """The engine's limit, which the reference tells: when this fails, take it out there."""
    events = list(respond(client, stream=True))
    (added,) = (event for event in events if event.type == "response.content_part.added")
    assert getattr(added, "output_index", None) is None


def test_a_responses_tokens_are_counted_beforehand(client: openai.OpenAI) -> None:
    counted = client.responses.input_tokens.count(model="smollm2", input=QUESTION)
    assert counted.input_tokens == respond(client).usage.input_tokens


def test_responses_are_not_kept(client: openai.OpenAI) -> None:
    first = respond(client)
    with pytest.raises(openai.BadRequestError, match="previous_response_id"):
        respond(client, previous_response_id=first.id)
    with pytest.raises(openai.NotFoundError):
        client.responses.retrieve(first.id)


def test_a_text_is_completed_with_probabilities(client: openai.OpenAI) -> None:
    done = client.completions.create(
        model="smollm2", prompt="2, 4, 6, 8, 10,", max_tokens=6, logprobs=2
    )
    assert done.choices[0].text.startswith(" 12")
    assert done.choices[0].finish_reason == "length"
    assert done.choices[0].logprobs is not None
    assert done.usage is not None and done.usage.completion_tokens == 6


def test_embeddings_in_both_encodings(client: openai.OpenAI) -> None:
    def vectors(**more: Any) -> list[list[float]]:
        texts = ["The tide turns at noon.", "Water rises and falls."]
        found = client.embeddings.create(model="smollm2", input=texts, **more)
        return [item.embedding for item in found.data]

    # The package asks for base64 unless told otherwise.
    packed, plain = vectors(), vectors(encoding_format="float")
    for one, other in zip(packed, plain, strict=True):
        assert len(one) == 576 and math.isclose(sum(x * x for x in one), 1, rel_tol=1e-3)
        assert one == pytest.approx(other, abs=1e-4)


def test_one_model_is_listed_and_cannot_be_asked_for_alone(client: openai.OpenAI) -> None:
    assert [model.id for model in client.models.list()] == ["smollm2"]
    with pytest.raises(openai.NotFoundError):
        client.models.retrieve("smollm2")
