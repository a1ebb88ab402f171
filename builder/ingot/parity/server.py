"""A running server of llama.cpp or llamafile as a side, by its own API (/tokenize, /completion).

A server tells the likeliest candidates of a position and not all logits: each scored position is a
request for one token with the prompt up to there, of which the server computes only what is new.
"""

from __future__ import annotations

import os
from array import array
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import requests

from ingot.console import Progress
from ingot.errors import InputError, NetworkError
from ingot.parity.local import TOP
from ingot.parity.side import Greedy, Job, Listed, Numbers, Tokens
from ingot.parity.spec import Spec

CANDIDATES = 256  # asked for at each position: 25 kB of JSON, and nearly all of the probability
TIMEOUT = 600.0  # seconds for one answer: a large model may first read a long prompt
API_KEY = "INGOT_API_KEY"  # the environment variable with the key of servers that ask for one
_CONNECT = 10.0  # seconds
_Candidates = list[tuple[int, float]]


@dataclass(frozen=True)
class Server:
    """A server that answered. Scores are ``Listed``."""

    name: str
    url: str
    vocabulary: int | None
    embeds: bool = False
    listed: int | None = CANDIDATES
    key: str | None = field(default=None, repr=False)

    def tokenize(self, text: str, progress: Progress) -> Tokens:
        """See Side."""
        plain = self._tokens(text, special=False)
        whole = self._tokens("a", special=True)
        bare = self._tokens("a", special=False)
        # Some models want a token at the end as well; only one in front is asked about here.
        begins = whole[:1] != bare[:1]
        return Tokens(tuple(plain), whole[0] if begins and whole else None)

    def run(self, job: Job, folder: Path, progress: Progress) -> Numbers:
        """See Side; a server gives no layers."""
        scores = None
        with progress.step(f"Asking {self.name}") as step:
            if job.sequences:
                ids, logs = array("i"), array("f")
                for done, row in enumerate(self._rows(job)):
                    ids.extend([token for token, _log in row] + [-1] * (CANDIDATES - len(row)))
                    logs.extend([log for _token, log in row] + [0.0] * (CANDIDATES - len(row)))
                    step.update(done + 1, job.rows)
                scores = Listed(folder / "ids", folder / "logs", CANDIDATES)
                scores.ids.write_bytes(ids.tobytes())
                scores.logs.write_bytes(logs.tobytes())
            greedy = tuple(self._continue(prompt, job.continued) for prompt in job.prompts)
        return Numbers(scores, None, greedy, {"kind": "server"})

    def embed(self, texts: Sequence[str], folder: Path, progress: Progress) -> list[list[float]]:
        """See Side."""
        with progress.step(f"Asking {self.name}"):
            try:
                answer = self._post("/v1/embeddings", {"input": list(texts)})
            except _UnsupportedError as error:
                raise _no_vectors(self.name) from error
        found = sorted(answer.get("data") or (), key=lambda item: item["index"])
        if len(found) != len(texts):
            raise _no_vectors(self.name)
        return [item["embedding"] for item in found]

    def _rows(self, job: Job) -> Iterator[_Candidates]:
        for sequence in job.sequences:
            for end in range(job.first + 1, len(sequence) + 1):
                answer = self._complete(sequence[:end], 1, CANDIDATES)
                yield self._candidates(answer)[0]

    def _continue(self, prompt: Sequence[int], count: int) -> Greedy:
        answer = self._complete(prompt, count, TOP)
        steps = self._candidates(answer)
        tokens = tuple(step[0][0] for step in steps)
        text = str(answer.get("content", ""))
        return Greedy(tuple(prompt), tokens, text, tuple(tuple(step) for step in steps))

    def _complete(self, prompt: Sequence[int], count: int, listed: int) -> Mapping[str, Any]:
        return self._post(
            "/completion",
            {
                "prompt": list(prompt),
                "n_predict": count,
                "n_probs": listed,
                "temperature": 0,
                "cache_prompt": True,
                "post_sampling_probs": False,
            },
        )

    def _candidates(self, answer: Mapping[str, Any]) -> list[_Candidates]:
        """Per token, the candidates with ln of their probabilities, best first."""
        try:
            rows = [
                sorted(
                    ((int(one["id"]), float(one["logprob"])) for one in token["top_logprobs"]),
                    key=lambda candidate: -candidate[1],
                )
                for token in answer["completion_probabilities"]
            ]
            if not rows or not all(rows):
                raise ValueError("no candidates")
        except (KeyError, TypeError, ValueError) as error:
            raise InputError(
                f"{self.name}: the server does not tell probabilities of tokens",
                hint="use a newer llama.cpp or llamafile, or compare the model's file itself",
                code="server-without-logprobs",
            ) from error
        return rows

    def _tokens(self, text: str, *, special: bool) -> list[int]:
        body = {"content": text, "add_special": special, "parse_special": False}
        tokens = self._post("/tokenize", body).get("tokens")
        if not isinstance(tokens, list) or not all(isinstance(token, int) for token in tokens):
            raise _no_llama(self.name)
        return tokens

    def _post(self, path: str, body: Mapping[str, Any]) -> Mapping[str, Any]:
        return _request("POST", self.name, self.url + path, body, self.key)


class _UnsupportedError(InputError):
    """A server of llama.cpp that was not started for what is asked."""


def open_server(spec: Spec) -> Server:
    """The server at the URL; NetworkError ``no-server`` when nothing answers.

    The key that ``INGOT_API_KEY`` holds, if any, goes to every server that is compared.
    """
    assert spec.url is not None
    url = spec.url.removesuffix("/v1")
    key = os.environ.get(API_KEY, "").strip() or None
    answer = _request("GET", spec.written, f"{url}/v1/models", None, key)
    models = answer.get("data")
    meta = models[0].get("meta") if isinstance(models, list) and models else None
    vocabulary = meta.get("n_vocab") if isinstance(meta, dict) else None
    return Server(spec.written, url, vocabulary if isinstance(vocabulary, int) else None, key=key)


def _request(
    method: str, name: str, url: str, body: Mapping[str, Any] | None, key: str | None
) -> Mapping[str, Any]:
    def authorise(request: requests.PreparedRequest) -> requests.PreparedRequest:
        # http.client writes Latin-1; the server compares with UTF-8.
        request.headers["Authorization"] = f"Bearer {key}".encode().decode("latin-1")
        return request

    try:
        answer = requests.request(
            method,
            url,
            json=body,
            timeout=(_CONNECT, TIMEOUT),
            # Not as a header, which an entry in ~/.netrc would replace.
            auth=authorise if key else None,
        )
    except (requests.RequestException, ValueError) as error:
        raise NetworkError(
            f"{name}: no server answers there ({type(error).__name__})",
            hint="start it, for instance with: ./hello serve --port 8080",
            code="no-server",
        ) from error
    try:
        document = answer.json()
    except ValueError:
        document = None
    if answer.status_code != 200 or not isinstance(document, dict):
        raise _refusal(name, answer, document, key)
    return document


def _refusal(name: str, answer: requests.Response, document: object, key: str | None) -> InputError:
    status, reason = answer.status_code, _reason(document)
    # Other servers have none of the paths. llama.cpp's says in JSON what it was not started for.
    if status in (404, 405) or (status == 501 and reason is None):
        return _no_llama(name)
    kind, hint = InputError, "it needs a context (-c) of all tokens that are asked for at once"
    if status in (401, 403):
        hint = f"{API_KEY} holds another key" if key else f"put the server's API key into {API_KEY}"
    elif status == 501:
        kind, hint = _UnsupportedError, "start the server with other options, or another model"
    return kind(
        f"{name}: the server refuses: {status} {reason or answer.reason}",
        hint=hint,
        code="server-refuses",
    )


def _reason(document: object) -> str | None:
    error = document.get("error") if isinstance(document, dict) else None
    message = error.get("message") if isinstance(error, dict) else error
    return str(message)[:200] if message else None


def _no_vectors(name: str) -> InputError:
    return InputError(
        f"{name}: the server gives no vectors",
        hint="start it with an embedding model: ./hello serve, or llama-server --embeddings",
        code="server-without-vectors",
    )


def _no_llama(name: str) -> InputError:
    return InputError(
        f"{name}: this is no server of llama.cpp or llamafile: it does not tell tokens",
        hint="give the address that 'serve' printed, without a path",
        code="not-a-llama-server",
    )
