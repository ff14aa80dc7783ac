"""Corrected rates and means: by hand, and how often their intervals hold the truth."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy.stats import t as student

from evalkit.stats.correction import double_sampling, ppi_mean, rogan_gladen


def fresh() -> np.random.Generator:
    """A seeded source."""
    return np.random.default_rng(7)


def test_double_sampling_by_hand() -> None:
    """Q = 400/500; people pass 36 of 40 judge-passes and 4 of 10 judge-fails: .8 x .9 + .2 x .4 = .8."""
    found = double_sampling(400, 500, labelled_passes=(36, 40), labelled_fails=(4, 10), rng=fresh())
    assert found.value == pytest.approx(0.8)
    assert 0.65 < found.low < found.value < found.high < 0.92
    assert found.n == 50


def test_every_answer_labelled_gives_the_rate_of_people() -> None:
    """With all 100 answers labelled the corrected rate is what people say: (70 + 5) / 100."""
    found = double_sampling(80, 100, labelled_passes=(70, 80), labelled_fails=(5, 20), rng=fresh())
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
    found = double_sampling(80, 100, labelled_passes=passes, labelled_fails=fails, rng=fresh())
    assert (found.value, found.low, found.reason) == (None, None, reason)


def test_a_verdict_that_never_occurs_needs_no_label() -> None:
    """A judge that passes everything is corrected by labels of passes alone."""
    found = double_sampling(100, 100, labelled_passes=(17, 20), labelled_fails=(0, 0), rng=fresh())
    assert found.value == pytest.approx(0.85)


def test_counts_that_cannot_be_are_refused() -> None:
    """More passes than labels are no data."""
    with pytest.raises(ValueError, match="must lie in"):
        double_sampling(5, 4, labelled_passes=(1, 10), labelled_fails=(1, 10), rng=fresh())


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
            int(judge.sum()),
            500,
            labelled_passes=(int(people[passes].sum()), len(passes)),
            labelled_fails=(int(people[fails].sum()), len(fails)),
            rng=rng,
        )
        hits += found.low is not None and found.low <= 0.85 <= found.high
    return hits / runs


@pytest.mark.parametrize("n_labels", [20, 50, 100])
def test_double_sampling_covers_the_truth(n_labels: int) -> None:
    """95 % intervals hold it in 92 % of 400 runs or more, where the judge alone holds it in 9 %."""
    assert coverage(n_labels) >= 0.92


def test_oversampled_judge_fails_do_no_harm() -> None:
    """Half of the labels drawn from the judge's fails: the same coverage."""
    assert coverage(50, oversample=True) >= 0.92


def test_ppi_is_its_formula() -> None:
    """Mean of the judge plus mean difference; variances over N and n; Student with n - 1."""
    rng = fresh()
    judged = rng.integers(1, 6, 300).astype(float)
    labelled = judged[:40]
    people = np.clip(labelled - rng.integers(0, 2, 40), 1, 5)
    found = ppi_mean(judged, labelled, people)
    differences = people - labelled
    value = judged.mean() + differences.mean()
    error = math.sqrt(judged.var(ddof=1) / 300 + differences.var(ddof=1) / 40)
    half = student.ppf(0.975, 39) * error
    assert (found.value, found.low, found.high) == pytest.approx((value, value - half, value + half), abs=1e-12)


def test_ppi_covers_the_truth() -> None:
    """A judge half a grade too mild: 93 % of 400 intervals or more hold the true mean with 30 labels."""
    rng = fresh()
    hits = 0
    for _ in range(400):
        people = rng.choice([2, 3, 4, 5], 400, p=[0.1, 0.2, 0.4, 0.3]).astype(float)
        judge = np.clip(people + rng.choice([0, 1], 400), 1, 5)
        drawn = rng.permutation(400)[:30]
        found = ppi_mean(judge, judge[drawn], people[drawn])
        hits += found.low <= 3.9 <= found.high
    assert hits >= 372


def test_ppi_needs_labels_that_fit() -> None:
    """Nine labels are too few, and one missing or unknown is refused."""
    assert ppi_mean([3.0] * 50, [3.0] * 9, [3.0] * 9).reason == "9 labels, 10 are needed"
    with pytest.raises(ValueError, match="give both"):
        ppi_mean([3.0] * 50, [3.0] * 11, [3.0] * 10)
    with pytest.raises(ValueError, match="finite"):
        ppi_mean([float("nan")], [1.0], [1.0])


def test_rogan_gladen_by_hand() -> None:
    """Q = .75, sensitivity .9, specificity .8: (.75 + .8 - 1) / (.9 + .8 - 1) = .55 / .7."""
    found = rogan_gladen(375, 500, sensitivity=(90, 100), specificity=(40, 50), rng=fresh())
    assert found.value == pytest.approx(0.55 / 0.7)
    assert found.low < found.value < found.high
    assert "if the judge errs as it did then" in found.method


@pytest.mark.parametrize(
    ("sensitivity", "specificity", "reason"),
    [((5, 10), (5, 10), "no better than a coin"), ((0, 0), (5, 10), "no label"), ((9, 10), (0, 0), "no label")],
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
