"""Two arms looked at every day: the width by hand, the error over all looks by simulation."""

import math

import numpy as np
import pytest
import statsmodels.api as sm
from hypothesis import given, settings
from hypothesis import strategies as st

from evalkit.stats.sequence import answer_of, arm_mean, half_width


def test_the_width_is_that_of_the_mixture() -> None:
    """With 1,400 an arm at .85: V = n (v + v), r = V at 700, sqrt((V + r) log((V + r) / (r a^2))) / n."""
    n, v, r = 1400, 0.1275, 700 * 2 * 0.1275
    total = n * 2 * v
    by_hand = math.sqrt((total + r) * math.log((total + r) / (r * 0.05**2))) / n
    assert float(half_width(math.sqrt(2 * v / n), total / r)) == pytest.approx(by_hand)


def test_the_interval_is_wider_than_one_for_a_single_look() -> None:
    """At its best look, t = 1, it is 1.87 times as wide as 1.96 SE; the price of looking always."""
    assert float(half_width(1.0, 1.0)) == pytest.approx(math.sqrt(2 * math.log(2 / 0.0025)))
    assert float(half_width(1.0, 1.0)) / 1.96 == pytest.approx(1.866, abs=0.001)


def test_the_error_of_an_arm_is_that_of_clusters() -> None:
    """Weights and users: the standard error of statsmodels' weighted regression on a constant, CR1 without n - 1."""
    rng = np.random.default_rng(1)
    values, weights = rng.integers(0, 2, 60).astype(float), rng.uniform(1, 4, 60)
    users = rng.integers(0, 20, 60)
    found = arm_mean(values, weights, users, rate=True)
    fit = sm.WLS(values, np.ones(60), weights=weights).fit(
        cov_type="cluster", cov_kwds={"groups": users, "use_correction": False}
    )
    c = len(set(users.tolist()))
    assert found.mean == pytest.approx(float(fit.params[0]))
    assert found.error == pytest.approx(float(fit.bse[0]) * math.sqrt(c / (c - 1)))
    assert (found.n, found.units) == (60, c)


def test_a_rate_without_a_failure_is_not_exact() -> None:
    """40 of 40: p = 40.375 / 40.75; and users count, not answers."""
    smooth = 40.375 / 40.75
    found = arm_mean(np.ones(40), np.ones(40), np.arange(40), rate=True)
    assert found.error == pytest.approx(math.sqrt(smooth * (1 - smooth) / 40))
    assert arm_mean(np.ones(40), np.ones(40), np.arange(40) % 10, rate=True).error > found.error
    assert arm_mean(np.full(40, 3.0), np.ones(40), np.arange(40), rate=False).error == 0


def test_one_user_is_no_sample() -> None:
    """There is no error to be known."""
    with pytest.raises(ValueError, match="1 independent units"):
        arm_mean([1, 0], [1, 1], [7, 7], rate=True)


@settings(derandomize=True, deadline=None)
@given(low=st.floats(-1, 1), width=st.floats(0, 1), margin=st.floats(0.001, 0.2))
def test_an_answer_says_what_the_interval_allows(low: float, width: float, margin: float) -> None:
    """Every difference in the interval agrees with the answer, and `not yet` is said only if nothing else holds."""
    answer, high = answer_of(low, low + width, margin), low + width
    held = {"worse": high < 0, "better": low > margin, "no worse": low > -margin, "not yet": True}
    assert held[answer]
    if answer == "not yet":
        assert not any(held[each] for each in ("worse", "better", "no worse"))


def test_equal_arms_are_rarely_called_worse_at_any_look() -> None:
    """2,000 pairs of arms at .85, 100 a day for 60 days: at most 2.5 %; a daily test at .05 calls a fifth worse."""
    rng, days = np.random.default_rng(4), np.arange(1, 61)
    rates = [rng.binomial(100, 0.85, (2000, 60)).cumsum(axis=1) / (100 * days) for _ in range(2)]
    error = np.sqrt(sum(rate * (1 - rate) for rate in rates) / (100 * days))
    difference = rates[0] - rates[1]
    worse = (difference + half_width(error, days / 14) < 0).any(axis=1).mean()
    assert worse <= 0.025
    assert (difference + 1.645 * error < 0).any(axis=1).mean() > 0.12
