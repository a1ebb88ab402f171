"""The format, held by a file: tiny.ingot is an executable of format 1, byte for byte.

The C++ reader is tested with the same file. When the format changes on purpose, raise its number,
then: python -m tests.golden.test_golden
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import zipfile
from dataclasses import replace
from pathlib import Path

from ingot.bundle.manifest import RecordedTest
from ingot.bundle.reader import open_bundle
from ingot.bundle.verify import verify
from ingot.bundle.writer import Last, write_bundle
from ingot.console import NullProgress
from ingot.recipe.gpumodule import GpuModule
from ingot.recipe.plan import Artefact, Recorded, load_inputs, plan
from ingot.toolchain.packages import sha256_of
from tests.golden.samples import GPU_FACTS, VULKAN_FACTS, fake_runtime, write_lora, write_model

HERE = Path(__file__).resolve().parent
GOLDEN = HERE / "tiny.ingot"
STRUCTURE = HERE / "tiny.txt"


def write(folder: Path) -> Path:
    """The golden executable. Its contents do not deflate."""
    runtime = fake_runtime(folder / "runtime")
    runtime = replace(
        runtime,
        ui=tuple(u for u in runtime.ui if u[0] == "index.html"),
    )
    artefact = Artefact(
        model=write_model(folder / "tiny.gguf"),
        output=folder / "tiny.ingot",
        description="A golden one",
        args=("-c", "64", "--temp", "0.2"),
        loras=(write_lora(folder / "größe.gguf"),),
        version="1.2",
        homepage="https://example.org/tiny",
        recipe=b'{"format":1}\n',
        recorded=Recorded((RecordedTest("says hello", True),)),
    )
    module = folder / "ggml-cuda.so"
    module.write_bytes(b"\x7fELF cuda")
    cuda = GpuModule(module, sha256_of(module), GPU_FACTS)
    other = folder / "ggml-vulkan.so"
    other.write_bytes(b"\x7fELF vulkan")
    vulkan = GpuModule(other, sha256_of(other), VULKAN_FACTS)
    contents = plan(artefact, load_inputs(artefact), runtime, (cuda, vulkan))
    about = replace(contents.about, builder={"name": "ingot", "version": "0"})
    last = Last("sbom.json", "sbom", lambda manifest: b"{}\n")
    write_bundle(artefact.output, replace(contents, about=about, last=last), NullProgress())
    return artefact.output


def structure(path: Path) -> str:
    """Offsets and raw header bytes, for eyes and for diffs."""
    raw = path.read_bytes()
    with open_bundle(path) as bundle:
        records, program = bundle.records, bundle.manifest.program_size
    lines = [f"{0:08x} program, {program} bytes"]
    for record in records:
        head = raw[record.header_offset : min(record.data_offset, record.header_offset + 96)]
        lines.append(
            f"{record.header_offset:08x} local header of {record.name}, {record.extra} extra"
        )
        lines += [f"         {head[at : at + 32].hex(' ')}" for at in range(0, len(head), 32)]
        lines.append(f"{record.data_offset:08x} data, {record.stored} bytes")
    at = records[-1].data_offset + records[-1].stored
    lines.append(f"{at:08x} central directory and end records")
    lines += [
        f"         {raw[i : min(i + 32, len(raw) - 107)].hex(' ')}"
        for i in range(at, len(raw) - 107, 32)
    ]
    lines.append(f"{len(raw) - 107:08x} tail")
    lines.append(f"         {raw[-107:].decode()!r}")
    return "\n".join(lines) + "\n"


def test_the_writer_still_writes_the_golden_file(tmp_path: Path) -> None:
    ours = write(tmp_path)
    assert structure(ours) == STRUCTURE.read_text("utf-8")
    assert ours.read_bytes() == GOLDEN.read_bytes()


def test_the_reader_still_reads_the_golden_file() -> None:
    with open_bundle(GOLDEN) as bundle:
        assert verify(bundle, NullProgress()) == ()
        assert bundle.manifest.about.args == ("-c", "64", "--temp", "0.2")
        gpu = [e.gpu for e in bundle.manifest.with_role("module")]
        assert gpu == [None, None, GPU_FACTS, VULKAN_FACTS]
        assert [e.name for e in bundle.manifest.entries][:2] == [
            "models/tiny.gguf",
            "models/größe.gguf",
        ]


def test_zip_tools_still_read_the_golden_file() -> None:
    subprocess.run(["unzip", "-tq", GOLDEN], check=True, capture_output=True)
    with zipfile.ZipFile(GOLDEN) as archive:
        assert archive.testzip() is None
        assert "models/größe.gguf" in archive.namelist()


def test_the_tail_and_the_end_record_are_the_last_129_bytes() -> None:
    raw = GOLDEN.read_bytes()
    assert raw[-129:-125] == b"PK\x05\x06"
    assert raw[-109:-107] == (107).to_bytes(2, "little")
    word, offset, size, _sha = raw[-107:].decode("ascii").split()
    assert word == "ingot-1"
    manifest = raw[int(offset, 16) : int(offset, 16) + int(size, 16)]
    assert manifest.startswith(b'{"builder":{"name":"ingot","version":"0"}')


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as made:
        GOLDEN.write_bytes(write(Path(made)).read_bytes())
    STRUCTURE.write_text(structure(GOLDEN), "utf-8")
    sys.stdout.write(f"wrote {GOLDEN} and {STRUCTURE}\n")
