"""Recording tests: the bytes of a build that had known them, and nothing half-done."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import pytest

from ingot.bundle.amend import record
from ingot.bundle.manifest import RecordedTest
from ingot.bundle.reader import open_bundle
from ingot.bundle.verify import verify
from ingot.console import NullProgress
from ingot.engine.image import RuntimeImage
from ingot.errors import IntegrityError
from ingot.recipe.build import build
from ingot.recipe.gpumodule import GpuModule
from ingot.recipe.plan import Artefact, Recorded
from ingot.toolchain.packages import sha256_of
from tests.golden.samples import VULKAN_FACTS, fake_runtime, write_lora, write_model

TESTS = (RecordedTest("says hello", True), RecordedTest("a\nquick one", False))


@pytest.fixture
def runtime(tmp_path: Path) -> RuntimeImage:
    return fake_runtime(tmp_path / "runtime")


@pytest.fixture
def artefact(tmp_path: Path) -> Artefact:
    licence = tmp_path / "LICENSE"
    licence.write_text("Do what you like.\n" * 40)
    return Artefact(
        model=write_model(tmp_path / "tiny.gguf"),
        output=tmp_path / "hello",
        loras=(write_lora(tmp_path / "style.gguf"),),
        license=licence,
        recipe=b'{"format": 1}\n',
    )


def test_it_is_what_a_build_would_have_written(
    tmp_path: Path, artefact: Artefact, runtime: RuntimeImage
) -> None:
    module = tmp_path / "ggml-vulkan.so"
    module.write_bytes(b"\x7fELF vulkan")
    modules = (GpuModule(module, sha256_of(module), VULKAN_FACTS),)
    build(artefact, runtime, NullProgress(), modules=modules)
    wanted = replace(artefact, output=tmp_path / "wanted", recorded=Recorded(TESTS))
    build(wanted, runtime, NullProgress(), modules=modules)
    manifest = record(artefact.output, NullProgress(), tests=TESTS)
    assert artefact.output.read_bytes() == wanted.output.read_bytes()
    with open_bundle(artefact.output) as bundle:
        assert bundle.manifest == manifest
        assert bundle.manifest.about.tests == TESTS
        assert verify(bundle, NullProgress()) == ()
    assert os.access(artefact.output, os.X_OK)


def test_what_stands_there_is_not_written_again(artefact: Artefact, runtime: RuntimeImage) -> None:
    build(artefact, runtime, NullProgress())
    record(artefact.output, NullProgress(), tests=TESTS)
    before = artefact.output.stat().st_ino
    record(artefact.output, NullProgress(), tests=TESTS)
    assert artefact.output.stat().st_ino == before
    record(artefact.output, NullProgress(), tests=TESTS[:1])
    record(artefact.output, NullProgress(), answers={"greedy": [], "top": 4})
    with open_bundle(artefact.output) as bundle:
        assert bundle.manifest.about.tests == TESTS[:1]
        assert bundle.manifest.about.answers == {"greedy": [], "top": 4}


def test_of_a_link_the_file_is_replaced(
    tmp_path: Path, artefact: Artefact, runtime: RuntimeImage
) -> None:
    build(artefact, runtime, NullProgress())
    link = tmp_path / "link"
    link.symlink_to(artefact.output)
    record(link, NullProgress(), tests=TESTS)
    assert link.is_symlink()
    with open_bundle(artefact.output) as bundle:
        assert bundle.manifest.about.tests == TESTS


def test_damaged_weights_are_not_taken_over(artefact: Artefact, runtime: RuntimeImage) -> None:
    build(artefact, runtime, NullProgress())
    with open_bundle(artefact.output) as bundle:
        (entry,) = bundle.manifest.with_role("model")
    content = bytearray(artefact.output.read_bytes())
    content[entry.offset + entry.size - 1] ^= 1
    artefact.output.write_bytes(content)
    with pytest.raises(IntegrityError) as caught:
        record(artefact.output, NullProgress(), tests=TESTS)
    assert caught.value.code == "entry-damaged"
    assert artefact.output.read_bytes() == content
