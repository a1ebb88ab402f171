"""A comparison from start to end: open the sides, check that they can be compared, run, measure.

The result is one JSON document (docs/reference/compare.md); ``report`` and ``picture`` show it.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from ingot.console import Progress, size
from ingot.errors import InputError
from ingot.parity import child
from ingot.parity.greedy import compare_greedy
from ingot.parity.huggingface import open_folder
from ingot.parity.local import open_local
from ingot.parity.passages import Passages, cut, first_mismatch, prompts_of
from ingot.parity.server import Server, open_server
from ingot.parity.side import Job, Listed, Logits, Numbers, Side, Tokens
from ingot.parity.spec import Spec, parse
from ingot.parity.vectors import compare_vectors
from ingot.parity.verdict import WORDS, Verdict, is_same, judge, measures_of
from ingot.paths import cache_dir, make_folder, remove_tree

PROMPT_TOKENS = 48  # of a prompt that is cut out of the text
TEXTS = 32  # lines of the text that embedding models are compared over
CHARACTERS = 400  # of a line: small encoders take 512 tokens


@dataclass(frozen=True)
class Request:
    """What to compare over. Counts are tokens, except ``cuts`` (prompts cut out of the text) and
    ``positions`` (scored ones, where a side is a server; 0 is all).
    """

    text: str
    prompts: tuple[str, ...] = ()
    cuts: int = 0
    continued: int = 64
    context: int = 512
    tokens: int = 2048
    positions: int = 128
    layers: int = 32


def compare(a: str, others: Sequence[str], request: Request, progress: Progress) -> dict[str, Any]:
    """The document of a comparison of ``a`` with each of ``others``, as users write them.

    Raises UsageError, InputError or NetworkError for sides that cannot be compared, and what the
    sides' own programs raise.
    """
    specs = [parse(word) for word in (a, *others)]
    first, *rest = matched([open_side(spec, progress) for spec in specs])
    run = _compare_vectors if first.embeds else _compare_texts
    common, found = run(first, rest, request, progress)
    if len(found) == 1:
        return with_verdict({**common, **found[0]})
    documents = [with_verdict(document) for document in found]
    return {"verdict": worst(documents), **common, "comparisons": documents}


def open_side(spec: Spec, progress: Progress, options: Sequence[str] = ()) -> Side:
    """Whatever it is."""
    if spec.url is not None:
        return open_server(spec)
    assert spec.path is not None
    if spec.path.is_dir():
        return open_folder(spec)
    return open_local(spec, progress, options)


def with_verdict(document: dict[str, Any]) -> dict[str, Any]:
    """The same with ``verdict`` and ``reasons`` in front."""
    verdict: Verdict = judge(measures_of(document), is_same(document))
    return {"verdict": verdict.word, "reasons": list(verdict.reasons), **document}


def worst(documents: Sequence[Mapping[str, Any]]) -> str:
    """The worst ``verdict`` of them."""
    return max((str(document["verdict"]) for document in documents), key=WORDS.index)


def matched(sides: Sequence[Side]) -> list[Side]:
    """The sides, if they are models of one kind and size. A server is taken for what others are.

    Raises InputError ``kinds-differ`` or ``vocabularies-differ``.
    """
    embeds = any(side.embeds for side in sides)
    matched = [replace(side, embeds=embeds) if isinstance(side, Server) else side for side in sides]
    if any(side.embeds != embeds for side in matched):
        vectors = next(side for side in matched if side.embeds)
        raise InputError(
            f"{vectors.name} gives vectors, and another side text",
            hint="compare embedding models, or models that write",
            code="kinds-differ",
        )
    for other in matched[1:]:
        check_vocabularies(matched[0].vocabulary, other.vocabulary)
    return matched


def check_vocabularies(a: int | None, b: int | None) -> None:
    """InputError when both are known and differ."""
    if a is not None and b is not None and a != b:
        raise InputError(
            f"the vocabularies differ: A has {a} tokens, B has {b}",
            hint="only models with the same tokens can be compared token by token",
            code="vocabularies-differ",
        )


def check_tokens(a: Tokens, b: Tokens) -> None:
    """InputError ``tokenizers-differ`` when a text is not the same tokens on both sides."""
    at = first_mismatch(a, b)
    if at is None:
        return
    if a.begins_with != b.begins_with:
        what = f"A begins with {_token(a.begins_with)}, B with {_token(b.begins_with)}"
    else:
        one, other = (_token(side.ids[at] if at < len(side.ids) else None) for side in (a, b))
        what = f"token {at} of the text is {one} in A and {other} in B"
    raise InputError(
        f"the tokenizers differ: {what}",
        hint="the files are of different models, or one was converted with another tokenizer",
        code="tokenizers-differ",
    )


def _token(token: int | None) -> str:
    return "none" if token is None else str(token)


_Found = tuple[dict[str, Any], list[dict[str, Any]]]  # what all documents share; the rest of each


def _compare_texts(a: Side, others: Sequence[Side], request: Request, progress: Progress) -> _Found:
    tokens = a.tokenize(request.text, progress)
    for other in others:
        check_tokens(tokens, other.tokenize(request.text, progress))
    served = any(side.listed is not None for side in (a, *others))
    passages = cut(
        tokens,
        context=request.context,
        limit=request.tokens,
        positions=request.positions if served else 0,
    )
    # A server gives no layers, so nobody has to compute any.
    job = make_job(passages, request, _prompts(a, tokens, request, progress), layers=not served)
    with workspace() as folder:
        reference, measured = measure_all(a, others, passages, job, folder, progress)
    common = {"a": {"name": a.name, **reference.facts}, "settings": _settings(passages, request)}
    return common, [
        {"b": {"name": side.name, **numbers.facts}, **found, "embeddings": None}
        for side, (numbers, found) in zip(others, measured, strict=True)
    ]


def _prompts(
    side: Side, tokens: Tokens, request: Request, progress: Progress
) -> tuple[tuple[int, ...], ...]:
    front = () if tokens.begins_with is None else (tokens.begins_with,)
    room = request.context - request.continued
    given = []
    for prompt in request.prompts:
        ids = (*front, *side.tokenize(prompt, progress).ids)
        if not 0 < len(ids) <= room:
            raise InputError(
                f"a prompt has {len(ids)} tokens, and there is room for 1 to {room}",
                hint="shorten it, or raise --context",
                code="prompt-length",
            )
        given.append(ids)
    return (*given, *prompts_of(tokens, request.cuts, min(PROMPT_TOKENS, room)))


def make_job(
    passages: Passages, request: Request, prompts: tuple[tuple[int, ...], ...], *, layers: bool
) -> Job:
    """What each side computes for a comparison over ``passages``."""
    return Job(
        sequences=passages.sequences,
        first=passages.first,
        layers=passages.sequences[0][: request.layers] if layers else (),
        prompts=prompts,
        continued=request.continued,
        context=request.context,
    )


def measure_all(
    a: Side,
    others: Sequence[Side],
    passages: Passages,
    job: Job,
    folder: Path,
    progress: Progress,
) -> tuple[Numbers, list[tuple[Numbers, dict[str, Any]]]]:
    """Let all sides compute, ``a`` once: what it gave, and what each other gave and its document's
    ``text``, ``layers`` and ``greedy``. Files are in ``folder``, of two sides at a time.
    """
    check_room(folder, job, [a, *others])
    reference = _run(a, job, folder / "a", progress)
    found = []
    for other in others:
        numbers = _run(other, job, folder / "b", progress)
        measured = measure(reference, numbers, passages, job, progress)
        greedy = compare_greedy(reference.greedy, numbers.greedy) if job.prompts else None
        found.append((numbers, {**measured, "greedy": greedy}))
        remove_tree(folder / "b")
    return reference, found


def _run(side: Side, job: Job, folder: Path, progress: Progress) -> Numbers:
    folder.mkdir()
    return side.run(job, folder, progress)


def measure(
    a: Numbers, b: Numbers, passages: Passages, job: Job, progress: Progress
) -> dict[str, Any]:
    """``text`` and ``layers`` of the document."""
    assert a.scores is not None
    assert b.scores is not None
    if isinstance(a.scores, Logits) and isinstance(b.scores, Logits):
        check_vocabularies(a.scores.vocabulary, b.scores.vocabulary)
    request: dict[str, Any] = {
        "text": {"targets": passages.targets, "a": _files(a.scores), "b": _files(b.scores)}
    }
    if a.layers is not None and b.layers is not None:
        request["layers"] = {
            "a": str(a.layers.path),
            "b": str(b.layers.path),
            "indices_a": a.layers.indices,
            "indices_b": b.layers.indices,
            "tokens": len(job.layers),
        }
    answer = child.do(child.MEASURE, request, progress)
    text = answer["text"]
    text["positions"] = {"at": passages.at, **text["positions"]}
    return {"text": text, "layers": answer.get("layers")}


def _files(scores: Logits | Listed) -> Mapping[str, Any]:
    if isinstance(scores, Logits):
        return {"logits": str(scores.path), "vocabulary": scores.vocabulary}
    return {"ids": str(scores.ids), "logs": str(scores.logs), "count": scores.count}


def _settings(passages: Passages, request: Request) -> dict[str, int]:
    return {
        "context": request.context,
        "windows": len(passages.sequences),
        "scored_from": passages.first + 1,
        "positions": len(passages.targets),
    }


def _compare_vectors(
    a: Side, others: Sequence[Side], request: Request, progress: Progress
) -> _Found:
    lines = [line.strip() for line in request.text.splitlines()]
    texts = list(request.prompts) or [line[:CHARACTERS] for line in lines if line][:TEXTS]
    if not texts:
        raise InputError("the text is empty", hint="give --text FILE", code="text-too-short")
    with workspace() as folder:
        reference, *vectors = [side.embed(texts, folder, progress) for side in (a, *others)]
    common = {"a": {"name": a.name}, "settings": {"texts": len(texts)}}
    nothing = dict.fromkeys(("text", "layers", "greedy"))
    return common, [
        {"b": {"name": side.name}, **nothing, "embeddings": compare_vectors(reference, found)}
        for side, found in zip(others, vectors, strict=True)
    ]


def check_room(folder: Path, job: Job, sides: Sequence[Side]) -> None:
    """InputError ``no-room`` when the logits of two of them would not fit on the cache's disk."""
    widest = max((side.vocabulary or 0 for side in sides), default=0)
    local = sum(side.listed is None for side in sides)
    needed = min(local, 2) * job.rows * widest * 4
    free = shutil.disk_usage(folder).free
    if needed > free:
        raise InputError(
            f"{folder}: {size(needed)} are needed for the logits, {size(free)} are free",
            hint="compare over fewer tokens (--tokens), or set INGOT_CACHE to a larger disk",
            code="no-room",
        )


@contextmanager
def workspace() -> Iterator[Path]:
    """A folder for large files, on the cache's disk; those of killed runs are removed."""
    home = make_folder(cache_dir() / "compare")
    for old in home.iterdir():
        if not _is_alive(old.name.partition("-")[0]):
            remove_tree(old)
    with tempfile.TemporaryDirectory(prefix=f"{os.getpid()}-", dir=home) as folder:
        yield Path(folder)


def _is_alive(pid: str) -> bool:
    try:
        os.kill(int(pid), 0)
    except (ValueError, ProcessLookupError):
        return False
    except PermissionError:
        pass  # Somebody else's, and alive.
    return True
