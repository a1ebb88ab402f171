"""`./dev bench [NAME …]`: measures and prints a Markdown table.

    build     writing an executable against copying its GGUF
    start     exec to first token against the engine's own completion; `info`; overhead in bytes
    speed     tokens per second against the same engine compiled natively by gcc
    memory    pages of the weights shared by two processes
    convert   a checkpoint of 4 GB in another layout against copying its folder
    compare   comparing two models against the engine's own perplexity of both
    kernels   a CUDA module for one model against upstream's whole (20 minutes; only by name)

Nothing here is a test: numbers depend on the machine, which the table names.
"""

from __future__ import annotations

import json
import os
import platform
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

from ingot.console import Console
from ingot.engine.fetch import engine_source
from ingot.engine.pin import load_sources
from ingot.engine.runtime import ensure_runtime
from ingot.recipe.build import build
from ingot.recipe.plan import Artefact
from tests.bench import checkpoints, kernels, parity, synthetic
from tests.bench.case import INGOT, THREADS, Bench, Command, Row
from tests.bench.measure import (
    alternate,
    back_memory,
    durable,
    peak_memory,
    seconds,
    seconds_to_first_byte,
)
from tests.models import DEMO
from tests.serving import mapped_bytes, serving


def bench_build(bench: Bench) -> list[Row]:
    """4 GiB, source in the page cache, both ends on one file system."""
    gguf = synthetic.write_of_size(bench.folder / "four.gguf")
    size = gguf.stat().st_size
    output, copied = bench.folder / "four", bench.folder / "four.copy"
    ingot: Command = [*INGOT, "build", gguf, "-o", output, "--force", "--gpu", "none"]

    def ours() -> float:
        output.unlink(missing_ok=True)
        back_memory()
        return seconds(ingot)

    def cp() -> float:
        copied.unlink(missing_ok=True)
        back_memory()
        return seconds(["cp", "--reflink=auto", gguf, copied])

    def cp_durable() -> float:
        copied.unlink(missing_ok=True)
        back_memory()
        return seconds(
            ["sh", "-c", 'cp --reflink=auto "$1" "$2" && sync "$2"', "sh", str(gguf), str(copied)]
        )

    durable(gguf)
    rows = []
    for label, peer, aim in (
        ("cp", cp, "at most 1.25"),
        ("cp and sync", cp_durable, ""),
    ):
        pair = alternate(ours, peer, runs=5)
        rows.append(
            Row(
                f"`ingot build`, {size / 2**30:.2f} GiB, against {label}",
                f"{pair.a:.2f} s",
                f"{pair.b:.2f} s",
                f"{pair.ratio:.2f}",
                aim,
            )
        )
    rows.append(
        Row(
            "peak memory of that build",
            f"{peak_memory(ingot) / 1e6:.0f} MB",
            "",
            "",
            "under 256 MB",
        )
    )
    for path in (gguf, output, copied):
        path.unlink(missing_ok=True)
    return rows


def bench_start(bench: Bench) -> list[Row]:
    """Everything that is not the model shows on the demo model; the 1B shape is the usual case."""
    large = synthetic.write_llama(bench.folder / "start.gguf")
    rows = [
        _first_token(bench, "7M demo", bench.hello, DEMO, runs=21),
        _first_token(bench, "1B shape", bench.cast(large, "start"), large, runs=9),
    ]
    info = alternate(lambda: seconds([bench.hello, "info"]), lambda: seconds(["true"]), runs=21)
    overhead = bench.hello.stat().st_size - DEMO.stat().st_size
    return [
        *rows,
        Row("`./hello info`, against `true`", ms(info.a), ms(info.b), "", "under 30 ms"),
        Row(
            "executable minus its GGUF (web page, all CPU modules)",
            f"{overhead / 1e6:.1f} MB",
            "",
            "",
            "under 25 MB",
        ),
    ]


def _first_token(bench: Bench, label: str, exe: Path, gguf: Path, runs: int) -> Row:
    settings = ["-p", "def add(a, b):", "-n", "8", "--temp", "0", "--ignore-eos", "-t", THREADS]
    quiet = ["--no-display-prompt", "-no-cnv", "--simple-io", "--no-perf"]
    ours: Command = [exe, *settings]
    theirs: Command = [bench.peer().completion, "-m", gguf, *quiet, *settings]
    pair = alternate(
        lambda: seconds_to_first_byte(ours), lambda: seconds_to_first_byte(theirs), runs=runs
    )
    what = f"exec to first token, {label}, against the engine's own `completion -m`"
    return Row(what, ms(pair.a), ms(pair.b), f"{pair.ratio:.2f}", "at most 1.05")


def ms(value: float) -> str:
    return f"{value * 1e3:.1f} ms"


def tokens_per_second(
    argv: Sequence[str | os.PathLike[str]], env: dict[str, str] | None = None
) -> dict[str, float]:
    """Average tokens/s of prompt ("pp") and generation ("tg") as llama-bench measures them."""
    done = subprocess.run(argv, check=True, capture_output=True, env={**os.environ, **(env or {})})
    return {
        "pp" if row["n_gen"] == 0 else "tg": float(row["avg_ts"]) for row in json.loads(done.stdout)
    }


def bench_speed(bench: Bench) -> list[Row]:
    large = synthetic.write_llama(bench.folder / "one-b.gguf")
    models = [
        ("demo (7M, BF16)", DEMO, bench.hello, 512, 128),
        ("1B shape (Q4_K_M)", large, bench.cast(large, "one-b"), 128, 32),
    ]
    peer = bench.peer().bench
    rows = []
    for label, gguf, exe, prompt, generate in models:
        settings = ["-p", str(prompt), "-n", str(generate), "-r", "2", "-t", THREADS, "-o", "json"]
        for level, name in (("", "best module"), ("cooperlake", "without AMX")):
            env = {"INGOT_CPU": level} if level else {}
            measured: dict[str, list[tuple[float, float]]] = {"pp": [], "tg": []}
            for _ in range(3):
                ours = tokens_per_second([exe, "bench", *settings], env)
                theirs = tokens_per_second([peer, "-m", gguf, *settings])
                for kind in measured:
                    measured[kind].append((ours[kind], theirs[kind]))
            rows += [_speed_row(label, name, kind, pairs) for kind, pairs in measured.items()]
    large.unlink()
    return rows


def _speed_row(model: str, module: str, kind: str, pairs: list[tuple[float, float]]) -> Row:
    from statistics import median

    what = "prompt" if kind == "pp" else "generation"
    aim = (
        "at least 1.5 with AMX"
        if (kind, module, model[:2]) == ("pp", "best module", "1B")
        else "at least 0.98"
    )
    return Row(
        f"{what}, {model}, {module}, against gcc native",
        f"{median(a for a, _ in pairs):.1f} t/s",
        f"{median(b for _, b in pairs):.1f} t/s",
        f"{median(a / b for a, b in pairs):.2f}",
        aim,
    )


def bench_memory(bench: Bench) -> list[Row]:
    with serving(bench.hello) as one, serving(bench.hello) as two:
        shared, private = zip(
            *(mapped_bytes(server.process.pid, bench.hello) for server in (one, two)), strict=True
        )
    weights = DEMO.stat().st_size
    return [
        Row(
            "weights mapped by each of two processes: shared, private",
            f"{min(shared) / 1e6:.1f} MB, {max(private) / 1e6:.1f} MB",
            f"GGUF {weights / 1e6:.1f} MB",
            "",
            "shared",
        )
    ]


def bench_kernels(bench: Bench) -> list[Row]:
    """Compiling for one architecture; nothing is run. Needs nvcc and g++."""
    nvcc = shutil.which("nvcc")
    if nvcc is None:
        raise SystemExit("the benchmark 'kernels' needs nvcc in PATH")
    engine = engine_source(load_sources().engine, bench.console)
    include = load_sources().native / "cuda" / "include"
    ours = kernels.specialised(bench.runtime, nvcc, bench.folder)
    print(f"specialised: {ours}", file=sys.stderr)
    peer = kernels.whole(engine, include, nvcc, bench.folder)
    what = (
        f"CUDA module for an IQ2_S, Q4_K, Q6_K Llama, sm_{kernels.ARCHITECTURE}, against all of it"
    )
    cpu, size = (ours[key] / peer[key] for key in ("cpu_seconds", "bytes"))
    return [
        Row(
            f"{what}: CPU time",
            f"{ours['cpu_seconds']:.0f} s",
            f"{peer['cpu_seconds']:.0f} s",
            f"{cpu:.3f}",
            "at most 0.1",
        ),
        Row(
            f"{what}: size",
            f"{ours['bytes'] / 1e6:.1f} MB",
            f"{peer['bytes'] / 1e6:.1f} MB",
            f"{size:.3f}",
            "under 15 MB",
        ),
    ]


CASES: dict[str, Callable[[Bench], list[Row]]] = {
    "build": bench_build,
    "start": bench_start,
    "speed": bench_speed,
    "memory": bench_memory,
    "convert": checkpoints.bench_convert,
    "compare": parity.bench_compare,
    "kernels": bench_kernels,
}
ONLY_BY_NAME = ("kernels",)


def machine() -> str:
    model = next(
        (
            line.split(":")[1].strip()
            for line in Path("/proc/cpuinfo").read_text().splitlines()
            if line.startswith("model name")
        ),
        platform.machine(),
    )
    return (
        f"{model}, {os.cpu_count()} cores, {platform.system()} {platform.release().split('-')[0]}"
    )


def main(names: Sequence[str]) -> int:
    unknown = [name for name in names if name not in CASES]
    if unknown:
        print(f"unknown benchmark {unknown[0]!r}; there are: {', '.join(CASES)}", file=sys.stderr)
        return 2
    chosen = names or [name for name in CASES if name not in ONLY_BY_NAME]
    console = Console()
    runtime = ensure_runtime(console)
    with tempfile.TemporaryDirectory(
        prefix="ingot-bench-", dir=os.environ.get("INGOT_BENCH_DIR")
    ) as folder:
        scratch = Path(folder)
        hello = build(
            Artefact(model=DEMO, output=scratch / "hello", name="hello"), runtime, console
        ).path
        bench = Bench(scratch, runtime, hello, console)
        rows = [row for name in chosen for row in CASES[name](bench)]
    print(f"Machine: {machine()}; {THREADS} threads.\n")
    print("| what | Ingot | peer | ratio | aim |\n|---|---|---|---|---|")
    for row in rows:
        print(f"| {row.what} | {row.ours} | {row.peer} | {row.ratio} | {row.aim} |")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
