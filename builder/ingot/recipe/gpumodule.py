"""GPU modules: compiled by the runtime's own program, kept in the cache, put into executables.

What is compiled and how is decided in one place, the program's `recompile` verb: the same that
compiles a module on a user's machine. Here are only the call, and the cache around it.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ingot import process
from ingot.bundle.deflate import read_small
from ingot.bundle.inputs import FileRegion
from ingot.bundle.manifest import GpuFacts, parse_gpu
from ingot.console import NullProgress, Progress, Step, roughly
from ingot.engine.gpusources import ARCHIVE
from ingot.engine.image import RuntimeImage
from ingot.engine.pin import DEFAULT_TARGET, Sources
from ingot.engine.runtime import choose_target
from ingot.errors import IntegrityError, ToolchainError
from ingot.gguf.join import Weights
from ingot.paths import cache_dir, ensure_entry, make_folder
from ingot.recipe.gpu import CudaWish
from ingot.toolchain import cuda, zig
from ingot.toolchain.packages import sha256_of, tool_folder

CUDA_MODULE = "ggml-cuda.so"
RECORD = "module.json"
LICENCE = "licence.txt"
_RECIPE = "2"  # raise it when this file changes what a module is made from
# Units done, of all, seconds of one core that they stand for, the unit that ended last.
_PROGRESS = re.compile(r"\[(\d+)/(\d+)\] (\d+)/(\d+) (.*)")


@dataclass(frozen=True)
class GpuModule:
    """A compiled module and what is known about it. Executables have it under its file's name.

    ``licence`` is the text that they must carry with it, if it holds code of others.
    """

    path: Path
    sha256: str
    facts: GpuFacts
    licence: Path | None = None


@dataclass(frozen=True)
class Compiler:
    """nvcc, and the C++ compiler that it uses."""

    toolkit: cuda.Toolkit
    host: cuda.Host


def find_compiler(sources: Sources) -> Compiler:
    """What this machine compiles CUDA with.

    Raises ToolchainError: ``no-cuda-toolkit`` or ``no-host-compiler``.
    """
    search = cuda.find(sources.tools)
    if search.toolkit is None:
        raise ToolchainError(
            "; ".join(("there is no CUDA toolkit", *search.problems)),
            hint=cuda.INSTALL_HINT,
            code="no-cuda-toolkit",
        )
    gxx = shutil.which("g++")
    host = cuda.choose_host(search.toolkit.version, Path(gxx) if gxx else None)
    return Compiler(search.toolkit, host)


def ensure_cuda(
    wish: CudaWish,
    compiler: Compiler,
    runtime: RuntimeImage,
    model: Weights,
    sources: Sources,
    progress: Progress,
) -> GpuModule:
    """The CUDA module of ``runtime`` for ``model``, compiled if the cache has none.

    The first time takes minutes; units that another module has in common are not compiled again.
    Raises ToolchainError.
    """
    wish = wish.resolved(compiler.toolkit.version)
    host = _host_program(compiler.host, sources, progress)
    folder = _folder(wish, compiler, host, runtime, model)
    if not is_whole(folder, CUDA_MODULE):
        with progress.step(f"Compiling the CUDA module ({wish.covers})") as step:
            argv = _argv(wish, compiler, host, runtime, model)
            ensure_entry(
                folder,
                lambda temporary: _compile(temporary, argv, compiler, runtime, step),
                on_wait=lambda: step.update(0, None, "waiting for another run that compiles it"),
                keep=lambda entry: is_whole(entry, CUDA_MODULE),
            )
    return load_module(folder, CUDA_MODULE)


def kept_cuda(
    wish: CudaWish, compiler: Compiler, runtime: RuntimeImage, model: Weights, sources: Sources
) -> GpuModule | None:
    """The module that ``ensure_cuda`` would return, if that takes no compiling and no fetching."""
    if compiler.host.path is None and not tool_folder(sources.tools.packages["ziglang"]).is_dir():
        return None
    wish = wish.resolved(compiler.toolkit.version)
    host = _host_program(compiler.host, sources, NullProgress())
    folder = _folder(wish, compiler, host, runtime, model)
    return load_module(folder, CUDA_MODULE) if is_whole(folder, CUDA_MODULE) else None


def sources_digest(runtime: RuntimeImage) -> str:
    """sha256 of what GPU modules of ``runtime`` are compiled from, as executables carry it.

    Raises ToolchainError ``no-gpu-sources`` where there is nothing.
    """
    return sha256_of(_sources(runtime))


def _sources(runtime: RuntimeImage) -> Path:
    for name, path in runtime.sources:
        if name == ARCHIVE:
            return path
    raise ToolchainError(
        f"there are no sources of GPU modules for {runtime.target}",
        hint="build with --gpu none",
        code="no-gpu-sources",
    )


def _host_program(host: cuda.Host, sources: Sources, progress: Progress) -> Path:
    if host.path is not None:
        return host.path
    compiler = zig.install(sources.tools.packages["ziglang"], progress)
    return zig.cuda_host(compiler, choose_target(sources, DEFAULT_TARGET))


def _folder(
    wish: CudaWish, compiler: Compiler, host: Path, runtime: RuntimeImage, model: Weights
) -> Path:
    return cache_dir() / "gpu-modules" / _request_key(wish, compiler, host, runtime, model)


def _request_key(
    wish: CudaWish, compiler: Compiler, host: Path, runtime: RuntimeImage, model: Weights
) -> str:
    """Everything that a module depends on, known before it is compiled.

    The model counts by its header: the kernels that it needs follow from types and shapes.
    """
    status = host.resolve().stat()
    facts = {
        "recipe": _RECIPE,
        "runtime": runtime.identity["key"],
        "archs": wish.archs,
        "ptx": wish.ptx,
        "nvcc": compiler.toolkit.version,
        "host": [str(host.resolve()), status.st_size, status.st_mtime_ns],
        "model": hashlib.sha256(_header(model)).hexdigest(),
    }
    return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()


def _header(model: Weights) -> bytes:
    first = model.segments[0]
    if not isinstance(first, FileRegion):
        return first
    return read_small([FileRegion(first.path, first.offset, model.gguf.data_at)])


def cores() -> int:
    """How many units are compiled at a time."""
    return len(os.sched_getaffinity(0))


def expected(cpu_seconds: float) -> str:
    """``about 12 min on 2 cores``: how long a compilation of so many seconds of one core takes."""
    used = cores()
    return f"about {roughly(cpu_seconds / used)} on {used} core{'s' * (used > 1)}"


def _argv(
    wish: CudaWish, compiler: Compiler, host: Path, runtime: RuntimeImage, model: Weights
) -> list[str | Path]:
    """The call, but for ``--output``."""
    argv: list[str | Path] = [runtime.program, "recompile"]
    argv += ["--sources", _sources(runtime)]
    for arch in wish.archs:
        argv += ["--arch", arch]
    argv += ["--ptx"] if wish.ptx else []
    argv += ["-m", model.files[0], "--nvcc", compiler.toolkit.nvcc, "--host-compiler", host]
    argv += ["--jobs", str(cores())]
    return [*argv, "--object-cache", make_folder(cache_dir() / "gpu-objects"), "--json"]


def _compile(
    folder: Path, argv: list[str | Path], compiler: Compiler, runtime: RuntimeImage, step: Step
) -> None:
    def follow(line: str) -> None:
        seen = _PROGRESS.fullmatch(line)
        if seen:
            done, work = float(seen[3]), float(seen[4])
            step.update(done, work, f"{seen[1]}/{seen[2]} {seen[5] or expected(work - done)}")

    module = folder / CUDA_MODULE
    log = cache_dir() / "logs" / "cuda-module.log"
    log.unlink(missing_ok=True)
    done = process.run(
        [*argv, "--output", module],
        log=log,
        on_line=follow,
        check=False,
        what="the compilation of the CUDA module",
    )
    if done.status:
        raise _failure(done)
    said = _document(done)
    try:
        facts = parse_gpu(
            {
                "kind": "cuda",
                "archs": said.get("archs"),
                "ptx": said.get("ptx"),
                "key": said.get("key"),
                "sources": sources_digest(runtime),
                "toolkit": said.get("toolkit"),
                "host_compiler": said.get("host_compiler"),
            }
        )
    except IntegrityError as error:
        raise _unexpected(done) from error
    if not module.is_file() or not module.stat().st_size:
        raise _unexpected(done)
    (folder / LICENCE).write_text(cuda.runtime_license(compiler.toolkit), "utf-8")
    write_record(module, facts)


def _document(done: process.Completed) -> dict[str, Any]:
    """The JSON document on stdout. stderr is mixed into it here, but never within it: the
    document is written at the end.
    """
    text = "\n".join(done.lines)
    start = 0 if text.startswith("{") else text.find("\n{") + 1
    try:
        document, _end = json.JSONDecoder().raw_decode(text, start)
    except ValueError as error:
        raise _unexpected(done) from error
    if not isinstance(document, dict):
        raise _unexpected(done)
    return document


def _unexpected(done: process.Completed) -> ToolchainError:
    return ToolchainError(
        "the runtime's program did not say what it compiled",
        hint=f"the full log is {done.log}",
        code="gpu-module-failed",
    )


def _failure(done: process.Completed) -> ToolchainError:
    """What the program said, in its own words: its last ``error:`` and ``hint:`` lines."""
    said = {}
    for line in done.lines:
        kind, colon, text = line.partition(": ")
        if colon and kind in ("error", "hint"):
            said[kind] = text
    message = said.get("error") or "\n    ".join(
        (f"exit status {done.status}", *process.useful_lines(done.lines))
    )
    hints = (said.get("hint"), f"the full log is {done.log}")
    return ToolchainError(
        f"the CUDA module could not be compiled: {message}",
        hint="; ".join(hint for hint in hints if hint),
        code="gpu-module-failed",
    )


def write_record(module: Path, facts: GpuFacts) -> None:
    """Make the folder of ``module`` an entry of the cache, complete."""
    record = {"sha256": sha256_of(module), "gpu": facts.to_json()}
    (module.parent / RECORD).write_text(json.dumps(record, indent=1) + "\n", "utf-8")


def is_whole(folder: Path, name: str) -> bool:
    """Is the module ``name`` there, with its record, and as it was made?"""
    try:
        module = load_module(folder, name)
        return module.path.stat().st_size > 0 and sha256_of(module.path) == module.sha256
    except (OSError, ValueError, KeyError, TypeError, IntegrityError):
        return False


def load_module(folder: Path, name: str) -> GpuModule:
    """A module of the cache. The writer compares its hash while it is copied."""
    record = json.loads((folder / RECORD).read_text("utf-8"))
    licence = folder / LICENCE
    return GpuModule(
        folder / name,
        str(record["sha256"]),
        parse_gpu(record["gpu"]),
        licence if licence.is_file() else None,
    )
