"""A judge's choices between pairs of answers: schedule, strengths, errors."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy.optimize import minimize

from evalkit.stats.tournament import RIDGE, Choices, cycle, fitted, parts_of, preferences


def rng(seed: int = 0) -> np.random.Generator:
    """A fresh, seeded source of draws."""
    return np.random.default_rng(seed)


def drawn(n: int, strengths: list[float], position: float = 0.0, ties: float = 0.2, seed: int = 0) -> Choices:
    """Draw a judge's choices for n cases, one cycle each."""
    source, rows = rng(seed), []
    for case in range(n):
        for a, b in cycle(range(len(strengths)), source):
            p = 1 / (1 + np.exp(-(strengths[a] - strengths[b] + position)))
            # A tie in a share of the pairs, taken from both sides alike, keeps the mean of the points.
            share = ties * 2 * min(p, 1 - p)
            u = source.random()
            rows.append((case, a, b, 0.5 if u < share else float(u < share + p - share / 2)))
    table = np.array(rows)
    cases, first, second = (table[:, at].astype(np.int64) for at in range(3))
    return Choices(cases, first, second, table[:, 3], len(strengths))


@given(st.integers(0, 12), st.integers(0, 2**32))
def test_a_cycle_shows_each_system_twice(k: int, seed: int) -> None:
    """As many pairs as systems, all connected; one pair for two, none for one."""
    pairs = cycle(range(k), rng(seed))
    assert len(pairs) == (k if k > 2 else max(0, k - 1))
    assert all(a != b for a, b in pairs)
    if k > 2:
        assert {2} == set(Counter(system for pair in pairs for system in pair).values())
        first, second = np.array(pairs).T
        assert 1 == len(parts_of(first, second, k))


def test_cycles_and_places_are_drawn_evenly() -> None:
    """Each pair of four systems is as likely as another, and each is shown first half of the time."""
    source, shown = rng(1), Counter[tuple[int, int]]()
    for _ in range(3_000):
        shown.update(cycle(range(4), source))
    assert 12 == len(shown)
    assert all(abs(n - 1_000) < 120 for n in shown.values()), shown


def test_two_systems_give_the_log_odds_of_the_wins() -> None:
    """By hand: 30 of 40 points in each place, so the difference is log(3), and there is no position effect."""
    shown, won = np.array([[0.0, 40.0], [40.0, 0.0]]), np.array([[0.0, 30.0], [10.0, 0.0]])
    strengths, position = fitted(shown, won)
    assert float(np.log(3)) == pytest.approx(strengths[0] - strengths[1], rel=1e-3)
    assert position == pytest.approx(0, abs=1e-9)


def test_a_judge_that_prefers_the_first_place_is_seen_through() -> None:
    """By hand: equal systems, and the first of each pair gets three points of four."""
    shown, won = np.array([[0.0, 40.0], [40.0, 0.0]]), np.array([[0.0, 30.0], [30.0, 0.0]])
    strengths, position = fitted(shown, won)
    assert np.zeros(2) == pytest.approx(strengths, abs=1e-9)
    assert float(np.log(3)) == pytest.approx(position, rel=1e-3)


def objective(beta: NDArray[np.float64], choices: Choices) -> float:
    """The penalised quasi-likelihood, term by term."""
    k = choices.k
    eta = beta[choices.first] - beta[choices.second] + beta[k]
    gain = choices.points * -np.logaddexp(0, -eta) + (1 - choices.points) * -np.logaddexp(0, eta)
    return float(-gain.sum() + RIDGE / 2 * (beta**2).sum())


@given(st.integers(2, 6), st.integers(5, 40), st.integers(0, 2**32))
def test_the_fit_is_that_of_a_general_optimiser(k: int, n: int, seed: int) -> None:
    """An oracle: scipy on the objective as it is written."""
    source = rng(seed)
    choices = drawn(n, source.normal(0, 1, k).tolist(), position=0.4, seed=seed)
    strengths, position = fitted(*choices.tables(np.ones(len(choices.points))))
    best = minimize(objective, np.zeros(k + 1), args=(choices,), method="BFGS", options={"gtol": 1e-8})
    mine = np.append(strengths, position)
    assert objective(mine, choices) <= best.fun + 1e-6
    assert strengths == pytest.approx(best.x[:k] - best.x[:k].mean(), abs=0.02)


@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 3), st.sampled_from((0.0, 0.5, 1.0))), min_size=1))
def test_the_fit_ends_where_no_change_improves_it(rows: list[tuple[int, int, float]]) -> None:
    """Also if a system always wins or always loses: the slope of the objective is 0 in every direction."""
    shown, won = np.zeros((4, 4)), np.zeros((4, 4))
    for a, b, points in rows:
        if a != b:
            shown[a, b] += 1
            won[a, b] += points
    strengths, position = fitted(shown, won)
    gap = strengths[:, None] - strengths[None, :] + position
    left = won - shown / (1 + np.exp(-gap))
    slope = left.sum(axis=1) - left.sum(axis=0) - RIDGE * strengths
    assert np.zeros(4) == pytest.approx(slope, abs=1e-6)
    assert pytest.approx(left.sum(), abs=1e-6) == RIDGE * position


def test_the_order_of_choices_and_systems_does_not_matter() -> None:
    """Systems renumbered give the same strengths, renumbered."""
    choices = drawn(60, [0.0, 0.5, 1.0])
    turned = np.array([2, 0, 1])
    other = Choices(
        choices.clusters[::-1], turned[choices.first][::-1], turned[choices.second][::-1], choices.points[::-1], 3
    )
    ours, theirs = (fitted(*each.tables(np.ones(len(each.points)))) for each in (choices, other))
    assert ours[0] == pytest.approx(theirs[0][turned], abs=1e-8)
    assert ours[1] == pytest.approx(theirs[1], abs=1e-8)


def test_preferences_are_probabilities_with_their_intervals() -> None:
    """P(i over j) and P(j over i) add up to 1, the interval holds the figure, and the better one is preferred."""
    found = preferences(drawn(200, [0.0, 0.6, 1.2], position=0.5), rng=rng())
    assert np.ones((3, 3)) == pytest.approx(found.preferred + found.preferred.T)
    assert (found.low <= found.preferred).all()
    assert (found.preferred <= found.high).all()
    assert found.low[2, 0] > 0.5
    assert 0.2 < found.position < 0.8
    assert () == found.undefeated == found.winless


def test_an_undefeated_system_is_reported() -> None:
    """Its strength is finite, and bounded by the ridge alone."""
    pairs = [(0, 1, 1.0), (1, 0, 0.0), (2, 0, 0.0), (1, 2, 0.5), (2, 1, 1.0)] * 4
    first, second, points = (np.array(column) for column in zip(*pairs, strict=True))
    found = preferences(Choices(np.arange(20) // 5, first, second, points.astype(float), 3), rng=rng(), draws=50)
    assert ((0,), ()) == (found.undefeated, found.winless)
    assert np.isfinite(found.strengths).all()
    assert 0 == int(found.strengths.argmax())


@pytest.mark.parametrize(
    ("first", "second", "points", "k", "said"),
    [
        ([], [], [], 2, "there is none"),
        ([0], [1], [0.7], 2, "points are 1"),
        ([0], [0], [1.0], 2, "a pair is of two systems from 0 to 1"),
        ([0], [2], [1.0], 2, "a pair is of two systems from 0 to 1"),
        ([0, 2], [1, 3], [1.0, 0.0], 4, "no pair connects"),
        ([0, 1], [1], [1.0], 2, "give a cluster, two systems and the points"),
    ],
)
def test_choices_that_say_nothing_are_refused(
    first: list[int], second: list[int], points: list[float], k: int, said: str
) -> None:
    """With what is wrong."""
    given_ = Choices(np.arange(len(first)), np.array(first, int), np.array(second, int), np.array(points, float), k)
    with pytest.raises(ValueError, match=said):
        preferences(given_, rng=rng())
