"""Win rates in both orders, by hand."""

import numpy as np
import pytest

from evalkit.stats.ranking import flip_rate, position_bias, win_rate


def test_win_rate_and_bias_by_hand() -> None:
    """Wins 1, 1; a flip; a loss; a tie: rate (1 + 1 + .5 + 0 + .5)/5, bias (0 + 0 + 1 + 0 + 0)/5."""
    first, second = [1, 1, 1, 0, 0.5], [1, 1, 0, 0, 0.5]
    assert win_rate(first, second).value == pytest.approx(0.6)
    assert position_bias(first, second).value == pytest.approx(0.2)
    assert flip_rate(first, second) == pytest.approx(0.2)


def test_a_judge_of_places_has_no_winner() -> None:
    """Always the first place: one half, full bias, every pair flips."""
    assert win_rate([1] * 6, [0] * 6).value == 0.5
    assert (position_bias([1] * 6, [0] * 6).value, flip_rate([1] * 6, [0] * 6)) == (1.0, 1.0)


def test_both_orders_hold_their_level_where_one_order_does_not() -> None:
    """A judge that takes the first of two equals 80 % of the time: one half is covered in 93 % of 400 samples."""
    rng = np.random.default_rng(0)
    hits = 0
    for _ in range(400):
        first, second = (rng.random(120) < 0.8).astype(float), (rng.random(120) < 0.2).astype(float)
        found = win_rate(first, second)
        hits += found.low <= 0.5 <= found.high
    assert hits >= 372


def test_nothing_and_nonsense() -> None:
    """No pairs are undefined; points off the scale and single orders are refused."""
    assert win_rate([], []).value is None and position_bias([], []).value is None and flip_rate([], []) is None
    with pytest.raises(ValueError, match="points are 1"):
        win_rate([2], [1])
    with pytest.raises(ValueError, match="both orders"):
        position_bias([1, 0], [1])
