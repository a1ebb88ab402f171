"""ingot kernels, and how build, inspect and repack treat the kernel set."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from ingot.bundle.manifest import Manifest
from ingot.bundle.reader import open_bundle
from ingot.console import NullProgress
from ingot.engine.image import RuntimeImage
from ingot.engine.pin import load_sources
from ingot.engine.runtime import choose_target, runtime_folder, runtime_key
from ingot.errors import InputError
from ingot.gguf.join import load_weights
from ingot.gguf.reader import read_gguf
from ingot.recipe.build import Changes, build, repack
from ingot.recipe.plan import Artefact
from tests.conftest import Ingot
from tests.golden.samples import fake_runtime, seed_cache, write_model, write_split
from tests.unit.gguf.test_kernels import DOCUMENT

# A program that checks its arguments as far as it matters and answers.
ANSWERS = (
    b'#!/bin/sh\n[ "$1" = check-args ] && exit 0\n'
    b'[ "$1 $2" = \'check-model -m\' ] && [ -f "$3" ] || exit 2\n'
    b'echo noise >&2\necho "$@" >> "$(dirname "$0")/asked"\n'
    b"echo '" + json.dumps({"kernels": DOCUMENT, "template_fault": ""}).encode() + b"'\n"
)
COPIES = ANSWERS.replace(b"echo noise >&2", b'cp "$3" "$(dirname "$0")/seen"')
REFUSES = b"#!/bin/sh\necho 'error: the engine cannot load this model: odd' >&2\nexit 3\n"


def use_program(program: bytes) -> Path:
    """Make ``program`` the cached runtime's; give that program's path."""
    seed_cache(program)
    sources = load_sources()
    path = runtime_folder(runtime_key(sources, choose_target(sources))) / "program"
    path.chmod(0o755)
    return path


def runtime_with(folder: Path, program: bytes) -> RuntimeImage:
    image = fake_runtime(folder, program)
    image.program.chmod(0o755)
    return image


def manifest_of(path: Path) -> Manifest:
    with open_bundle(path) as bundle:
        return bundle.manifest


def test_kernels_of_a_gguf(ingot: Ingot, cache: Path, tmp_path: Path) -> None:
    use_program(ANSWERS)
    model = write_model(tmp_path / "m.gguf")
    done = ingot("kernels", model, "--json")
    assert (done.returncode, done.stderr) == (0, "")
    assert json.loads(done.stdout) == DOCUMENT
    text = ingot("kernels", model).stdout
    for words in ("UNARY(SILU)", "f32 to q8_0", "heads 576/512, 16 queries each", "q8_0/q8_0"):
        assert words in text


@pytest.mark.parametrize("ending", ["gguf", "GGUF"])
def test_kernels_of_a_split_gguf_asks_for_the_joined_header(
    ending: str, ingot: Ingot, cache: Path, tmp_path: Path
) -> None:
    program = use_program(COPIES)
    parts = [path.rename(path.with_suffix(f".{ending}")) for path in write_split(tmp_path)]
    assert ingot("kernels", parts[2]).returncode == 0
    seen = read_gguf(program.parent / "seen")
    assert [tensor.name for tensor in seen.tensors] == [f"blk.{n}.attn_q.weight" for n in range(3)]
    assert seen.size == load_weights(parts[0]).size and "split.count" not in seen.kv


def test_the_engines_refusal_is_one_error(ingot: Ingot, cache: Path, tmp_path: Path) -> None:
    use_program(REFUSES)
    done = ingot("kernels", write_model(tmp_path / "m.gguf"), "--json")
    assert done.returncode == 3
    error = json.loads(done.stdout)["error"]
    assert error["code"] == "engine-refuses"
    assert error["message"] == f"{tmp_path / 'm.gguf'}: the engine cannot load it: odd"


@pytest.mark.parametrize("answer", ["{}", "[]", "not json", '{"ops": 1}', ""])
def test_an_answer_that_is_no_kernel_set(
    answer: str, ingot: Ingot, cache: Path, tmp_path: Path
) -> None:
    use_program(f"#!/bin/sh\necho '{answer}'\n".encode())
    done = ingot("kernels", write_model(tmp_path / "m.gguf"))
    assert done.returncode == 3 and "its answer cannot be read" in done.stderr


def test_kernels_of_something_else(ingot: Ingot, cache: Path, tmp_path: Path) -> None:
    path = tmp_path / "x"
    path.write_text("text")
    assert ingot("kernels", path).returncode == 3


def test_the_manifest_carries_it_and_inspect_shows_it(
    ingot: Ingot, cache: Path, tmp_path: Path
) -> None:
    program = use_program(ANSWERS)
    model = write_model(tmp_path / "m.gguf")
    built = ingot("build", model, "-o", tmp_path / "hello", "--args", "-ctk f16 -ctk q8_0 -c 64")
    assert built.returncode == 0 and "note: " not in built.stderr
    assert (program.parent / "asked").read_text().split()[3:] == ["-ctk", "q8_0", "-ctv", "f16"]
    program.unlink()  # what follows reads the manifest only
    assert json.loads(ingot("kernels", tmp_path / "hello", "--json").stdout) == DOCUMENT
    document = json.loads(ingot("inspect", tmp_path / "hello", "--json").stdout)
    assert document["model"]["kernels"] == DOCUMENT
    text = ingot("inspect", tmp_path / "hello").stdout
    assert "Kernel set" in text and "heads 64/64, 2 queries each" in text


# What the stand-in does -> the reason in the error. A hang is ended by the engine's time limit.
FAULTS = {
    "refusal": (REFUSES, "odd"),
    "assertion": (REFUSES.replace(b"odd", b"GGML_ASSERT(a) failed"), "GGML_ASSERT(a) failed"),
    "crash": (b"#!/bin/sh\nkill -SEGV $$\n", "crashed (SIGSEGV)"),
    "silence": (b"#!/bin/sh\nexit 3\n", "ended with 3"),
    "escapes": (REFUSES.replace(b"odd", b"\x1b[31m\xc2\x9bx"), "\\x1b[31m\\x9bx"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_model_that_the_engine_refuses_is_not_built(
    fault: str, ingot: Ingot, cache: Path, tmp_path: Path
) -> None:
    program, reason = FAULTS[fault]
    use_program(program)
    model = write_model(tmp_path / "m.gguf")
    done = ingot("build", model, "-o", tmp_path / "hello")
    first, hint = done.stderr.splitlines()
    assert (done.returncode, done.stdout) == (3, "")
    assert first == f"error: {model}: the engine cannot load it: {reason}"
    assert hint.startswith("hint: ")
    assert sorted(tmp_path.glob("hello*")) == []


def test_a_debugger_is_never_started(ingot: Ingot, cache: Path, tmp_path: Path) -> None:
    program = b'#!/bin/sh\necho "error: $GGML_NO_BACKTRACE,$LLAMA_ARG_CTX_SIZE." >&2\nexit 3\n'
    use_program(program)
    done = ingot("kernels", write_model(tmp_path / "m.gguf"), env={"LLAMA_ARG_CTX_SIZE": "no"})
    assert "the engine cannot load it: 1,." in done.stderr


def test_an_engine_that_cannot_be_started_is_a_note(
    ingot: Ingot, cache: Path, tmp_path: Path
) -> None:
    seed_cache()  # no program at all
    model = write_model(tmp_path / "m.gguf")
    done = ingot("build", model, "-o", tmp_path / "hello", "--json")
    assert done.returncode == 0
    assert "note: nothing was asked of the engine: cannot start the engine" in done.stderr
    result = json.loads(done.stdout)
    assert "kernels" not in result["manifest"]["model"] and len(result["notes"]) == 1
    assert "Kernel set" not in ingot("inspect", tmp_path / "hello").stdout


def test_an_executable_without_it_is_asked_about(ingot: Ingot, cache: Path, tmp_path: Path) -> None:
    seed_cache()
    model = write_model(tmp_path / "m.gguf")
    assert ingot("build", model, "-o", tmp_path / "old").returncode == 0
    folder = runtime_folder(runtime_key(load_sources(), choose_target(load_sources())))
    program = folder / "program"
    program.write_bytes(COPIES)
    program.chmod(0o755)
    record = json.loads((folder / "runtime.json").read_text())
    record["files"]["program"] = len(COPIES)
    (folder / "runtime.json").write_text(json.dumps(record))
    assert json.loads(ingot("kernels", tmp_path / "old", "--json").stdout) == DOCUMENT
    seen, whole = (program.parent / "seen").read_bytes(), model.read_bytes()
    assert len(seen) == len(whole)
    header = len(seen.rstrip(b"\0"))
    assert 0 < header < len(whole) and seen[:header] == whole[:header]


def test_repack_asks_the_new_runtime(tmp_path: Path) -> None:
    artefact = Artefact(model=write_model(tmp_path / "m.gguf"), output=tmp_path / "hello")
    other: dict[str, Any] = {**DOCUMENT, "ops": ["ADD"]}
    answers = [
        runtime_with(tmp_path / name, ANSWERS.replace(json.dumps(DOCUMENT).encode(), text))
        for name, text in (("a", json.dumps(DOCUMENT).encode()), ("b", json.dumps(other).encode()))
    ]
    build(artefact, answers[0], NullProgress())
    assert manifest_of(artefact.output).about.model["kernels"] == DOCUMENT
    repack(artefact.output, answers[1], artefact.output, NullProgress(), changes=Changes(ui=False))
    assert manifest_of(artefact.output).about.model["kernels"] == other
    refusing = runtime_with(tmp_path / "c", REFUSES)
    with pytest.raises(InputError) as caught:
        repack(artefact.output, refusing, artefact.output, NullProgress())
    assert caught.value.message == "models/m.gguf: the engine cannot load it: odd"
    assert manifest_of(artefact.output).about.model["kernels"] == other
