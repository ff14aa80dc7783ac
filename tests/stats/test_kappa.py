"""Kappa, AC1 and trust against other libraries, worked arithmetic and the error rates they must hold."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import t as student
from sklearn.metrics import cohen_kappa_score
from statsmodels.stats.inter_rater import cohens_kappa

from evalkit.stats.agreement import cohen_kappa, confusion, gwet_ac, rarer_labels, trust

PASS_FAIL = (True, False)
GRADES = (1, 2, 3, 4, 5)


def labels(table: list[list[int]], categories: tuple) -> tuple[list, list]:
    """Two raters' labels that give this confusion table."""
    cells = [(row, column) for row in range(len(table)) for column in range(len(table))]
    pairs = [(categories[r], categories[c]) for r, c in cells for _ in range(table[r][c])]
    return [first for first, _ in pairs], [second for _, second in pairs]


def draw_pass_fail(rng: np.random.Generator, n: int, *, prevalence: float, kappa: float) -> tuple[list, list]:
    """Labels of a person and a judge with equal pass rates and this true kappa."""
    both = prevalence * (1 - prevalence) * kappa
    one = prevalence * (1 - prevalence) - both
    cells = rng.choice(4, size=n, p=[prevalence**2 + both, one, one, (1 - prevalence) ** 2 + both])
    return (cells < 2).tolist(), (cells % 2 == 0).tolist()


def test_confusion_puts_the_first_rater_in_rows_and_keeps_rank_order() -> None:
    """Counts follow the order of the categories, unused ones included."""
    assert confusion(["b", "b", "a"], ["a", "b", "a"], ["a", "b", "c"]) == ((1, 0, 0), (1, 1, 0), (0, 0, 0))
    assert confusion([], [], ["a", "b"]) == ((0, 0), (0, 0))


@pytest.mark.parametrize(
    ("a", "b", "categories", "message"),
    [
        (["x"], [], ["x"], "1 labels against 0"),
        (["x"], ["y"], ["x"], r"\"'y'\".* are not among the categories"),
        (["x"], ["x"], ["x", "x"], "name a label twice"),
    ],
    ids=["lengths", "strange label", "twice"],
)
def test_labels_that_do_not_fit_are_refused(a, b, categories, message: str) -> None:
    """A label outside the scale is an error, never a dropped case."""
    for function in (confusion, lambda *args: cohen_kappa(args[0], args[1], categories=args[2])):
        with pytest.raises(ValueError, match=message):
            function(a, b, categories)


def test_kappa_by_hand() -> None:
    """20, 5, 10, 15: observed .7, chance .5 * .6 + .5 * .4 = .5, so kappa = .2/.5 = .4.

    SE: weights' means by row and column are 1.1, 1.1, .9, .9; times 1 - .4 they are .66, .66, .54, .54, and
    .4 * .34^2 + .1 * .66^2 + .2 * .54^2 + .3 * .46^2 - (.4 - .5 * .6)^2 = .2016, so SE = sqrt(.2016/50)/.5 = .126996,
    times sqrt(50/49) = .128286. Half width on the z scale with t(49) = 2.009575: 2.009575 * .128286/(1 - .16) =
    .306905; atanh .4 = .423649.
    """
    a, b = labels([[20, 5], [10, 15]], PASS_FAIL)
    ours = cohen_kappa(a, b, categories=PASS_FAIL)
    assert ours.value == pytest.approx(0.4)
    assert (ours.low, ours.high) == pytest.approx((math.tanh(0.116744), math.tanh(0.730554)), abs=2e-6)
    assert (ours.n, ours.reason) == (50, "")


@pytest.mark.parametrize("weights", [None, "linear", "quadratic"])
@pytest.mark.parametrize("seed", [1, 2, 3])
def test_kappa_equals_scikit_learn_and_its_error_statsmodels(weights, seed: int) -> None:
    """Value and standard error agree for five ordered grades, with the categories in rank order."""
    table = np.random.default_rng(seed).integers(0, 12, size=(5, 5)) + 15 * np.eye(5, dtype=int)
    a, b = labels(table.tolist(), GRADES)
    ours = cohen_kappa(a, b, categories=GRADES, weights=weights)
    theirs = cohens_kappa(table, wt=weights)
    assert ours.value == pytest.approx(cohen_kappa_score(a, b, labels=list(GRADES), weights=weights), abs=1e-12)
    n = len(a)
    error = (math.atanh(ours.high) - math.atanh(ours.value)) * (1 - ours.value**2) / student.ppf(0.975, n - 1)
    assert error == pytest.approx(theirs.std_kappa * math.sqrt(n / (n - 1)), abs=1e-8)


def test_weights_need_the_rank_order() -> None:
    """The same labels with the scale in another order give another weighted kappa, but the same unweighted one."""
    a, b = labels([[10, 3, 0], [2, 8, 4], [0, 1, 9]], ("bad", "fair", "good"))
    ranked, alphabetic = ("bad", "fair", "good"), ("bad", "good", "fair")
    values = {
        w: [cohen_kappa(a, b, categories=c, weights=w).value for c in (ranked, alphabetic)] for w in (None, "quadratic")
    }
    assert values[None][0] == pytest.approx(values[None][1])
    assert values["quadratic"][0] > values["quadratic"][1] + 0.1


@pytest.mark.parametrize(
    ("a", "b", "reason"),
    [([], [], "no labels"), ([True] * 40, [True] * 40, "both raters use one and the same label, so kappa is 0/0")],
    ids=["empty", "one class"],
)
def test_kappa_is_undefined_without_two_classes(a, b, reason: str) -> None:
    """0/0 is not a value, neither 0 nor 1."""
    ours = cohen_kappa(a, b, categories=PASS_FAIL)
    assert (ours.value, ours.low, ours.high, ours.reason) == (None, None, None, reason)


def test_few_labels_of_the_rarer_class_leave_kappa_without_an_interval() -> None:
    """Nine failures: the value is shown, the interval is not estimable; ten failures have one."""
    nine, ten = (cohen_kappa(*labels([[80, 3], [2, k]], PASS_FAIL), categories=PASS_FAIL) for k in (7, 8))
    assert nine.value is not None
    assert (nine.low, nine.high) == (None, None)
    assert nine.reason == "not estimable: 9 labels of the rarer class, 10 are needed"
    assert ten.low is not None


def test_the_rarer_class_is_counted_among_the_reference_labels() -> None:
    """What the judge says does not make a person's label rarer."""
    person, judge = labels([[50, 30], [1, 5]], PASS_FAIL)
    assert cohen_kappa(person, judge, categories=PASS_FAIL).low is None
    assert cohen_kappa(judge, person, categories=PASS_FAIL).low is not None


def test_rarer_labels_are_those_outside_the_most_frequent_class() -> None:
    """With two classes it is the smaller; with more, everything but the largest."""
    assert [rarer_labels(x) for x in ([], [1], [1, 1, 0], [1, 1, 2, 3])] == [0, 0, 1, 2]


@pytest.mark.parametrize("weights", [None, "linear", "quadratic"])
def test_a_judge_with_one_verdict_has_kappa_zero_and_no_interval(weights) -> None:
    """A judge with one grade for everything shows no skill, exactly 0, and its error cannot be estimated."""
    for rest in range(10, 40):
        person = [5] * 40 + [4] * rest + [3] * 7 + [2] * 3 + [1]
        ours = cohen_kappa(person, [4] * len(person), categories=GRADES, weights=weights)
        assert (ours.value, ours.low, ours.high) == (0.0, None, None)
        assert ours.reason.startswith("no interval")


@pytest.mark.parametrize("table", [[[0, 20], [20, 0]], [[0, 10], [30, 0]]], ids=["balanced", "skewed"])
def test_full_disagreement_gives_no_false_certainty(table: list[list[int]]) -> None:
    """Raters who never agree have a negative kappa; where its error is 0 there is no interval."""
    ours = cohen_kappa(*labels(table, PASS_FAIL), categories=PASS_FAIL)
    assert -1 <= ours.value < -0.5
    assert ours.low is None or ours.low <= ours.value <= ours.high < 0


def test_perfect_agreement_is_bounded_by_the_rule_of_three() -> None:
    """100 of 100 agree, 85 pass: chance .745; observed may be 1 - 3/100, so kappa >= (.97 - .745)/.255 = .882."""
    person = [True] * 85 + [False] * 15
    ours = cohen_kappa(person, person, categories=PASS_FAIL, confidence_level=0.9)
    assert (ours.value, ours.high) == (1.0, 1.0)
    assert ours.low == pytest.approx((0.97 - 0.745) / 0.255, abs=3e-4)
    assert "rule of three" in ours.reason
    assert cohen_kappa(person, person, categories=PASS_FAIL, confidence_level=0.99).low < ours.low


@settings(derandomize=True, deadline=None, max_examples=200)
@given(
    pairs=st.lists(st.tuples(st.sampled_from(GRADES), st.sampled_from(GRADES)), min_size=1, max_size=80),
    weights=st.sampled_from([None, "linear", "quadratic"]),
    data=st.data(),
)
def test_agreement_stays_in_range_whatever_the_labels(pairs, weights, data: st.DataObject) -> None:
    """-1 <= low <= value <= high <= 1, free of the order of the cases, and kappa is symmetric in its value."""
    a, b = zip(*pairs, strict=True)
    c, d = zip(*data.draw(st.permutations(pairs)), strict=True)
    kappa = cohen_kappa(a, b, categories=GRADES, weights=weights)
    assert kappa == cohen_kappa(c, d, categories=GRADES, weights=weights)
    assert cohen_kappa(b, a, categories=GRADES, weights=weights).value == pytest.approx(kappa.value, abs=1e-12)
    for ours in (kappa, gwet_ac(a, b, categories=GRADES)):
        assert ours.value is not None or ours.reason
        known = [-1.0, *(end for end in (ours.low, ours.value, ours.high) if end is not None), 1.0]
        assert known == sorted(known)
        assert (ours.low is None) == (ours.high is None)


def test_ac1_by_hand() -> None:
    """Gwet's table 118, 5, 2, 0: observed .944, pi = (243/250, 7/250), chance 2 * .972 * .028 = .054432, AC1 .94077."""
    a, b = labels([[118, 5], [2, 0]], PASS_FAIL)
    ours = gwet_ac(a, b, categories=PASS_FAIL)
    assert ours.value == pytest.approx((0.944 - 0.054432) / (1 - 0.054432))
    assert cohen_kappa(a, b, categories=PASS_FAIL).value < 0


@pytest.mark.parametrize("copied", [0.75, 0.3, 0.0])
def test_the_error_of_ac1_is_that_of_the_jackknife(copied: float) -> None:
    """The large-sample formula agrees within 1 % with leaving out one of 400 cases at a time, at any agreement."""
    rng = np.random.default_rng(1)
    a = rng.choice(3, size=400, p=[0.7, 0.2, 0.1])
    b = np.where(rng.random(400) < copied, a, rng.choice(3, size=400))
    ours = gwet_ac(a.tolist(), b.tolist(), categories=(0, 1, 2))
    left_out = [
        gwet_ac(np.delete(a, i).tolist(), np.delete(b, i).tolist(), categories=(0, 1, 2)).value for i in range(400)
    ]
    jackknife = math.sqrt(399 * np.var(left_out))
    error = (math.atanh(ours.high) - math.atanh(ours.value)) * (1 - ours.value**2) / 1.959963985
    assert error == pytest.approx(jackknife, rel=0.01)


def test_ac1_of_one_label_is_defined_and_bounded() -> None:
    """Where everything passes, AC1 is 1 with a bound; it needs no second class, but a second category."""
    ours = gwet_ac([True] * 60, [True] * 60, categories=PASS_FAIL, confidence_level=0.9)
    assert ours.value == 1.0
    assert ours.low == pytest.approx(0.95, abs=1e-3)
    assert gwet_ac([], [], categories=PASS_FAIL).reason == "no labels"
    with pytest.raises(ValueError, match="at least two"):
        gwet_ac([True], [True], categories=[True])


def test_the_kappa_paradox() -> None:
    """Sensitivity and specificity of .95 have kappa .82 at prevalence .85 but .41 at .98; AC1 stays above .9."""
    for prevalence, kappa in ((0.85, 0.82), (0.98, 0.41)):
        passed, failed = round(2000 * prevalence), round(2000 * (1 - prevalence))
        table = [[round(0.95 * passed), round(0.05 * passed)], [round(0.05 * failed), round(0.95 * failed)]]
        a, b = labels(table, PASS_FAIL)
        assert cohen_kappa(a, b, categories=PASS_FAIL).value == pytest.approx(kappa, abs=0.01)
        assert gwet_ac(a, b, categories=PASS_FAIL).value > 0.9


@pytest.mark.parametrize(
    ("low", "point", "smallest", "expected"),
    [
        (0.60, 0.75, 10, "trusted"),
        (0.599, 0.75, 10, "provisional"),
        (0.70, 0.80, 9, "provisional"),
        (0.50, 0.60, 50, "provisional"),
        (None, 0.90, 5, "provisional"),
        (0.40, 0.59, 50, "untrusted"),
        (None, None, 0, "untrusted"),
    ],
)
def test_trust_needs_the_bound_and_ten_labels_of_each_class(low, point, smallest: int, expected: str) -> None:
    """The bound decides, the point only makes provisional, and what is unknown reaches nothing."""
    assert trust(low, point, smallest_class=smallest) == expected


def test_the_floor_of_trust_can_be_raised() -> None:
    """A stricter floor is applied to both the bound and the point."""
    assert trust(0.7, 0.75, smallest_class=20, floor=0.8) == "untrusted"
    assert trust(0.7, 0.85, smallest_class=20, floor=0.8) == "provisional"


@pytest.mark.parametrize(
    ("kappa", "n", "least", "most"),
    [(0.5, 200, 0.0, 0.015), (0.59, 200, 0.0, 0.055), (0.8, 100, 0.46, 0.62), (0.8, 200, 0.78, 0.90)],
)
@pytest.mark.slow
def test_trust_is_earned_as_often_as_specified(kappa: float, n: int, least: float, most: float) -> None:
    """At prevalence .85 the measured shares are .004, .031, .54 and .84; 600 seeded runs lie within four errors."""
    rng = np.random.default_rng(8)
    trusted = 0
    for _ in range(600):
        person, judge = draw_pass_fail(rng, n, prevalence=0.85, kappa=kappa)
        ours = cohen_kappa(person, judge, categories=PASS_FAIL, confidence_level=0.9)
        trusted += trust(ours.low, ours.value, smallest_class=rarer_labels(person)) == "trusted"
    assert least <= trusted / 600 <= most


@pytest.mark.slow
def test_kappa_and_ac1_intervals_cover_the_truth() -> None:
    """200 labels at prevalence .85 and kappa .6: both 95 % intervals cover in 92 to 98 % of 800 seeded runs."""
    rng = np.random.default_rng(9)
    agreement = 0.745 + 0.6 * 0.255
    ac1 = (agreement - 0.255) / (1 - 0.255)
    kappa_hits = ac1_hits = 0
    for _ in range(800):
        person, judge = draw_pass_fail(rng, 200, prevalence=0.85, kappa=0.6)
        kappa, gwet = (f(person, judge, categories=PASS_FAIL) for f in (cohen_kappa, gwet_ac))
        kappa_hits += kappa.low <= 0.6 <= kappa.high
        ac1_hits += gwet.low <= ac1 <= gwet.high
    assert 0.92 <= kappa_hits / 800 <= 0.98
    assert 0.92 <= ac1_hits / 800 <= 0.98
