"""Start-up: nothing written, nothing loaded from around it, nothing needed but libc."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.conftest import Run
from tests.serving import mapped_bytes, serving

ARGS = ("-p", "x", "-n", "4", "--temp", "0")
OPENED = re.compile(r'\b(?:open|openat|openat2|creat)\((?:AT_FDCWD, |\d+, )?"([^"]*)", ?([^)]*)\)')


def test_strace_shows_no_write_and_no_planted_library(
    hello: Path, run: Run, tmp_path: Path
) -> None:
    cwd = tmp_path / "cwd"
    cwd.mkdir()
    own = Path(shutil.copy(hello, cwd / "hello"))
    for name in (
        "libggml-cuda.so",
        "libggml-cpu-haswell.so",
        "libggml-vulkan.so",
        "ggml-cpu-haswell.so",
    ):
        shutil.copy("/bin/true", cwd / name)
    log = tmp_path / "trace"
    done = run("strace", "-f", "-qq", "-e", "trace=%file,%desc", "-o", log, own, *ARGS, cwd=cwd)
    assert done.returncode == 0, done.stderr
    opened = [(m.group(1), m.group(2)) for m in OPENED.finditer(log.read_text(errors="replace"))]
    assert any(path.endswith("libc.so.6") for path, _ in opened), "the trace was not understood"
    writes = [
        (path, flags)
        for path, flags in opened
        if re.search(r"O_WRONLY|O_RDWR|O_CREAT|O_TRUNC", flags)
    ]
    assert writes == []
    assert "libggml" not in log.read_text(errors="replace")
    assert not re.search(
        r"\b(mkdir|rename|unlink|link|symlink|truncate)(at2?|at)?\(",
        log.read_text(errors="replace"),
    )


def test_runs_with_an_empty_environment(hello: Path, run: Run, tmp_path: Path) -> None:
    normal = run(hello, *ARGS)
    bare = run(hello, *ARGS, env={}, cwd=tmp_path)
    assert bare.returncode == 0, bare.stderr
    assert bare.stdout == normal.stdout != b""


def test_runs_as_nobody_with_home_missing_and_everything_read_only(
    hello: Path, run: Run, tmp_path: Path
) -> None:
    script = (
        "mount --make-rprivate / && mount -t tmpfs -o ro,noexec none /tmp"
        " && mount -t tmpfs -o ro,noexec none /dev/shm"
        ' && mount -o remount,bind,ro / && cd / && exec "$@"'
    )
    place = Path("/opt") / f"ingot-test-{os.getpid()}"
    place.mkdir()
    try:
        own = Path(shutil.copy(hello, place / "hello"))
        namespace = (
            ["unshare", "--mount"]
            if os.geteuid() == 0
            else ["unshare", "--mount", "--map-root-user"]
        )
        done = run(
            *namespace,
            "sh",
            "-c",
            script,
            "sh",
            own,
            *ARGS,
            env={"HOME": "/nonexistent", "PATH": "/usr/bin:/bin:/usr/sbin:/sbin"},
        )
    finally:
        shutil.rmtree(place)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() and done.stderr == b""


@pytest.fixture
def bare_root(hello: Path, tmp_path: Path) -> Path:
    """A root file system that holds libc and the executable, and nothing else."""
    root = tmp_path / "root"
    listing = subprocess.run(["ldd", hello], capture_output=True, text=True, check=True).stdout
    for library in re.findall(r"(/\S+)", listing):
        target = root / library.lstrip("/")
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(os.path.realpath(library), target)
    shutil.copy(hello, root / "hello")
    return root


def chroot(root: Path, *argv: str) -> list[str]:
    prefix = [] if os.geteuid() == 0 else ["unshare", "--map-root-user"]
    return [*prefix, shutil.which("chroot") or "/usr/sbin/chroot", os.fspath(root), *argv]


def test_runs_in_a_root_with_only_libc(bare_root: Path, hello: Path, run: Run) -> None:
    assert b"PyStdlib" in run(*chroot(bare_root, "/hello", "info")).stdout
    done = run(*chroot(bare_root, "/hello", *ARGS))
    assert done.returncode == 0, done.stderr
    assert done.stdout == run(hello, *ARGS).stdout != b""
    # Without /proc nothing can be loaded from memory: the baseline inside the program serves.
    assert b"/proc is not mounted" in done.stderr


def test_two_processes_share_the_weights(hello: Path) -> None:
    with serving(hello) as one, serving(hello) as two:
        shared = [mapped_bytes(server.process.pid, hello)[0] for server in (one, two)]
    assert all(pages > 13_000_000 for pages in shared), shared  # of a GGUF of 13.7 MB


def test_ignored_child_signals_and_closed_descriptors_do_no_harm(hello: Path, run: Run) -> None:
    """As some supervisors start programs: the best module is still tested and taken."""
    normal = run(hello, *ARGS)
    odd = run("sh", "-c", "trap '' CHLD; exec \"$@\" 2>&-", "sh", hello, *ARGS)
    assert odd.returncode == 0
    assert odd.stdout == normal.stdout != b""
    told = run("sh", "-c", "trap '' CHLD; exec \"$@\"", "sh", hello, *ARGS)
    assert told.stderr == b""
