"""Kappa and AC1 where answers depend on each other: by hand, against other programs, and how often they cover."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy.stats import t as student

from evalkit.results import Estimate
from evalkit.stats.agreement import (
    LabelDesign,
    cohen_kappa,
    gwet_ac,
    kappa_difference,
    krippendorff_alpha,
    labels_needed,
    quadratic_kappa,
    rarer_labels,
)

GRADES = (1, 2, 3, 4, 5)
PASS_FAIL = (False, True)


def clustered(
    rng: np.random.Generator, questions: int, systems: int, *, share: float = 0.3, prevalence: float = 0.7
) -> tuple[list[bool], list[bool], list[int]]:
    """People and a judge on `systems` answers to each question, whose pass and error rates are the question's own."""
    spread = 1 / share - 1
    rate = np.repeat(rng.beta(prevalence * spread, (1 - prevalence) * spread, questions), systems)
    error = np.repeat(rng.beta(0.1 * spread, 0.9 * spread, questions), systems)
    people = rng.random(len(rate)) < rate
    judge = people ^ (rng.random(len(rate)) < error)
    return people.tolist(), judge.tolist(), np.repeat(np.arange(questions), systems).tolist()


def error_of(found: Estimate, clusters: int) -> float:
    """The standard error that a Fisher-z interval was made of."""
    half = (math.atanh(found.high) - math.atanh(found.low)) / 2
    return half * (1 - found.value**2) / student.ppf(0.975, clusters - 1)


def test_four_answers_to_each_question_by_hand() -> None:
    """Every answer four times: kappa stays .4, and the SE is that of the 50 questions, .126996 x sqrt(50/49).

    See `test_kappa_by_hand` for .126996: the influence of a question is four times that of an answer with a quarter of
    its share.
    """
    people = [True] * 25 + [False] * 25
    judge = [True] * 20 + [False] * 5 + [True] * 10 + [False] * 15
    plain = cohen_kappa(people, judge, categories=PASS_FAIL)
    design = LabelDesign(clusters=list(range(50)) * 4)
    found = cohen_kappa(people * 4, judge * 4, categories=PASS_FAIL, design=design)
    assert (found.value, found.low, found.high) == pytest.approx((plain.value, plain.low, plain.high), abs=1e-12)
    assert found.n == 200
    assert error_of(found, 50) == pytest.approx(0.126996 * math.sqrt(50 / 49), abs=1e-6)


@pytest.mark.parametrize("weights", [None, "linear", "quadratic"])
@pytest.mark.slow
def test_the_error_by_clusters_is_that_of_the_jackknife_over_clusters(weights) -> None:
    """Leaving out one of 150 questions at a time gives the same standard error within 3 %."""
    rng = np.random.default_rng(4)
    owners = np.repeat(np.arange(150), 4)
    people = np.clip(np.repeat(rng.integers(1, 6, 150), 4) + rng.integers(-1, 2, 600), 1, 5)
    judge = np.clip(people + np.repeat(rng.integers(-1, 2, 150), 4), 1, 5)

    def values(kept: np.ndarray) -> tuple[float, float]:
        pair = people[kept].tolist(), judge[kept].tolist()
        return tuple(f(*pair, categories=GRADES, weights=weights).value for f in (cohen_kappa, gwet_ac))

    left = np.array([values(owners != each) for each in range(150)])
    design = LabelDesign(clusters=owners.tolist())
    for place, function in enumerate((cohen_kappa, gwet_ac)):
        found = function(people.tolist(), judge.tolist(), categories=GRADES, weights=weights, design=design)
        jackknife = math.sqrt(149 / 150 * ((left[:, place] - left[:, place].mean()) ** 2).sum())
        assert error_of(found, 150) == pytest.approx(jackknife, rel=0.03)


@pytest.mark.parametrize("weights", [None, "linear", "quadratic"])
def test_singletons_give_the_error_without_clusters(weights) -> None:
    """One answer a question: the SE of Fleiss, Cohen and Everitt times sqrt(n / (n - 1)), to 1e-12."""
    from statsmodels.stats.inter_rater import cohens_kappa

    table = np.random.default_rng(7).integers(0, 12, (5, 5)) + 15 * np.eye(5, dtype=int)
    pairs = [(row, column) for row in range(5) for column in range(5) for _ in range(table[row, column])]
    people, judge = ([GRADES[pair[side]] for pair in pairs] for side in (0, 1))
    found = cohen_kappa(
        people,
        judge,
        categories=GRADES,
        weights=weights,
        design=LabelDesign(clusters=[f"q{i}" for i in range(len(pairs))]),
    )
    bare = cohen_kappa(people, judge, categories=GRADES, weights=weights)
    assert found == bare
    n = len(pairs)
    theirs = cohens_kappa(table, wt=weights).std_kappa
    assert error_of(found, n) == pytest.approx(theirs * math.sqrt(n / (n - 1)), rel=1e-8)
    by_hand = _fleiss_cohen_everitt(table / n, weights) / math.sqrt(n)
    assert error_of(found, n) == pytest.approx(by_hand * math.sqrt(n / (n - 1)), abs=1e-12)


def _fleiss_cohen_everitt(p: np.ndarray, weights: str | None) -> float:
    """Equation 8 of the paper, before the division by sqrt(n)."""
    distance = np.abs(np.subtract.outer(np.arange(5), np.arange(5))) / 4
    w = {None: np.eye(5), "linear": 1 - distance, "quadratic": 1 - distance**2}[weights]
    rows, columns = p.sum(1), p.sum(0)
    observed, chance = (w * p).sum(), rows @ w @ columns
    means = (w @ columns)[:, None] + (rows @ w)[None, :]
    inner = w * (1 - chance) - means * (1 - observed)
    squares = (p * inner**2).sum() - (observed * chance - 2 * chance + observed) ** 2
    return math.sqrt(squares) / (1 - chance) ** 2


@pytest.mark.parametrize("drawn", [False, True], ids=["alike", "weighted"])
def test_order_and_names_change_no_digit(drawn: bool) -> None:
    """Rows in another order and questions under other names give the same bytes."""
    rng = np.random.default_rng(2)
    people, judge, owners = clustered(rng, 40, 4)
    chances = rng.uniform(0.1, 1, len(people)).tolist() if drawn else None
    order = rng.permutation(len(people)).tolist()
    designs = [
        LabelDesign(probabilities=chances, clusters=owners),
        LabelDesign(
            probabilities=[chances[i] for i in order] if chances else None,
            clusters=[f"question {99 - owners[i]}" for i in order],
        ),
    ]
    for function in (cohen_kappa, gwet_ac):
        first = function(people, judge, categories=PASS_FAIL, design=designs[0])
        second = function(
            [people[i] for i in order], [judge[i] for i in order], categories=PASS_FAIL, design=designs[1]
        )
        assert first == second


def test_clusters_widen_the_interval_and_not_the_value() -> None:
    """With 16 dependent answers a question the interval is at least half as wide again."""
    people, judge, owners = clustered(np.random.default_rng(3), 60, 16)
    plain = cohen_kappa(people, judge, categories=PASS_FAIL)
    found = cohen_kappa(people, judge, categories=PASS_FAIL, design=LabelDesign(clusters=owners))
    assert found.value == plain.value
    assert found.high - found.low > 1.5 * (plain.high - plain.low)


def test_the_rarer_class_is_counted_in_questions() -> None:
    """Nine questions hold all 36 failures: not estimable; with a tenth it is."""
    people = [False] * 36 + [True] * 64
    judge = [False] * 30 + [True] * 66 + [False] * 4
    owners = [i // 4 for i in range(100)]
    nine = cohen_kappa(people, judge, categories=PASS_FAIL, design=LabelDesign(clusters=owners))
    assert (nine.low, nine.reason) == (
        None,
        "not estimable: 9 questions with a label of the rarer class, 10 are needed",
    )
    assert rarer_labels(people, LabelDesign(clusters=owners)) == 9
    people[60] = False
    assert cohen_kappa(people, judge, categories=PASS_FAIL, design=LabelDesign(clusters=owners)).low is not None


def test_a_class_that_is_frequent_in_few_questions_is_the_rarer_one() -> None:
    """32 passes of 2 questions beside 12 fails of 12: two questions are what is known of passes."""
    people = [True] * 32 + [False] * 12
    owners = [i // 16 for i in range(32)] + list(range(100, 112))
    assert rarer_labels(people, LabelDesign(clusters=owners)) == 2


def test_one_question_has_no_interval() -> None:
    """Whatever the number of answers, one question shows no spread between questions."""
    people = [True, False] * 20
    judge = [True, False] * 15 + [False, True] * 5
    design = LabelDesign(clusters=["q"] * 40)
    kappa = cohen_kappa(people, judge, categories=PASS_FAIL, design=design)
    assert (kappa.value, kappa.low) == (pytest.approx(0.5), None)
    assert kappa.reason.startswith("not estimable: 1 question")
    ac = gwet_ac(people, judge, categories=PASS_FAIL, design=design)
    assert (ac.low, ac.reason) == (None, "no interval: the labels are of one question")


def test_agreement_without_a_fault_is_bounded_by_the_number_of_questions() -> None:
    """400 answers of 100 questions, all agreed: the bound of 100, not of 400."""
    person = ([True] * 85 + [False] * 15) * 4
    found = cohen_kappa(
        person, person, categories=PASS_FAIL, design=LabelDesign(clusters=list(range(100)) * 4), confidence_level=0.9
    )
    alone = cohen_kappa(person[:100], person[:100], categories=PASS_FAIL, confidence_level=0.9)
    assert found.low == pytest.approx(alone.low, abs=1e-12)


@pytest.mark.parametrize("systems", [4, 16])
@pytest.mark.slow
def test_intervals_cover_where_answers_depend_on_their_question(systems: int) -> None:
    """40 questions, strong clustering: 92 % of 300 intervals or more hold the true kappa; ignoring them it is less."""
    rng = np.random.default_rng(20 + systems)
    truth = 1 - 0.2 / (1 - (0.7 * 0.66 + 0.3 * 0.34)) / 2  # agreement .9; the judge passes .7 x .9 + .3 x .1 = .66
    hits = ignored = 0
    for _ in range(300):
        people, judge, owners = clustered(rng, 40, systems)
        found = cohen_kappa(people, judge, categories=PASS_FAIL, design=LabelDesign(clusters=owners))
        plain = cohen_kappa(people, judge, categories=PASS_FAIL)
        hits += found.low is None or found.low <= truth <= found.high
        ignored += plain.low <= truth <= plain.high
    assert hits >= 276
    assert ignored < hits - 5


def test_quadratic_kappa_of_levels_is_the_kappa_of_the_table() -> None:
    """Value, interval and weights of the answers agree with the categories' form to 1e-12."""
    rng = np.random.default_rng(5)
    people = np.clip(np.repeat(rng.integers(1, 6, 40), 4) + rng.integers(-1, 2, 160), 1, 5)
    judge = np.clip(people + rng.integers(-1, 2, 160), 1, 5)
    design = LabelDesign(probabilities=rng.uniform(0.2, 1, 160).tolist(), clusters=np.repeat(np.arange(40), 4).tolist())
    table = cohen_kappa(people.tolist(), judge.tolist(), categories=GRADES, weights="quadratic", design=design)
    found = quadratic_kappa(people.astype(float), judge.astype(float), design=design)
    assert (found.value, found.low, found.high) == pytest.approx((table.value, table.low, table.high), abs=1e-12)
    assert (found.n, found.method) == (table.n, table.method)


def test_quadratic_kappa_takes_means_of_raters() -> None:
    """Means 1.5, 2, 3.5, 4 against 1, 2, 4, 4: 1 - .125 / (1.0625 + 1.6875 + 0) by hand."""
    found = quadratic_kappa([1.5, 2, 3.5, 4], [1, 2, 4, 4])
    assert found.value == pytest.approx(1 - 0.125 / (1.0625 + 1.6875))
    assert quadratic_kappa([2.5, 2.5, 2.5], [1, 2, 4]).value == 0
    assert quadratic_kappa([3, 3], [3, 3]).value is None
    with pytest.raises(ValueError, match="finite"):
        quadratic_kappa([1, float("nan")], [1, 2])


def test_labels_of_several_raters_share_the_weight_of_their_answer() -> None:
    """Two raters who agree are one label; two who disagree are half a pass and half a fail, and neither is dropped."""
    people = [True] * 30 + [False] * 20
    judge = [True] * 25 + [False] * 5 + [False] * 15 + [True] * 5
    alone = cohen_kappa(people, judge, categories=PASS_FAIL)
    twice = cohen_kappa(people * 2, judge * 2, categories=PASS_FAIL, design=LabelDesign(answers=list(range(50)) * 2))
    assert (twice.value, twice.low, twice.n) == (pytest.approx(alone.value), pytest.approx(alone.low), 50)
    split = cohen_kappa(
        [*people, True, False],
        [*judge, True, True],
        categories=PASS_FAIL,
        design=LabelDesign(answers=[*range(50), 50, 50]),
    )
    observed, passes, judged = 40.5 / 51, 30.5 / 51, 31 / 51
    chance = passes * judged + (1 - passes) * (1 - judged)
    assert split.value == pytest.approx((observed - chance) / (1 - chance))
    assert split.n == 51


def test_more_questions_are_asked_for_where_answers_depend() -> None:
    """The same kappa and bound at fewer questions asks for the labels that its standard error needs.

    SE .08 with t(39) = 1.6849 makes the bound; 160 x (2.4865 x .08 / .15)^2 = 281.4.
    """
    low = math.tanh(math.atanh(0.75) - student.ppf(0.95, 39) * 0.08 / (1 - 0.75**2))
    assert labels_needed(160, low, 0.75, clusters=40) == 282


@pytest.mark.slow
def test_swaps_of_two_judges_keep_questions_together() -> None:
    """Judges with equal faults that come by question: p <= .05 in 8 % of 200 samples or fewer, and more if ignored."""
    rng = np.random.default_rng(6)
    alarms = ignored = 0
    for _ in range(200):
        people, first, owners = clustered(rng, 40, 8)
        faults = np.repeat(rng.beta(0.1 / 0.3 * 0.7, 0.9 / 0.3 * 0.7, 40), 8)
        second = (np.array(people) ^ (rng.random(320) < faults)).tolist()
        pair = (people, (first, second))
        found = kappa_difference(*pair, categories=PASS_FAIL, design=LabelDesign(clusters=owners), rng=rng)
        plain = kappa_difference(*pair, categories=PASS_FAIL, rng=rng)
        alarms += found.p_value <= 0.05
        ignored += plain.p_value <= 0.05
    assert alarms <= 20
    assert ignored > 2 * alarms


def test_alpha_draws_whole_questions() -> None:
    """Eight answers a question that raters read alike or unlike as one: a wider interval, the same value."""
    rng = np.random.default_rng(8)
    sure = np.repeat(rng.random(30) < 0.6, 8)
    first = rng.integers(1, 6, 240)
    second = np.where(sure, first, rng.integers(1, 6, 240))
    ratings = [list(pair) for pair in zip(first.tolist(), second.tolist(), strict=True)]
    owners = np.repeat(np.arange(30), 8).tolist()
    plain = krippendorff_alpha(ratings, categories=GRADES, rng=np.random.default_rng(0))
    found = krippendorff_alpha(ratings, categories=GRADES, clusters=owners, rng=np.random.default_rng(0))
    assert found.value == plain.value
    assert found.high - found.low > 1.5 * (plain.high - plain.low)
