"""From recipes to executables and from executables to repacked ones."""

from __future__ import annotations

import os
import zlib
from dataclasses import replace
from pathlib import Path

import pytest

from ingot.bundle.deflate import deflate
from ingot.bundle.manifest import WEIGHTS, Manifest
from ingot.bundle.reader import open_bundle
from ingot.bundle.verify import verify
from ingot.console import NullProgress
from ingot.engine.image import RuntimeImage
from ingot.errors import InputError, IntegrityError, UsageError
from ingot.recipe.args import split_args
from ingot.recipe.build import Changes, build, repack
from ingot.recipe.plan import Artefact, entry_names, load_inputs
from tests.golden.samples import (
    TENSORS,
    T,
    fake_runtime,
    write_lora,
    write_model,
    write_projector,
    write_split,
)


@pytest.fixture
def runtime(tmp_path: Path) -> RuntimeImage:
    return fake_runtime(tmp_path / "runtime")


@pytest.fixture
def artefact(tmp_path: Path) -> Artefact:
    return Artefact(model=write_model(tmp_path / "tiny.gguf"), output=tmp_path / "hello")


def manifest_of(path: Path) -> Manifest:
    with open_bundle(path) as bundle:
        assert verify(bundle, NullProgress()) == ()
        return bundle.manifest


def test_all_parts_come_in_the_formats_order(
    tmp_path: Path, artefact: Artefact, runtime: RuntimeImage
) -> None:
    full = replace(
        artefact,
        name="hi",
        description="One line",
        args=("-c", "64"),
        mmproj=write_projector(tmp_path / "mm.gguf"),
        loras=(write_lora(tmp_path / "z.gguf"), write_lora(tmp_path / "a.gguf")),
        draft=write_model(tmp_path / "draft.gguf"),
    )
    result = build(full, runtime, NullProgress())
    manifest = manifest_of(result.path)
    assert manifest == result.manifest
    assert [(e.role, e.name) for e in manifest.with_role(*WEIGHTS)] == [
        ("model", "models/tiny.gguf"),
        ("projector", "models/mm.gguf"),
        ("lora", "models/z.gguf"),
        ("lora", "models/a.gguf"),
        ("draft", "models/draft.gguf"),
    ]
    assert manifest.about.args == ("-c", "64")
    assert (manifest.about.name, manifest.about.description) == ("hi", "One line")
    assert manifest.about.model["quantization"] == "F32"
    assert {e.target for e in manifest.with_role("module")} == {"linux-x86_64"}


def test_the_same_inputs_give_the_same_bytes(artefact: Artefact, runtime: RuntimeImage) -> None:
    first = build(artefact, runtime, NullProgress()).path.read_bytes()
    os.utime(artefact.model, (1, 1))
    again = build(
        replace(artefact, output=artefact.output.with_name("again")), runtime, NullProgress()
    )
    assert again.path.read_bytes() == first


def test_without_the_page(artefact: Artefact, runtime: RuntimeImage) -> None:
    manifest = build(replace(artefact, ui=False), runtime, NullProgress()).manifest
    assert manifest.with_role("ui") == ()
    assert manifest.about.ui is False


def test_sources_are_carried_unless_left_out_and_a_repack_keeps_it_so(
    tmp_path: Path, artefact: Artefact, runtime: RuntimeImage
) -> None:
    def names(path: Path) -> list[str]:
        return [entry.name for entry in manifest_of(path).with_role("source")]

    both = ["sources/gpu.tar"]
    with_them = build(artefact, runtime, NullProgress()).path
    assert names(with_them) == both
    bare = replace(artefact, sources=False, output=tmp_path / "bare")
    without = build(bare, runtime, NullProgress()).path
    assert names(without) == []
    for path, expected in ((with_them, both), (without, [])):
        assert (
            names(repack(path, runtime, tmp_path / "again", NullProgress(), force=True).path)
            == expected
        )
    changes = Changes(sources=True)
    repack(without, runtime, without, NullProgress(), changes=changes)
    assert without.read_bytes() == with_them.read_bytes()


def test_what_was_deflated_before_is_taken_if_it_is_right(
    tmp_path: Path, artefact: Artefact, runtime: RuntimeImage
) -> None:
    page = dict(runtime.ui)["_app/page.js"]
    ready = tmp_path / "page.deflated"
    prepared = replace(runtime, deflated={"ui/_app/page.js": ready})
    again = replace(artefact, output=tmp_path / "hello-again", name="hello")
    first = replace(artefact, output=tmp_path / "hello-first", name="hello")
    plain = build(first, runtime, NullProgress()).path.read_bytes()
    for data in (b"", b"damaged", deflate(b"other"), deflate(page.read_bytes() + b" ")):
        ready.write_bytes(data)
        assert build(again, prepared, NullProgress(), force=True).path.read_bytes() == plain
    engine = zlib.compressobj(1, wbits=-15)
    ready.write_bytes(engine.compress(page.read_bytes()) + engine.flush())
    done = build(again, prepared, NullProgress(), force=True)
    entry = done.manifest.entry("ui/_app/page.js")
    assert entry is not None
    assert entry.stored == ready.stat().st_size
    manifest_of(done.path)


def test_a_split_model_is_joined(tmp_path: Path, runtime: RuntimeImage) -> None:
    parts = write_split(tmp_path)
    artefact = Artefact(model=parts[1], output=tmp_path / "hello")
    manifest = manifest_of(build(artefact, runtime, NullProgress()).path)
    assert manifest.about.name == "big"
    assert manifest.entries[0].name == "models/big.gguf"
    assert manifest.about.model["tensor_types"]["F32"]["count"] == 3


def test_files_of_one_name_get_names_of_their_own() -> None:
    names = entry_names(["m.gguf", "m.gguf", "m.gguf", "a/b\\c:d.gguf", "noending"])
    assert names == [
        "models/m.gguf",
        "models/m-2.gguf",
        "models/m-3.gguf",
        "models/a_b_c_d.gguf",
        "models/noending",
    ]


@pytest.mark.parametrize("content", [b"", b"  \n", b"\xff\xfe", b"a\0b", b"x" * ((4 << 20) + 1)])
def test_licences_are_utf8_text(tmp_path: Path, artefact: Artefact, content: bytes) -> None:
    path = tmp_path / "LICENSE"
    path.write_bytes(content)
    with pytest.raises(InputError) as caught:
        load_inputs(replace(artefact, license=path))
    assert caught.value.code == "bad-license"
    assert str(path) in caught.value.message


@pytest.mark.parametrize("name", ["", "two\nlines", "\x1b[31m", "x" * 5000])
def test_names_are_one_line_of_text(artefact: Artefact, name: str) -> None:
    with pytest.raises(InputError) as caught:
        load_inputs(replace(artefact, name=name))
    assert caught.value.code == "bad-name"


def test_arguments_are_split_as_a_shell_does() -> None:
    assert split_args(["-c 2048 --temp 0.2", "-p 'two words'", ""]) == (
        "-c", "2048", "--temp", "0.2", "-p", "two words",
    )  # fmt: skip


@pytest.mark.parametrize(
    "quoted",
    [
        "-m x.gguf",
        "--model x",
        "--model=x",
        "-c 1 --lora y",
        "--mmproj z",
        "-md d",
        "-hf a/b",
        "'open",
    ],
)
def test_arguments_that_cannot_travel_are_refused(quoted: str) -> None:
    with pytest.raises(UsageError) as caught:
        split_args([quoted])
    assert caught.value.code == "bad-args"
    assert caught.value.hint


def test_a_repack_around_the_same_runtime_changes_nothing(
    artefact: Artefact, runtime: RuntimeImage, tmp_path: Path
) -> None:
    licence = tmp_path / "LICENSE"
    licence.write_text("You may.")
    original = build(replace(artefact, license=licence, args=("-c", "1")), runtime, NullProgress())
    again = repack(original.path, runtime, tmp_path / "again", NullProgress())
    assert again.path.read_bytes() == original.path.read_bytes()


def test_a_repack_in_place_takes_the_new_runtime_and_options(
    artefact: Artefact, runtime: RuntimeImage, tmp_path: Path
) -> None:
    path = build(replace(artefact, args=("-c", "1")), runtime, NullProgress()).path
    newer = fake_runtime(tmp_path / "newer", b"\x7fELF" + b"new" * 5000, "cd" * 32)
    changes = Changes(name="other", args=(), ui=False)
    repack(path, newer, path, NullProgress(), changes=changes)
    manifest = manifest_of(path)
    assert path.read_bytes().startswith(b"\x7fELFnew")
    assert (manifest.about.name, manifest.about.args, manifest.about.ui) == ("other", (), False)
    assert manifest.about.runtime_key == "cd" * 32
    with open_bundle(path) as bundle:
        model = bundle.manifest.entries[0]
        assert os.pread(bundle.fd, model.size, model.offset) == artefact.model.read_bytes()


def test_a_repack_of_damaged_weights_is_refused_and_leaves_the_old(
    artefact: Artefact, runtime: RuntimeImage
) -> None:
    path = build(artefact, runtime, NullProgress()).path
    raw = bytearray(path.read_bytes())
    raw[65536 + 100] ^= 1
    path.write_bytes(raw)
    with pytest.raises(IntegrityError) as caught:
        repack(path, runtime, path, NullProgress())
    assert caught.value.code == "entry-damaged"
    assert "models/tiny.gguf" in caught.value.message
    assert path.read_bytes() == raw


def test_a_repack_over_another_file_needs_force(artefact: Artefact, runtime: RuntimeImage) -> None:
    path = build(artefact, runtime, NullProgress()).path
    other = path.with_name("other")
    other.touch()
    with pytest.raises(InputError) as caught:
        repack(path, runtime, other, NullProgress())
    assert caught.value.code == "output-exists"
    repack(path, runtime, other, NullProgress(), force=True)
    assert other.read_bytes() == path.read_bytes()


def test_repacking_keeps_weights_larger_than_a_chunk(tmp_path: Path, runtime: RuntimeImage) -> None:
    model = write_model(tmp_path / "m.gguf", (*TENSORS, T("blk.0.ffn_up.weight", (1024, 1500))))
    path = build(Artefact(model, tmp_path / "hello"), runtime, NullProgress()).path
    bigger = fake_runtime(tmp_path / "bigger", b"\x7fELF" + bytes(300_000))
    repack(path, bigger, path, NullProgress())
    manifest = manifest_of(path)
    assert manifest.entries[0].size == model.stat().st_size
