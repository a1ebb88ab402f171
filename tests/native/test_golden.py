"""The C++ reader against the golden file that holds the Python writer to the format."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path

from ingot.bundle.reader import open_bundle
from ingot.engine.image import RuntimeImage

GOLDEN = Path(__file__).resolve().parents[1] / "golden" / "tiny.ingot"


def read_by_the_runtime(
    image: RuntimeImage, file: Path, *arguments: str
) -> subprocess.CompletedProcess[bytes]:
    """Start the bare program under another name: a bundle at that path is then its own."""
    return subprocess.run(
        [file, *arguments], executable=image.program, capture_output=True, check=False, timeout=60
    )


def test_both_readers_see_the_same_entries(runtime_image: RuntimeImage) -> None:
    document = json.loads(read_by_the_runtime(runtime_image, GOLDEN, "info", "--json").stdout)
    with open_bundle(GOLDEN) as bundle:
        ours = [(e.name, e.role, e.offset, e.size) for e in bundle.manifest.entries]
    theirs = [(e["name"], e["role"], e["offset"], e["size"]) for e in document["entries"]]
    assert ours == theirs != []


def test_the_runtime_verifies_every_golden_byte(
    runtime_image: RuntimeImage, tmp_path: Path
) -> None:
    done = read_by_the_runtime(runtime_image, GOLDEN, "verify")
    assert done.returncode == 0, done.stdout + done.stderr
    copy = Path(shutil.copy(GOLDEN, tmp_path / "copy"))
    with open_bundle(GOLDEN) as bundle:
        entries = bundle.manifest.entries
    for entry in entries:
        content = bytearray(GOLDEN.read_bytes())
        content[entry.offset] ^= 1
        copy.write_bytes(content)
        report = read_by_the_runtime(runtime_image, copy, "verify", "--json")
        assert report.returncode == 1
        assert entry.name in {damage["entry"] for damage in json.loads(report.stdout)["damaged"]}


def test_the_runtime_extracts_the_golden_model(runtime_image: RuntimeImage, tmp_path: Path) -> None:
    assert (
        read_by_the_runtime(runtime_image, GOLDEN, "extract", "-o", str(tmp_path)).returncode == 0
    )
    with open_bundle(GOLDEN) as bundle:
        entries = bundle.manifest.entries
    raw = GOLDEN.read_bytes()
    for entry in entries:  # all of them are stored, so their bytes stand in the file
        content = (tmp_path / entry.name).read_bytes()
        assert content == raw[entry.offset : entry.offset + entry.size]
