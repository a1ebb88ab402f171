"""``ingot compare``: do two models, engines or machines give the same answers?"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click

from ingot.commands import json_option, print_json, print_text
from ingot.commands._text import table
from ingot.console import Console
from ingot.errors import AnswerNo, InputError, UsageError
from ingot.parity.compare import Request, compare
from ingot.parity.picture import draw
from ingot.parity.precision import study
from ingot.parity.report import page
from ingot.parity.text import TEXT, read_text
from ingot.parity.verdict import COMPATIBLE, WORDS, meets

_FILE = click.Path(path_type=Path)


@click.command(
    short_help="Say whether two models give the same answers.",
    epilog="Example: ingot compare model-f16.gguf model-q4.gguf --text book.txt --report r.html",
)
@click.argument("a")
@click.argument("others", metavar="B...", nargs=-1)
@click.option("--text", type=_FILE, help="UTF-8 text to compare over; a short one of Ingot's.")
@click.option("--prompt", "prompts", multiple=True, help="Continue this greedily; repeatable.")
@click.option("--prompts", "cuts", type=click.IntRange(0, 1000), default=0, metavar="N",
              help="Continue N prompts that are cut out of the text.")  # fmt: skip
@click.option("-n", "continued", type=click.IntRange(1, 4096), default=64, show_default=True,
              help="Tokens to continue each prompt by.")  # fmt: skip
@click.option("-c", "--context", type=click.IntRange(32, 1 << 20), default=512, show_default=True,
              help="Tokens of a window; the second half is scored.")  # fmt: skip
@click.option("--tokens", type=click.IntRange(0), default=2048, show_default=True,
              help="Tokens of the text to use; 0 for all.")  # fmt: skip
@click.option("--positions", type=click.IntRange(0), default=128, show_default=True,
              help="Scored positions where a side is a server; 0 for all.")  # fmt: skip
@click.option("--layers", type=click.IntRange(0, 512), default=32, show_default=True,
              help="Tokens to compare layer by layer; 0 for none.")  # fmt: skip
@click.option("--precision", is_flag=True, help="Compare A with itself under other settings.")
@click.option("--require", type=click.Choice(WORDS[:3]), default=COMPATIBLE, show_default=True,
              help="Exit code 1 if the verdict is worse.")  # fmt: skip
@click.option("--report", type=_FILE, help="Write an HTML page.")
@click.option("--png", type=_FILE, help="Write the plots as a picture.")
@json_option
def command(
    a: str,
    others: tuple[str, ...],
    text: Path | None,
    precision: bool,
    require: str,
    report: Path | None,
    png: Path | None,
    as_json: bool,
    **counts: Any,
) -> None:
    """Compare A and B token by token: A is what B is held to. Several B make one report.

    A side is an executable, a GGUF, a Hugging Face folder (safetensors), or the URL of a server
    of llama.cpp or llamafile. A GGUF may end in @ENGINE-VERSION; files in :cpu=MODULE and
    :gpu=KIND. The verdict is identical, equivalent, compatible or different.
    """
    if precision == bool(others):
        raise UsageError(
            "--precision compares one model with itself" if precision else "B is missing",
            hint="give A and B, or one of them and --precision",
        )
    for output in (report, png):
        _check_folder(output)
    request = Request(text=read_text(text or TEXT), **counts)
    progress = Console()
    document = study(a, request, progress) if precision else compare(a, others, request, progress)
    if report is not None:
        report.write_text(page(document), "utf-8")
    if png is not None:
        draw(document, png, progress)
    enough = meets(document["verdict"], require)
    if as_json:
        print_json(document)
        click.get_current_context().exit(0 if enough else 1)
    _show(document)
    if not enough:
        raise AnswerNo(
            f"the verdict is {document['verdict']}, and {require} is required",
            code="worse-than-required",
        )


def _check_folder(output: Path | None) -> None:
    """Said before the work, not after it."""
    if output is not None and not output.absolute().parent.is_dir():
        raise InputError(
            f"{output}: its folder does not exist",
            hint="create it, or write elsewhere",
            code="missing-folder",
        )


def _show(document: Mapping[str, Any]) -> None:
    if "precision" in document:
        print_text("\n".join(_study_lines(document)))
        return
    if "comparisons" in document:
        print_text("\n".join(_series_lines(document["comparisons"])))
        print_text(f"verdict: {document['verdict']}, the worst of them")
        return
    for part, lines in (
        ("text", _text_lines),
        ("layers", _layer_lines),
        ("greedy", _greedy_lines),
        ("embeddings", _vector_lines),
    ):
        if document.get(part):
            print_text("\n".join(lines(document[part])))
    print_text(f"verdict: {document['verdict']}")
    for reason in document["reasons"]:
        print_text(f"  {reason}")


def _text_lines(text: Mapping[str, Any]) -> list[str]:
    found = text["summary"]
    kl, perplexity = found["kl"], found["perplexity"]
    spread = f"mean {kl['mean']:.3g}  median {kl['median']:.3g}  99 % {kl['p99']:.3g}"
    rows = [
        ("positions", str(found["positions"])),
        ("KL divergence", f"{spread}  max {kl['max']:.3g}"),
        ("same likeliest token", f"{found['top1']:.2%}"),
        ("of the likeliest five", f"{found['top5']:.2%}"),
        ("perplexity", f"A {_with_error(perplexity['a'])}  B {_with_error(perplexity['b'])}"),
        ("logit difference", f"max {found['logits']['max']:.3g}  rms {found['logits']['rms']:.3g}"),
    ]
    return table(rows)


def _with_error(item: Mapping[str, float | None]) -> str:
    if item["value"] is None:
        return "unknown"
    return f"{item['value']:.4f}" + (f" ± {item['error']:.4f}" if item["error"] else "")


def _layer_lines(layers: list[Mapping[str, Any]]) -> list[str]:
    first, last = layers[0], layers[-1]
    ends = f"{first['relative_rms']:.3g} after layer {first['layer']}, "
    return table(
        [("relative difference", f"{ends}{last['relative_rms']:.3g} after layer {last['layer']}")]
    )


def _greedy_lines(greedy: Mapping[str, Any]) -> list[str]:
    count = len(greedy["prompts"])
    if not greedy["diverged"]:
        return table([("greedy texts", f"the same for {count} prompts")])
    at = greedy["first_divergence"]
    told = f"{greedy['diverged']} of {count} part; at token {at['min']} to {at['max']}"
    return table([("greedy texts", f"{told}, the middle one at {at['quartiles'][1]:g}")])


def _vector_lines(vectors: Mapping[str, Any]) -> list[str]:
    cosine, error = vectors["cosine"], vectors["relative_error"]
    return table(
        [
            ("texts", str(len(vectors["texts"]))),
            ("cosine", f"lowest {cosine['min']:.6f}  mean {cosine['mean']:.6f}"),
            ("relative error", f"largest {error['max']:.3g}  mean {error['mean']:.3g}"),
        ]
    )


def _study_lines(document: Mapping[str, Any]) -> list[str]:
    rows = [("setting", "mean KL", "max logit difference", "same likeliest", "verdict")]
    for item in document["precision"]:
        found = item["text"]["summary"]
        numbers = (f"{found['kl']['mean']:.3g}", f"{found['logits']['max']:.3g}")
        rows.append((item["name"], *numbers, f"{found['top1']:.2%}", item["verdict"]))
    return table(rows, right=(1, 2, 3))


def _series_lines(comparisons: list[Mapping[str, Any]]) -> list[str]:
    if comparisons[0]["embeddings"]:
        return _vector_series(comparisons)
    rows = [("B", "mean KL", "same likeliest", "perplexity", "verdict")]
    for item in comparisons:
        found = item["text"]["summary"]
        numbers = (f"{found['kl']['mean']:.3g}", f"{found['top1']:.2%}")
        perplexity = _with_error(found["perplexity"]["b"])
        rows.append((item["b"]["name"], *numbers, perplexity, item["verdict"]))
    told = _with_error(comparisons[0]["text"]["summary"]["perplexity"]["a"])
    return [*table(rows, right=(1, 2, 3)), f"perplexity of A: {told}"]


def _vector_series(comparisons: list[Mapping[str, Any]]) -> list[str]:
    rows = [("B", "lowest cosine", "largest relative error", "verdict")]
    for item in comparisons:
        vectors = item["embeddings"]
        numbers = (f"{vectors['cosine']['min']:.6f}", f"{vectors['relative_error']['max']:.3g}")
        rows.append((item["b"]["name"], *numbers, item["verdict"]))
    return table(rows, right=(1, 2))
