"""Distances between two sides' numbers, read in pieces of bounded size. float32 in, float64 out.

With p and q the sides' distributions of the next token, x and y their logits, t the token that
follows, all natural logarithms:

    KL divergence     sum p ln(p / q)
    perplexity        exp(mean of -ln p(t)); its error exp(..) times the mean's standard error
    logit difference  max and root mean square of x - y over the vocabulary
    a layer           root mean square over tokens of |a - b| / |a|, vectors of the residual stream
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from ingot.errors import InputError

# Elements of one piece of one side, 4 MB: five arrays of that size are alive at once, and larger
# ones leave the processor's cache.
PIECE = 1 << 20
TOP = 5
_STACKED = 64
_SMALLEST = 1e-9  # probability of what is not listed, when rounding leaves none

Floats = npt.NDArray[np.float32]
Doubles = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Rows:
    """Measures per position. ``nll`` is -ln of the probability of what follows, NaN if unknown."""

    kl: Doubles
    nll_a: Doubles
    nll_b: Doubles
    largest: Doubles
    square: Doubles
    same_first: Doubles
    same_five: Doubles


def run(request: Mapping[str, Any]) -> dict[str, Any]:
    """The task ``measure``: ``text`` and ``layers`` of the report, each if it is asked for."""
    answer: dict[str, Any] = {}
    if request.get("text"):
        answer["text"] = measure_text(request["text"])
    if request.get("layers"):
        answer["layers"] = measure_layers(**request["layers"])
    return answer


def measure_text(request: Mapping[str, Any]) -> dict[str, Any]:
    """``a`` and ``b`` are ``{"logits", "vocabulary"}`` or ``{"ids", "logs", "count"}``, with
    ``targets`` the tokens that follow.
    """
    targets = np.array(request["targets"], np.int64)
    a, b = request["a"], request["b"]
    if "logits" in a and "logits" in b:
        parts = list(_dense_parts(a, b, targets))
    else:
        parts = list(_listed_parts(a, b, targets))
    rows = Rows(*(np.concatenate(column) for column in zip(*map(_columns, parts), strict=True)))
    return {"summary": summary(rows), "positions": positions(rows)}


def _columns(rows: Rows) -> tuple[Doubles, ...]:
    return tuple(vars(rows).values())


def _dense_parts(a: Mapping[str, Any], b: Mapping[str, Any], targets: Integers) -> Iterator[Rows]:
    width = a["vocabulary"]
    step = max(1, PIECE // width)
    with Path(a["logits"]).open("rb") as one, Path(b["logits"]).open("rb") as other:
        for start in range(0, len(targets), step):
            count = min(step, len(targets) - start)
            x, y = (_read(file, count, width, start) for file in (one, other))
            yield compare_logits(x, y, targets[start : start + count])


def _read(file: Any, count: int, width: int, start: int) -> Floats:
    found = np.fromfile(file, "<f4", count * width)
    if len(found) != count * width:
        raise InputError(f"{file.name}: the logits end at row {start}", code="side-failed")
    return found.reshape(count, width)


def compare_logits(x: Floats, y: Floats, targets: Integers) -> Rows:
    """Measures of rows of logits."""
    difference = x - y
    p, total, log_total = _softmax(x)
    _q, _total, log_other = _softmax(y)
    # With raw differences, what both sides share cancels before it is rounded: between equal
    # sides that leaves 0 and between near ones errors that are small beside their distance.
    kl = np.einsum("ij,ij->i", p, difference) / total + (log_other - log_total)
    at = np.arange(len(targets))
    largest = np.maximum(difference.max(1), np.abs(difference.min(1))).astype(np.float64)
    if not np.isfinite(largest).all():
        raise InputError("the logits are not all finite numbers", code="not-finite")
    square = np.einsum("ij,ij->i", difference, difference).astype(np.float64) / x.shape[1]
    five_a, five_b = best(x), best(y)
    same = (five_a[:, :, None] == five_b[:, None, :]).sum((1, 2))
    return Rows(
        kl=kl,
        nll_a=log_total - x[at, targets],
        nll_b=log_other - y[at, targets],
        largest=largest,
        square=square,
        same_first=(x.argmax(1) == y.argmax(1)).astype(np.float64),
        same_five=same / five_a.shape[1],
    )


def _softmax(x: Floats) -> tuple[Floats, Doubles, Doubles]:
    """exp(x - max), its sum, and the logarithm of the sum of exp(x)."""
    top = x.max(1, keepdims=True)
    p = np.exp(x - top)
    total = p.sum(1, dtype=np.float64)
    return p, total, np.log(total) + top[:, 0]


def best(x: Floats) -> Integers:
    """The tokens of the five largest logits of each row, in no order.

    They lie in the five best of many columns: a search that takes a tenth of a whole argpartition.
    """
    count = min(TOP, x.shape[1])
    width = x.shape[1] // _STACKED
    if width <= count:
        return _largest(x, count)
    body = x[:, : width * _STACKED].reshape(len(x), _STACKED, width)
    columns = _largest(body.max(1), count)
    inside = (columns[:, None, :] + width * np.arange(_STACKED)[:, None]).reshape(len(x), -1)
    tail = np.broadcast_to(np.arange(width * _STACKED, x.shape[1]), (len(x), x.shape[1] % _STACKED))
    candidates = np.concatenate((inside, tail), axis=1)
    chosen = _largest(np.take_along_axis(x, candidates, 1), count)
    return np.take_along_axis(candidates, chosen, 1)


def _largest(x: Floats, count: int) -> Integers:
    return np.argpartition(x, x.shape[1] - count, axis=1)[:, -count:].astype(np.int64)


def _listed_parts(a: Mapping[str, Any], b: Mapping[str, Any], targets: Integers) -> Iterator[Rows]:
    for index, (one, other) in enumerate(zip(_candidates(a), _candidates(b), strict=True)):
        yield compare_listed(one, other, int(targets[index]))


@dataclass(frozen=True)
class Candidates:
    """One position: tokens, best first, and ln of their probabilities. Some may be missing."""

    ids: Integers
    logs: Doubles


def _candidates(side: Mapping[str, Any]) -> Iterator[Candidates]:
    if "logits" in side:
        width = side["vocabulary"]
        step = max(1, PIECE // width)
        with Path(side["logits"]).open("rb") as file:
            while len(piece := np.fromfile(file, "<f4", step * width)):
                for row in piece.reshape(-1, width):
                    logs = row - _softmax(row[None])[2][0]
                    order = np.argsort(-logs, kind="stable")
                    yield Candidates(order, logs[order].astype(np.float64))
        return
    shape = (-1, side["count"])
    ids = np.fromfile(side["ids"], "<i4").reshape(shape)
    logs = np.fromfile(side["logs"], "<f4").reshape(shape)
    for row, values in zip(ids, logs, strict=True):
        known = row >= 0
        yield Candidates(row[known].astype(np.int64), values[known].astype(np.float64))


def compare_listed(a: Candidates, b: Candidates, target: int) -> Rows:
    """Measures over the candidates that both list, and all others taken as one."""
    _both, in_a, in_b = np.intersect1d(a.ids, b.ids, assume_unique=True, return_indices=True)
    p, q = a.logs[in_a], b.logs[in_b]
    rest_p, rest_q = (max(_SMALLEST, 1.0 - float(np.exp(logs).sum())) for logs in (p, q))
    kl = float((np.exp(p) * (p - q)).sum()) + rest_p * np.log(rest_p / rest_q)
    difference = p - q if len(p) else np.zeros(1)
    five = min(TOP, len(a.ids), len(b.ids))
    same = len(set(a.ids[:five].tolist()) & set(b.ids[:five].tolist()))
    values = {
        "kl": kl,
        "nll_a": _nll(a, target),
        "nll_b": _nll(b, target),
        "largest": np.abs(difference).max(),
        "square": (difference**2).mean(),
        "same_first": float(five > 0 and a.ids[0] == b.ids[0]),
        "same_five": same / max(1, five),
    }
    return Rows(**{name: np.array([value], np.float64) for name, value in values.items()})


def _nll(side: Candidates, target: int) -> float:
    found = np.flatnonzero(side.ids == target)
    return -float(side.logs[found[0]]) if len(found) else float("nan")


def summary(rows: Rows) -> dict[str, Any]:
    """What the verdict goes by."""
    # Below the rounding of float32 the sum can come out negative; no divergence is.
    kl = np.maximum(rows.kl, 0.0)
    known = ~(np.isnan(rows.nll_a) | np.isnan(rows.nll_b))
    nll_a, nll_b = rows.nll_a[known], rows.nll_b[known]
    ratio, ratio_error = _mean(nll_b - nll_a)
    return {
        "positions": len(kl),
        "kl": {
            "mean": float(kl.mean()),
            "mean_error": _mean(kl)[1],
            "median": float(np.median(kl)),
            "p99": float(np.quantile(kl, 0.99)),
            "max": float(kl.max()),
        },
        "top1": float(rows.same_first.mean()),
        "top5": float(rows.same_five.mean()),
        "perplexity": {
            "positions": len(nll_a),
            "a": _perplexity(nll_a),
            "b": _perplexity(nll_b),
            "log_ratio": ratio,
            "log_ratio_error": ratio_error,
        },
        "logits": {"max": float(rows.largest.max()), "rms": float(np.sqrt(rows.square.mean()))},
    }


def _mean(values: Doubles) -> tuple[float | None, float | None]:
    """A mean and its standard error; None where there are too few values."""
    if not len(values):
        return None, None
    error = float(values.std(ddof=1) / np.sqrt(len(values))) if len(values) > 1 else None
    return float(values.mean()), error


def _perplexity(nll: Doubles) -> dict[str, float | None]:
    mean, error = _mean(nll)
    if mean is None:
        return {"value": None, "error": None}
    value = float(np.exp(mean))
    return {"value": value, "error": None if error is None else value * error}


def positions(rows: Rows) -> dict[str, list[float | None]]:
    """The same per position, at the five digits that plots and readers need."""
    return {
        "kl": _rounded(np.maximum(rows.kl, 0.0)),
        "nll_a": _rounded(rows.nll_a),
        "nll_b": _rounded(rows.nll_b),
        "max_logit_difference": _rounded(rows.largest),
        "rms_logit_difference": _rounded(np.sqrt(rows.square)),
        "same_top1": [bool(value) for value in rows.same_first],
    }


def _rounded(values: Doubles) -> list[float | None]:
    return [None if np.isnan(value) else float(f"{value:.5g}") for value in values]


def measure_layers(
    a: str, b: str, indices_a: Sequence[int], indices_b: Sequence[int], tokens: int
) -> list[dict[str, Any]]:
    """Relative differences of the layers that both sides gave, in order."""
    found = []
    for layer in sorted({*indices_a} & {*indices_b}):
        x = _layer(Path(a), indices_a, layer, tokens)
        y = _layer(Path(b), indices_b, layer, tokens)
        if x.shape != y.shape:
            raise InputError(
                f"the layers are {x.shape[1]} wide in A and {y.shape[1]} in B",
                hint="compare without layers: --layers 0",
                code="widths-differ",
            )
        norm = np.maximum((x**2).sum(1), np.finfo(np.float64).tiny)
        relative = ((x - y) ** 2).sum(1) / norm
        found.append({"layer": layer, "relative_rms": float(np.sqrt(relative.mean()))})
    return found


def _layer(path: Path, indices: Sequence[int], layer: int, tokens: int) -> Doubles:
    """One layer's streams, [token][width]."""
    size = path.stat().st_size // len(indices)
    raw = np.fromfile(path, "<f4", size // 4, offset=indices.index(layer) * size)
    return raw.reshape(tokens, -1).astype(np.float64)
