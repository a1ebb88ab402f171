from __future__ import annotations

import pytest

from ingot.errors import InputError
from ingot.sources.choose import Choice, Role, choose, quants, split_names

USUAL = [
    "README.md",
    "m-F16.gguf",
    "m-IQ4_XS.gguf",
    "m-Q4_0.gguf",
    "m-Q4_K_M.gguf",
    "m-Q8_0.gguf",
    "m-UD-Q4_K_XL.gguf",
    "m.imatrix.gguf",
    "mmproj-m-F16.gguf",
    "mmproj-m-Q8_0.gguf",
    "mtp-m-Q8_0.gguf",
]


def pick(paths: list[str], quant: str | None = None, role: Role = "model") -> str:
    choice = choose(paths, where="org/repo", quant=quant, role=role)
    return choice.parts[0]


@pytest.mark.parametrize(
    ("quant", "path"),
    [
        (None, "m-Q4_K_M.gguf"),
        ("Q8_0", "m-Q8_0.gguf"),
        ("q8_0", "m-Q8_0.gguf"),
        ("iq4_xs", "m-IQ4_XS.gguf"),
        ("F16", "m-F16.gguf"),
        ("Q4_K_XL", "m-UD-Q4_K_XL.gguf"),
        ("UD-Q4_K_XL", "m-UD-Q4_K_XL.gguf"),
    ],
)
def test_by_quantisation(quant: str | None, path: str) -> None:
    assert pick(USUAL, quant) == path


def test_without_the_preferred_ones_the_first_model() -> None:
    assert pick(["b-Q8_0.gguf", "a-Q2_K.gguf"]) == "b-Q8_0.gguf"
    assert pick(["mmproj.gguf", "b-Q6_K.gguf", "a-Q2_K.gguf"]) == "b-Q6_K.gguf"


def test_a_name_is_not_found_inside_another() -> None:
    assert pick(["m-IQ4_0.gguf", "m-Q4_0.gguf"], "Q4_0") == "m-Q4_0.gguf"


@pytest.mark.parametrize(
    "path", ["m.q4_k_m.gguf", "m_Q4_K_M.gguf", "Q4_K_M/m.gguf", "Q4_K_M/m-00001-of-00001.gguf"]
)
def test_other_ways_to_name_it(path: str) -> None:
    assert pick(["a-Q2_K.gguf", path], "Q4_K_M") == path


def test_the_parts_of_a_split_file_come_together_and_in_order() -> None:
    paths = [f"Q8_0/m-Q8_0-{n:05d}-of-00003.gguf" for n in (2, 3, 1)]
    assert choose(paths, where="r", quant="Q8_0") == Choice(tuple(sorted(paths)))
    assert choose(paths, where="r", file=paths[0]) == Choice(tuple(sorted(paths)))


def test_a_missing_part_is_named() -> None:
    with pytest.raises(InputError) as caught:
        choose(["m-00001-of-00003.gguf", "m-00003-of-00003.gguf"], where="r")
    assert caught.value.code == "split-missing"
    assert "m-00002-of-00003.gguf" in caught.value.message


@pytest.mark.parametrize(
    ("model", "projector"),
    [
        ("m-Q8_0.gguf", "mmproj-m-Q8_0.gguf"),
        ("m-Q4_K_M.gguf", "mmproj-m-Q8_0.gguf"),
        ("m-F16.gguf", "mmproj-m-F16.gguf"),
    ],
)
def test_the_projector_nearest_in_bits(model: str, projector: str) -> None:
    assert choose(USUAL, where="r", file=model).projector == projector


def test_the_projector_nearest_in_folders() -> None:
    paths = ["mmproj-Q8_0.gguf", "a/m-Q8_0.gguf", "a/mmproj-F16.gguf", "b/mmproj-Q8_0.gguf"]
    assert choose(paths, where="r", file="a/m-Q8_0.gguf").projector == "a/mmproj-F16.gguf"
    assert choose(["m-Q8_0.gguf", "b/mmproj.gguf"], where="r").projector is None


def test_roles() -> None:
    assert pick(USUAL, role="projector") == "mmproj-m-Q8_0.gguf"
    assert pick(USUAL, "F16", role="projector") == "mmproj-m-F16.gguf"
    assert choose(["lora.gguf", "mmproj.gguf"], where="r", role="adapter").projector is None
    assert choose(["m.gguf", "mmproj.gguf"], where="r", file="mmproj.gguf").projector is None


def test_a_file_by_its_last_name() -> None:
    assert choose(["a/m.gguf", "n.gguf"], where="r", file="m.gguf").parts == ("a/m.gguf",)


@pytest.mark.parametrize(
    ("wanted", "hint"), [("Q4KM", "Q4_K_M"), ("q4-k-m", "Q4_K_M"), ("Q5_K_M", "Q4_K_M")]
)
def test_a_quantisation_that_is_not_there(wanted: str, hint: str) -> None:
    with pytest.raises(InputError) as caught:
        choose(USUAL, where="org/repo", quant=wanted)
    assert caught.value.code == "no-such-quant"
    assert "F16, IQ4_XS, Q4_0, Q4_K_M, Q8_0, Q4_K_XL" in caught.value.message
    assert caught.value.hint == f"did you mean :{hint}?"


def test_a_file_that_is_not_there() -> None:
    with pytest.raises(InputError) as caught:
        choose(USUAL, where="r", file="m-Q4_K_S.gguf")
    assert caught.value.code == "no-such-file"
    assert caught.value.hint == "did you mean m-Q4_K_M.gguf?"


@pytest.mark.parametrize("paths", [[], ["config.json"], ["mmproj-F16.gguf"]])
def test_no_model(paths: list[str]) -> None:
    with pytest.raises(InputError) as caught:
        choose(paths, where="r")
    assert caught.value.code == "no-gguf"


def test_what_is_offered() -> None:
    assert quants(USUAL) == ["F16", "IQ4_XS", "Q4_0", "Q4_K_M", "Q8_0", "Q4_K_XL"]


def test_split_names() -> None:
    assert split_names("a.gguf") == ["a.gguf"]
    assert split_names("a-00002-of-00002.gguf") == [
        "a-00001-of-00002.gguf",
        "a-00002-of-00002.gguf",
    ]
    assert split_names("a-00003-of-00002.gguf") == ["a-00003-of-00002.gguf"]
