"""Our glslc, compiled for real: what upstream's generator asks of it, and how it refuses."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from ingot.console import Console
from ingot.engine.pin import load_sources
from ingot.engine.shadertools import ensure_shader_tools
from ingot.toolchain.vulkan import load_pins

SHADER = """#version 450
#include "half.glsl"
layout(local_size_x = 1) in;
layout(binding = 0) buffer B { float data_b[]; };
void main() { data_b[0] = half_of(FACTOR); }
"""
INCLUDED = "float half_of(float x) { return x * 0.5; }\n"
MAGIC = b"\x03\x02\x23\x07"


@pytest.fixture(scope="module")
def glslc() -> Path:
    sources = load_sources()
    pins = load_pins(sources.native / "toolchain.toml")
    return ensure_shader_tools(sources, pins, Console()).glslc


@pytest.fixture
def shader(tmp_path: Path) -> Path:
    (tmp_path / "half.glsl").write_text(INCLUDED)
    path = tmp_path / "tiny.comp"
    path.write_text(SHADER)
    return path


def compile_(
    glslc: Path, *words: str | Path, definition: str = "-DFACTOR=3.0", **env: str | Path
) -> subprocess.CompletedProcess[str]:
    argv = [glslc, "-fshader-stage=compute", "--target-env=vulkan1.2", *words, "-O", definition]
    return subprocess.run(
        [os.fspath(word) for word in argv],
        env={**os.environ, **{name: os.fspath(value) for name, value in env.items()}},
        capture_output=True,
        text=True,
        errors="replace",
        check=False,
    )


def test_a_shader_with_an_include_and_a_definition(
    glslc: Path, shader: Path, tmp_path: Path
) -> None:
    out = tmp_path / "tiny.spv"
    done = compile_(glslc, shader, "-o", out, "-MD", "-MF", tmp_path / "tiny.d")
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    spirv = out.read_bytes()
    assert spirv.startswith(MAGIC)
    assert int.from_bytes(spirv[4:8], "little") == 0x10500  # SPIR-V 1.5: Vulkan 1.2
    assert b"data_b" not in spirv  # names are for debuggers
    assert (tmp_path / "tiny.d").read_text() == f"{out}: {shader} {tmp_path}/half.glsl\n"
    compile_(glslc, shader, "-o", tmp_path / "other.spv", definition="-DFACTOR=4.0")
    assert (tmp_path / "other.spv").read_bytes() != spirv
    newer = subprocess.run(
        [glslc, "--target-env=vulkan1.3", shader, "-DFACTOR=1.0", "-o", "-"],
        capture_output=True,
        check=True,
    )
    assert newer.stdout[:8] == MAGIC + bytes([0, 6, 1, 0])


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (SHADER.replace("half_of(", "nothing("), "'nothing' : no matching overloaded function"),
        (SHADER.replace("half.glsl", "absent.glsl"), "absent.glsl"),
        ("#version 450\n#extension GL_NO_such : require\nvoid main() {}\n", "GL_NO_such"),
    ],
    ids=["an unknown function", "a missing include", "an unknown extension"],
)
def test_what_glslang_says_is_passed_on(
    glslc: Path, shader: Path, tmp_path: Path, text: str, said: str
) -> None:
    shader.write_text(text)
    done = compile_(glslc, shader, "-o", tmp_path / "tiny.spv")
    assert done.returncode == 1
    assert said in done.stderr
    assert "tiny.comp" in done.stderr
    assert not (tmp_path / "tiny.spv").exists()


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["-o", "x.spv"], "an input and -o are needed"),
        (["a.comp"], "an input and -o are needed"),
        (["a.comp", "b.comp", "-o", "x.spv"], "more than one input"),
        (["a.comp", "-o"], "-o needs a value"),
        (["a.comp", "-o", "x.spv", "--werror"], "unknown argument --werror"),
        (["a.comp", "-o", "x.spv", "--target-env=vulkan9"], "unknown target vulkan9"),
        (["/nowhere/a.comp", "-o", "x.spv"], "cannot read /nowhere/a.comp"),
    ],
)
def test_arguments_that_it_does_not_know(
    glslc: Path, tmp_path: Path, words: list[str], said: str
) -> None:
    done = subprocess.run(
        [glslc, *words], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.returncode == 1
    assert said in done.stderr


def test_a_shader_that_is_not_listed_is_a_placeholder_and_not_even_read(
    glslc: Path, shader: Path, tmp_path: Path
) -> None:
    listed = tmp_path / "shaders.txt"
    listed.write_text("tiny_f16\nother\n")
    for name in ("tiny_f16", "tiny", "tiny_f1", "other_f32"):
        done = compile_(glslc, shader, "-o", tmp_path / f"{name}.spv", INGOT_SHADERS=listed)
        assert done.returncode == 0, done.stderr
    assert (tmp_path / "tiny_f16.spv").read_bytes().startswith(MAGIC)
    for name in ("tiny", "tiny_f1", "other_f32"):
        placeholder = (tmp_path / f"{name}.spv").read_bytes()
        assert placeholder[:8] == MAGIC + bytes([0, 5, 1, 0])
        assert (len(placeholder) % 4, len(placeholder) < 48) == (0, True)
        assert placeholder[28:].rstrip(b"\0") == name.encode()
    done = compile_(glslc, shader, "-o", tmp_path / "y.spv", INGOT_SHADERS=tmp_path / "absent")
    assert done.returncode == 1
    assert "cannot read the list" in done.stderr


def test_what_was_compiled_before_is_taken_from_the_cache(
    glslc: Path, shader: Path, tmp_path: Path
) -> None:
    kept = tmp_path / "kept"
    kept.mkdir()
    out = tmp_path / "tiny.spv"
    compile_(glslc, shader, "-o", out, INGOT_SPIRV_CACHE=kept)
    (first,) = kept.iterdir()
    assert first.read_bytes() == out.read_bytes()
    first.write_bytes(b"from the cache")
    compile_(glslc, shader, "-o", out, INGOT_SPIRV_CACHE=kept)
    assert out.read_bytes() == b"from the cache"
    compile_(glslc, shader, "-o", out, definition="-DFACTOR=4.0", INGOT_SPIRV_CACHE=kept)
    assert out.read_bytes().startswith(MAGIC)
    assert len(list(kept.iterdir())) == 2
