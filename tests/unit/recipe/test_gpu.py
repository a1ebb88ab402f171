from __future__ import annotations

import pytest

from ingot.engine.pin import repository
from ingot.errors import UsageError
from ingot.recipe.gpu import CudaWish, Wishes, parse_gpu


@pytest.mark.parametrize(
    ("texts", "expected"),
    [
        (["none"], Wishes()),
        (["cuda"], Wishes(CudaWish((), True))),
        (["cuda:90"], Wishes(CudaWish(("90",), False))),
        (["cuda:90,80"], Wishes(CudaWish(("80", "90"), False))),
        (["cuda:120,80,ptx"], Wishes(CudaWish(("80", "120"), True))),
        (["cuda:ptx,90"], Wishes(CudaWish(("90",), True))),
        (["vulkan"], Wishes(None, True)),
        (["cuda", "vulkan"], Wishes(CudaWish(), True)),
        (["vulkan+cuda:90"], Wishes(CudaWish(("90",), False), True)),
    ],
)
def test_what_can_be_asked_for(texts: list[str], expected: Wishes) -> None:
    assert parse_gpu(texts) == expected


@pytest.mark.parametrize(
    "text",
    [
        "",
        "cuda:",
        "Cuda",
        "rocm",
        "vulkan:1.2",
        "vulkan+",
        "vulkan+vulkan",
        "none+vulkan",
        "cuda+cuda:90",
        "none:90",
        "cuda:ptx",
        "cuda:90,",
        "cuda:90,90",
        "cuda:90,ptx,ptx",
        "cuda: 90",
        "cuda:9.0",
        "cuda:sm_90",
        "cuda:9",
        "cuda:090",
        "cuda:1200",
        "cuda:90x",
        "cuda:90a",
        "cuda:٩٠",
        "cuda:20",
    ],
)
def test_what_cannot(text: str) -> None:
    with pytest.raises(UsageError) as caught:
        parse_gpu([text])
    assert caught.value.code == "bad-gpu"
    assert "--gpu cuda:80,90" in (caught.value.hint or "")


@pytest.mark.parametrize("texts", [["none", "cuda"], ["vulkan", "none"], ["cuda", "cuda:90"]])
def test_what_cannot_be_combined(texts: list[str]) -> None:
    with pytest.raises(UsageError):
        parse_gpu(texts)


@pytest.mark.parametrize(
    ("toolkit", "highest"), [("12.4.99", "90"), ("12.8.93", "120"), ("13.0.88", "120")]
)
def test_the_default_architectures_are_what_the_toolkit_knows(toolkit: str, highest: str) -> None:
    wish = CudaWish().resolved(toolkit)
    assert wish.archs[:5] == ("75", "80", "86", "89", "90")
    assert wish.archs[-1] == highest
    assert wish.ptx
    assert CudaWish(("80",), False).resolved(toolkit) == CudaWish(("80",), False)


def _capabilities(toolkit: str) -> list[str]:
    return [f"{arch[:-1]}.{arch[-1]}" for arch in CudaWish().resolved(toolkit).archs]


def test_the_docs_have_the_default_architectures_in_one_place() -> None:
    *old, last = _capabilities("12.7")
    (new,) = set(_capabilities("12.8")) - {*old, last}
    sentence = f"{', '.join(old)} and {last}, with CUDA 12.8 or newer also {new}"
    docs = repository() / "docs"
    pages = {path: " ".join(path.read_text("utf-8").split()) for path in docs.rglob("*.md")}
    assert [path for path, text in pages.items() if sentence in text] == [
        docs / "reference" / "ingot.md"
    ]
    assert sum(text.count(f"{old[0]}, {old[1]}") for text in pages.values()) == 1


def test_wishes_are_true_where_there_is_a_module_to_make() -> None:
    assert not parse_gpu(["none"])
    assert parse_gpu(["vulkan"])
    assert parse_gpu(["cuda:80"])


def test_a_wish_says_what_it_covers() -> None:
    assert CudaWish(("80", "120"), ptx=True).covers == "sm_80, sm_120, PTX"
    assert CudaWish(("90",), ptx=False).covers == "sm_90"
