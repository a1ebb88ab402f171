"""``ingot convert --to llama`` against copying the folder: the same bytes, in another order."""

from __future__ import annotations

import shutil
from functools import partial

from tests.bench.case import INGOT, Bench, Command, Row
from tests.bench.measure import alternate, back_memory, durable, peak_memory, seconds
from tests.models.large import Shape, write_internlm2

_SYNCED = 'cp -r "$1" "$2" && sync "$2"/*'
SHAPE = Shape(layers=6)  # of InternLM2 7B: its widths and its vocabulary, fewer layers


def bench_convert(bench: Bench) -> list[Row]:
    """4 GB in two files, source in the page cache, both ends on one file system."""
    source = bench.folder / "internlm2"
    size = write_internlm2(source, SHAPE, shards=2, filled=True)
    for path in source.iterdir():
        durable(path)
    out, copied = bench.folder / "llama", bench.folder / "copy"
    ingot: Command = [*INGOT, "convert", "--to", "llama", source, out]

    def timed(argv: Command) -> float:
        for folder in (out, copied):
            shutil.rmtree(folder, ignore_errors=True)
        back_memory()
        return seconds(argv)

    rows = []
    peers: tuple[tuple[str, Command, str], ...] = (
        ("cp -r", ["cp", "-r", source, copied], "at most 1.5"),
        ("cp -r and sync", ["sh", "-c", _SYNCED, "sh", source, copied], ""),
    )
    for label, peer, aim in peers:
        pair = alternate(partial(timed, ingot), partial(timed, peer), runs=5)
        rows.append(
            Row(
                f"`ingot convert --to llama`, {size / 1e9:.1f} GB, against {label}",
                f"{pair.a:.2f} s",
                f"{pair.b:.2f} s",
                f"{pair.ratio:.2f}",
                aim,
            )
        )
    shutil.rmtree(out, ignore_errors=True)
    peak = peak_memory(ingot)
    rows.append(Row("peak memory of that conversion", f"{peak / 1e6:.0f} MB", "", "", "under 1 GB"))
    for folder in (source, out, copied):
        shutil.rmtree(folder, ignore_errors=True)
    return rows
