"""Whether a running server of an executable speaks the OpenAI API as clients expect it.

Each check is one request and what its answer must hold, as the API's reference documents it. A
failed one gives a line that says what was missing.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import requests

TIMEOUT = 120.0  # seconds for one answer
_MESSAGES = [{"role": "user", "content": "Say something."}]
_CHAT = {"messages": _MESSAGES, "max_tokens": 8, "temperature": 0}


class Broken(Exception):
    """A check's answer is not what the API promises."""


def check_api(base: str) -> list[str]:
    """The problems of the server at ``base`` (``http://127.0.0.1:8080``); none when it conforms."""
    checks: dict[str, Callable[[str], None]] = {
        "models": _models,
        "chat": _chat,
        "streamed chat": _streamed,
        "completion": _completion,
        "embeddings": _embeddings,
        "an error for bad input": _refusal,
    }
    problems = []
    for name, check in checks.items():
        try:
            check(base)
        except Broken as problem:
            problems.append(f"{name}: {problem}")
        except (requests.RequestException, ValueError) as error:
            problems.append(f"{name}: {type(error).__name__}: {error}")
    return problems


def _models(base: str) -> None:
    answer = _json(requests.get(f"{base}/v1/models", timeout=TIMEOUT))
    models = _list(answer, "data")
    _need(bool(models) and isinstance(models[0].get("id"), str), "no model with an id")


def _chat(base: str) -> None:
    answer = _post(f"{base}/v1/chat/completions", _CHAT)
    choice = _list(answer, "choices")[0]
    message = choice.get("message") or {}
    _need(message.get("role") == "assistant", "the message is not the assistant's")
    _need(isinstance(message.get("content"), str), "the message has no content")
    _need(choice.get("finish_reason") in ("stop", "length"), "no finish_reason")
    usage = answer.get("usage") or {}
    total = usage.get("prompt_tokens", 0) + usage.get("completion_tokens", 0)
    _need(total > 0 and usage.get("total_tokens") == total, "usage does not add up")


def _streamed(base: str) -> None:
    body = {**_CHAT, "stream": True}
    with requests.post(
        f"{base}/v1/chat/completions", json=body, stream=True, timeout=TIMEOUT
    ) as answer:
        _need(answer.status_code == 200, f"status {answer.status_code}")
        events = list(_events(answer))
    _need(bool(events) and events[-1] == "[DONE]", "the stream does not end with [DONE]")
    chunks = [json.loads(event) for event in events[:-1]]
    choices = [choice for chunk in chunks for choice in chunk.get("choices", ())]
    text = "".join((choice.get("delta") or {}).get("content") or "" for choice in choices)
    _need(bool(text), "no text in the deltas")
    _need(
        any(choice.get("finish_reason") in ("stop", "length") for choice in choices),
        "no finish_reason",
    )


def _events(answer: requests.Response) -> Iterator[str]:
    for line in answer.iter_lines():
        if line.startswith(b"data: "):
            yield line.removeprefix(b"data: ").decode("utf-8")


def _completion(base: str) -> None:
    body = {"prompt": "Hello", "max_tokens": 4, "temperature": 0}
    answer = _post(f"{base}/v1/completions", body)
    _need(isinstance(_list(answer, "choices")[0].get("text"), str), "no text")


def _embeddings(base: str) -> None:
    answer = _post(f"{base}/v1/embeddings", {"input": ["one", "two"]})
    vectors = [item.get("embedding") for item in _list(answer, "data")]
    _need(len(vectors) == 2, "not two vectors for two texts")
    lengths = {len(vector) for vector in vectors if isinstance(vector, list)}
    _need(len(lengths) == 1 and lengths != {0}, "vectors of different lengths")


def _refusal(base: str) -> None:
    answer = requests.post(f"{base}/v1/chat/completions", json={}, timeout=TIMEOUT)
    _need(400 <= answer.status_code < 500, f"status {answer.status_code} for an empty request")
    _need("error" in answer.json(), "no error object")


def _post(url: str, body: Mapping[str, Any]) -> dict[str, Any]:
    return _json(requests.post(url, json=body, timeout=TIMEOUT))


def _json(answer: requests.Response) -> dict[str, Any]:
    _need(answer.status_code == 200, f"status {answer.status_code}: {answer.text[:200]}")
    document = answer.json()
    _need(isinstance(document, dict), "not a JSON object")
    return dict(document)


def _list(document: Mapping[str, Any], key: str) -> list[dict[str, Any]]:
    value = document.get(key)
    _need(isinstance(value, list) and bool(value), f"no {key!r}")
    assert isinstance(value, list)
    return value


def _need(fulfilled: bool, problem: str) -> None:
    if not fulfilled:
        raise Broken(problem)
