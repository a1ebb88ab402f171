"""Where greedy texts part."""

from __future__ import annotations

import pytest

from ingot.parity.greedy import compare_greedy, first_divergence
from ingot.parity.side import Greedy


def _greedy(*steps: tuple[tuple[int, float], ...], text: str = "") -> Greedy:
    return Greedy((1,), tuple(step[0][0] for step in steps), text, steps)


def test_the_two_candidates_and_how_sure_each_side_was() -> None:
    a = _greedy(((5, 9.0), (6, 1.0)), ((7, 4.0), (8, 3.5)))
    b = _greedy(((5, 9.0), (6, 1.0)), ((8, 5.0), (7, 4.0)))
    (found,) = compare_greedy([a], [b])["prompts"]
    assert (found["first_divergence"], found["candidates"]) == (1, [7, 8])
    assert found["margin_a"] == pytest.approx(0.5)
    assert found["margin_b"] == pytest.approx(1.0)


def test_a_candidate_that_a_side_does_not_list_has_no_margin() -> None:
    a, b = _greedy(((5, 9.0), (6, 1.0))), _greedy(((7, 9.0), (6, 1.0)))
    (found,) = compare_greedy([a], [b])["prompts"]
    assert (found["margin_a"], found["margin_b"]) == (None, None)


def test_the_distribution_over_many_prompts() -> None:
    a = [_greedy(*[((1, 1.0),)] * 8) for _ in range(6)]
    b = [_greedy(*[((1, 1.0),)] * at, *[((2, 1.0),)] * (8 - at)) for at in (0, 2, 4, 6, 8, 8)]
    found = compare_greedy(a, b)
    assert found["diverged"] == 4
    assert found["first_divergence"] == {"min": 0, "quartiles": [1.5, 3.0, 4.5], "max": 6}
    sixths = [6, 5, 5, 4, 4, 3, 3, 2, 2]
    assert found["still_same"] == [n / 6 for n in sixths]
    assert compare_greedy(a, a)["first_divergence"]["quartiles"] is None


@pytest.mark.parametrize(
    ("a", "b", "expected"),
    [((1, 2), (1, 2), None), ((1, 2, 3), (1, 2), None), ((1, 2), (1, 3), 1), ((), (), None)],
)
def test_the_first_token_that_differs(
    a: tuple[int, ...], b: tuple[int, ...], expected: int | None
) -> None:
    assert first_divergence(a, b) == expected
