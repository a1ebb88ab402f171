"""The report's plots as one PNG. The same numbers as in the page; see parity/report.py."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import matplotlib as mpl

mpl.use("agg")
from matplotlib import pyplot as plt

_INCHES = (7.0, 3.4)  # of one plot
_DPI = 150
_ENOUGH = 10  # prompts for a distribution
_ONE, _TWO = "#1f6fb2", "#eb9a63"
Draw = Callable[[Any], None]


def run(request: Mapping[str, Any]) -> dict[str, Any]:
    """The task ``picture``: draw ``document`` into ``path``."""
    document = request["document"]
    plots = list(_plots(document))
    size = (_INCHES[0], _INCHES[1] * len(plots))
    figure, axes = plt.subplots(len(plots), 1, figsize=size, squeeze=False)
    for axis, draw in zip(axes[:, 0], plots, strict=True):
        draw(axis)
    figure.suptitle(_title(document), fontsize=10)
    figure.tight_layout()
    # Without the version of matplotlib that it would note: the same numbers, the same bytes.
    figure.savefig(request["path"], dpi=_DPI, format="png", metadata={"Software": None})
    return {}


def _title(document: Mapping[str, Any]) -> str:
    other = f" and {document['b']['name']}" if "b" in document else ""
    return f"{document['a']['name']}{other}: {document['verdict']}"


def _plots(document: Mapping[str, Any]) -> Sequence[Draw]:
    if "precision" in document:
        rows = [(item["name"], item) for item in document["precision"]]
        return [lambda axis: _means(axis, rows, "Mean KL divergence from the base")]
    if "comparisons" in document:
        return _series(document["comparisons"])
    found: list[Draw] = []
    if document.get("text"):
        found.append(lambda axis: _divergence(axis, document["text"]["positions"]))
    if document.get("layers"):
        found.append(lambda axis: _layers(axis, document["layers"]))
    if document.get("greedy"):
        if len(document["greedy"]["prompts"]) >= _ENOUGH:
            rows = [("texts", document)]
            found.append(lambda axis: _survival(axis, rows))
        found.append(lambda axis: _greedy(axis, document["greedy"]["prompts"]))
    if document.get("embeddings"):
        found.append(lambda axis: _vectors(axis, document["embeddings"]["texts"]))
    return found


def _divergence(axis: Any, positions: Mapping[str, Any]) -> None:
    axis.plot(positions["at"], positions["kl"], ".", color=_ONE, markersize=2)
    _label(axis, "KL divergence by position", "token of the text", "KL divergence")
    _logarithmic(axis, positions["kl"])


def _layers(axis: Any, layers: Sequence[Mapping[str, Any]]) -> None:
    values = [item["relative_rms"] for item in layers]
    axis.plot([item["layer"] for item in layers], values, "o-", color=_ONE, markersize=3)
    axis.set_ylim(bottom=0)
    _label(axis, "Error by layer", "layer", "relative difference")


def _greedy(axis: Any, prompts: Sequence[Mapping[str, Any]]) -> None:
    numbers = range(1, len(prompts) + 1)
    tokens = [item["tokens"] for item in prompts]
    same = [
        item["tokens"] if item["first_divergence"] is None else item["first_divergence"]
        for item in prompts
    ]
    axis.barh(numbers, tokens, color=_TWO, label="apart")
    axis.barh(numbers, same, color=_ONE, label="the same")
    axis.legend(fontsize=7)
    axis.invert_yaxis()
    _label(axis, "Greedy texts", "tokens", "prompt")


def _vectors(axis: Any, texts: Sequence[Mapping[str, Any]]) -> None:
    values = [item["relative_error"] for item in texts]
    axis.plot(range(1, len(values) + 1), values, "o", color=_ONE, markersize=3)
    _label(axis, "Relative error by text", "text", "relative error")
    _logarithmic(axis, values)


_Named = Sequence[tuple[str, Mapping[str, Any]]]  # a name and a document with ``text``


def _means(axis: Any, rows: _Named, title: str) -> None:
    values = [item["text"]["summary"]["kl"]["mean"] for _name, item in rows]
    axis.barh([name for name, _item in rows], values, color=_ONE)
    axis.invert_yaxis()
    if any(values):
        axis.set_xscale("log")
    _label(axis, title, "KL divergence", "")


def _series(comparisons: Sequence[Mapping[str, Any]]) -> list[Draw]:
    rows = [(str(item["b"]["name"]), item) for item in comparisons]
    if comparisons[0].get("embeddings"):
        return [lambda axis: _cosines(axis, rows)]
    found: list[Draw] = [
        lambda axis: _means(axis, rows, "Mean KL divergence from A"),
        lambda axis: _perplexities(axis, rows),
    ]
    if any(item.get("layers") for item in comparisons):
        found.append(lambda axis: _growth(axis, rows))
    if comparisons[0].get("greedy"):
        found.append(lambda axis: _survival(axis, rows))
    return found


def _perplexities(axis: Any, rows: _Named) -> None:
    first = rows[0][1]["text"]["summary"]["perplexity"]["a"]
    values = [("A", first)]
    values += [(name, item["text"]["summary"]["perplexity"]["b"]) for name, item in rows]
    known = [(name, value) for name, value in values if value["value"] is not None]
    axis.errorbar(
        [value["value"] for _name, value in known],
        [name for name, _value in known],
        xerr=[value["error"] or 0.0 for _name, value in known],
        fmt="o",
        color=_ONE,
        ecolor=_TWO,
        markersize=4,
    )
    axis.invert_yaxis()
    _label(axis, "Perplexity, with standard errors", "perplexity", "")


def _growth(axis: Any, rows: _Named) -> None:
    for name, item in rows:
        layers = item.get("layers") or ()
        if any(layer["relative_rms"] > 0 for layer in layers):
            values = [layer["relative_rms"] for layer in layers]
            numbers = [layer["layer"] for layer in layers]
            axis.plot(numbers, values, "o-", markersize=3, label=name)
    axis.set_yscale("log")
    axis.legend(fontsize=6, loc="upper left", bbox_to_anchor=(1, 1))
    _label(axis, "Error by layer", "layer", "relative difference")


def _survival(axis: Any, rows: _Named) -> None:
    for name, item in rows:
        axis.plot(item["greedy"]["still_same"], "-", drawstyle="steps-post", label=name)
    axis.set_ylim(0, 1.03)
    if len(rows) > 1:
        axis.legend(fontsize=6, loc="upper left", bbox_to_anchor=(1, 1))
    title = f"Greedy texts: the same so far, of {len(rows[0][1]['greedy']['prompts'])}"
    _label(axis, title, "tokens", "share of texts")


def _cosines(axis: Any, rows: _Named) -> None:
    values = [1 - item["embeddings"]["cosine"]["min"] for _name, item in rows]
    axis.barh([name for name, _item in rows], values, color=_ONE)
    axis.invert_yaxis()
    if any(value > 0 for value in values):
        axis.set_xscale("log")
    _label(axis, "Furthest vectors from A", "1 - cosine", "")


def _logarithmic(axis: Any, values: Sequence[float]) -> None:
    if any(value > 0 for value in values):
        axis.set_yscale("log")


def _label(axis: Any, title: str, x: str, y: str) -> None:
    axis.set_title(title, fontsize=9)
    axis.set_xlabel(x, fontsize=8)
    axis.set_ylabel(y, fontsize=8)
    axis.tick_params(labelsize=7)
    axis.grid(alpha=0.3)
