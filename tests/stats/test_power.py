"""Power of the sign-flip test against exact sums and scipy."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from scipy import stats

from evalkit.stats.power import (
    Look,
    Rival,
    Sight,
    chance_to_find,
    differing_share,
    one_by_one,
    smallest_drop,
    variance_of_means,
)
from evalkit.stats.power import _joint as joint


def alone(n: int, level: float, flips: float = 0.0, passing: float = 1.0) -> Sight:
    """A gate without rivals, of single runs."""
    return Sight(n, passing, (Look(level, flips, flips),))


@pytest.mark.parametrize(("n", "drop", "flips"), [(8, 0.9, 0.0), (12, 0.5, 0.2), (20, 0.3, 0.1)])
def test_one_gate_is_the_exact_sum_over_all_tables(n: int, drop: float, flips: float) -> None:
    """Every number of worse and better cases, weighted by the multinomial, where McNemar's exact p value is small."""
    worse, better = drop + (1 - drop) * flips / 2, (1 - drop) * flips / 2
    total = 0.0
    for b, c in itertools.product(range(n + 1), repeat=2):
        if 0 < b + c <= n and stats.binomtest(b, b + c, 0.5, alternative="greater").pvalue <= 0.01:
            total += stats.multinomial.pmf([b, c, n - b - c], n, [worse, better, 1 - worse - better])
    assert chance_to_find(drop, alone(n, 0.01, flips)) == pytest.approx(total, abs=1e-9)


def test_a_gate_too_small_for_its_level_finds_nothing() -> None:
    """2^-6 is more than .01 and 2^-7 less."""
    assert chance_to_find(1.0, alone(6, 0.01)) == 0
    assert chance_to_find(1.0, alone(7, 0.01)) == pytest.approx(1)
    assert smallest_drop(alone(6, 0.01)) is None
    assert 0.9 < smallest_drop(alone(7, 0.01)) < 1


def test_a_rival_that_cannot_reach_the_statistic_costs_nothing() -> None:
    """Two cases that may flip reach T = 1.41 at most; three hundred that do reach any."""
    gate = alone(30, 0.01, 0.05)
    small, large = (Sight(30, 1.0, gate.looks, (rival,)) for rival in (Rival(2, 0.1, 5), Rival(300, 0.2, 5)))
    assert chance_to_find(0.4, small) == pytest.approx(chance_to_find(0.4, gate))
    assert chance_to_find(0.4, large) < chance_to_find(0.4, gate) - 0.05


def test_large_gates_join_the_exact_sum_smoothly() -> None:
    """At a thousand cases the normal statistic and the exact sum agree within a point."""
    exact, normal = (chance_to_find(0.04, alone(n, 0.005, 0.085)) for n in (1000, 1001))
    assert exact == pytest.approx(normal, abs=0.015)


@pytest.mark.parametrize("repeats", [(1, 1), (4, 1), (4, 4)])
def test_moments_of_an_unchanged_case_are_those_of_the_beta_model(repeats: tuple[int, int]) -> None:
    """Against two million simulated cases of Beta(.425, .075)."""
    rng = np.random.default_rng(3)
    chances = rng.beta(0.425, 0.075, 2_000_000)
    d = rng.binomial(repeats[0], chances) / repeats[0] - rng.binomial(repeats[1], chances) / repeats[1]
    assert variance_of_means(0.085, repeats) == pytest.approx(d.var(), rel=0.02)
    assert differing_share(0.085, 0.85, repeats) == pytest.approx((d**2).mean() ** 2 / (d**4).mean(), rel=0.02)


@pytest.mark.parametrize("correlation", [0.0, 0.5, 0.9])
def test_two_looks_are_joined_as_two_normals(correlation: float) -> None:
    """Against scipy's bivariate normal."""
    at = stats.norm.ppf([0.7, 0.85])
    expected = stats.multivariate_normal(cov=[[1, correlation], [correlation, 1]]).cdf(at)
    assert joint(0.7, 0.85, correlation) == pytest.approx(expected, abs=1e-4)


def test_no_drop_is_larger_than_what_passes() -> None:
    """A cohort that passes half of its cases cannot fall by more."""
    gate = alone(40, 0.01, 0.05, passing=0.5)
    assert smallest_drop(gate) < 0.5
    with pytest.raises(ValueError, match="must lie between"):
        chance_to_find(0.6, gate)


def test_cases_that_break_one_by_one_are_more_evidence_than_clusters() -> None:
    """Twenty clusters of five are a hundred cases where each breaks on its own."""
    together = Sight(20, 1.0, (Look(0.01, 0.02, 0.02),))
    alone_ = one_by_one(together, 100)
    assert (alone_.n, alone_.looks[0].variance) == (100, pytest.approx(0.1))
    assert smallest_drop(alone_) < smallest_drop(together)


def test_the_power_never_falls_with_the_drop() -> None:
    """A larger drop is found at least as often, through both looks."""
    gate = Sight(50, 1.0, (Look(0.1, 0.05, 0.02), Look(0.01, 0.02, 0.02)), (Rival(200, 0.085, 3),))
    chances = [chance_to_find(drop, gate) for drop in np.linspace(0, 1, 40)]
    assert (np.diff(chances) > -1e-9).all()
    assert chances[0] < 0.01
    assert chances[-1] > 0.999


def test_one_gate_has_the_published_figures() -> None:
    """At flips of .085, alpha .02 and power .8: 13, 8.4, 4.7 and 2.1 points, by the normal approximation."""
    for n, published in {100: 0.13, 200: 0.084, 500: 0.047, 2000: 0.021}.items():
        assert smallest_drop(alone(n, 0.02, 0.085)) == pytest.approx(published, abs=0.008)


def test_more_cases_and_less_noise_find_less() -> None:
    """And more power asks for more."""
    at = smallest_drop(alone(200, 0.01, 0.085))
    assert smallest_drop(alone(400, 0.01, 0.085)) < at < smallest_drop(alone(200, 0.01, 0.17))
    assert smallest_drop(alone(200, 0.01, 0.085), power=0.9) > at
