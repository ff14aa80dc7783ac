"""Agreement of several raters, of weighted samples, and of two judges, against other programs and by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest
from statsmodels.stats.contingency_tables import SquareTable

from evalkit.stats.agreement import (
    LabelDesign,
    cohen_kappa,
    gwet_ac,
    kappa_difference,
    krippendorff_alpha,
    labels_needed,
    stuart_maxwell,
)

GRADES = (1, 2, 3, 4, 5)
PASS_FAIL = (False, True)


def graded(rng: np.random.Generator, n: int, noise: float) -> tuple[list[int], list[int]]:
    """People's grades, and a judge's that are off now and then."""
    people = rng.integers(1, 6, n)
    judge = np.clip(people + rng.choice([-1, 0, 1], n, p=[noise / 2, 1 - noise, noise / 2]), 1, 5)
    return people.tolist(), judge.tolist()


def test_ac2_by_hand() -> None:
    """Two grades of three, linear weights.

    Pairs: (1,1) twice, (1,2) once, (3,3) once. Weights 1 - |i-j|/2: observed (2 + .5 + 1)/4 = .875. Shares of labels
    pi = (5/8, 1/8, 2/8); sum pi(1-pi) = 15/64 + 7/64 + 12/64 = 34/64. Sum of weights 3 + 4 x .5 + 2 x 0 = 5; chance
    5/(3 x 2) x 34/64 = 170/384. AC2 = (.875 - .442708) / (1 - .442708).
    """
    found = gwet_ac([1, 1, 1, 3], [1, 1, 2, 3], categories=(1, 2, 3), weights="linear")
    chance = 170 / 384
    assert found.value == pytest.approx((0.875 - chance) / (1 - chance), abs=1e-12)
    assert found.method == "AC2"


@pytest.mark.parametrize("weights", [None, "linear", "quadratic"])
def test_the_error_of_ac2_is_that_of_the_jackknife(weights) -> None:
    """Leaving out one case at a time gives the same standard error within 3 %."""
    rng = np.random.default_rng(3)
    people, judge = graded(rng, 300, 0.4)
    found = gwet_ac(people, judge, categories=GRADES, weights=weights)
    left = np.array(
        [
            gwet_ac(people[:i] + people[i + 1 :], judge[:i] + judge[i + 1 :], categories=GRADES, weights=weights).value
            for i in range(300)
        ]
    )
    error = math.sqrt(299 / 300 * ((left - left.mean()) ** 2).sum())
    half = (math.atanh(found.high) - math.atanh(found.low)) / 2 / 1.959964 * (1 - found.value**2)
    assert half == pytest.approx(error, rel=0.03)


def test_a_weighted_sample_gives_the_kappa_of_the_whole() -> None:
    """Cases drawn with chance 1/2 count double: kappa is that of the table with them written twice."""
    people = [True] * 8 + [False] * 12
    judge = [True] * 6 + [False] * 2 + [False] * 9 + [True] * 3
    chances = [0.5] * 8 + [1.0] * 12
    weighted = cohen_kappa(people, judge, categories=PASS_FAIL, design=LabelDesign(probabilities=chances))
    whole = cohen_kappa(people[:8] + people, judge[:8] + judge, categories=PASS_FAIL)
    assert weighted.value == pytest.approx(whole.value, abs=1e-12)
    ac = gwet_ac(people, judge, categories=PASS_FAIL, design=LabelDesign(probabilities=chances))
    assert ac.value == pytest.approx(gwet_ac(people[:8] + people, judge[:8] + judge, categories=PASS_FAIL).value)


def test_equal_chances_change_nothing() -> None:
    """A sample drawn alike has the plain kappa and the plain interval."""
    people, judge = graded(np.random.default_rng(1), 120, 0.5)
    plain = cohen_kappa(people, judge, categories=GRADES, weights="quadratic")
    drawn = cohen_kappa(
        people, judge, categories=GRADES, weights="quadratic", design=LabelDesign(probabilities=[0.3] * 120)
    )
    assert (drawn.value, drawn.low, drawn.high) == pytest.approx((plain.value, plain.low, plain.high), abs=1e-12)


def test_the_weighted_interval_covers_the_kappa_of_the_population() -> None:
    """Judge-fails drawn four times as often: the 95 % interval holds the true kappa in 92 % of 400 samples or more."""
    rng = np.random.default_rng(11)
    n = 4000
    people = rng.random(n) < 0.85
    judge = np.where(rng.random(n) < 0.9, people, ~people)
    truth = cohen_kappa(people.tolist(), judge.tolist(), categories=PASS_FAIL).value
    chance = np.where(judge, 0.03, 0.12)
    hits = 0
    for _ in range(400):
        drawn = rng.random(n) < chance
        found = cohen_kappa(
            people[drawn].tolist(),
            judge[drawn].tolist(),
            categories=PASS_FAIL,
            design=LabelDesign(probabilities=chance[drawn].tolist()),
        )
        hits += found.low is not None and found.low <= truth <= found.high
    assert hits >= 368


@pytest.mark.parametrize("chances", [[0.5], [0.0, 0.5], [1.5, 0.5], [float("nan"), 0.5]])
def test_chances_that_are_none_are_refused(chances: list[float]) -> None:
    """One number in (0, 1] for each label."""
    with pytest.raises(ValueError, match="probabilities"):
        cohen_kappa([True, False], [True, False], categories=PASS_FAIL, design=LabelDesign(probabilities=chances))


def krippendorff_example() -> list[list[int | None]]:
    """The reliability data of Krippendorff 2011, section C: 4 observers, 12 units, with gaps."""
    rows = [
        "1 2 3 3 2 1 4 1 2 . . .",
        "1 2 3 3 2 2 4 1 2 5 . 3",
        ". 3 3 3 2 3 4 2 2 5 1 .",
        "1 2 3 3 2 4 4 1 2 5 1 .",
    ]
    table = [[None if cell == "." else int(cell) for cell in row.split()] for row in rows]
    return [list(unit) for unit in zip(*table, strict=True)]


def test_alpha_is_that_of_the_published_example() -> None:
    """Nominal .743 and ordinal .815, as printed; one of the twelve units has a single label."""
    rng = np.random.default_rng(0)
    nominal = krippendorff_alpha(krippendorff_example(), categories=GRADES, rng=rng)
    ordinal = krippendorff_alpha(krippendorff_example(), categories=GRADES, level="ordinal", rng=rng)
    assert nominal.value == pytest.approx(0.743, abs=5e-4)
    assert ordinal.value == pytest.approx(0.815, abs=5e-4)
    assert nominal.n == 11
    assert nominal.low < nominal.value < nominal.high <= 1


def test_alpha_without_pairs_or_without_difference_is_undefined() -> None:
    """Single labels, and one label only, tell nothing of agreement."""
    rng = np.random.default_rng(0)
    alone = krippendorff_alpha([[1, None], [None, 2]], categories=GRADES, rng=rng)
    assert (alone.value, alone.reason) == (None, "no answer has two labels")
    same = krippendorff_alpha([[1, 1], [1, 1]], categories=GRADES, rng=rng)
    assert (same.value, same.reason) == (None, "one label only is used")


def test_alpha_refuses_strange_labels() -> None:
    """A label off the scale is an error, not a category."""
    with pytest.raises(ValueError, match="not among the categories"):
        krippendorff_alpha([[1, 9]], categories=GRADES, rng=np.random.default_rng(0))


@pytest.mark.parametrize("seed", range(5))
def test_stuart_maxwell_equals_statsmodels(seed: int) -> None:
    """The p value is that of the homogeneity test there, also where a grade is never used."""
    table = np.random.default_rng(seed).integers(0, 30, (4, 4))
    if seed == 4:
        table[2, :] = table[:, 2] = 0
    used = table[np.ix_(table.sum(0) + table.sum(1) > 0, table.sum(0) + table.sum(1) > 0)]
    expected = SquareTable(used, shift_zeros=False).homogeneity(method="stuart_maxwell").pvalue
    assert stuart_maxwell(table.tolist()) == pytest.approx(expected, abs=1e-9)


def test_stuart_maxwell_of_two_grades_is_mcnemar() -> None:
    """(b - c)^2 / (b + c) = 36/16 against chi squared of 1: p = erfc(sqrt(2.25 / 2))."""
    assert stuart_maxwell([[20, 11], [5, 30]]) == pytest.approx(math.erfc(math.sqrt(2.25 / 2)), abs=1e-12)


@pytest.mark.parametrize("table", [[[5, 0], [0, 5]], [[5]]])
def test_judges_that_never_differ_have_not_drifted(table: list[list[int]]) -> None:
    """No case moved."""
    assert stuart_maxwell(table) == 1.0


def test_a_worse_judge_is_told_from_an_equal_one() -> None:
    """A judge that guesses a third of the time has a lower kappa; a copy of the first has none."""
    rng = np.random.default_rng(2)
    people = rng.random(300) < 0.7
    first = np.where(rng.random(300) < 0.95, people, ~people).tolist()
    second = np.where(rng.random(300) < 0.70, people, ~people).tolist()
    worse = kappa_difference(people.tolist(), (first, second), categories=PASS_FAIL, rng=rng)
    assert worse.difference == pytest.approx(worse.second.value - worse.first.value)
    assert worse.difference < -0.3 and worse.p_value < 0.001
    same = kappa_difference(people.tolist(), (first, first), categories=PASS_FAIL, rng=rng)
    assert (same.difference, same.p_value) == (0.0, 1.0)


@pytest.mark.slow
def test_kappas_of_equal_judges_differ_by_chance_at_the_stated_rate() -> None:
    """Two judges with the same faults: p <= .05 in 1 to 9 % of 300 samples."""
    rng = np.random.default_rng(9)
    alarms = 0
    for _ in range(300):
        people = rng.random(80) < 0.7
        judges = [np.where(rng.random(80) < 0.85, people, ~people).tolist() for _ in range(2)]
        alarms += (
            kappa_difference(people.tolist(), (judges[0], judges[1]), categories=PASS_FAIL, rng=rng).p_value <= 0.05
        )
    assert 3 <= alarms <= 27


def test_an_undefined_kappa_has_no_difference() -> None:
    """One label only: nothing to compare."""
    found = kappa_difference([True] * 5, ([True] * 5, [True] * 5), categories=PASS_FAIL, rng=np.random.default_rng(0))
    assert (found.difference, found.p_value) == (None, None)


def test_labels_needed_by_hand() -> None:
    """N = 100, SE .08, kappa .75, floor .6: 100 x (2.4865 x .08 / .15)^2 = 175.9, so 176."""
    low = math.tanh(math.atanh(0.75) - 1.66039 * 0.08 / (1 - 0.75**2))  # t(99) at .95
    assert labels_needed(100, low, 0.75) == 176
    assert labels_needed(100, low, 0.6) is None
    assert labels_needed(100, None, 0.75) is None
    assert labels_needed(100, 0.9, 0.95) >= 100


def test_a_perfect_judge_needs_labels_by_the_rule_of_three() -> None:
    """Bound .5 after 20 labels, floor .6: the gap of .5 must fall to .4, which 25 labels do."""
    assert labels_needed(20, 0.5, 1.0) == 25
