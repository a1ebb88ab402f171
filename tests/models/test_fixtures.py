"""The fixtures are what they claim, as far as files alone can show."""

from __future__ import annotations

import hashlib
import re
from pathlib import Path

import numpy as np
from gguf import GGMLQuantizationType, GGUFReader, GGUFWriter
from gguf.quants import dequantize

from tests.bench import synthetic
from tests.models import DEMO, fixtures
from tests.models.ggufs import copy_metadata, copy_tensors, save


def test_the_demo_readme_names_the_size_and_hash_of_the_demo_model() -> None:
    readme = (DEMO.parent / "README.md").read_text(encoding="utf-8")
    assert hashlib.sha256(DEMO.read_bytes()).hexdigest() in readme
    assert f"{DEMO.stat().st_size:,} bytes" in readme
    assert DEMO.stat().st_size < 15_000_000


def test_a_plain_copy_equals_the_converters_file(tmp_path: Path) -> None:
    reader = GGUFReader(DEMO)
    writer = GGUFWriter(tmp_path / "copy.gguf", "llama")
    copy_metadata(reader, writer)
    copy_tensors(reader.tensors, writer)
    assert save(writer, tmp_path / "copy.gguf").read_bytes() == DEMO.read_bytes()


def test_split_parts_join_to_the_original(tmp_path: Path) -> None:
    parts = fixtures.split_model(tmp_path)
    readers = [GGUFReader(part) for part in parts]
    assert [part.name for part in parts] == [
        f"pystdlib-7m-0000{number}-of-00003.gguf" for number in (1, 2, 3)
    ]
    assert [reader.fields["split.no"].contents() for reader in readers] == [0, 1, 2]
    joined = [tensor for reader in readers for tensor in reader.tensors]
    original = GGUFReader(DEMO).tensors
    assert [tensor.name for tensor in joined] == [tensor.name for tensor in original]
    for mine, theirs in zip(joined, original, strict=True):
        assert mine.data.tobytes() == theirs.data.tobytes(), mine.name


def test_lora_pairs_have_the_shapes_of_their_weights(tmp_path: Path) -> None:
    weights = {tensor.name: tensor for tensor in GGUFReader(DEMO).tensors}
    pairs = {t.name: t for t in GGUFReader(fixtures.lora_adapter(tmp_path / "l.gguf")).tensors}
    assert len(pairs) == 6 * len(fixtures.LORA_TARGETS) * 2
    for name in {re.sub(r"\.lora_[ab]$", "", name) for name in pairs}:
        n_in, n_out = weights[name].shape
        assert list(pairs[f"{name}.lora_a"].shape) == [n_in, fixtures.LORA_RANK]
        assert list(pairs[f"{name}.lora_b"].shape) == [fixtures.LORA_RANK, n_out]


def test_fixtures_are_the_same_bytes_each_time(tmp_path: Path) -> None:
    for make in (fixtures.lora_adapter, fixtures.projector, fixtures.draft_model):
        first, second = (make(tmp_path / name) for name in ("first.gguf", "second.gguf"))
        assert first.read_bytes() == second.read_bytes()


def test_the_draft_keeps_the_vocabulary_and_one_block(tmp_path: Path) -> None:
    whole, draft = GGUFReader(DEMO), GGUFReader(fixtures.draft_model(tmp_path / "d.gguf"))
    for key in ("tokenizer.ggml.tokens", "tokenizer.ggml.scores", "tokenizer.ggml.token_type"):
        assert draft.fields[key].contents() == whole.fields[key].contents()
    assert draft.fields["llama.block_count"].contents() == 1
    assert len(draft.tensors) == 3 + 9


def test_synthetic_weights_have_the_deviation_they_aim_at(tmp_path: Path) -> None:
    small = synthetic.Shape(blocks=8, embedding=256, feed_forward=512, heads=4, kv_heads=2)
    reader = GGUFReader(synthetic.write_llama(tmp_path / "s.gguf", shape=small))
    kinds = {tensor.tensor_type for tensor in reader.tensors}
    assert kinds == {GGMLQuantizationType.F32, GGMLQuantizationType.Q4_K, GGMLQuantizationType.Q6_K}
    for tensor in reader.tensors:
        if tensor.tensor_type != GGMLQuantizationType.F32:
            values = dequantize(tensor.data, tensor.tensor_type)
            assert np.isfinite(values).all()
            assert abs(float(values.std()) / 0.02 - 1) < 0.05
            assert abs(float(values.mean())) < 0.001
