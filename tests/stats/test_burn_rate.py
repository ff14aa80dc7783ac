"""Money spent faster than a budget: by hand."""

import pytest

from evalkit.stats.burn_rate import burn_rates, times_last_week


def test_a_burn_rate_is_the_multiple_of_the_pace() -> None:
    """720 a month is 1 an hour: 15 in the last hour is 15 x; 20 in 6 hours is 3.3 x."""
    found = burn_rates([1, 1, 1, 1, 1, 15], 720)
    assert [(each.hours, each.times, each.too_fast) for each in found] == [
        (1, 15, True),
        (6, pytest.approx(20 / 6), False),
    ]


def test_the_limit_itself_is_allowed() -> None:
    """14.4 x and 6 x are not above the limits."""
    assert not any(each.too_fast for each in burn_rates([0, 0, 0, 0, 21.6, 14.4], 720))
    assert [each.too_fast for each in burn_rates([6.1] * 6, 720)] == [False, True]


def test_a_rule_needs_its_hours() -> None:
    """Two hours are not six."""
    assert [each.hours for each in burn_rates([1, 1], 720)] == [1]
    assert burn_rates([], 720) == ()


def test_a_budget_is_above_nothing() -> None:
    """No multiple of 0 exists."""
    with pytest.raises(ValueError, match="budget is 0"):
        burn_rates([1], 0)


def test_an_hour_is_compared_with_that_of_last_week() -> None:
    """Hour 168 before the last; unknown without it, and where it cost nothing."""
    assert times_last_week([2.0, *[9.0] * 167, 5.0]) == 2.5
    assert times_last_week([9.0] * 168) is None
    assert times_last_week([0.0, *[9.0] * 167, 5.0]) is None
