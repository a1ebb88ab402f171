"""Building the image end to end, with tools that are shell scripts (see fake_sources)."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tarfile
import time
from pathlib import Path

import pytest

from ingot.bundle.deflate import inflate
from ingot.console import NullProgress
from ingot.engine import runtime
from ingot.engine.pin import Sources
from ingot.errors import IntegrityError, NetworkError, ToolchainError
from tests.golden.samples import fake_runtime
from tests.unit.engine.fake_sources import make_sources
from tests.unit.package_index import Index

QUIET = NullProgress()


@pytest.fixture
def sources(tmp_path: Path, cache: Path, index: Index, monkeypatch: pytest.MonkeyPatch) -> Sources:
    made = make_sources(tmp_path / "checkout", index)
    monkeypatch.setattr(runtime, "load_sources", lambda: made)
    monkeypatch.setenv("INGOT_TEST_CALLS", str(tmp_path / "calls"))
    return made


@pytest.fixture
def calls(tmp_path: Path) -> Path:
    return tmp_path / "calls"


def test_the_first_call_builds_and_the_second_finds(sources: Sources, calls: Path) -> None:
    image = runtime.ensure_runtime(QUIET)
    assert image.program.read_text() == "program\n"
    assert image.program.stat().st_mode & 0o111
    assert [path.name for path in image.modules] == ["ggml-cpu-x.so"]
    assert dict(image.ui)["index.html"].read_text() == "index.html abc\n"
    assert {"llama.cpp.txt", "libcxx.txt", "web-page.txt"} <= dict(image.licenses).keys()
    assert image.identity["engine"] == sources.engine.identity()
    with tarfile.open(dict(image.sources)["gpu.tar"]) as tar:
        assert tar.getnames() == [
            "ggml/LICENSE",
            "ggml/include/ggml.h",
            "ggml/include/gguf.h",
            "ggml/src/ggml-cuda/a.cu",
            "ggml/src/ggml-cuda/a.cuh",
            "ggml/src/ggml-cuda/vendors/cuda.h",
            "ggml/src/ggml-impl.h",
            "ingot/LICENSE",
            "ingot/entry.cc",
        ]
    page = inflate(image.deflated["ui/index.html"].read_bytes(), 15, "")
    assert page == dict(image.ui)["index.html"].read_bytes()
    groups = {name.partition("/")[0] for name in image.deflated}
    assert groups == {"ui", "licenses", "sources"}
    assert runtime.ensure_runtime(QUIET) == image
    assert sorted(calls.read_text().split("\n")) == ["", "ninja", "npm ci"]


def test_a_carried_image_is_used_in_place(sources: Sources, calls: Path, cache: Path) -> None:
    key = runtime.runtime_key(sources, runtime.choose_target(sources))
    fake_runtime(sources.images / key, b"carried", key)
    for path in (sources.repository, *sources.repository.rglob("*")):
        path.chmod(path.stat().st_mode & ~0o222)  # as an installation by another user
    image = runtime.ensure_runtime(QUIET)
    assert image.root == sources.images / key
    assert not calls.exists() and not cache.exists(), "nothing was fetched, compiled or written"


def test_a_carried_image_of_other_sources_is_passed_over(sources: Sources, cache: Path) -> None:
    key = runtime.runtime_key(sources, runtime.choose_target(sources))
    fake_runtime(sources.images / key, b"carried", key)
    (sources.runtime / "x.cc").write_text("2")
    assert runtime.ensure_runtime(QUIET).root.is_relative_to(cache)


def test_an_edit_of_the_runtime_compiles_again_but_keeps_page_and_objects(
    sources: Sources, calls: Path, cache: Path
) -> None:
    first = runtime.ensure_runtime(QUIET)
    build = cache / "build" / "linux-x86_64"
    (build / "object.o").write_text("kept")
    (build / "modules" / "ggml-cpu-old.so").write_text("no longer made")
    (sources.runtime / "x.cc").write_text("2")
    second = runtime.ensure_runtime(QUIET)
    assert second.root != first.root
    assert calls.read_text().count("npm ci") == 1
    assert calls.read_text().count("ninja") == 2
    assert (build / "object.o").exists()
    assert [path.name for path in second.modules] == ["ggml-cpu-x.so"]


def test_a_failed_compilation_ends_npm_and_leaves_no_image(
    sources: Sources, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("INGOT_TEST_NINJA", "false")
    monkeypatch.setenv("INGOT_TEST_NPM_CI", "sleep 60")
    begun = time.monotonic()
    with pytest.raises(ToolchainError, match="error: no such luck") as caught:
        runtime.ensure_runtime(QUIET)
    assert time.monotonic() - begun < 30
    assert str(cache / "logs" / "native-linux-x86_64.log") in (caught.value.hint or "")
    assert [p.name for p in (cache / "runtimes").iterdir() if p.is_dir()] == []
    monkeypatch.delenv("INGOT_TEST_NINJA")
    monkeypatch.delenv("INGOT_TEST_NPM_CI")
    assert runtime.ensure_runtime(QUIET).program.is_file()


def test_sources_that_change_meanwhile_make_no_image(
    sources: Sources, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("INGOT_TEST_NINJA", f"cp /etc/passwd {sources.runtime}/new.cc")
    with pytest.raises(ToolchainError) as caught:
        runtime.ensure_runtime(QUIET)
    assert caught.value.code == "sources-changed"
    assert not list((cache / "runtimes").glob("*/runtime.json"))
    assert runtime.ensure_runtime(QUIET).program.is_file()


def test_npm_without_a_network_is_a_network_error_that_says_what_to_check(
    sources: Sources, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    script = tmp_path / "offline"
    script.write_text("#!/bin/sh\necho 'npm error code ENOTFOUND'; exit 1\n")
    script.chmod(0o755)
    monkeypatch.setenv("INGOT_TEST_NPM_CI", str(script))
    with pytest.raises(NetworkError, match="ENOTFOUND") as caught:
        runtime.ensure_runtime(QUIET)
    assert "npm_config_registry" in (caught.value.hint or "")


def test_an_npm_package_with_another_hash_is_an_integrity_error(
    sources: Sources, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    script = tmp_path / "tampered"
    script.write_text("#!/bin/sh\necho 'npm error code EINTEGRITY'; exit 1\n")
    script.chmod(0o755)
    monkeypatch.setenv("INGOT_TEST_NPM_CI", str(script))
    with pytest.raises(IntegrityError):
        runtime.ensure_runtime(QUIET)


_BUILDER = """
import sys
from pathlib import PosixPath, PurePosixPath
from ingot.console import NullProgress
from ingot.engine import runtime
from ingot.engine.pin import EnginePin, Sources
from ingot.toolchain.packages import Package, Target, ToolchainPins
runtime.load_sources = lambda: eval(sys.argv[1])
print(runtime.ensure_runtime(NullProgress()).root)
"""


def _builder(sources: Sources) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", _BUILDER, repr(sources)], stdout=subprocess.PIPE, text=True
    )


def test_two_processes_build_once(sources: Sources, calls: Path) -> None:
    both = [_builder(sources) for _ in range(2)]
    roots = [one.communicate(timeout=120)[0] for one in both]
    assert [one.returncode for one in both] == [0, 0]
    assert roots[0] == roots[1]
    assert calls.read_text().count("ninja") == 1


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGINT])
def test_a_build_that_is_ended_in_the_middle_is_simply_done_again(
    sources: Sources,
    calls: Path,
    cache: Path,
    monkeypatch: pytest.MonkeyPatch,
    number: signal.Signals,
) -> None:
    monkeypatch.setenv("INGOT_TEST_NINJA", "sleep 3")
    victim = _builder(sources)
    deadline = time.monotonic() + 60
    while not (calls.exists() and "ninja" in calls.read_text()) and time.monotonic() < deadline:
        time.sleep(0.02)
    os.kill(victim.pid, number)
    victim.communicate(timeout=60)
    assert not list((cache / "runtimes").glob("*/runtime.json"))
    monkeypatch.delenv("INGOT_TEST_NINJA")
    assert runtime.ensure_runtime(QUIET).program.is_file()
    assert not [p for p in (cache / "runtimes").iterdir() if ".tmp-" in p.name]
