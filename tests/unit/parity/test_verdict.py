"""From measures to a word: the table of thresholds."""

from __future__ import annotations

from typing import Any

import pytest

from ingot.parity.verdict import THRESHOLDS, Verdict, is_same, judge, measures_of, meets

CLOSE = {"kl_mean": 1e-5, "kl_p99": 1e-4, "top1": 0.999, "log_perplexity_ratio": 0.0}


@pytest.mark.parametrize(
    ("measures", "expected"),
    [
        (CLOSE, "equivalent"),
        ({**CLOSE, "kl_mean": 1e-3}, "equivalent"),
        ({**CLOSE, "kl_mean": 1.1e-3}, "compatible"),
        ({**CLOSE, "kl_p99": 0.011}, "compatible"),
        ({**CLOSE, "top1": 0.969}, "compatible"),
        ({**CLOSE, "log_perplexity_ratio": 0.006}, "compatible"),
        ({**CLOSE, "kl_mean": 0.11}, "different"),
        ({**CLOSE, "kl_p99": 1.1}, "different"),
        ({**CLOSE, "top1": 0.79}, "different"),
        ({**CLOSE, "log_perplexity_ratio": 0.06}, "different"),
        ({"cosine": 0.99995}, "equivalent"),
        ({"cosine": 0.999}, "compatible"),
        ({"cosine": 0.9}, "different"),
    ],
)
def test_words(measures: dict[str, float], expected: str) -> None:
    verdict = judge(measures, same=False)
    assert verdict.word == expected
    assert verdict.reasons


def test_reasons_name_what_stood_against_the_next_better_word() -> None:
    verdict = judge({**CLOSE, "kl_mean": 0.02, "top1": 0.9}, same=False)
    assert verdict.reasons == (
        "mean KL divergence: 0.02 > 0.001 (equivalent)",
        "same likeliest token, plus two standard errors: 0.9 < 0.97 (equivalent)",
    )
    assert judge({}, same=True) == Verdict("identical")


def test_each_word_is_stricter_than_the_next() -> None:
    for strict, loose in zip(THRESHOLDS["equivalent"], THRESHOLDS["compatible"], strict=True):
        assert strict.measure == loose.measure
        higher = strict.measure in ("top1", "cosine")
        assert strict.limit > loose.limit if higher else strict.limit < loose.limit


@pytest.mark.parametrize(
    ("word", "required", "enough"),
    [
        ("identical", "identical", True),
        ("equivalent", "identical", False),
        ("equivalent", "compatible", True),
        ("different", "compatible", False),
    ],
)
def test_what_is_required(word: str, required: str, enough: bool) -> None:
    assert meets(word, required) is enough


def _text(**changes: Any) -> dict[str, Any]:
    summary = {
        "positions": 100,
        "kl": {"mean": 0.0, "p99": 0.0},
        "top1": 0.96,
        "perplexity": {"log_ratio": -0.05, "log_ratio_error": 0.02},
        "logits": {"max": 0.0},
        **changes,
    }
    return {"text": {"summary": summary}}


def test_chance_has_its_share_of_a_short_text() -> None:
    found = measures_of(_text())
    assert found["log_perplexity_ratio"] == pytest.approx(0.01)
    assert found["top1"] == pytest.approx(0.96 + 2 * (0.96 * 0.04 / 100) ** 0.5)


def test_identical_is_every_number() -> None:
    assert is_same(_text())
    assert not is_same(_text(logits={"max": 1e-9}))
    assert not is_same({**_text(), "greedy": {"diverged": 1}})
    assert not is_same({**_text(), "layers": [{"relative_rms": 1e-9}]})
    assert not is_same({})
