"""``ingot compare`` of two models against the engine's own perplexity of each: the same tokens."""

from __future__ import annotations

from ingot.parity.text import TEXT
from tests.bench import synthetic
from tests.bench.case import INGOT, Bench, Command, Row
from tests.bench.measure import alternate, processor_seconds

TOKENS, CONTEXT = 2048, 512


def bench_compare(bench: Bench) -> list[Row]:
    """Two Q4_K_M files of 1B shape. The engine's runs are of the same program, without logits."""
    # The same weights, because 'different' is an exit code; what is computed depends on sizes only.
    models = [synthetic.write_llama(bench.folder / f"{name}.gguf") for name in "ab"]
    text = bench.folder / "text.txt"
    text.write_text(TEXT.read_text("utf-8") * 4, "utf-8")
    ingot: Command = [*INGOT, "compare", *models, "--text", text, "--json"]
    ingot += ["--tokens", str(TOKENS), "-c", str(CONTEXT)]
    options = ["-c", str(CONTEXT), "--chunks", str(TOKENS // CONTEXT), "--gpu", "none"]
    engine: list[Command] = [
        [bench.hello, "perplexity", "-m", model, "-f", text, *options] for model in models
    ]
    pair = alternate(
        lambda: processor_seconds(ingot),
        lambda: sum(processor_seconds(command) for command in engine),
        runs=5,
    )
    for path in models:
        path.unlink()
    what = f"`ingot compare`, two files of 1B shape, {TOKENS} tokens: processor time"
    return [
        Row(
            f"{what}, against the engine's own perplexity of both",
            f"{pair.a:.1f} s",
            f"{pair.b:.1f} s",
            f"{pair.ratio:.2f}",
            "at most 1.1",
        )
    ]
