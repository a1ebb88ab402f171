from __future__ import annotations

from pathlib import Path

import pytest

from ingot.errors import InputError
from ingot.sources.reference import (
    FileReference,
    HubReference,
    Reference,
    UrlReference,
    parse_hub,
    parse_reference,
    safe_path,
)

HUB = "https://huggingface.co"
DIGEST = "ab" * 32


def parse(text: str, *existing: str, endpoint: str = HUB) -> Reference:
    return parse_reference(text, endpoint=endpoint, exists=lambda path: path in existing)


@pytest.mark.parametrize(
    ("text", "reference"),
    [
        ("model.gguf", FileReference(Path("model.gguf"))),
        ("./org/repo", FileReference(Path("org/repo"))),
        ("/models/a:b", FileReference(Path("/models/a:b"))),
        ("a/b/c", FileReference(Path("a/b/c"))),
        ("model.zip#in/a.gguf", FileReference(Path("model.zip"), "in/a.gguf")),
        ("org/repo", HubReference("org/repo")),
        ("org/repo:Q4_K_M", HubReference("org/repo", quant="Q4_K_M")),
        ("org/repo@v1.0:UD-Q4_K_XL", HubReference("org/repo", "v1.0", "UD-Q4_K_XL")),
        ("hf://org/repo", HubReference("org/repo")),
        ("hf://models/org/repo:f16", HubReference("org/repo", quant="f16")),
        ("hf://org/repo/a/b.gguf", HubReference("org/repo", file="a/b.gguf")),
        ("hf://org/repo@refs/pr/3/b.gguf", HubReference("org/repo", "refs/pr/3", None, "b.gguf")),
        ("hf://org/r.e-p_o@" + "0" * 40, HubReference("org/r.e-p_o", "0" * 40)),
        ("https://host/a/b.gguf", UrlReference("https://host/a/b.gguf")),
        ("https://host/b?id=1#x/y.gguf", UrlReference("https://host/b?id=1", None, "x/y.gguf")),
        (f"https://host/b#sha256={DIGEST.upper()}", UrlReference("https://host/b", DIGEST)),
        (
            f"https://host/b.zip#sha256={DIGEST}&member=a%20b.gguf",
            UrlReference("https://host/b.zip", DIGEST, "a b.gguf"),
        ),
        (f"{HUB}/org/repo", HubReference("org/repo")),
        (f"{HUB}/org/repo/tree/v2", HubReference("org/repo", "v2")),
        (f"{HUB}/org/repo/tree/main/folder", HubReference("org/repo")),
        (f"{HUB}/org/repo/blob/main/a/b.gguf", HubReference("org/repo", file="a/b.gguf")),
        (
            f"{HUB}/org/repo/resolve/refs%2Fpr%2F1/b.gguf?download=true",
            HubReference("org/repo", "refs/pr/1", None, "b.gguf"),
        ),
        (f"{HUB}/files/b.gguf", UrlReference(f"{HUB}/files/b.gguf")),
        (f"{HUB}/datasets/org/repo", UrlReference(f"{HUB}/datasets/org/repo")),
        ("hf.co/org/repo", HubReference("org/repo")),
        ("hf.co/org/repo:Q4_K_M", HubReference("org/repo", quant="Q4_K_M")),
        ("hf.co/org/repo:latest", HubReference("org/repo")),
        ("huggingface.co/org/repo:Q8_0", HubReference("org/repo", quant="Q8_0")),
        ("https://hf.co/org/repo:Q8_0", HubReference("org/repo", quant="Q8_0")),
        (f"{HUB}/org/repo:Q8_0", HubReference("org/repo", quant="Q8_0")),
        ("ollama run hf.co/org/repo:Q8_0", HubReference("org/repo", quant="Q8_0")),
        ("https://hf.co/org/repo/blob/main/b.gguf", HubReference("org/repo", file="b.gguf")),
        ("hf.co/org/repo/resolve/v1/b.gguf", HubReference("org/repo", "v1", file="b.gguf")),
        ("http://huggingface.co/o/r/blob/main/b.gguf", HubReference("o/r", file="b.gguf")),
        ("https://www.HuggingFace.co/org/repo", HubReference("org/repo")),
        ("HF.co/org/repo/blob/main/b.gguf", HubReference("org/repo", file="b.gguf")),
        ("hf.co/org/repo/b.gguf", HubReference("org/repo", file="b.gguf")),
        (f"{HUB}/org/repo/tree/main/a/Q4_K_M", HubReference("org/repo", quant="Q4_K_M")),
        ("HF://org/repo", HubReference("org/repo")),
        ("HTTPS://Host/b.gguf", UrlReference("https://Host/b.gguf")),
        ("FILE:///b.gguf", FileReference(Path("/b.gguf"))),
        ("file:///models/a%20b.gguf", FileReference(Path("/models/a b.gguf"))),
        ("file://localhost/m.zip#in/a.gguf", FileReference(Path("/m.zip"), "in/a.gguf")),
    ],
)
def test_what_users_write(text: str, reference: Reference) -> None:
    assert parse(text) == reference


def test_a_file_that_exists_wins_over_a_repository() -> None:
    assert parse("org/repo", "org/repo") == FileReference(Path("org/repo"))
    assert parse("org/repo:Q8_0", "org/repo:Q8_0") == FileReference(Path("org/repo:Q8_0"))
    assert parse("a#b.gguf", "a#b.gguf") == FileReference(Path("a#b.gguf"))
    assert parse("a#b.gguf", "a") == FileReference(Path("a"), "b.gguf")


def test_a_mirror_has_the_addresses_of_the_hub() -> None:
    mirror = "http://127.0.0.1:8080/hf"
    wanted = HubReference("org/repo", file="b.gguf")
    for base in (mirror, HUB):
        assert parse(f"{base}/org/repo/resolve/main/b.gguf", endpoint=mirror) == wanted


@pytest.mark.parametrize(
    "text",
    [
        "hf://org/repo@v1/a/b.gguf",
        "hf://org/repo:Q4_K_M",
        f"https://host/b.zip#sha256={DIGEST}&member=a%20b.gguf",
        "model.zip#in/a.gguf",
    ],
)
def test_a_reference_is_written_as_it_is_read(text: str) -> None:
    assert str(parse(text)) == text


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "is empty"),
        ("x" * 5000, "longer than"),
        ("what://host/a.gguf", "scheme that is not known"),
        ("hf://repo", "does not name a repository"),
        ("hf://a--b/repo", "does not name a repository"),
        ("hf://../repo", "does not name a repository"),
        ("hf://org/repo/../../x.gguf", "leads outside"),
        ("hf://org/repo@..", "no revision"),
        ("hf://org/repo:a b", "no quantisation"),
        ("hf://org/repo/a.gguf:Q4_0", "one of them"),
        ("a b/c", "there is no such file, and it"),
        ("org/repo:", "there is no such file, and it names no quantisation"),
        ("https://", "is not a URL"),
        ("file://host/a.gguf", "a file of another machine"),
        ("https://host:x/", "is not a URL"),
        ("https://host/a#sha256=12", "64 hexadecimal digits"),
    ],
)
def test_what_is_refused(text: str, says: str) -> None:
    with pytest.raises(InputError) as caught:
        parse(text)
    assert caught.value.code == "bad-reference"
    assert says in caught.value.message
    assert "org/repo:QUANT" in (caught.value.hint or "")


@pytest.mark.parametrize(
    ("text", "hint"),
    [
        ("ollama://llama3", "ollama show MODEL --modelfile"),
        ("ollama.com/library/llama3", "ollama show MODEL --modelfile"),
        ("llama3:8b", "ollama show MODEL --modelfile"),
        ("docker://org/image", "take the GGUF out of it"),
        ("s3://bucket/model.gguf", "copy the file here"),
        ("ftp://host/a.gguf", "copy the file here"),
        ("https://modelscope.cn/models/org/repo", "download link"),
    ],
)
def test_other_places_have_a_remedy(text: str, hint: str) -> None:
    with pytest.raises(InputError) as caught:
        parse(text)
    assert caught.value.code == "bad-reference" and hint in (caught.value.hint or "")


def test_a_file_of_a_repository_needs_its_scheme() -> None:
    with pytest.raises(InputError) as caught:
        parse("org/repo/model.gguf")
    assert caught.value.code == "file-missing"
    assert "hf://org/repo/model.gguf" in (caught.value.hint or "")


def test_passwords_are_not_kept() -> None:
    with pytest.raises(InputError) as caught:
        parse("https://me:secret@host/a.gguf")
    assert caught.value.code == "url-credentials"
    assert "secret" not in caught.value.message


def test_hf_takes_repositories_only() -> None:
    assert parse_hub("org/repo:Q8_0") == HubReference("org/repo", quant="Q8_0")
    assert parse_hub("hf.co/org/repo:Q8_0") == HubReference("org/repo", quant="Q8_0")
    assert parse_hub("https://hf.co/org/repo") == HubReference("org/repo")
    with pytest.raises(InputError):
        parse_hub("model.gguf")


@pytest.mark.parametrize("path", ["", "/a", "a//b", "a/../b", ".", "a\\b", "a\n", "a/" + "b" * 256])
def test_unsafe_paths(path: str) -> None:
    assert not safe_path(path)
