"""``ingot build`` as a user meets it: what it prints, what it refuses, what it leaves behind.

The runtime is a stand-in of a few hundred bytes in a cache of this test's own.
"""

from __future__ import annotations

import json
import os
import resource
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.golden.samples import (
    Q8_0,
    TENSORS,
    T,
    gguf_bytes,
    model_kv,
    seed_cache,
    write_lora,
    write_model,
    write_projector,
    write_split,
)

Ingot = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture(autouse=True)
def seeded(cache: Path) -> None:
    seed_cache()


@pytest.fixture
def model(tmp_path: Path) -> Path:
    return write_model(tmp_path / "tiny.gguf")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Where outputs go; nothing else is in it."""
    path = tmp_path / "out"
    path.mkdir()
    return path


def test_build_says_what_it_made(ingot: Ingot, model: Path, folder: Path) -> None:
    done = ingot("build", model, "-o", folder / "hello")
    assert done.returncode == 0, done.stderr
    assert str(folder / "hello") in done.stdout
    assert "llama F32" in done.stdout
    assert "Writing hello" in done.stderr
    assert "\x1b" not in done.stdout + done.stderr
    assert os.listdir(folder) == ["hello"]


def test_the_default_output_is_the_models_stem_here(
    ingot: Ingot, model: Path, folder: Path
) -> None:
    assert ingot("build", model, cwd=folder).returncode == 0
    assert os.listdir(folder) == ["tiny"]


def test_json_is_one_document_and_progress_is_elsewhere(
    ingot: Ingot, model: Path, folder: Path
) -> None:
    done = ingot(
        "build", model, "-o", folder / "x", "--json", "--name", "Hi", "--description", "One",
        "--args", "-c 64", "--args", "--temp 0.2", "--no-ui",
    )  # fmt: skip
    document = json.loads(done.stdout)
    assert document["output"] == str(folder / "x")
    assert document["size"] == (folder / "x").stat().st_size
    manifest = document["manifest"]
    assert (manifest["name"], manifest["description"]) == ("Hi", "One")
    assert manifest["defaults"] == {"args": ["-c", "64", "--temp", "0.2"], "ui": False}


def test_force_replaces_and_stays_executable(ingot: Ingot, model: Path, folder: Path) -> None:
    (folder / "hello").write_text("old")
    assert ingot("build", model, "-o", folder / "hello", "--force").returncode == 0
    assert os.access(folder / "hello", os.X_OK)


def make_inputs(folder: Path) -> dict[str, Path]:
    """Every file that the table below names."""
    folder.mkdir()
    good = gguf_bytes(model_kv(), TENSORS)
    contents = {
        "text": b"hello",
        "empty": b"",
        "magic": b"GGUF",
        "header": good[:20],
        "keys": good[:300],
        "table": good[:1000],
        "data": good[:-10],
        "counts": good[:8] + (1 << 60).to_bytes(8, "little") + good[16:],
        "version": good[:4] + b"\x09" + good[5:],
        "swapped": b"GGUF\0\0\0\x03" + good[8:],
        "licence": b"\xff\xfe\xff",
    }
    for name, content in contents.items():
        (folder / name).write_bytes(content)
    split = write_split(folder)
    split[2].unlink()
    return {
        **{name: folder / name for name in contents},
        "model": write_model(folder / "model.gguf"),
        "projector": write_projector(folder / "wide.gguf", width=4096),
        "lora": write_lora(folder / "lora.gguf", "qwen2"),
        "draft": write_model(folder / "draft.gguf", tokenizer__ggml__tokens=["t"] * 900),
        "split": split[0],
        "gone": folder / "gone.gguf",
        "folder": folder,
    }


# command line after "build" -> exit code, error code, what the message says
BAD: dict[str, tuple[list[str], int, str, str]] = {
    "not a GGUF": (["{text}"], 3, "gguf-magic", "{text}: not a GGUF"),
    "empty": (["{empty}"], 3, "gguf-empty", "{empty}: the file is empty"),
    "truncated in the magic": (["{magic}"], 3, "gguf-truncated", "{magic}: the version needs"),
    "truncated in the header": (["{header}"], 3, "gguf-truncated", "{header}: "),
    "truncated in the keys": (["{keys}"], 3, "gguf-truncated", "{keys}: "),
    "truncated in the table": (["{table}"], 3, "gguf-truncated", "{table}: "),
    "truncated in the data": (["{data}"], 3, "gguf-truncated", "'output_norm.weight' ends at"),
    "absurd counts": (["{counts}"], 3, "gguf-count", "claims 1152921504606846976 tensors"),
    "unknown version": (["{version}"], 3, "gguf-version", "GGUF version 9 is not known"),
    "big endian": (["{swapped}"], 3, "gguf-endian", "{swapped}: the file is big endian"),
    "no file": (["{gone}"], 3, "file-missing", "{gone}: there is no such file"),
    "a folder": (["{folder}"], 3, "file-is-folder", "{folder}: is a folder"),
    "missing split": (["{split}"], 3, "split-missing", "big-00003-of-00003.gguf: this part"),
    "projector as model": (["{projector}"], 3, "not-a-model", "is a projector"),
    "adapter as model": (["{lora}"], 3, "not-a-model", "is a LoRA adapter"),
    "projector that does not fit": (
        ["{model}", "--mmproj", "{projector}"],
        3,
        "projector-mismatch",
        "projects to 4096 dimensions, {model} has embeddings of 8",
    ),
    "model as projector": (["{model}", "--mmproj", "{model}"], 3, "not-a-projector", "{model}"),
    "adapter of another model": (["{model}", "--lora", "{lora}"], 3, "lora-mismatch", "qwen2"),
    "draft of another model": (["{model}", "--draft", "{draft}"], 3, "draft-mismatch", "900"),
    "licence not text": (["{model}", "--license", "{licence}"], 3, "bad-license", "not UTF-8"),
    "second model in args": (["{model}", "--args", "-m x.gguf"], 2, "bad-args", "-m cannot"),
    "open quotation": (["{model}", "--args", "'x"], 2, "bad-args", "No closing quotation"),
    "name of two lines": (["{model}", "--name", "a\nb"], 3, "bad-name", "the name"),
    "unknown option": (["{model}", "--what"], 2, "usage", "--what"),
    "no model": ([], 2, "usage", "MODEL"),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_input_is_one_clear_error_and_leaves_nothing(
    ingot: Ingot, tmp_path: Path, folder: Path, case: str
) -> None:
    words, exit_code, code, says = BAD[case]
    paths = {name: str(path) for name, path in make_inputs(tmp_path / "in").items()}
    arguments = [word.format(**paths) for word in words]
    done = ingot("build", *arguments, "-o", folder / "hello")
    assert done.returncode == exit_code
    assert done.stdout == ""
    first, *rest = done.stderr.splitlines()
    assert first.startswith("error: ")
    assert says.format(**paths) in done.stderr
    if exit_code == 3 and code not in {"gguf-magic", "bad-license"}:
        assert any(line.startswith("hint: ") for line in rest), done.stderr
    assert "Traceback" not in done.stderr
    assert os.listdir(folder) == []

    document = json.loads(ingot("build", *arguments, "-o", folder / "hello", "--json").stdout)
    assert document["error"]["code"] == code
    assert document["error"]["exit_code"] == exit_code
    assert os.listdir(folder) == []


def test_an_existing_output_is_kept_without_force(ingot: Ingot, model: Path, folder: Path) -> None:
    (folder / "hello").write_text("mine")
    done = ingot("build", model, "-o", folder / "hello")
    assert done.returncode == 3
    assert f"error: {folder / 'hello'}: exists already" in done.stderr
    assert "--force" in done.stderr
    assert (folder / "hello").read_text() == "mine"
    assert os.listdir(folder) == ["hello"]


def test_the_input_is_never_the_output(ingot: Ingot, model: Path) -> None:
    before = model.read_bytes()
    done = ingot("build", model, "-o", model, "--force")
    assert done.returncode == 3
    assert "is an input of this build" in done.stderr
    assert model.read_bytes() == before


@pytest.mark.parametrize("output", ["none/hello", "."])
def test_outputs_that_cannot_be(ingot: Ingot, model: Path, folder: Path, output: str) -> None:
    done = ingot("build", model, "-o", folder / output)
    assert done.returncode == 3
    assert done.stderr.startswith(f"error: {folder}")
    assert os.listdir(folder) == []


# Root may write anywhere, so the question is asked as somebody else.
CHECK_AS_NOBODY = """
import os, sys
from pathlib import Path
from ingot.bundle.output import check_output
from ingot.errors import InputError
if os.geteuid() == 0:
    os.setgroups([])
    os.setgid(65534)
    os.setuid(65534)
try:
    check_output(Path(sys.argv[1]), (), force=False)
except InputError as error:
    print(error.code, error.message)
"""


def test_an_unwritable_folder() -> None:
    with tempfile.TemporaryDirectory() as made:
        os.chmod(made, 0o555)
        output = Path(made, "hello")
        done = subprocess.run(
            [sys.executable, "-c", CHECK_AS_NOBODY, output],
            capture_output=True,
            text=True,
            check=True,
        )
        assert done.stdout.startswith(f"output-unwritable {output}: cannot be written")
        os.chmod(made, 0o755)
        assert os.listdir(made) == []


def test_a_file_size_limit_is_explained(model: Path, folder: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-P", "-m", "ingot", "build", model, "-o", folder / "hello"],
        capture_output=True,
        text=True,
        check=False,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (30_000, 30_000)),
    )
    assert done.returncode == 3
    assert "more than a file may have here" in done.stderr
    assert "ulimit -f" in done.stderr
    assert os.listdir(folder) == []


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    path = tmp_path / "disk"
    path.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", path], check=True)
    yield path
    subprocess.run(["umount", path], check=True)


@pytest.mark.rootfs
def test_a_full_disk_is_seen_before_anything_is_written(
    ingot: Ingot, model: Path, small_disk: Path
) -> None:
    done = ingot("build", model, "-o", small_disk / "hello")
    assert done.returncode == 3
    assert "the disk is full" in done.stderr
    assert "bytes are needed" in done.stderr
    assert "65536 are available" in done.stderr
    assert os.listdir(small_disk) == []


def start_large_build(tmp_path: Path, output: Path) -> subprocess.Popen[str]:
    """A build of a sparse 3 GB model, returned while it copies."""
    rows = 3_000_000_000 // 34 // 32
    path = tmp_path / "large.gguf"
    raw = gguf_bytes(model_kv(), (T("w", (1024, rows), Q8_0, b""),))
    with path.open("wb") as file:
        file.write(raw)
        file.truncate(len(raw) + rows * 34 * 32)
    process = subprocess.Popen(
        [sys.executable, "-P", "-m", "ingot", "build", path, "-o", output],
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stderr is not None
    while "Writing" not in process.stderr.readline():
        assert process.poll() is None
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:  # until it has written something
        fields = Path(f"/proc/{process.pid}/io").read_text().split()
        if int(fields[fields.index("wchar:") + 1]) > 50_000_000:
            return process
        time.sleep(0.01)
    raise AssertionError("the build does not begin to copy")


@pytest.mark.parametrize(
    ("number", "status"),
    [(signal.SIGINT, 130), (signal.SIGTERM, 130), (signal.SIGKILL, -9)],
)
def test_ended_in_the_middle_nothing_is_left(
    tmp_path: Path, folder: Path, number: signal.Signals, status: int
) -> None:
    process = start_large_build(tmp_path, folder / "hello")
    process.send_signal(number)
    started = time.monotonic()
    _out, errors = process.communicate(timeout=60)
    assert process.returncode == status
    assert time.monotonic() - started < 10
    assert "Traceback" not in errors
    assert os.listdir(folder) == []
    (tmp_path / "large.gguf").unlink()
