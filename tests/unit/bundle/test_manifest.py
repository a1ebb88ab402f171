"""Manifests as JSON: what is written comes back; what does not fit is refused."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ingot.bundle.format import CHUNK, name_problem, parse_tail, safe_file_name, tail
from ingot.bundle.manifest import Description, Entry, Manifest, decode
from ingot.errors import IntegrityError

MODEL: dict[str, Any] = {
    "name": "Tiny",
    "architecture": "llama",
    "quantization": "F32",
    "parameters": 7,
    "size": 9,
    "license": None,
    "tensor_types": {"F32": {"count": 1, "bytes": 9}},
}
ABOUT = Description(
    name="hello",
    description=None,
    target="linux-x86_64",
    builder={"name": "ingot", "version": "0"},
    engine={"commit": "abc"},
    toolchain={},
    runtime_key="00",
    args=("--temp", "0.2", "größer"),
    ui=True,
    model=MODEL,
)
ENTRIES = (
    Entry("models/m.gguf", "model", 0, 65536, 9, 9, 1, leaves="hashes/m.gguf.sha256"),
    Entry("hashes/m.gguf.sha256", "hashes", 0, 70000, 32, 32, 2, sha256="a" * 64),
    Entry("modules/x.so", "module", 0, 73728, 5, 5, 3, sha256="b" * 64, target="linux-x86_64"),
    Entry("ui/index.html", "ui", 8, 80000, 50, 5, 4, sha256="c" * 64),
)
MANIFEST = Manifest(ABOUT, 90000, 100, "d" * 64, ENTRIES)


def test_encode_and_decode_are_inverse_and_padding_is_harmless() -> None:
    assert decode(MANIFEST.encode()) == MANIFEST
    padded = MANIFEST.encode(5000)
    assert len(padded) == 5000
    assert decode(padded) == MANIFEST


def test_the_document_is_what_the_runtime_reads() -> None:
    document = MANIFEST.to_json()
    assert document["format"] == 1
    assert document["defaults"] == {"args": ["--temp", "0.2", "größer"], "ui": True}
    assert document["program"] == {"size": 100, "sha256": "d" * 64}
    assert document["entries"][0]["tree"] == {"chunk": CHUNK, "leaves": "hashes/m.gguf.sha256"}
    assert "sha256" not in document["entries"][0]
    assert document["entries"][2]["target"] == "linux-x86_64"


def change(path: str, value: object) -> bytes:
    document = MANIFEST.to_json()
    *parents, last = path.split(".")
    place: Any = document
    for key in parents:
        place = place[int(key)] if isinstance(place, list) else place[key]
    if isinstance(place, list):
        place[int(last)] = value
    else:
        place[last] = value
    return json.dumps(document).encode()


BAD: dict[str, bytes] = {
    "not JSON": b"{",
    "not UTF-8": b"\xff\xfe",
    "a list": b"[]",
    "deep nesting": b"[" * 100_000,
    "other format": change("format", 2),
    "negative size": change("file_size", -1),
    "size as text": change("file_size", "9"),
    "size as bool": change("file_size", True),
    "2^64": change("file_size", 1 << 64),
    "no program": change("program", None),
    "hash too short": change("program.sha256", "abc"),
    "hash in capitals": change("program.sha256", "A" * 64),
    "args of numbers": change("defaults.args", [1]),
    "model without size": change("model.size", None),
    "context as text": change("model.context_length", "long"),
    "histogram of numbers": change("model.tensor_types", {"F32": 3}),
    "entries no list": change("entries", {}),
    "entry no object": change("entries.0", 5),
    "unknown role": change("entries.3.role", "other"),
    "unknown method": change("entries.3.method", 9),
    "deflated weights": change("entries.0.method", 8),
    "deflated module": change("entries.2.method", 8),
    "two sizes": change("entries.2.stored", 6),
    "traversal": change("entries.3.name", "../../etc/passwd"),
    "absolute": change("entries.3.name", "/etc/passwd"),
    "backslash": change("entries.3.name", "ui\\x"),
    "the manifest itself": change("entries.3.name", "manifest.json"),
    "twice": change("entries.3.name", "modules/x.so"),
    "other chunk": change("entries.0.tree.chunk", 4096),
    "leaves missing": change("entries.0.tree.leaves", "hashes/none"),
    "leaves elsewhere": change("entries.0.tree.leaves", "modules/x.so"),
    "crc too large": change("entries.0.crc32", 1 << 32),
    "no model": change("entries.0.role", "lora"),
    "surrogate in a name": change("entries.3.name", "ui/\ud800"),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_manifests_are_refused(case: str) -> None:
    with pytest.raises(IntegrityError) as caught:
        decode(BAD[case])
    assert caught.value.code == "manifest-invalid"
    assert caught.value.message.startswith("the manifest ")


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=8,
)
PATHS = [
    "format", "file_size", "name", "program", "program.size", "engine", "defaults", "defaults.args",
    "model", "model.name", "model.tensor_types", "entries", "entries.0", "entries.0.name",
    "entries.0.tree", "entries.1.sha256", "entries.2.target", "builder", "builder.version",
]  # fmt: skip


@given(st.sampled_from(PATHS), JSON)
@settings(max_examples=300, deadline=None)
def test_any_value_anywhere_is_accepted_or_refused_in_words(path: str, value: object) -> None:
    try:
        decode(change(path, value))
    except IntegrityError as error:
        assert error.code == "manifest-invalid"


@pytest.mark.parametrize(
    "name",
    [
        "",
        "/a",
        "a//b",
        "../a",
        "a/..",
        "a/./b",
        ".",
        "a\\b",
        "C:a",
        "a\nb",
        "a\x7f",
        "a" * 256,
        "a/",
    ],
)
def test_names_that_no_entry_may_have(name: str) -> None:
    assert name_problem(name)


@pytest.mark.parametrize(
    "name", ["a", "models/ü.gguf", "ui/_app/x-1.js", "a b", "..a/b..", "a" * 255]
)
def test_names_that_entries_may_have(name: str) -> None:
    assert name_problem(name) is None


@given(st.text(max_size=300))
def test_every_file_name_can_be_made_safe(name: str) -> None:
    assert name_problem("models/" + safe_file_name(name)) is None


def test_the_tail_is_107_bytes_and_comes_back() -> None:
    raw = tail(0x1234, 99, "a" * 64)
    assert len(raw) == 107
    assert parse_tail(raw) == (0x1234, 99, "a" * 64)


MUTATIONS: list[Callable[[bytes], bytes]] = [
    lambda raw: raw[:-1],
    lambda raw: raw[:-1] + b" ",
    lambda raw: raw.replace(b"a", b"A", 1),
    lambda raw: raw.upper(),
    lambda raw: b"ingot-1\t" + raw[8:],
    lambda raw: raw + b"\n",
]


@pytest.mark.parametrize("number", range(len(MUTATIONS)))
def test_other_tails_are_none(number: int) -> None:
    assert parse_tail(MUTATIONS[number](tail(10, 99, "a" * 64))) is None


def test_another_format_version_says_so() -> None:
    with pytest.raises(IntegrityError) as caught:
        parse_tail(b"ingot-2 " + tail(1, 2, "a" * 64)[8:])
    assert caught.value.code == "format-version"
