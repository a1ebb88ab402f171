"""What people give instead of a GGUF: pieces, joined splits, checkpoints, llamafiles, archives."""

from __future__ import annotations

import bz2
import gzip
import json
import lzma
import os
import re
import subprocess
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.conftest import Ingot
from tests.golden.samples import seed_cache, write_model, write_split


@pytest.fixture(autouse=True)
def seeded(cache: Path) -> None:
    seed_cache()


def cut(whole: bytes, folder: Path, names: list[str]) -> list[Path]:
    """``whole`` in as many pieces as there are names."""
    step = -(-len(whole) // len(names))
    for number, name in enumerate(names):
        (folder / name).write_bytes(whole[number * step : (number + 1) * step])
    return [folder / name for name in names]


@pytest.mark.parametrize(
    "names",
    [
        ["m.gguf.part1of2", "m.gguf.part2of2"],
        ["m.gguf.partaa", "m.gguf.partab", "m.gguf.partac"],
        ["m.gguf-split-a", "m.gguf-split-b"],
        ["m.gguf.001", "m.gguf.002"],
        ["my model.gguf.part-1", "my model.gguf.part-2"],
        ["m.gguf.xaa", "m.gguf.xab", "m.gguf.xac"],
        ["m.part01.gguf", "m.part02.gguf"],
        [f"m.gguf.{number}" for number in range(1, 12)],
    ],
)
def test_the_hint_joins_pieces(names: list[str], ingot: Ingot, tmp_path: Path) -> None:
    whole = write_model(tmp_path / "whole.gguf").read_bytes()
    pieces = cut(whole, tmp_path, names)
    for words in ([pieces[0], "-o", "out"], [pieces[-1]]):
        done = ingot("build", *words)
        assert done.returncode == 3
        error, hint = done.stderr.splitlines()[-2:]
        assert error == f"error: {words[0]}: is one piece of a file that was cut into several"
    subprocess.run(["sh", "-c", hint.partition("the whole: ")[2]], check=True)
    joined = tmp_path / re.sub(r"(\.gguf).*", r"\1", re.sub(r"\.part..\.gguf", ".gguf", names[0]))
    assert joined.read_bytes() == whole


@pytest.mark.parametrize(
    ("names", "absent", "says"),
    [
        (["m.gguf.001", "m.gguf.002", "m.gguf.003"], 1, "get m.gguf.002 too, and join"),
        (["m.gguf.aa", "m.gguf.ab", "m.gguf.ac"], 1, "get m.gguf.ab too, and join"),
        (["m.gguf.part1of2", "m.gguf.part2of2"], 1, "get m.gguf.part2of2 too, and join"),
        (["m.gguf.split01", "m.gguf.split02"], 1, "get the other pieces too, and join"),
    ],
)
def test_a_piece_that_is_not_here_is_named(
    names: list[str], absent: int, says: str, ingot: Ingot, tmp_path: Path
) -> None:
    whole = write_model(tmp_path / "whole.gguf").read_bytes()
    pieces = cut(whole, tmp_path, names)
    pieces[absent].unlink()
    done = ingot("build", pieces[0], "-o", "out")
    assert done.returncode == 3 and f"hint: {says}" in done.stderr


@pytest.mark.parametrize("ending", ["gz", "xz", "zst", "bak", "old"])
def test_other_endings_are_no_pieces(ending: str, ingot: Ingot, tmp_path: Path) -> None:
    path = tmp_path / f"m.gguf.{ending}"
    path.write_bytes(b"no model")
    done = ingot("inspect", path)
    assert done.returncode == 3 and "one piece" not in done.stderr


def test_splits_joined_with_cat(ingot: Ingot, tmp_path: Path) -> None:
    path = tmp_path / "joined.gguf"
    path.write_bytes(b"".join(part.read_bytes() for part in write_split(tmp_path)))
    done = ingot("build", path)
    assert done.returncode == 3
    assert "the 3 parts of a split GGUF were joined with cat" in done.stderr


def test_parts_with_an_ending_in_capitals(ingot: Ingot, tmp_path: Path) -> None:
    parts = [path.rename(path.with_suffix(".GGUF")) for path in write_split(tmp_path)]
    done = ingot("build", parts[1], "-o", tmp_path / "out")
    assert done.returncode == 0, done.stderr


def test_checkpoints_are_converted_first(ingot: Ingot, tmp_path: Path) -> None:
    folder = tmp_path / "a checkpoint"
    folder.mkdir()
    (folder / "config.json").write_text("{}")
    weights = folder / "model.safetensors"
    weights.write_bytes((2).to_bytes(8, "little") + b"{}" + bytes(40))
    done = ingot("build", folder, "-o", "out")
    assert done.returncode == 3
    assert f"hint: make a GGUF of it: ingot convert '{folder}' -o NAME.gguf" in done.stderr
    done = ingot("build", weights, "-o", "out")
    assert done.returncode == 3 and "this is a safetensors file" in done.stderr
    assert f"ingot convert '{folder}' -o NAME.gguf" in done.stderr
    assert "ingot convert " in ingot("build", folder).stderr  # also without a name for the output


PACKERS: dict[str, Callable[[bytes], bytes]] = {
    "gz": gzip.compress,
    "xz": lzma.compress,
    "bz2": bz2.compress,
}


@pytest.mark.parametrize("ending", PACKERS)
def test_a_compressed_gguf_is_unpacked(ending: str, ingot: Ingot, tmp_path: Path) -> None:
    raw = write_model(tmp_path / "tiny.gguf").read_bytes()
    packed = tmp_path / f"tiny.gguf.{ending}"
    packed.write_bytes(PACKERS[ending](raw))
    done = ingot("build", packed, "--json")
    assert done.returncode == 0, done.stdout
    document = json.loads(done.stdout)
    assert document["output"] == "tiny" and document["manifest"]["model"]["size"] == len(raw)
    packed.write_bytes(packed.read_bytes()[:-20])
    done = ingot("build", packed, "--force")
    assert done.returncode == 5 and "is damaged" in done.stderr


@pytest.mark.parametrize(
    ("head", "command"),
    [(b"\x28\xb5\x2f\xfd", "zstd -d"), (b"7z\xbc\xaf\x27\x1c", "7z x"), (b"Rar!", "unrar x")],
)
def test_what_is_not_unpacked_here_is_named(
    head: bytes, command: str, ingot: Ingot, tmp_path: Path
) -> None:
    path = tmp_path / "m.gguf.packed"
    path.write_bytes(head + bytes(100))
    for output in (["-o", "out"], []):
        done = ingot("build", path, *output)
        assert done.returncode == 3 and f"unpack it: {command} {path}" in done.stderr


@pytest.mark.parametrize("head", [b"MZqFpD='\n", b"\x7fELF" + bytes(60)])
def test_the_model_of_a_llamafile(head: bytes, ingot: Ingot, tmp_path: Path) -> None:
    model = write_model(tmp_path / "tiny.gguf")
    path = tmp_path / "tiny.llamafile"
    path.write_bytes(head)
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr(".args", "-m\ntiny.gguf\n")
        archive.write(model, "tiny.gguf")
    done = ingot("build", path, "--json")
    assert done.returncode == 0, done.stdout
    document = json.loads(done.stdout)
    assert document["output"] == "tiny"
    assert document["manifest"]["model"]["size"] == model.stat().st_size


def test_an_executable_of_ours_is_still_no_archive(ingot: Ingot, tmp_path: Path) -> None:
    assert ingot("build", write_model(tmp_path / "tiny.gguf"), "-o", tmp_path / "x").returncode == 0
    done = ingot("build", tmp_path / "x", "-o", "out")
    assert done.returncode == 3 and "ingot extract" in done.stderr


def test_a_file_url_is_a_file(ingot: Ingot, tmp_path: Path) -> None:
    model = write_model(tmp_path / "a model.gguf")
    done = ingot("build", model.as_uri(), "-o", "out")
    assert done.returncode == 0, done.stderr
    done = ingot("build", "file://elsewhere/m.gguf", "-o", "out")
    assert done.returncode == 3 and "of another machine" in done.stderr


@pytest.mark.parametrize("verb", ["build", "repack", "extract"])
def test_an_output_without_a_name(verb: str, ingot: Ingot, tmp_path: Path) -> None:
    done = ingot(verb, write_model(tmp_path / "tiny.gguf"), "-o", "")
    assert done.returncode == 2 and "the name of the output is empty" in done.stderr


@pytest.mark.parametrize("verb", ["build", "repack", "quantize", "convert", "extract"])
def test_the_output_is_no_stream(verb: str, ingot: Ingot, tmp_path: Path) -> None:
    model = write_model(tmp_path / "tiny.gguf")
    words = ["-", "Q4_K_M"] if verb == "quantize" else ["-o", "-"]
    done = ingot(verb, model, *words)
    assert done.returncode == 2 and "not written to standard output" in done.stderr
    assert not (tmp_path / "cwd" / "-").exists()


def test_an_output_with_a_slash_is_a_folder(ingot: Ingot, tmp_path: Path) -> None:
    model = write_model(tmp_path / "tiny.gguf")
    done = ingot("build", model, "-o", f"{tmp_path}/new/")
    assert (
        done.returncode == 3 and f"error: {tmp_path}/new/: there is no such folder" in done.stderr
    )
    assert f"-o {tmp_path}/new/tiny" in done.stderr
    (tmp_path / "new").mkdir()
    assert ingot("build", model, "-o", f"{tmp_path}/new/").returncode == 0
    assert os.listdir(tmp_path / "new") == ["tiny"]
    done = ingot("repack", tmp_path / "new/tiny", "-o", f"{tmp_path}/other/")
    assert done.returncode == 3 and "is the name of a folder" in done.stderr


def test_a_socks_proxy_needs_a_package(ingot: Ingot) -> None:
    proxy = dict.fromkeys(("ALL_PROXY", "HTTPS_PROXY"), "socks5://127.0.0.1:9")
    done = ingot("build", "https://example.invalid/m.gguf", env=proxy)
    assert done.returncode == 4
    assert "hint: a SOCKS proxy needs the Python package PySocks" in done.stderr
