"""Any text is a reference or an InputError; any JSON is a listing or a NetworkError."""

from __future__ import annotations

import json
from pathlib import PurePosixPath

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingot.errors import InputError
from ingot.sources.choose import choose, split_names
from ingot.sources.hub import Listing, _parse
from ingot.sources.reference import HubReference, parse_reference, safe_path

PIECES = st.sampled_from(
    [
        "hf://",
        "https://",
        "org",
        "repo",
        "/",
        ":",
        "@",
        "#",
        "..",
        ".gguf",
        "Q4_K_M",
        "%2F",
        "\\",
        "?",
    ]
)
TEXTS = st.one_of(st.text(max_size=60), st.lists(PIECES, max_size=10).map("".join))
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=10),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["sha", "siblings", "rfilename", "size", "lfs", "sha256", "blobId"]),
            inner,
            max_size=4,
        )
    ),
)
FILES = st.lists(st.fixed_dictionaries({"rfilename": TEXTS, "size": st.integers(-5, 1 << 60)}))


@given(TEXTS)
def test_any_text(text: str) -> None:
    try:
        reference = parse_reference(text, exists=lambda _path: False)
    except InputError:
        return
    if isinstance(reference, HubReference):
        assert ".." not in PurePosixPath(reference.repo).parts
        assert ".." not in PurePosixPath(reference.revision).parts
        assert reference.file is None or safe_path(reference.file)
        assert parse_reference(str(reference), exists=lambda _path: False) == reference


@given(JSON | st.builds(lambda files: {"sha": "0" * 40, "siblings": files}, FILES))
def test_any_listing(document: object) -> None:
    content = json.dumps(document)
    try:
        listing = _parse("org/repo", json.loads(content))
    except (ValueError, KeyError, TypeError, AttributeError):
        return
    assert isinstance(listing, Listing)
    assert all(safe_path(file.path) for file in listing.files)


@given(st.lists(TEXTS.map(lambda text: f"{text}.gguf"), max_size=8), st.none() | TEXTS)
def test_any_names(paths: list[str], quant: str | None) -> None:
    try:
        choice = choose(paths, where="org/repo", quant=quant or None)
    except InputError:
        return
    assert set(choice.parts) <= set(paths)


@pytest.mark.parametrize("name", ["a-00001-of-99999.gguf", "a-00000-of-00000.gguf"])
def test_extreme_splits(name: str) -> None:
    assert len(split_names(name)) in (1, 99_999)
