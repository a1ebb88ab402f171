"""Which tokens are scored: as llama-perplexity does it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingot.errors import InputError
from ingot.parity.passages import cut, first_mismatch, prompts_of
from ingot.parity.side import Tokens


def test_windows_begin_with_the_models_own_token_and_are_scored_in_their_second_half() -> None:
    text = Tokens(tuple(range(100, 200)), begins_with=1)
    found = cut(text, context=40)
    whole = (1, *range(100, 200))
    assert [len(sequence) for sequence in found.sequences] == [39, 39]
    assert found.sequences[0] == whole[:39]
    assert found.sequences[1] == (1, *whole[41:79])
    assert found.first == 20
    assert found.targets == (*whole[21:40], *whole[61:80])
    assert [whole[at] for at in found.at] == list(found.targets)


def test_without_such_a_token_the_text_is_only_cut() -> None:
    found = cut(Tokens(tuple(range(80)), None), context=40)
    assert found.sequences == (tuple(range(39)), tuple(range(40, 79)))


@given(
    count=st.integers(32, 300),
    context=st.integers(32, 100),
    limit=st.one_of(st.just(0), st.integers(32, 300)),
    positions=st.integers(0, 50),
    begins=st.sampled_from([None, 7]),
)
def test_every_target_is_the_token_after_its_row(
    count: int, context: int, limit: int, positions: int, begins: int | None
) -> None:
    text = Tokens(tuple(range(1000, 1000 + count)), begins)
    found = cut(text, context=context, limit=limit, positions=positions)
    whole = (*(() if begins is None else (begins,)), *text.ids)
    rows = sum(len(sequence) - found.first for sequence in found.sequences)
    assert rows == len(found.targets) == len(found.at) > 0
    assert all(len(sequence) < context for sequence in found.sequences)
    assert [whole[at] for at in found.at] == list(found.targets)
    last_inputs = [sequence[row] for sequence in found.sequences
                   for row in range(found.first, len(sequence))]  # fmt: skip
    assert last_inputs == [whole[at - 1] for at in found.at]
    if limit:
        assert max(found.at) < limit
    if positions:
        assert len(found.targets) < positions + len(found.sequences)


def test_a_short_text_is_refused() -> None:
    with pytest.raises(InputError, match="has 31 tokens; at least 32") as caught:
        cut(Tokens(tuple(range(30)), 1), context=512)
    assert caught.value.code == "text-too-short"


def test_prompts_come_from_all_over_the_text() -> None:
    found = prompts_of(Tokens(tuple(range(100)), 1000), 4, 10)
    assert found == tuple((1000, *range(at, at + 10)) for at in (0, 22, 44, 66))
    assert prompts_of(Tokens(tuple(range(100)), None), 0, 10) == ()


@pytest.mark.parametrize(
    ("a", "b", "expected"),
    [
        (Tokens((1, 2), 0), Tokens((1, 2), 0), None),
        (Tokens((1, 2), 0), Tokens((1, 3), 0), 1),
        (Tokens((1, 2), 0), Tokens((1, 2, 3), 0), 2),
        (Tokens((1, 2), 0), Tokens((1, 2), None), 0),
    ],
)
def test_the_first_token_that_differs(a: Tokens, b: Tokens, expected: int | None) -> None:
    assert first_mismatch(a, b) == expected
