"""What is checked before anything is computed, and how the parts are put together."""

from __future__ import annotations

import json
import os
import struct
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from ingot.console import NullProgress, Progress
from ingot.errors import InputError
from ingot.parity import child, compare
from ingot.parity.compare import Request, check_room, check_tokens, matched, workspace
from ingot.parity.server import Server
from ingot.parity.side import Greedy, Job, Logits, Numbers, Side, Tokens
from ingot.parity.spec import Spec

TEXT = "x" * 80


@dataclass(frozen=True)
class Fake:
    """Says token n after token n - 1, each with the logit ``sure``."""

    name: str = "fake"
    vocabulary: int | None = 128
    embeds: bool = False
    listed: int | None = None
    sure: float = 5.0

    def tokenize(self, text: str, progress: Progress) -> Tokens:
        return Tokens(tuple(range(2, 2 + len(text))), 1)

    def run(self, job: Job, folder: Path, progress: Progress) -> Numbers:
        width = self.vocabulary or 0
        with (folder / "logits").open("wb") as file:
            for sequence in job.sequences:
                for token in sequence[job.first :]:
                    row = [0.0] * width
                    row[token + 1] = self.sure
                    file.write(struct.pack(f"<{width}f", *row))
        greedy = tuple(Greedy(prompt, (9,), "9", (((9, 1.0),),)) for prompt in job.prompts)
        return Numbers(Logits(folder / "logits", width), None, greedy)

    def embed(self, texts: Sequence[str], folder: Path, progress: Progress) -> list[list[float]]:
        return [[1.0, self.sure] for _ in texts]


def _compare(
    monkeypatch: pytest.MonkeyPatch, a: Side, b: Side, request: Request, *more: Side
) -> dict[str, Any]:
    sides = dict(zip("abcdef", (a, b, *more), strict=False))

    def opened(spec: Spec, progress: Progress, options: Sequence[str] = ()) -> Side:
        return sides[spec.written]

    def here(task: str, request: dict[str, object], progress: Progress) -> object:
        from ingot.parity.worker import measure

        return measure.run(json.loads(json.dumps(request)))

    monkeypatch.setattr(compare, "open_side", opened)
    monkeypatch.setattr(child, "do", here)
    return compare.compare("a", list(sides)[1:], request, NullProgress())


def test_two_sides_that_say_the_same(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    request = Request(TEXT, context=40, cuts=2)
    found = _compare(monkeypatch, Fake(), Fake(), request)
    assert (found["verdict"], found["reasons"]) == ("identical", [])
    assert list(cache.glob("compare/*")) == []
    settings = {"context": 40, "windows": 2, "scored_from": 21, "positions": 38}
    assert found["settings"] == settings


def test_two_that_do_not(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found = _compare(monkeypatch, Fake(), Fake(sure=-5.0), Request(TEXT, context=40))
    assert found["verdict"] == "different"
    assert found["greedy"] is None


def test_two_that_give_vectors(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    a, b = Fake(embeds=True), Fake(embeds=True, sure=5.001)
    found = _compare(monkeypatch, a, b, Request("one\n\ntwo\n"))
    assert (found["verdict"], found["settings"]) == ("equivalent", {"texts": 2})


def test_several_are_held_to_one_that_computes_once(
    cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    runs: list[str] = []

    @dataclass(frozen=True)
    class Counted(Fake):
        def run(self, job: Job, folder: Path, progress: Progress) -> Numbers:
            runs.append(self.name)
            return super().run(job, folder, progress)

    sides = [Counted("a"), Counted("b"), Counted("c", sure=-5.0), Counted("d", sure=5.001)]
    a, b, *more = sides
    found = _compare(monkeypatch, a, b, Request(TEXT, context=40, cuts=1), *more)
    assert runs == ["a", "b", "c", "d"]
    assert (found["verdict"], found["a"]) == ("different", {"name": "a"})
    each = [(item["b"]["name"], item["verdict"]) for item in found["comparisons"]]
    assert each == [("b", "identical"), ("c", "different"), ("d", "equivalent")]
    assert all(item["greedy"]["diverged"] == 0 for item in found["comparisons"])
    assert list(cache.glob("compare/*")) == []
    x, y, z = (Fake(embeds=True, sure=5.0 + n / 1000) for n in range(3))
    found = _compare(monkeypatch, x, y, Request("one\n"), z)
    assert [item["verdict"] for item in found["comparisons"]] == ["equivalent", "equivalent"]


def test_models_that_cannot_be_compared() -> None:
    with pytest.raises(InputError, match="A has 128 tokens, B has 96") as caught:
        matched([Fake(), Fake(vocabulary=96)])
    assert caught.value.code == "vocabularies-differ"
    with pytest.raises(InputError, match="gives vectors") as caught:
        matched([Fake(), Fake(embeds=True)])
    assert caught.value.code == "kinds-differ"


def test_a_server_is_taken_for_what_the_other_side_is() -> None:
    _first, second = matched([Fake(embeds=True), Server("s", "http://s", None)])
    assert second.embeds


@pytest.mark.parametrize(
    ("a", "b", "words"),
    [
        (Tokens((1, 2), 0), Tokens((1, 3), 0), "token 1 of the text is 2 in A and 3 in B"),
        (Tokens((1, 2), 0), Tokens((1,), 0), "token 1 of the text is 2 in A and none in B"),
        (Tokens((1,), 0), Tokens((1,), None), "A begins with 0, B with none"),
    ],
)
def test_other_tokens_are_named(a: Tokens, b: Tokens, words: str) -> None:
    with pytest.raises(InputError, match=words) as caught:
        check_tokens(a, b)
    assert caught.value.code == "tokenizers-differ"


def test_a_prompt_without_room_for_its_answer(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    request = Request(TEXT, prompts=("y" * 30,), context=40, continued=20)
    with pytest.raises(InputError, match="31 tokens, and there is room for 1 to 20"):
        _compare(monkeypatch, Fake(), Fake(), request)


def test_logits_that_do_not_fit_on_the_disk(tmp_path: Path) -> None:
    job = Job(sequences=(tuple(range(1 << 16)),))
    with pytest.raises(InputError, match="are needed for the logits") as caught:
        check_room(tmp_path, job, [Fake(vocabulary=1 << 40), Fake()])
    assert caught.value.code == "no-room"


def test_what_a_killed_run_left_is_removed(cache: Path) -> None:
    gone = subprocess.Popen(["true"])
    gone.wait()
    for owner in (gone.pid, os.getpid()):
        (cache / "compare" / f"{owner}-x").mkdir(parents=True)
    with workspace():
        left = {path.name for path in (cache / "compare").glob("*-x")}
    assert left == {f"{os.getpid()}-x"}
