"""The bounded reader: what it accepts equals the reference, what it refuses it refuses in words."""

from __future__ import annotations

import io
import os
import struct
import time
from collections.abc import Callable
from pathlib import Path

import gguf as reference
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ingot.errors import InputError
from ingot.gguf.model import Array, Gguf, SkippedString
from ingot.gguf.reader import KEPT_STRING, read_gguf, read_gguf_from
from ingot.gguf.types import RETIRED_TYPES, TENSOR_TYPES
from tests.golden.samples import Q4_K, Q8_0, TENSORS, T, gguf_bytes, model_kv, string

GOOD = gguf_bytes(model_kv(), TENSORS)


def read(raw: bytes) -> Gguf:
    return read_gguf_from(io.BytesIO(raw), name="x.gguf", size=len(raw))


def refused(raw: bytes) -> InputError:
    with pytest.raises(InputError) as caught:
        read(raw)
    return caught.value


@pytest.mark.parametrize("version", [2, 3])
def test_reads_keys_tensors_and_placement(version: int) -> None:
    found = read(gguf_bytes(model_kv(), TENSORS, version=version))
    assert found.version == version
    assert found.architecture == "llama"
    assert found.integer("llama.context_length") == 128
    assert found.kv["tokenizer.ggml.tokens"] == Array("string", 32)
    assert [t.name for t in found.tensors] == [t.name for t in TENSORS]
    assert found.data_at + found.tensors[-1].offset + found.tensors[-1].size <= len(GOOD)


def test_a_gguf_inside_another_file_is_read_from_its_offset() -> None:
    raw = b"\x7fELF" + bytes(1000) + GOOD + b"behind"
    inner = read_gguf_from(io.BytesIO(raw), name="x", size=len(GOOD), start=1004)
    assert inner.tensors == read(GOOD).tensors


def test_agrees_with_the_reference_writer_and_reader(tmp_path: Path) -> None:
    path = tmp_path / "r.gguf"
    writer = reference.GGUFWriter(path, "llama")
    writer.add_context_length(77)
    writer.add_token_list([f"t{n}" for n in range(5000)])
    writer.add_token_scores([0.5] * 5000)
    writer.add_array("some.flags", [True, False, True])
    writer.add_float64("some.double", 2.5)
    writer.add_int8("some.small", -3)
    rng = np.random.default_rng(1)
    for kind in (
        reference.GGMLQuantizationType.Q4_0,
        reference.GGMLQuantizationType.Q8_0,
        reference.GGMLQuantizationType.BF16,
    ):
        data = reference.quantize(rng.standard_normal((3, 64), dtype=np.float32), kind)
        writer.add_tensor(f"w.{kind.name}", data, raw_dtype=kind)
    writer.add_tensor("odd", np.ones((5, 3, 2), dtype=np.float16))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()

    ours, theirs = read_gguf(path), reference.GGUFReader(path)
    assert ours.data_at == theirs.data_offset
    assert [
        (t.name, list(t.shape), t.type, ours.data_at + t.offset, t.size) for t in ours.tensors
    ] == [
        (t.name, [int(n) for n in t.shape], t.tensor_type.name, t.data_offset, t.n_bytes)
        for t in theirs.tensors
    ]
    assert set(ours.kv) == {key for key in theirs.fields if not key.startswith("GGUF.")}
    assert ours.kv["some.flags"] == Array("bool", 3, (True, False, True))
    assert ours.kv["some.double"] == 2.5
    assert ours.kv["some.small"] == -3
    assert ours.kv["tokenizer.ggml.tokens"] == Array("string", 5000)
    assert ours.kv["tokenizer.ggml.scores"] == Array("f32", 5000)


def test_block_sizes_equal_the_reference_table() -> None:
    known = {kind.value: size for kind, size in reference.GGML_QUANT_SIZES.items()}
    # The reference still has the size from when both of its scales were floats; the engine's
    # block_q8_1 (ggml-common.h) has two halves.
    assert known[9] == (32, 40)
    known[9] = (32, 36)
    for number, ours in TENSOR_TYPES.items():
        if number in known:
            assert (ours.block, ours.size) == known[number], ours.name
            assert reference.GGMLQuantizationType(number).name == ours.name
    assert set(known) <= set(TENSOR_TYPES)
    assert not set(RETIRED_TYPES) & set(TENSOR_TYPES)


def test_a_long_string_is_skipped_and_not_kept() -> None:
    found = read(gguf_bytes(model_kv(big="x" * (KEPT_STRING + 1)), TENSORS))
    assert found.kv["big"] == SkippedString(KEPT_STRING + 1)
    assert found.tensors == read(GOOD).tensors


def test_a_name_with_a_bad_byte_does_not_make_a_model_useless() -> None:
    pairs = string("general.name") + struct.pack("<I", 8) + string(b"caf\xe9")
    assert read(gguf_bytes({"k": ""}, pairs=pairs)).text("general.name") == "caf\ufffd"


def test_a_vocabulary_of_150_000_tokens_takes_a_fraction_of_a_second() -> None:
    raw = gguf_bytes(model_kv(merges=[f"m {n}" for n in range(150_000)]), TENSORS)
    started = time.perf_counter()
    found = read(raw)
    assert found.count("merges") == 150_000
    assert time.perf_counter() - started < 0.5  # 25 ms on an idle core


def pair(raw: bytes) -> bytes:
    """A GGUF with one raw key-value pair and no tensors."""
    return gguf_bytes({"k": ""}, pairs=raw) + bytes(64)


def header(version: int, tensors: int, pairs: int, behind: int = 0) -> bytes:
    return struct.pack("<4sIQQ", b"GGUF", version, tensors, pairs) + bytes(behind)


def tensor(t: T) -> bytes:
    return gguf_bytes(model_kv(), (t,))


HUGE = 1 << 40
BAD: dict[str, tuple[bytes, str, str]] = {
    # name: (bytes, code, something the message says)
    "empty": (b"", "gguf-empty", "empty"),
    "text": (b"# a readme", "gguf-magic", "not a GGUF"),
    "web page": (b"<!DOCTYPE html><html>", "gguf-magic", "web page"),
    "lfs pointer": (b"version https://git-lfs.github.com/spec/v1\n", "gguf-magic", "Git LFS"),
    "pytorch": (b"PK\x03\x04" + bytes(40), "gguf-magic", "ZIP or PyTorch"),
    "program": (b"\x7fELF" + bytes(60), "gguf-magic", "a program"),
    "ggjt": (b"tjgg" + bytes(60), "gguf-magic", "before GGUF"),
    "half a magic": (b"GG", "gguf-truncated", "ends in its magic"),
    "magic only": (b"GGUF", "gguf-truncated", "the version"),
    "version 0": (header(0, 0, 0, 64), "gguf-version", "version 0"),
    "version 1": (header(1, 0, 0, 64), "gguf-version", "too old"),
    "version 4": (header(4, 0, 0, 64), "gguf-version", "version 4"),
    "big endian": (struct.pack(">4sIQQ", b"GGUF", 3, 0, 0), "gguf-endian", "big endian"),
    "tensor count": (header(3, HUGE, 0, 64), "gguf-count", f"{HUGE} tensors"),
    "negative tensor count": (header(3, (1 << 64) - 1, 0, 64), "gguf-count", "tensors"),
    "pair count": (header(3, 0, HUGE, 64), "gguf-count", f"{HUGE} key-value pairs"),
    "pairs beyond the file": (header(3, 0, 50_000, 64), "gguf-truncated", "50000 key-value"),
    "tensors beyond the file": (header(3, 100_000, 0, 64), "gguf-truncated", "100000 tensors"),
    "key length": (pair(struct.pack("<Q", HUGE)), "gguf-count", f"{HUGE} bytes"),
    "key past the end": (pair(struct.pack("<Q", 60_000)), "gguf-truncated", "key 0"),
    "empty key": (pair(string("") + struct.pack("<IB", 0, 1)), "gguf-key", "is empty"),
    "key not utf-8": (pair(string(b"\xff\xfe") + struct.pack("<IB", 0, 1)), "gguf-text", "UTF-8"),
    "value type": (pair(string("k") + struct.pack("<II", 13, 1)), "gguf-type", "type 13"),
    "string length": (pair(string("k") + struct.pack("<IQ", 8, 1 << 63)), "gguf-count", "bytes"),
    "string past the end": (
        pair(string("k") + struct.pack("<IQ", 8, 999)),
        "gguf-truncated",
        "999",
    ),
    "2^40 elements": (pair(string("k") + struct.pack("<IIQ", 9, 4, HUGE)), "gguf-count", str(HUGE)),
    "elements past the end": (
        pair(string("k") + struct.pack("<IIQ", 9, 12, 9999)),
        "gguf-truncated",
        "79992 bytes",
    ),
    "strings past the end": (
        pair(string("k") + struct.pack("<IIQ", 9, 8, 9999)),
        "gguf-truncated",
        "79992 bytes",
    ),
    "string in array past the end": (
        pair(string("k") + struct.pack("<IIQQ", 9, 8, 2, 1 << 63)),
        "gguf-truncated",
        "runs past the end",
    ),
    "untyped array": (pair(string("k") + struct.pack("<IIQ", 9, 99, 1)), "gguf-type", "type 99"),
    "array in array": (pair(string("k") + struct.pack("<IIQ", 9, 9, 1)), "gguf-type", "inside"),
    "key twice": (
        gguf_bytes({"a": 1, "b": 1}, pairs=2 * (string("a") + struct.pack("<IB", 0, 1))),
        "gguf-duplicate",
        "'a' appears twice",
    ),
    "alignment 0": (gguf_bytes(model_kv(general__alignment=0)), "gguf-alignment", "is 0"),
    "alignment 48": (gguf_bytes(model_kv(general__alignment=48)), "gguf-alignment", "is 48"),
    "alignment 2^30": (gguf_bytes(model_kv(general__alignment=1 << 30)), "gguf-alignment", "is"),
    "alignment as text": (gguf_bytes(model_kv(general__alignment="32")), "gguf-type", "string"),
    "alignment as bool": (gguf_bytes(model_kv(general__alignment=True)), "gguf-type", "bool"),
    "5 dimensions": (tensor(T("w", (1, 1, 1, 1, 1))), "gguf-shape", "5 dimensions"),
    "2^31 dimensions": (
        header(3, 1, 0) + string("w") + struct.pack("<I", 1 << 31) + bytes(64),
        "gguf-shape",
        "dimensions",
    ),
    "product overflow": (tensor(T("w", (1 << 33, 1 << 33), data=b"")), "gguf-shape", "absurd"),
    "wrapping product": (tensor(T("w", (1 << 32, 1 << 32), data=b"")), "gguf-shape", "absurd"),
    "negative dimension": (tensor(T("w", ((1 << 64) - 1, 0), data=b"")), "gguf-shape", "absurd"),
    "row not whole blocks": (tensor(T("w", (100,), Q4_K, b"")), "gguf-shape", "100 elements"),
    "unknown type": (tensor(T("w", (32,), 77, b"")), "gguf-type", "unknown type 77"),
    "retired type": (tensor(T("w", (32,), 4, b"")), "gguf-type", "Q4_2"),
    "tensor twice": (
        gguf_bytes(model_kv(), (T("w"), T("w"))),
        "gguf-duplicate",
        "'w' appears twice",
    ),
    "long tensor name": (tensor(T("w" * 64)), "gguf-count", "limit is 63"),
    "overlap": (gguf_bytes(model_kv(), (T("a"), T("b", offset=0))), "gguf-offset", "not 128"),
    "unaligned": (gguf_bytes(model_kv(), (T("a"), T("b", offset=132))), "gguf-offset", "132"),
    "far away": (gguf_bytes(model_kv(), (T("a", offset=1 << 63),)), "gguf-offset", "not 0"),
    "data missing": (tensor(T("w", (32, 1 << 20), Q8_0, b"")), "gguf-truncated", "tensor 'w'"),
}


@pytest.mark.parametrize("case", BAD)
def test_malformed_files_are_refused_in_words(case: str) -> None:
    raw, code, says = BAD[case]
    error = refused(raw)
    assert error.code == code
    assert says in error.message
    assert error.message.startswith("x.gguf: ")
    assert "at byte" in error.message
    assert error.hint


def test_every_truncation_is_seen() -> None:
    for length in range(len(GOOD)):  # the last tensor has 32 bytes: no padding follows it
        assert refused(GOOD[:length]).code in {"gguf-truncated", "gguf-empty"}, length


def outcome(raw: bytes) -> None:
    """Read hostile bytes: a Gguf or an InputError, and quickly; anything else fails the test."""
    started = time.perf_counter()
    try:
        read(raw)
    except InputError as error:
        assert error.code.startswith("gguf-")
    assert time.perf_counter() - started < 1


@given(
    st.integers(0, len(GOOD) - 1),
    st.binary(min_size=1, max_size=12),
    st.integers(0, len(GOOD)),
)
@settings(max_examples=600, deadline=None)
def test_mutations_never_raise_anything_else(at: int, patch: bytes, cut: int) -> None:
    outcome(GOOD[:at] + patch + GOOD[at + len(patch) :])
    outcome((GOOD[:at] + patch + GOOD[at + len(patch) :])[:cut])


@given(st.binary(max_size=400))
@settings(max_examples=300, deadline=None)
def test_arbitrary_bytes_never_raise_anything_else(raw: bytes) -> None:
    outcome(raw)
    outcome(struct.pack("<4sI", b"GGUF", 3) + raw)


@given(st.integers(0, 5), st.integers(0, (1 << 64) - 1))
@settings(max_examples=200, deadline=None)
def test_any_64_bit_length_anywhere_is_survived(which: int, number: int) -> None:
    places: list[Callable[[bytes], bytes]] = [
        lambda n: GOOD[:8] + n + GOOD[16:],
        lambda n: GOOD[:16] + n + GOOD[24:],
        lambda n: GOOD[:24] + n + GOOD[32:],
        lambda n: pair(string("k") + struct.pack("<I", 8) + n),
        lambda n: pair(string("k") + struct.pack("<II", 9, 8) + n),
        lambda n: pair(string("k") + struct.pack("<IIQ", 9, 8, 3) + n),
    ]
    outcome(places[which](struct.pack("<Q", number)))


def test_paths_that_are_no_files(tmp_path: Path) -> None:
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    for path, code in (
        (tmp_path / "none", "file-missing"),
        (tmp_path, "file-is-folder"),
        (fifo, "file-not-regular"),
    ):
        with pytest.raises(InputError) as caught:
            read_gguf(path)
        assert caught.value.code == code
        assert str(path) in caught.value.message


def test_a_sparse_file_of_100_gb_is_read_at_once(tmp_path: Path) -> None:
    path = tmp_path / "large.gguf"
    rows = 100_000_000_000 // 34 // 32
    raw = gguf_bytes(model_kv(), (T("w", (1024, rows), Q8_0, b""),))
    with path.open("wb") as file:
        file.write(raw)
        file.truncate(len(raw) + rows * 34 * 32)
    started = time.perf_counter()
    assert read_gguf(path).tensors[0].size == rows * 34 * 32
    assert time.perf_counter() - started < 0.5
