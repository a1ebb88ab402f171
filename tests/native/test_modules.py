"""CPU modules: hashed before they are used, tested in a child, and dropped when they fail."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest

from ingot.console import NullProgress
from ingot.engine.image import RuntimeImage
from ingot.engine.pin import load_sources
from ingot.engine.runtime import choose_target
from ingot.toolchain import zig
from tests.conftest import Cast, Run
from tests.models import DEMO

ARGS = ("-p", "def f(", "-n", "6", "--temp", "0")


def levels_that_run(exe: Path, run: Run) -> list[str]:
    """Levels of this executable that this CPU can run, by asking each alone."""
    names = [
        e["name"]
        for e in json.loads(run(exe, "info", "--json").stdout)["entries"]
        if e["role"] == "module"
    ]
    levels = [Path(name).stem.removeprefix("ggml-cpu-") for name in names]
    verbose = {
        level: run(exe, *ARGS, "-v", env={**os.environ, "INGOT_CPU": level}).stderr
        for level in levels
    }
    return [level for level, text in verbose.items() if f"CPU module: {level}".encode() in text]


@pytest.fixture
def sabotaged(runtime_image: RuntimeImage, tmp_path: Path) -> RuntimeImage:
    """A runtime whose modules are private copies that a test may replace."""
    folder = tmp_path / "modules"
    folder.mkdir()
    copies = tuple(
        Path(shutil.copy(module, folder / module.name)) for module in runtime_image.modules
    )
    return replace(runtime_image, modules=copies)


@pytest.fixture(scope="session")
def compiler() -> Path:
    """The pinned C compiler for this target, which built the runtime and so is in the cache."""
    sources = load_sources()
    installed = zig.install(sources.tools.packages["ziglang"], NullProgress())
    return zig.wrappers(installed, choose_target(sources)) / "cc"


def compile_module(compiler: Path, source: str, to: Path) -> None:
    """Replace ``to`` by a shared library of one C source."""
    code = to.with_suffix(".c")
    code.write_text(source)
    to.unlink()
    subprocess.run([compiler, "-shared", "-fPIC", "-o", to, code], check=True)
    code.unlink()


def test_every_level_that_this_cpu_runs_gives_the_same_greedy_text(hello: Path, run: Run) -> None:
    levels = levels_that_run(hello, run)
    assert "haswell" in levels
    texts = {
        run(hello, *ARGS, env={**os.environ, "INGOT_CPU": level}).stdout
        for level in [*levels, "none"]
    }
    assert len(texts) == 1 and texts != {b""}


@pytest.mark.parametrize(
    ("source", "reason"),
    [
        ("void *ggml_backend_init(void) { *(volatile int *)0 = 1; return 0; }", b"it crashed"),
        ("void *ggml_backend_init(void) { return 0; }", b"wrong results"),
        (
            "void exit(int); void _exit(int); void *ggml_backend_init(void) { _exit(0); }",
            b"wrong results",
        ),
        ("int something_else;", b"wrong results"),
    ],
    ids=["crashes", "gives nothing", "exits early", "lacks the symbol"],
)
def test_a_bad_module_is_dropped_with_one_line_and_the_next_one_serves(
    hello: Path,
    sabotaged: RuntimeImage,
    compiler: Path,
    cast: Cast,
    run: Run,
    source: str,
    reason: bytes,
) -> None:
    best = best_level(hello, run)
    compile_module(
        compiler, source, next(m for m in sabotaged.modules if m.stem == f"ggml-cpu-{best}")
    )
    done = run(cast(DEMO, runtime=sabotaged), *ARGS)
    assert done.returncode == 0, done.stderr
    assert done.stdout == run(hello, *ARGS).stdout
    lines = done.stderr.splitlines()
    assert len(lines) == 1 and lines[0].startswith(
        f"note: CPU module {best} is not used: ".encode()
    )
    assert reason in lines[0]


def test_a_module_that_computes_wrongly_is_found_out(
    hello: Path, sabotaged: RuntimeImage, cast: Cast, run: Run
) -> None:
    best = best_level(hello, run)
    path = next(m for m in sabotaged.modules if m.stem == f"ggml-cpu-{best}")
    # The value table of IQ4_NL (ggml-common.h): with other numbers its products are wrong. The
    # demo model has no such tensors; naming another model has every type tested.
    table = bytes(
        value & 0xFF
        for value in (-127, -104, -83, -65, -49, -35, -22, -10, 1, 13, 25, 38, 53, 69, 89, 113)
    )
    code = path.read_bytes()
    assert table in code
    path.chmod(0o644)
    path.write_bytes(code.replace(table, table[::-1]))
    exe = cast(DEMO, runtime=sabotaged)
    assert run(exe, *ARGS).stderr == b""
    done = run(exe, "-m", DEMO, *ARGS)
    assert done.returncode == 0
    assert f"CPU module {best} is not used: it computed wrong results".encode() in done.stderr


def best_level(exe: Path, run: Run) -> str:
    text = run(exe, *ARGS, "-v").stderr.decode(errors="replace")
    return (
        next(line for line in text.splitlines() if "CPU module: " in line)
        .split("CPU module: ")[1]
        .strip()
    )


def test_an_altered_module_is_refused_at_start(hello: Path, run: Run, tmp_path: Path) -> None:
    copy = Path(shutil.copy(hello, tmp_path / "hello"))
    entries = json.loads(run(hello, "info", "--json").stdout)["entries"]
    with copy.open("r+b") as file:
        for entry in entries:
            if entry["role"] == "module":
                file.seek(entry["offset"] + entry["size"] // 2)
                byte = file.read(1)
                file.seek(-1, os.SEEK_CUR)
                file.write(bytes([byte[0] ^ 0x40]))
    done = run(copy, *ARGS)
    assert done.returncode == 5 and done.stdout == b""
    assert b"was altered" in done.stderr and b"modules/" in done.stderr and b"hint:" in done.stderr
