"""Measures against the same formulas in float64, written out plainly."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ingot.errors import InputError
from ingot.parity.worker import measure
from ingot.parity.worker.measure import Candidates, compare_listed, compare_logits

ROWS, WIDTH = 23, 700


@pytest.fixture
def logits() -> tuple[measure.Floats, measure.Floats]:
    rng = np.random.default_rng(5)
    x = (rng.standard_normal((ROWS, WIDTH)) * 4 + 3).astype(np.float32)
    return x, x + (rng.standard_normal((ROWS, WIDTH)) * 0.2).astype(np.float32)


def _log_probabilities(x: Any) -> Any:
    x = x.astype(np.float64)
    x = x - x.max(1, keepdims=True)
    return x - np.log(np.exp(x).sum(1, keepdims=True))


def _side(path: Path, x: measure.Floats) -> dict[str, Any]:
    path.write_bytes(x.astype("<f4").tobytes())
    return {"logits": str(path), "vocabulary": x.shape[1]}


@pytest.mark.parametrize("piece", [1, 5 * WIDTH, 1 << 20])
def test_logits_as_the_formulas_say(
    logits: tuple[measure.Floats, measure.Floats],
    tmp_path: Path,
    piece: int,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(measure, "PIECE", piece)
    x, y = logits
    targets = np.arange(ROWS) * 7
    p, q = _log_probabilities(x), _log_probabilities(y)
    request = {"a": _side(tmp_path / "a", x), "b": _side(tmp_path / "b", y)}
    answer = measure.measure_text({**request, "targets": targets.tolist()})

    found = answer["summary"]
    kl = (np.exp(p) * (p - q)).sum(1)
    assert found["positions"] == ROWS
    assert found["kl"]["mean"] == pytest.approx(kl.mean(), rel=1e-5)
    assert found["kl"]["median"] == pytest.approx(np.median(kl), rel=1e-5)
    assert found["kl"]["max"] == pytest.approx(kl.max(), rel=1e-5)
    nll = -p[np.arange(ROWS), targets]
    assert found["perplexity"]["a"]["value"] == pytest.approx(np.exp(nll.mean()), rel=1e-5)
    error = np.exp(nll.mean()) * nll.std(ddof=1) / np.sqrt(ROWS)
    assert found["perplexity"]["a"]["error"] == pytest.approx(error, rel=1e-5)
    difference = x.astype(np.float64) - y
    assert found["logits"]["max"] == pytest.approx(np.abs(difference).max(), rel=1e-6)
    assert found["logits"]["rms"] == pytest.approx(np.sqrt((difference**2).mean()), rel=1e-5)
    same = [len({*one[-5:]} & {*other[-5:]}) / 5 for one, other in
            zip(x.argsort(1).tolist(), y.argsort(1).tolist(), strict=True)]  # fmt: skip
    assert found["top5"] == pytest.approx(np.mean(same))
    assert found["top1"] == pytest.approx((x.argmax(1) == y.argmax(1)).mean())
    assert answer["positions"]["kl"] == pytest.approx(kl.tolist(), rel=1e-4)


def test_equal_logits_are_at_distance_zero(logits: tuple[measure.Floats, measure.Floats]) -> None:
    x, _y = logits
    found = measure.summary(compare_logits(x, x.copy(), np.zeros(ROWS, np.int64)))
    assert found["kl"]["max"] == found["logits"]["max"] == found["perplexity"]["log_ratio"] == 0
    assert found["top1"] == found["top5"] == 1


def test_near_distributions_are_not_drowned_in_rounding() -> None:
    """KL of 1e-7, below what differences of float32 logarithms could tell."""
    rng = np.random.default_rng(6)
    x = (rng.standard_normal((4, 50_000)) * 4 + 20).astype(np.float32)
    y = x + (rng.standard_normal(x.shape) * 5e-4).astype(np.float32)
    p, q = _log_probabilities(x), _log_probabilities(y)
    exact = (np.exp(p) * (p - q)).sum(1)
    found = compare_logits(x, y, np.zeros(4, np.int64)).kl
    assert np.abs(found - exact).max() < 3e-8 < exact.min()


@pytest.mark.parametrize("width", [3, 5, 64, 400, 1000, 4099])
def test_the_five_best_of_any_width(width: int) -> None:
    x = np.random.default_rng(width).standard_normal((9, width)).astype(np.float32)
    best = measure.best(x)
    assert (np.sort(best, 1) == np.sort(np.argsort(-x, 1)[:, :5], 1)).all()


def test_what_is_not_finite_is_an_error(logits: tuple[measure.Floats, measure.Floats]) -> None:
    x, y = logits
    y[3, 3] = np.nan
    with pytest.raises(InputError, match="not all finite"):
        compare_logits(x, y, np.zeros(ROWS, np.int64))


def test_logits_that_end_early_are_an_error(tmp_path: Path) -> None:
    side = _side(tmp_path / "a", np.zeros((2, 8), np.float32))
    with pytest.raises(InputError, match="end at row 0"):
        measure.measure_text({"a": side, "b": side, "targets": [0, 0, 0]})


def _candidates(probabilities: dict[int, float]) -> Candidates:
    ordered = sorted(probabilities.items(), key=lambda item: -item[1])
    ids, values = zip(*ordered, strict=True)
    return Candidates(np.array(ids), np.log(np.array(values)))


def test_listed_candidates_and_all_others_as_one() -> None:
    a = _candidates({1: 0.5, 2: 0.25, 3: 0.125})
    b = _candidates({1: 0.25, 2: 0.5, 9: 0.125})
    rows = compare_listed(a, b, 2)
    expected = 0.5 * np.log(0.5 / 0.25) + 0.25 * np.log(0.25 / 0.5) + 0.25 * np.log(0.25 / 0.25)
    assert rows.kl[0] == pytest.approx(expected)
    assert rows.nll_a[0] == pytest.approx(-np.log(0.25))
    assert rows.nll_b[0] == pytest.approx(-np.log(0.5))
    assert rows.largest[0] == pytest.approx(np.log(2))
    assert (rows.same_first[0], rows.same_five[0]) == (0.0, pytest.approx(2 / 3))


def test_a_target_that_is_not_listed_is_left_out_of_the_perplexity() -> None:
    a, b = _candidates({1: 0.5, 2: 0.25}), _candidates({1: 0.5, 3: 0.25})
    assert np.isnan(compare_listed(a, b, 2).nll_b[0])
    found = measure.summary(compare_listed(a, b, 2))
    assert found["perplexity"]["positions"] == 0
    assert found["perplexity"]["a"] == {"value": None, "error": None}


def test_a_whole_row_against_a_list_of_all_is_the_plain_divergence(
    logits: tuple[measure.Floats, measure.Floats], tmp_path: Path
) -> None:
    x, y = logits
    q = _log_probabilities(y)
    order = np.argsort(-q, 1)
    (tmp_path / "ids").write_bytes(order.astype("<i4").tobytes())
    logs = np.take_along_axis(q, order, 1)
    (tmp_path / "logs").write_bytes(logs.astype("<f4").tobytes())
    listed = {"ids": str(tmp_path / "ids"), "logs": str(tmp_path / "logs"), "count": WIDTH}
    targets = list(range(ROWS))
    request = {"a": _side(tmp_path / "a", x), "b": listed, "targets": targets}
    one = measure.measure_text(request)["summary"]
    two = measure.measure_text({**request, "b": _side(tmp_path / "b", y)})["summary"]
    assert one["kl"]["mean"] == pytest.approx(two["kl"]["mean"], rel=1e-4)
    assert one["top5"] == pytest.approx(two["top5"])
    assert one["perplexity"]["b"]["value"] == pytest.approx(two["perplexity"]["b"]["value"])


def test_layers_that_both_sides_have(tmp_path: Path) -> None:
    rng = np.random.default_rng(7)
    a = rng.standard_normal((3, 4, 8)).astype(np.float32)
    b = a[1:] * np.float32(1.5)
    (tmp_path / "a").write_bytes(a.tobytes())
    (tmp_path / "b").write_bytes(b.tobytes())
    found = measure.measure_layers(str(tmp_path / "a"), str(tmp_path / "b"), [0, 1, 2], [1, 2], 4)
    assert [item["layer"] for item in found] == [1, 2]
    assert [item["relative_rms"] for item in found] == pytest.approx([0.5, 0.5])


def test_layers_of_other_widths_are_an_error(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(bytes(4 * 4 * 8))
    (tmp_path / "b").write_bytes(bytes(4 * 4 * 6))
    with pytest.raises(InputError, match="8 wide in A and 6 in B"):
        measure.measure_layers(str(tmp_path / "a"), str(tmp_path / "b"), [0], [0], 4)
