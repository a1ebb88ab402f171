"""What this machine offers to a build: facts first, then a judgement of them.

Probes look and change nothing; ``judge`` is pure and gives its reasons. ``ingot doctor`` prints
both.
"""

from __future__ import annotations

import os
import platform
import shutil
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from ingot import process
from ingot.console import size
from ingot.engine.fetch import engine_folder
from ingot.engine.pin import DEFAULT_TARGET, Sources
from ingot.engine.runtime import choose_target, is_carried, runtime_folder, runtime_key
from ingot.errors import ToolchainError
from ingot.paths import cache_dir, folder_size
from ingot.toolchain import cuda
from ingot.toolchain.packages import host_name, tool_folder
from ingot.toolchain.pip import pip_command

# Instruction sets that CPU modules differ in, as /proc/cpuinfo spells them.
CPU_FEATURES = (
    *("sse4_2", "avx", "f16c", "fma", "bmi2", "avx2", "avx_vnni"),
    *("avx512f", "avx512vl", "avx512bw", "avx512_vbmi", "avx512_vnni", "avx512_bf16"),
    *("amx_tile", "amx_int8", "amx_bf16"),
)
FIRST_BUILD_BYTES = 5_000_000_000  # tools 1.3 GB, npm packages 0.7, objects 0.7, and air
_PROBE_SECONDS = 60.0


@dataclass(frozen=True)
class Machine:
    """The machine and the Python that run Ingot. ``memory`` is in bytes."""

    host: str
    system: str
    libc: str
    cpu: str
    cores: int
    cpu_features: tuple[str, ...]
    memory: int
    python: str
    executable: str


@dataclass(frozen=True)
class CacheFacts:
    """The cache: ``used`` and ``free`` in bytes; ``problem`` says why it cannot be written to."""

    path: Path
    used: int
    free: int
    problem: str | None


@dataclass(frozen=True)
class Ingredient:
    """A pinned package and whether it is in the cache."""

    name: str
    version: str
    cached: bool


@dataclass(frozen=True)
class CudaFacts:
    """The CUDA compiler, why others were passed over, and what serves it as a C++ compiler."""

    toolkit: str | None
    problems: tuple[str, ...] = ()
    host: str | None = None
    host_problem: str | None = None


@dataclass(frozen=True)
class Survey:
    """All facts. ``index`` is None when the network was not asked.

    The runtime is carried by this copy of Ingot, or in the cache, or to be compiled.
    """

    machine: Machine
    cache: CacheFacts
    engine: Ingredient
    commit: str
    tools: tuple[Ingredient, ...]
    target: str
    runtime_key: str
    runtime_carried: bool
    runtime_cached: bool
    cuda: CudaFacts
    index: str | None = None


@dataclass(frozen=True)
class Check:
    """One judgement: is it well, why, and what to do if not."""

    name: str
    ok: bool
    reason: str
    remedy: str | None = None


def survey(sources: Sources, *, network: bool = False) -> Survey:
    """Collect the facts. With ``network``, the package index is asked for one small file."""
    key = runtime_key(sources, choose_target(sources))
    engine = sources.engine.package
    return Survey(
        machine=machine_facts(),
        cache=cache_facts(cache_dir()),
        engine=Ingredient(engine.name, engine.version, engine_folder(sources.engine).is_dir()),
        commit=sources.engine.commit,
        tools=tuple(
            Ingredient(p.name, p.version, tool_folder(p).is_dir())
            for p in sources.tools.packages.values()
        ),
        target=DEFAULT_TARGET,
        runtime_key=key,
        runtime_carried=is_carried(sources, key),
        runtime_cached=runtime_folder(key).is_dir(),
        cuda=cuda_facts(sources),
        index=_ask_index(sources) if network else None,
    )


def cuda_facts(sources: Sources) -> CudaFacts:
    """What compiles GPU modules here."""
    search = cuda.find(sources.tools)
    if search.toolkit is None:
        return CudaFacts(None, search.problems)
    gxx = shutil.which("g++")
    try:
        host = cuda.choose_host(search.toolkit.version, Path(gxx) if gxx else None)
    except ToolchainError as error:
        return CudaFacts(search.toolkit.label, search.problems, None, error.message)
    return CudaFacts(search.toolkit.label, search.problems, str(host.path or "zig"))


def machine_facts() -> Machine:
    """Facts about the processor, memory, system and Python."""
    flags, cpu = _cpuinfo()
    return Machine(
        host=host_name(),
        system=_system_name(),
        libc=" ".join(platform.libc_ver()).strip() or "not glibc",
        cpu=cpu,
        cores=len(os.sched_getaffinity(0)),
        cpu_features=tuple(name for name in CPU_FEATURES if name in flags),
        memory=os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"),
        python=platform.python_version(),
        executable=sys.executable,
    )


def _system_name() -> str:
    try:
        return platform.freedesktop_os_release().get("PRETTY_NAME", platform.system())
    except OSError:
        return platform.system()


def _cpuinfo() -> tuple[frozenset[str], str]:
    """Feature flags and name of the first processor; empty where /proc is not mounted."""
    flags, name = frozenset[str](), platform.machine()
    try:
        lines = Path("/proc/cpuinfo").read_text("utf-8", "replace").splitlines()
    except OSError:
        return flags, name
    for line in lines:
        key, _, value = line.partition(":")
        if key.strip() in ("flags", "Features") and not flags:
            flags = frozenset(value.split())
        elif key.strip() == "model name":
            name = value.strip()
    return flags, name


def cache_facts(path: Path) -> CacheFacts:
    """Size, free space and writability of the cache, which need not exist yet."""
    existing = next(p for p in (path, *path.parents) if p.exists())
    problem = None
    if not existing.is_dir():
        problem = f"{existing} is not a folder"
    elif not os.access(existing, os.W_OK | os.X_OK):
        problem = f"{existing} is not writable"
    used = folder_size(path) if path.is_dir() else 0
    return CacheFacts(path, used, shutil.disk_usage(existing).free, problem)


def _ask_index(sources: Sources) -> str:
    """``reachable``, or pip's own last words about why not."""
    package = sources.tools.packages["ninja"]
    with tempfile.TemporaryDirectory() as folder:
        argv = ["download", "--no-deps", "--no-input"]
        argv += ["--disable-pip-version-check", "--dest", folder]
        argv += ["--no-cache-dir", f"{package.name}=={package.version}"]
        log = cache_dir() / "logs" / "doctor.log"
        try:
            argv = [*pip_command(), *argv]
            done = process.run(argv, log=log, check=False, timeout=_PROBE_SECONDS)
        except ToolchainError as error:
            return error.message.splitlines()[0]
    if done.status == 0:
        return "reachable"
    return next((x for x in reversed(done.lines) if x.startswith("ERROR")), "pip download failed")


def judge(facts: Survey) -> Sequence[Check]:
    """What is well and what is not, with reasons. Pure."""
    return [
        _judge_python(facts.machine),
        _judge_cache(facts),
        _judge_runtime(facts),
        _judge_cuda(facts.cuda),
        *([_judge_index(facts.index)] if facts.index is not None else []),
    ]


def _judge_python(machine: Machine) -> Check:
    return Check("python", True, f"Python {machine.python} on {machine.host}, {machine.libc}")


def _judge_cache(facts: Survey) -> Check:
    cache = facts.cache
    if cache.problem is not None:
        remedy = "set INGOT_CACHE to a folder that you may write to"
        return Check("cache", False, f"cannot be written to: {cache.problem}", remedy)
    compiled = facts.runtime_carried or facts.runtime_cached
    if not compiled and cache.free < FIRST_BUILD_BYTES:
        reason = f"{size(cache.free)} free; the first build needs {size(FIRST_BUILD_BYTES)}"
        return Check("cache", False, reason, "free some space, or set INGOT_CACHE elsewhere")
    return Check("cache", True, f"{size(cache.used)} in {cache.path}, {size(cache.free)} free")


def _judge_runtime(facts: Survey) -> Check:
    if facts.runtime_carried:
        return Check("runtime", True, f"carried for {facts.target}: nothing is compiled")
    if facts.runtime_cached:
        return Check("runtime", True, f"compiled for {facts.target}: builds take seconds")
    missing = [x.name for x in (facts.engine, *facts.tools) if not x.cached]
    fetch = f"fetches {', '.join(missing)} and " if missing else ""
    reason = f"not compiled yet: the first build {fetch}compiles for some minutes"
    return Check("runtime", True, reason, "nothing to do; ingot build or ingot demo does it")


def _judge_cuda(facts: CudaFacts) -> Check:
    """Never in the way: a build without GPU modules is a whole one."""
    passed_over = "".join(f"; {problem}" for problem in facts.problems)
    if facts.toolkit is None:
        reason = f"none are compiled, there is no CUDA toolkit ({cuda.INSTALL_HINT}){passed_over}"
    elif facts.host is None:
        reason = f"none are compiled: {facts.host_problem}{passed_over}"
    else:
        reason = f"{facts.toolkit} with {facts.host}{passed_over}"
    return Check("GPU modules", True, reason)


def _judge_index(answer: str) -> Check:
    if answer == "reachable":
        return Check("package index", True, "pip can fetch from it")
    remedy = "check the network and pip's settings (pip.conf, PIP_INDEX_URL, PIP_PROXY)"
    return Check("package index", False, answer, remedy)
