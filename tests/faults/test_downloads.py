"""Every row of docs/reference/downloads.md happens as it says."""

from __future__ import annotations

import hashlib
import os
import shutil
import signal
import subprocess
import time
from dataclasses import replace
from pathlib import Path

import pytest

from tests.conftest import REPOSITORY
from tests.faults.downloads import CASES, Case, row, run_case
from tests.faults.stage import REPO, make_stage
from tests.golden.samples import seed_cache
from tests.hub.faults import contents
from tests.hub.server import Hub

DOCUMENT = REPOSITORY / "docs" / "reference" / "downloads.md"


@pytest.fixture(autouse=True)
def seeded(cache: Path) -> None:
    seed_cache()


@pytest.fixture(scope="session")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Of nobody."""
    path = tmp_path_factory.mktemp("tls") / "both.pem"
    make_certificate(path)
    return path


def make_certificate(path: Path) -> None:
    if shutil.which("openssl") is None:
        pytest.skip("openssl is not installed")
    words = "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2"
    names = ["-subj", "/CN=test", "-addext", "subjectAltName=IP:127.0.0.1"]
    subprocess.run(
        ["openssl", *words.split(), *names, "-keyout", path, "-out", f"{path}.crt"],
        check=True,
        capture_output=True,
    )
    path.write_bytes(path.read_bytes() + Path(f"{path}.crt").read_bytes())


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.fault)
def test_a_fault(case: Case, tmp_path: Path, request: pytest.FixtureRequest) -> None:
    needs = "certificate" in case.fault
    pem = request.getfixturevalue("certificate") if needs else None
    exit_code, message, after = run_case(case, tmp_path, pem)
    assert exit_code == case.exit_code, message
    assert after
    assert row(case, exit_code, message) in DOCUMENT.read_text().splitlines()


def test_a_trusted_certificate_is_enough(tmp_path: Path, certificate: Path) -> None:
    with Hub(certificate) as hub:
        stage = make_stage(hub, tmp_path, small=True)
        stage.env["REQUESTS_CA_BUNDLE"] = f"{certificate}.crt"
        hub.faults.append(
            lambda q, _r: (
                replace(
                    _r,
                    status=200,
                    headers={},
                    file=hub.repos[REPO].commits[stage.commit]["tiny-Q4_K_M.gguf"],
                    end=stage.model.stat().st_size,
                )
                if "/resolve/" in q.path
                else None
            )
        )
        done = stage.build()
        assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(
    ("number", "exit_code"),
    [(signal.SIGINT, 130), (signal.SIGTERM, 130), (signal.SIGKILL, -9)],
)
def test_ended_in_the_middle_the_next_run_continues(
    tmp_path: Path, number: signal.Signals, exit_code: int
) -> None:
    with Hub() as hub:
        stage = make_stage(hub, tmp_path, small=False)
        hub.faults.append(contents(lambda _q, r: replace(r, cut=1_000_000, stall=20.0), times=1))
        process = subprocess.Popen(
            stage.argv(), env=stage.environment(), stderr=subprocess.PIPE, text=True
        )
        partial = stage.blob.with_name(stage.blob.name + ".incomplete")
        deadline = time.monotonic() + 30
        while not partial.exists() or partial.stat().st_size < 1_000_000:
            assert time.monotonic() < deadline
            time.sleep(0.01)
        started = time.monotonic()
        process.send_signal(number)
        errors = process.communicate(timeout=60)[1]
        assert process.returncode == exit_code
        assert time.monotonic() - started < 5
        assert "Traceback" not in errors
        assert ("interrupted" in errors) == (exit_code == 130)
        assert partial.stat().st_size == 1_000_000
        assert stage.build().returncode == 0
        assert [r.headers.get("Range") for r in hub.downloads()] == [None, "bytes=1000000-"]
        assert hashlib.sha256(stage.blob.read_bytes()).hexdigest() == stage.blob.name


@pytest.mark.rootfs
def test_a_full_disk_is_seen_before_anything_is_fetched(tmp_path: Path) -> None:
    disk = tmp_path / "hf"
    disk.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", disk], check=True)
    try:
        with Hub() as hub:
            stage = make_stage(hub, tmp_path, small=False)
            done = stage.build()
            assert done.returncode == 3
            assert "the disk is full" in done.stderr
            assert f"{stage.model.stat().st_size} bytes are needed" in done.stderr
            assert hub.downloads() == []
            assert os.listdir(disk) == []
    finally:
        subprocess.run(["umount", disk], check=True)
