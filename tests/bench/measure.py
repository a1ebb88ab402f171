"""Alternating measurement: A B A B …, medians of each and the median of the pairwise ratios.

One machine's noise between runs reaches 15 %, so nothing is compared across runs.
"""

from __future__ import annotations

import os
import resource
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median


@dataclass(frozen=True)
class Pair:
    """Medians of both sides and the median of a/b over the pairs; units are the caller's."""

    a: float
    b: float
    ratio: float
    runs: int


def alternate(a: Callable[[], float], b: Callable[[], float], runs: int = 7) -> Pair:
    """Measure ``a`` and ``b`` in turn, after one of each that is not counted."""
    a(), b()
    pairs = [(a(), b()) for _ in range(runs)]
    return Pair(
        a=median(x for x, _ in pairs),
        b=median(y for _, y in pairs),
        ratio=median(x / y for x, y in pairs),
        runs=runs,
    )


def seconds(argv: Sequence[str | os.PathLike[str]], **popen: object) -> float:
    """Wall time of a whole process, in seconds. Fails when it fails."""
    start = time.perf_counter()
    subprocess.run(argv, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, **popen)  # type: ignore[call-overload]
    return time.perf_counter() - start


def processor_seconds(argv: Sequence[str | os.PathLike[str]]) -> float:
    """Time that all processors spent on a program and what it started. Fails when it fails."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run(argv, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def seconds_to_first_byte(argv: Sequence[str | os.PathLike[str]], tries: int = 5) -> float:
    """Seconds from exec to the first byte on stdout; the process is then left to end.

    A run that prints nothing is repeated: upstream's log thread sometimes ends before it has
    printed what it was given.
    """
    for _ in range(tries):
        start = time.perf_counter()
        with subprocess.Popen(
            argv,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
        ) as process:
            assert process.stdout is not None
            first = os.read(process.stdout.fileno(), 1)
            elapsed = time.perf_counter() - start
            process.stdout.read()
        if first:
            return elapsed
    raise RuntimeError(f"{argv[0]} printed nothing in {tries} runs")


_PEAK = """
import os, subprocess, sys
child = subprocess.Popen(sys.argv[1:], stdout=subprocess.DEVNULL)
_pid, status, usage = os.wait4(child.pid, 0)
child.returncode = os.waitstatus_to_exitcode(status)
print(usage.ru_maxrss)
sys.exit(child.returncode != 0)
"""


def peak_memory(argv: Sequence[str | os.PathLike[str]]) -> int:
    """Largest resident set of one run of a program, in bytes. Fails when it fails.

    A small process starts it: until exec a child shares its parent's memory, and Linux counts the
    parent's peak as the child's from then on.
    """
    starter = [sys.executable, "-S", "-c", _PEAK, *argv]
    done = subprocess.run(starter, check=False, capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(f"{argv[0]} failed: {done.stderr.strip()[-400:]}")
    return int(done.stdout) * 1024


_POPULATE = """
import mmap, os
available = os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
flags = mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS | mmap.MAP_POPULATE
mmap.mmap(-1, min(10 << 30, available // 2), flags=flags).close()
"""


def back_memory() -> None:
    """Touch and free 10 GiB, in a process of its own (children inherit their parent's peak).

    A virtual machine hands free memory back to its host, and who allocates it next pays for it: the
    same copy of 4 GiB took between 3 and 20 s before this was called in front of each.
    """
    subprocess.run([sys.executable, "-c", _POPULATE], check=True)


def durable(path: Path) -> None:
    """Flush a file to its disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
