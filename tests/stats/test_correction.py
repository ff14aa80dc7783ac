"""Corrected rates and means: by hand, and how often their intervals hold the truth."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from scipy.stats import t as student

from evalkit.stats.correction import Graded, corrected_mean, double_sampling, rogan_gladen
from evalkit.stats.intervals import cluster_robust, mean_t


def fresh() -> np.random.Generator:
    """A seeded source."""
    return np.random.default_rng(7)


def answers(
    judged_passes: int, judged: int, labelled_passes: tuple[int, int], labelled_fails: tuple[int, int]
) -> list[Graded]:
    """Answers of a question each, of which the first of either verdict are labelled: (passed by people, labelled)."""
    people = {
        verdict: [1.0] * passed + [0.0] * (count - passed)
        for verdict, (passed, count) in ((1.0, labelled_passes), (0.0, labelled_fails))
    }
    verdicts = [1.0] * judged_passes + [0.0] * (judged - judged_passes)
    return [
        Graded(verdict, i, people[verdict].pop() if people[verdict] else None) for i, verdict in enumerate(verdicts)
    ]


def test_double_sampling_by_hand() -> None:
    """Q = 400/500; people pass 36 of 40 judge-passes and 4 of 10 judge-fails: .8 x .9 + .2 x .4 = .8."""
    found = double_sampling(answers(400, 500, (36, 40), (4, 10)), rng=fresh())
    assert found.value == pytest.approx(0.8)
    assert 0.65 < found.low < found.value < found.high < 0.92
    assert found.n == 50


def test_double_sampling_draws_from_jeffreys_posteriors() -> None:
    """Where each answer is its own question the ends are quantiles of q a + (1 - q) b, three Beta draws."""
    rng = fresh()
    q, a, b = (rng.beta(k + 0.5, n - k + 0.5, 400_000) for k, n in ((400, 500), (36, 40), (4, 10)))
    expected = np.quantile(q * a + (1 - q) * b, [0.025, 0.975])
    found = double_sampling(answers(400, 500, (36, 40), (4, 10)), rng=fresh())
    assert (found.low, found.high) == pytest.approx(expected, abs=0.004)


def test_every_answer_labelled_gives_the_rate_of_people() -> None:
    """With all 100 answers labelled the corrected rate is what people say: (70 + 5) / 100."""
    found = double_sampling(answers(80, 100, (70, 80), (5, 20)), rng=fresh())
    assert found.value == pytest.approx(0.75)


@pytest.mark.parametrize(
    ("passes", "fails", "reason"),
    [
        ((4, 5), (1, 4), "9 labels, 10 are needed"),
        ((9, 10), (0, 0), "none of the answers that the judge fails is labelled"),
        ((0, 0), (1, 10), "none of the answers that the judge passes is labelled"),
    ],
)
def test_too_few_labels_correct_nothing(passes: tuple[int, int], fails: tuple[int, int], reason: str) -> None:
    """Unknown stays unknown, with its reason."""
    found = double_sampling(answers(80, 100, passes, fails), rng=fresh())
    assert (found.value, found.low, found.reason) == (None, None, reason)


def test_a_verdict_that_never_occurs_needs_no_label() -> None:
    """A judge that passes everything is corrected by labels of passes alone."""
    found = double_sampling(answers(100, 100, (17, 20), (0, 0)), rng=fresh())
    assert found.value == pytest.approx(0.85)


def test_labels_of_few_questions_correct_nothing() -> None:
    """36 labels of 9 questions are 9 things known."""
    few = [Graded(float(i % 3 > 0), i // 4, 1.0) for i in range(36)]
    for found in (double_sampling(few, rng=fresh()), corrected_mean(few)):
        assert (found.value, found.reason) == (
            None,
            "36 labels of 9 questions, labels of 10 questions are needed",
        )


def test_answers_that_fail_for_sure_lower_the_rate() -> None:
    """50 of 250 answers break a rule: the rate of the others, .8, counts four fifths."""
    whole = double_sampling(answers(160, 200, (36, 40), (4, 10)), failing=50.0, rng=fresh())
    assert whole.value == pytest.approx(0.8 * 0.8)
    assert whole.low < whole.value < whole.high


def test_raters_who_disagree_count_by_their_share() -> None:
    """Half of the raters pass every labelled answer: half of the answers pass."""
    halves = [Graded(float(i % 2), i, 0.5 if i < 40 else None) for i in range(100)]
    assert double_sampling(halves, rng=fresh()).value == pytest.approx(0.5)


def coverage(n_labels: int, *, oversample: bool = False, runs: int = 400) -> float:
    """Share of runs of 500 answers (true .85, sensitivity .90, specificity .80) whose interval holds the truth."""
    rng = np.random.default_rng(n_labels)
    hits = 0
    for _ in range(runs):
        people = rng.random(500) < 0.85
        judge = np.where(people, rng.random(500) < 0.9, rng.random(500) < 0.2)
        if oversample:
            fails = rng.permutation(np.flatnonzero(~judge))[: n_labels // 2]
            passes = rng.permutation(np.flatnonzero(judge))[: n_labels - len(fails)]
        else:
            drawn = rng.permutation(500)[:n_labels]
            passes, fails = drawn[judge[drawn]], drawn[~judge[drawn]]
        found = double_sampling(
            answers(
                int(judge.sum()),
                500,
                (int(people[passes].sum()), len(passes)),
                (int(people[fails].sum()), len(fails)),
            ),
            rng=rng,
        )
        hits += found.low is not None and found.low <= 0.85 <= found.high
    return hits / runs


@pytest.mark.parametrize("n_labels", [20, 50, 100])
@pytest.mark.slow
def test_double_sampling_covers_the_truth(n_labels: int) -> None:
    """95 % intervals hold it in 92 % of 400 runs or more, where the judge alone holds it in 9 %."""
    assert coverage(n_labels) >= 0.92


@pytest.mark.slow
def test_oversampled_judge_fails_do_no_harm() -> None:
    """Half of the labels drawn from the judge's fails: the same coverage."""
    assert coverage(50, oversample=True) >= 0.92


def by_question(rng: np.random.Generator, questions: int, systems: int, labelled: int) -> list[Graded]:
    """Answers whose pass and error rates are their question's own; every answer of some questions is labelled."""
    spread = 1 / 0.3 - 1
    rate, error = (rng.beta(mean * spread, (1 - mean) * spread, questions) for mean in (0.7, 0.15))
    chosen = set(rng.permutation(questions)[:labelled].tolist())
    made = []
    for question in range(questions):
        for _ in range(systems):
            people = rng.random() < rate[question]
            judge = people ^ (rng.random() < error[question])
            made.append(Graded(float(judge), question, float(people) if question in chosen else None))
    return made


@pytest.mark.parametrize(("systems", "labelled"), [(4, 20), (16, 40)])
@pytest.mark.slow
def test_corrected_intervals_cover_where_answers_depend_on_their_question(systems: int, labelled: int) -> None:
    """80 questions, strong clustering: 91 % of 200 intervals or more hold the true .7, of the rate and of the mean."""
    rng = np.random.default_rng(systems + labelled)
    hits, alone = [0, 0], 0
    for _ in range(200):
        made = by_question(rng, 80, systems, labelled)
        found = double_sampling(made, rng=rng), corrected_mean(made)
        apart = double_sampling([replace(each, cluster=i) for i, each in enumerate(made)], rng=rng)
        for place, each in enumerate(found):
            hits[place] += each.low <= 0.7 <= each.high
        alone += apart.low <= 0.7 <= apart.high
    assert min(hits) >= 182
    assert alone < min(hits) - 10, "the same without clusters"


def test_the_order_of_answers_and_names_of_questions_change_nothing() -> None:
    """Rows in another order give the same bytes."""
    rng = np.random.default_rng(3)
    made = by_question(rng, 40, 4, 20)
    moved = [replace(made[i], cluster=f"question {made[i].cluster}") for i in rng.permutation(160).tolist()]
    assert double_sampling(made, rng=fresh()) == double_sampling(moved, rng=fresh())
    assert corrected_mean(made) == corrected_mean(moved)


def graded(judged: np.ndarray, people: np.ndarray) -> list[Graded]:
    """Answers of a question each, the first of which are labelled."""
    said = [*people.tolist(), *[None] * (len(judged) - len(people))]
    return [Graded(grade, i, each) for i, (grade, each) in enumerate(zip(judged.tolist(), said, strict=True))]


def test_the_corrected_mean_is_its_formula() -> None:
    """Mean of the judge plus mean difference; variances over N and n; Student with n - 1."""
    rng = fresh()
    judged = rng.integers(1, 6, 300).astype(float)
    people = np.clip(judged[:40] - rng.integers(0, 2, 40), 1, 5)
    found = corrected_mean(graded(judged, people))
    differences = people - judged[:40]
    value = judged.mean() + differences.mean()
    error = math.sqrt(judged.var(ddof=1) / 300 + differences.var(ddof=1) / 40)
    half = student.ppf(0.975, 39) * error
    assert (found.value, found.low, found.high) == pytest.approx((value, value - half, value + half), abs=1e-12)


def test_labels_alone_give_the_mean_of_students_interval() -> None:
    """Without the judge it is the mean of the labels: one of the package's own intervals, to 1e-12."""
    people = fresh().integers(1, 6, 40).astype(float)
    found = corrected_mean(graded(np.full(100, 3.0), people), by_judge=False)
    plain = mean_t(people)
    assert (found.value, found.low, found.high) == pytest.approx((plain.value, plain.low, plain.high), abs=1e-12)
    twice = [Graded(3.0, i % 40, people[i % 40]) for i in range(80)]
    robust = cluster_robust(np.tile(people, 2), list(range(40)) * 2)
    both = corrected_mean(twice, by_judge=False)
    assert (both.low, both.high) == pytest.approx((robust.low, robust.high), abs=1e-12)


def test_the_corrected_mean_covers_the_truth() -> None:
    """A judge half a grade too mild: 93 % of 400 intervals or more hold the true mean with 30 labels."""
    rng = fresh()
    hits = 0
    for _ in range(400):
        people = rng.choice([2, 3, 4, 5], 400, p=[0.1, 0.2, 0.4, 0.3]).astype(float)
        judge = np.clip(people + rng.choice([0, 1], 400), 1, 5)
        found = corrected_mean(graded(judge, people[:30]))
        hits += found.low <= 3.9 <= found.high
    assert hits >= 372


def test_the_corrected_mean_needs_labels() -> None:
    """Nine labels are too few, and a grade that is not a number is refused."""
    assert corrected_mean(graded(np.full(50, 3.0), np.full(9, 3.0))).reason == "9 labels, 10 are needed"
    with pytest.raises(ValueError, match="finite"):
        corrected_mean(graded(np.full(50, np.nan), np.full(20, 3.0)))


def test_rogan_gladen_by_hand() -> None:
    """Q = .75, sensitivity .9, specificity .8: (.75 + .8 - 1) / (.9 + .8 - 1) = .55 / .7."""
    found = rogan_gladen(375, 500, sensitivity=(90, 100), specificity=(40, 50), rng=fresh())
    assert found.value == pytest.approx(0.55 / 0.7)
    assert found.low < found.value < found.high
    assert "if the judge errs as it did then" in found.method


@pytest.mark.parametrize(
    ("sensitivity", "specificity", "reason"),
    [((5, 10), (5, 10), "no better than chance"), ((0, 0), (5, 10), "no label"), ((9, 10), (0, 0), "no label")],
)
def test_a_judge_that_guesses_cannot_be_corrected(
    sensitivity: tuple[int, int], specificity: tuple[int, int], reason: str
) -> None:
    """There is nothing to divide by."""
    found = rogan_gladen(375, 500, sensitivity=sensitivity, specificity=specificity, rng=fresh())
    assert found.value is None and reason in found.reason


def test_rogan_gladen_stays_a_rate() -> None:
    """A rate beyond what the judge's errors allow is cut at 1."""
    found = rogan_gladen(499, 500, sensitivity=(90, 100), specificity=(45, 50), rng=fresh())
    assert (found.value, found.high) == (1.0, 1.0)
