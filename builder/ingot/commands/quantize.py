"""``ingot quantize``: a smaller model out of a GGUF."""

from __future__ import annotations

from collections import Counter
from dataclasses import asdict
from pathlib import Path

import click

from ingot.commands import json_option, print_json, print_text
from ingot.commands._outputs import OUTPUT
from ingot.commands._text import table
from ingot.console import Console, size
from ingot.engine.judge import Files, judge_model
from ingot.engine.kernels import engine_file
from ingot.engine.runtime import ensure_runtime
from ingot.models.quantize import Quantized, check, quantize, type_named
from ingot.recipe.workbench import ensure_workbench

_FILE = click.Path(path_type=Path)


@click.command(
    short_help="Make a smaller model out of a GGUF.",
    epilog="Example: ingot quantize model-f16.gguf model-iq3.gguf IQ3_M --imatrix text.txt",
)
@click.argument("source", metavar="IN", type=_FILE)
@click.argument("output", metavar="OUT", type=OUTPUT)
@click.argument("kind", metavar="TYPE")
@click.option(
    "--imatrix",
    type=_FILE,
    help="What matters more: a text to compute an importance matrix from, or one that is ready.",
)
@click.option("--threads", type=click.IntRange(1, 1024), help="Default: one per processor.")
@click.option("--requantize", is_flag=True, help="Even if IN is quantised already.")
@click.option("--force", is_flag=True, help="Replace an existing OUT.")
@json_option
def command(
    source: Path,
    output: Path,
    kind: str,
    imatrix: Path | None,
    threads: int | None,
    requantize: bool,
    force: bool,
    as_json: bool,
) -> None:
    """Quantise the GGUF IN to TYPE, such as Q4_K_M or IQ3_XS, and write OUT.

    IN should be F16, BF16 or F32. The smallest types need --imatrix, the others gain by it.
    """
    chosen = type_named(kind)
    weights = check(source, output, chosen, imatrix, requantize=requantize, force=force)
    progress = Console()
    runtime = ensure_runtime(progress)
    with engine_file(weights) as file:  # what the engine cannot run is not made smaller
        judge_model(runtime, Files((file, str(source))))
    program = ensure_workbench(runtime, progress)
    done = quantize(
        program,
        weights,
        output,
        chosen,
        progress,
        imatrix=imatrix,
        threads=threads,
        requantize=requantize,
    )
    if as_json:
        document = {**asdict(done), "path": str(done.path)}
        print_json({**document, "bits_per_weight": done.bits_per_weight})
        return
    _show(done)


def _show(done: Quantized) -> None:
    before, after = size(done.size_before), size(done.size_after)
    print_text(f"{done.path}  {after}, was {before}; {done.bits_per_weight:.2f} bits per weight")
    counts: Counter[tuple[str, str]] = Counter()
    stored: Counter[tuple[str, str]] = Counter()
    for change in done.changes:
        counts[change.before, change.after] += 1
        stored[change.before, change.after] += change.size_after
    rows = [
        (old, "to", new, str(counts[old, new]), size(stored[old, new]))
        for old, new in sorted(counts, key=lambda pair: -stored[pair])
    ]
    print_text("\n".join(f"  {line}" for line in table(rows, right=(3, 4))))
