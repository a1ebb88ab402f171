"""A comparison as one HTML page: no scripts, nothing fetched, equal bytes for equal numbers."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from html import escape
from typing import Any

from ingot.parity import svg

_SHOWN_PROMPTS = 40
_ENOUGH = 10  # prompts for a distribution
_TAIL = 240  # characters of what both sides said before they part
_STYLE = """
:root { color-scheme: light dark; --ink: #1d2329; --soft: #5b6670; --paper: #fbfbfa; --card: #fff;
  --rule: #dcdfe2; --one: #1f6fb2; --two: #b4541a; --good: #1d7a46; --bad: #b3261e; }
@media (prefers-color-scheme: dark) { :root { --ink: #e6e9ec; --soft: #9aa5af; --paper: #14171a;
  --card: #1c2024; --rule: #343a40; --one: #6db3ee; --two: #eb9a63; --good: #63c78d;
  --bad: #f2877f; } }
* { box-sizing: border-box; }
body { margin: 0 auto; padding: 1rem; max-width: 62rem; background: var(--paper); color: var(--ink);
  font: 1rem/1.5 system-ui, sans-serif; overflow-wrap: anywhere; }
h1 { font-size: 1.4rem; margin: 0 0 .5rem; } h2 { font-size: 1.1rem; margin: 0 0 .5rem; }
.verdict { display: inline-block; padding: .1rem .7rem; border-radius: 1rem; color: #fff;
  background: var(--good); font-weight: 600; }
.verdict.different { background: var(--bad); }
@media (prefers-color-scheme: dark) { .verdict { color: #10130f; } }
.side { color: var(--soft); margin: .2rem 0; } .side b { color: var(--one); }
.side.b b { color: var(--two); }
.reasons, .note { color: var(--soft); font-size: .9rem; }
.grid { display: grid; gap: 1rem;
  grid-template-columns: repeat(auto-fit, minmax(min(100%, 21rem), 1fr)); }
section { background: var(--card); border: 1px solid var(--rule); border-radius: .6rem;
  padding: .8rem; min-width: 0; margin: 1rem 0 0; } .grid section { margin: 0; }
dl { display: grid; grid-template-columns: auto 1fr; gap: .1rem .8rem; margin: 0; }
dt { color: var(--soft); } dd { margin: 0; text-align: right; font-variant-numeric: tabular-nums; }
svg { width: 100%; max-width: 32rem; height: auto; display: block; }
svg text { fill: var(--soft); font-size: 11px; }
line.grid { stroke: var(--rule); } line.axis { stroke: var(--soft); }
line.span { stroke: var(--one); opacity: .35; } circle.dot { fill: var(--one); }
polyline.line { fill: none; stroke: var(--one); } rect.same { fill: var(--one); }
rect.apart { fill: var(--two); opacity: .55; }
pre { margin: 0; white-space: pre-wrap; font: .85rem/1.45 ui-monospace, monospace; }
details { margin-top: .8rem; } summary { cursor: pointer; color: var(--soft); }
details.one > summary { color: var(--ink); font-weight: 600; }
.fork { border-left: 3px solid var(--rule); margin-left: .4rem; padding-left: .8rem; }
.fork pre { border-left: 3px solid var(--one); padding: .3rem .6rem; margin-top: .4rem; }
.fork pre.b { border-color: var(--two); }
.scroll { overflow-x: auto; } table { border-collapse: collapse; width: 100%; font-size: .9rem; }
th, td { text-align: right; padding: .25rem .4rem; border-bottom: 1px solid var(--rule);
  overflow-wrap: normal; }
th:first-child, td:first-child { text-align: left; } th { color: var(--soft); font-weight: 500; }
"""


def page(document: Mapping[str, Any]) -> str:
    """The whole page for a document of ``compare`` or ``study``."""
    title = "Precision study" if "precision" in document else "Comparison"
    body = "\n".join(part for part in _parts(document, title) if part)
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{title}: {escape(document['verdict'])}</title>\n"
        f"<style>{_STYLE}</style></head>\n<body>\n{body}\n</body></html>\n"
    )


def _parts(document: Mapping[str, Any], title: str) -> Iterator[str]:
    word = document["verdict"]
    yield f'<h1>{title} <span class="verdict {word}">{word}</span></h1>'
    yield _side("A", document["a"])
    if "precision" in document:
        yield _study(document)
    elif "comparisons" in document:
        yield from _series(document["comparisons"])
    else:
        yield from _comparison(document)


def _comparison(document: Mapping[str, Any]) -> Iterator[str]:
    yield _side("B", document["b"])
    yield _reasons(document["reasons"])
    if document.get("text"):
        yield '<div class="grid">'
        yield _numbers(document)
        yield _divergence(document["text"])
        yield _layers(document.get("layers"))
        yield "</div>"
    if document.get("greedy"):
        yield _greedy(document["greedy"])
    if document.get("embeddings"):
        yield _vectors(document["embeddings"])


def _side(letter: str, facts: Mapping[str, Any]) -> str:
    told = ", ".join(
        f"{escape(key.replace('_', ' '))} {escape(str(value))}"
        for key, value in facts.items()
        if key != "name"
    )
    name = escape(str(facts["name"]))
    return (
        f'<p class="side {letter.lower()}"><b>{letter}</b> {name}{" — " if told else ""}{told}</p>'
    )


def _reasons(reasons: Sequence[str]) -> str:
    if not reasons:
        return ""
    return f'<p class="reasons">Not better, because: {escape("; ".join(reasons))}.</p>'


def _section(title: str, inside: str, note: str = "") -> str:
    said = f'<p class="note">{escape(note)}</p>' if note else ""
    return f"<section><h2>{escape(title)}</h2>{inside}{said}</section>"


def _pairs(rows: Sequence[tuple[str, str]]) -> str:
    inside = "".join(f"<dt>{escape(name)}</dt><dd>{escape(value)}</dd>" for name, value in rows)
    return f"<dl>{inside}</dl>"


def _numbers(document: Mapping[str, Any]) -> str:
    found = document["text"]["summary"]
    kl, perplexity = found["kl"], found["perplexity"]
    rows = [
        ("KL divergence, mean", f"{kl['mean']:.3g}"),
        ("median", f"{kl['median']:.3g}"),
        ("99 %", f"{kl['p99']:.3g}"),
        ("largest", f"{kl['max']:.3g}"),
        ("same likeliest token", f"{found['top1']:.2%}"),
        ("of the likeliest five", f"{found['top5']:.2%}"),
        ("perplexity of A", _with_error(perplexity["a"])),
        ("perplexity of B", _with_error(perplexity["b"])),
        ("logit difference, largest", f"{found['logits']['max']:.3g}"),
        ("root mean square", f"{found['logits']['rms']:.3g}"),
    ]
    note = f"Over {found['positions']} positions of the text."
    return _section("In numbers", _pairs(rows), note)


def _with_error(item: Mapping[str, float | None]) -> str:
    if item["value"] is None:
        return "unknown"
    return f"{item['value']:.4g}" + (f" ± {item['error']:.2g}" if item["error"] else "")


def _divergence(text: Mapping[str, Any]) -> str:
    at, kl = text["positions"]["at"], text["positions"]["kl"]
    plot = svg.plot(
        svg.binned(at, kl),
        title="KL divergence by position in the text",
        x_label="token of the text",
        y_label="KL divergence",
    )
    note = "A dot is the median of neighbouring positions, its line from the least to the largest."
    return _section("KL divergence by position", plot, note if len(kl) > svg.BINS else "")


def _layers(layers: Sequence[Mapping[str, Any]] | None) -> str:
    if not layers:
        return ""
    plot = svg.plot(
        [svg.mark(item["layer"], item["relative_rms"]) for item in layers],
        title="Relative difference of the residual stream by layer",
        x_label="layer",
        y_label="relative difference",
        joined=True,
    )
    return _section("Error by layer", plot, "Of the residual stream after each layer.")


def _greedy(greedy: Mapping[str, Any]) -> str:
    prompts = greedy["prompts"][:_SHOWN_PROMPTS]
    longest = max((item["tokens"] for item in prompts), default=1)
    strips = svg.strips(
        [(str(n), item["tokens"], item["first_divergence"]) for n, item in enumerate(prompts, 1)],
        title="Tokens until the greedy texts part, by prompt",
        longest=longest,
    )
    told = f"{greedy['diverged']} of {len(greedy['prompts'])} texts part. The strips show how long "
    told += "both sides say the same."
    forks = "".join(_fork(number, item) for number, item in enumerate(prompts, 1))
    return _section("Greedy texts", _survival(greedy) + strips + forks, told)


def _survival(greedy: Mapping[str, Any]) -> str:
    """How the first divergences are distributed."""
    if not greedy["diverged"] or len(greedy["prompts"]) < _ENOUGH:
        return ""
    return svg.plot(
        [svg.mark(count, share) for count, share in enumerate(greedy["still_same"])],
        title="Share of the texts that are the same so far",
        x_label="tokens",
        y_label="share of texts still the same",
        joined=True,
    )


def _fork(number: int, item: Mapping[str, Any]) -> str:
    at = item["first_divergence"]
    a, b = item["text_a"], item["text_b"]
    if at is None:
        told = f"<summary>Prompt {number}: the same for {item['tokens']} tokens</summary>"
        return f"<details>{told}<pre>{escape(a)}</pre></details>"
    shared = a[: _common(a, b)]
    margins = ", ".join(
        f"{letter} prefers its own by {item[key]:.3g}"
        for letter, key in (("A", "margin_a"), ("B", "margin_b"))
        if item[key] is not None
    )
    shown = ("…" if len(shared) > _TAIL else "") + shared[-_TAIL:]
    branches = f"<pre>{escape(a[len(shared) :])}</pre>"
    branches += f'<pre class="b">{escape(b[len(shared) :])}</pre>'
    summary = f"Prompt {number}: they part at token {at}{'; ' if margins else ''}{margins}"
    return (
        f"<details{' open' if number <= 3 else ''}><summary>{escape(summary)}</summary>"
        f'<pre>{escape(shown)}</pre><div class="fork">{branches}</div></details>'
    )


def _common(a: str, b: str) -> int:
    """How many characters both begin with."""
    pairs = zip(a, b, strict=False)
    return next((at for at, (one, other) in enumerate(pairs) if one != other), min(len(a), len(b)))


def _vectors(vectors: Mapping[str, Any]) -> str:
    cosine, error = vectors["cosine"], vectors["relative_error"]
    rows = [
        ("texts", str(len(vectors["texts"]))),
        ("cosine, lowest", f"{cosine['min']:.6f}"),
        ("mean", f"{cosine['mean']:.6f}"),
        ("relative error, largest", f"{error['max']:.3g}"),
        ("mean", f"{error['mean']:.3g}"),
    ]
    plot = svg.plot(
        [svg.mark(n, item["relative_error"]) for n, item in enumerate(vectors["texts"], 1)],
        title="Relative error of the vectors by text",
        x_label="text",
        y_label="relative error",
    )
    inside = _section("In numbers", _pairs(rows)) + _section("Relative error by text", plot)
    return f'<div class="grid">{inside}</div>'


def _series(comparisons: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    """What all B have in common to be shown side by side, and each in full when opened."""
    if comparisons[0].get("text"):
        yield '<div class="grid">'
        yield from _overview(comparisons)
        yield "</div>"
        yield _section("Side by side", _series_table(comparisons))
    for item in comparisons:
        told = f"{escape(str(item['b']['name']))}: {item['verdict']}"
        inside = "\n".join(part for part in _comparison(item) if part)
        yield f'<details class="one"><summary>{told}</summary>\n{inside}\n</details>'


def _overview(comparisons: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    found = [(str(item["b"]["name"]), item["text"]["summary"]) for item in comparisons]
    bars = svg.bars(
        [(name, summary["kl"]["mean"]) for name, summary in found],
        title="Mean KL divergence from A",
    )
    yield _section("Mean KL divergence from A", bars)
    first = found[0][1]["perplexity"]["a"]
    values = [("A", first), *((name, summary["perplexity"]["b"]) for name, summary in found)]
    known = [(name, v["value"], v["error"] or 0.0) for name, v in values if v["value"] is not None]
    if known:
        plot = svg.intervals(known, title="Perplexity")
        note = "With standard errors, which all models share for the most part: it is one text. "
        yield _section("Perplexity", plot, note + "The ratio in the table is far surer.")


_SERIES = ("B", "mean KL", "99 %", "same likeliest", "perplexity", "ln ratio", "verdict")


def _series_table(comparisons: Sequence[Mapping[str, Any]]) -> str:
    head = "".join(f"<th>{title}</th>" for title in _SERIES)
    rows = []
    for item in comparisons:
        found = item["text"]["summary"]
        ratio, error = (found["perplexity"][key] for key in ("log_ratio", "log_ratio_error"))
        told = "unknown" if ratio is None else f"{ratio:.2g}" + (f" ± {error:.1g}" if error else "")
        values = (
            str(item["b"]["name"]),
            f"{found['kl']['mean']:.3g}",
            f"{found['kl']['p99']:.3g}",
            f"{found['top1']:.2%}",
            _with_error(found["perplexity"]["b"]),
            told,
            item["verdict"],
        )
        rows.append("".join(f"<td>{escape(value)}</td>" for value in values))
    body = "".join(f"<tr>{row}</tr>" for row in rows)
    return f'<div class="scroll"><table><tr>{head}</tr>{body}</table></div>'


def _study(document: Mapping[str, Any]) -> str:
    rows = [(item["name"], item["text"]["summary"]["kl"]["mean"]) for item in document["precision"]]
    plot = svg.bars(rows, title="Mean KL divergence from the base, by setting")
    head = "<tr><th>setting</th><th>mean KL</th><th>largest logit difference</th>"
    cells = "".join(_study_row(item) for item in document["precision"])
    table = f'<div class="scroll"><table>{head}<th>verdict</th></tr>{cells}</table></div>'
    base = f"The base: {' '.join(document['base'])}"
    return _section("Mean KL divergence from the base", plot, base) + _section("Settings", table)


def _study_row(item: Mapping[str, Any]) -> str:
    found = item["text"]["summary"]
    values = (
        f"{found['kl']['mean']:.3g}",
        f"{found['logits']['max']:.3g}",
        item["verdict"],
    )
    cells = "".join(f"<td>{escape(value)}</td>" for value in values)
    return f"<tr><td>{escape(item['name'])}</td>{cells}</tr>"
