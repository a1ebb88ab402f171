"""Split GGUFs: finding the parts, refusing wrong ones, joining without a temporary file."""

from __future__ import annotations

from pathlib import Path

import pytest

from ingot.bundle.inputs import FileRegion, Segment
from ingot.errors import InputError
from ingot.gguf.join import Weights, load_weights
from ingot.gguf.reader import read_gguf
from tests.golden.samples import T, gguf_bytes, model_kv, write_model, write_split


def content(segments: tuple[Segment, ...]) -> bytes:
    parts = []
    for segment in segments:
        if isinstance(segment, FileRegion):
            raw = segment.path.read_bytes()
            parts.append(raw[segment.offset : segment.offset + segment.length])
        else:
            parts.append(segment)
    return b"".join(parts)


def test_a_plain_gguf_is_taken_as_it_is(tmp_path: Path) -> None:
    path = write_model(tmp_path / "m.gguf")
    weights = load_weights(path)
    assert weights.segments == (FileRegion(path, 0, path.stat().st_size),)
    assert weights.file_name == "m.gguf"


@pytest.mark.parametrize("given", [0, 1, 2])
def test_any_part_stands_for_the_whole(tmp_path: Path, given: int) -> None:
    parts = write_split(tmp_path)
    weights = load_weights(parts[given])
    assert weights.files == tuple(parts)
    assert weights.file_name == "big.gguf"


def test_the_joined_gguf_equals_one_written_whole(tmp_path: Path) -> None:
    parts = write_split(tmp_path)
    whole = gguf_bytes(model_kv(), [T(f"blk.{n}.attn_q.weight", (9, n + 1)) for n in range(3)])
    weights = load_weights(parts[0])
    assert content(weights.segments) == whole
    joined = tmp_path / "whole.gguf"
    joined.write_bytes(whole)
    again = read_gguf(joined)
    planned = weights.gguf
    assert (planned.tensors, planned.data_at, planned.spans, planned.size) == (
        again.tensors,
        again.data_at,
        again.spans,
        again.size,
    )
    assert dict(planned.kv) == dict(again.kv)


def test_parts_with_another_alignment_are_placed_anew(tmp_path: Path) -> None:
    kv = model_kv(general__alignment=64) | {"split.no": 0, "split.count": 2}
    first = tmp_path / "m-00001-of-00002.gguf"
    first.write_bytes(gguf_bytes(kv, (T("a", (3,)),), alignment=64))
    second = tmp_path / "m-00002-of-00002.gguf"
    second.write_bytes(gguf_bytes({"split.no": 1, "split.count": 2}, (T("b", (3,)), T("c", (9,)))))
    whole = gguf_bytes(
        model_kv(general__alignment=64), (T("a", (3,)), T("b", (3,)), T("c", (9,))), alignment=64
    )
    assert content(load_weights(second).segments) == whole


def refused(path: Path) -> InputError:
    with pytest.raises(InputError) as caught:
        load_weights(path)
    return caught.value


def test_a_missing_part_is_named(tmp_path: Path) -> None:
    parts = write_split(tmp_path)
    parts[1].unlink()
    error = refused(parts[0])
    assert error.code == "split-missing"
    assert str(parts[1]) in error.message


def test_a_renamed_part_says_what_its_name_should_be(tmp_path: Path) -> None:
    parts = write_split(tmp_path)
    renamed = parts[0].rename(tmp_path / "model.gguf")
    error = refused(renamed)
    assert error.code == "split-name"
    assert "-of-00003.gguf" in error.message


def test_parts_of_different_models_do_not_join(tmp_path: Path) -> None:
    parts = write_split(tmp_path)
    parts[2].write_bytes(parts[1].read_bytes())
    assert refused(parts[0]).code == "split-mismatch"
    kv = {"split.no": 2, "split.count": 3}
    parts[2].write_bytes(gguf_bytes(kv, (T("blk.0.attn_q.weight"),)))
    error = refused(parts[0])
    assert error.code == "split-mismatch"
    assert "repeats" in error.message
    parts[2].write_bytes(gguf_bytes(kv, (T("x"), T("y"))))
    assert "announces 3 tensors" in refused(parts[0]).message


def test_a_truncated_part_is_named(tmp_path: Path) -> None:
    parts = write_split(tmp_path)
    parts[2].write_bytes(parts[2].read_bytes()[:-40])
    error = refused(parts[0])
    assert error.code == "gguf-truncated"
    assert str(parts[2]) in error.message


def test_a_name_like_a_part_without_the_keys_is_a_plain_model(tmp_path: Path) -> None:
    path = write_model(tmp_path / "m-00001-of-00009.gguf")
    weights: Weights = load_weights(path)
    assert weights.files == (path,)
