"""Numbers behind answers: logits, layers, greedy choices; the same at every run; fingerprints."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ingot.bundle.amend import record
from ingot.bundle.reader import open_bundle
from ingot.console import NullProgress
from ingot.recipe.fingerprint import take_fingerprint
from tests.conftest import Cast, Run
from tests.models import DEMO

pytestmark = pytest.mark.runtime

TEXT = "def add(a, b):\n    return a + b\n"
Trace = Callable[..., dict[str, Any]]


@pytest.fixture
def trace(hello: Path, run: Run, tmp_path: Path) -> Trace:
    """Run a job; options are the engine's."""

    def call(job: dict[str, Any], *options: str, **env: str) -> dict[str, Any]:
        path = tmp_path / "job.json"
        path.write_text(json.dumps(job))
        done = run(hello, "trace", "--job", path, "-c", "256", *options, env=env or None)
        assert done.returncode == 0, done.stderr
        answer = json.loads(done.stdout)
        assert isinstance(answer, dict)
        return answer

    return call


def test_rows_of_logits_predict_the_next_token(trace: Trace, tmp_path: Path) -> None:
    """The best of the last row is what is said next; a later start leaves out the rows before."""
    greedy = trace({"greedy": {"prompts": ["def add(a, b):"], "tokens": 8, "top": 3}})["greedy"][0]
    tokens = [*greedy["prompt"], *greedy["tokens"]]
    rows = tmp_path / "logits"
    start = len(greedy["prompt"]) - 1
    job = {"score": {"sequences": [tokens, tokens], "from": start, "logits": str(rows)}}
    facts = trace(job)["model"]
    logits = np.fromfile(rows, "<f4").reshape(2, -1, facts["vocabulary"])
    assert logits.shape[1] == len(tokens) - start
    assert np.array_equal(logits[0], logits[1]), "nothing is left over from the sequence before"
    assert logits[0, :-1].argmax(1).tolist() == greedy["tokens"]
    for row, step in zip(logits[0], greedy["steps"], strict=False):
        best = [token for token, _logit in step]
        assert np.allclose(row[best], [logit for _token, logit in step], atol=2e-2)
        assert [logit for _token, logit in step] == sorted((x for _t, x in step), reverse=True)


def test_the_batch_size_leaves_out_no_row(trace: Trace, tmp_path: Path) -> None:
    tokens = [1, *range(300, 400)]
    found = []
    for batch in ("512", "32"):
        rows = tmp_path / batch
        trace({"score": {"sequences": [tokens], "from": 40, "logits": str(rows)}}, "-b", batch)
        found.append(np.fromfile(rows, "<f4"))
    assert found[0].shape == found[1].shape == (61 * 4096,)
    assert np.abs(found[0] - found[1]).max() < 0.1


def test_layers_grow_from_the_embedding_to_the_answer(trace: Trace, tmp_path: Path) -> None:
    tokens = [1, 300, 400, 500]
    streams = tmp_path / "streams"
    answer = trace({"layers": {"tokens": tokens, "streams": str(streams)}})
    assert answer["layers"] == list(range(6))
    width = answer["model"]["embedding_length"]
    layers = np.fromfile(streams, "<f4").reshape(6, len(tokens), width)
    assert np.isfinite(layers).all()
    steps = np.linalg.norm(np.diff(layers, axis=0), axis=-1)
    assert (steps > 0).all(), "each layer adds something"


def test_the_text_as_tokens(trace: Trace, hello: Path, run: Run) -> None:
    answer = trace({"tokenize": TEXT})
    said = run(hello, "tokenize", "--ids", "-p", TEXT).stdout.split()
    assert [answer["begins_with"], *answer["tokens"]] == [int(word) for word in said]


@pytest.mark.parametrize(
    ("job", "words"),
    [
        ("{", "is not a job"),
        ('{"greedy": {}}', "is not a job"),
        ('{"score": {"sequences": [[99999]], "logits": "x"}}', "vocabulary lacks"),
        ('{"score": {"sequences": [[]], "logits": "x"}}', "a sequence of 0 tokens"),
        ('{"score": {"sequences": [[1]], "logits": "/nowhere/x"}}', "cannot write /nowhere/x"),
    ],
)
def test_what_is_no_job(hello: Path, run: Run, tmp_path: Path, job: str, words: str) -> None:
    path = tmp_path / "job.json"
    path.write_text(job)
    done = run(hello, "trace", "--job", path, "-c", "64", cwd=tmp_path)
    assert done.returncode == 3
    assert done.stderr.startswith(b"error: ")
    assert words.encode() in done.stderr


def test_deterministic_answers_are_the_same_at_every_run(hello: Path, run: Run) -> None:
    words = (hello, "-p", "def add(a, b):", "-n", "24", "--deterministic")
    texts = {run(*words).stdout for _ in range(3)}
    assert len(texts) == 1
    sampled = {run(*words, "--temp", "5", "--top-k", "0").stdout for _ in range(2)}
    assert len(sampled) == 1, "a fixed seed, whatever else the user asks for"
    assert sampled != texts


def test_a_fingerprint_holds_a_machine_to_it(cast: Cast, run: Run, tmp_path: Path) -> None:
    executable = tmp_path / "hello"
    executable.write_bytes(cast(DEMO).read_bytes())
    executable.chmod(0o755)
    assert run(executable, "verify", "--answers").returncode == 3
    answers = take_fingerprint(executable)
    assert sum(len(one["tokens"]) for one in answers["greedy"]) == 64
    record(executable, NullProgress(), answers=answers)
    done = run(executable, "verify", "--answers", "--json", "--gpu", "none")
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)["answers"]
    assert (found["same_tokens"], found["largest_logit_difference"]) == (True, 0)

    other = run(executable, "verify", "--answers", "--json", env={"INGOT_CPU": "sse42"})
    far = json.loads(other.stdout)["answers"]
    assert 0 < far["largest_logit_difference"] < 0.5

    wrong = json.loads(json.dumps(answers))
    wrong["greedy"][1]["tokens"][2] = 7
    record(executable, NullProgress(), answers=wrong)
    done = run(executable, "verify", "--answers", "--gpu", "none")
    assert done.returncode == 1
    assert b"answers differ: token 19 of 64 is another" in done.stdout

    record(executable, NullProgress(), answers={"greedy": 5})
    assert run(executable, "verify", "--answers").returncode == 5
    with open_bundle(executable) as bundle:
        assert bundle.manifest.about.answers == {"greedy": 5}
