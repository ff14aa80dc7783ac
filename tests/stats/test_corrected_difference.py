"""The corrected difference of two versions: by hand, under renaming, and how often it holds the truth."""

from __future__ import annotations

import math
import random
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats as scipy_stats

from evalkit.stats.corrected_difference import Version, carried_difference, corrected_difference
from evalkit.stats.correction import Graded


def rng() -> np.random.Generator:
    """A seeded source."""
    return np.random.default_rng(3)


def drawn(
    n: int, labels: int, *, seed: int, drop: float = 0.0, cluster: int = 1, judge: tuple[float, float] = (0.9, 0.8)
) -> tuple[Version, Version]:
    """Two versions of n cases, the later one with a drop, with labels of the same cases."""
    source = np.random.default_rng(seed)
    clusters = np.repeat(np.arange(n // cluster), cluster)
    chances = source.beta(0.425, 0.075, n // cluster)[clusters]
    chosen = np.isin(clusters, source.permutation(n // cluster)[:labels])
    sides = []
    for lost in (0.0, drop / 0.85):
        people = (source.random(n) < chances) & (source.random(n) >= lost)
        verdicts = np.where(people, source.random(n) < judge[0], source.random(n) >= judge[1])
        parts = zip(verdicts.tolist(), clusters.tolist(), people.tolist(), chosen.tolist(), strict=True)
        sides.append(Version(tuple(Graded(float(v), c, float(h) if k else None) for v, c, h, k in parts)))
    return sides[0], sides[1]


def by_formula(before: Version, after: Version) -> tuple[float, float]:
    """The estimate and its standard error, written out with numpy for cases of their own."""
    influences, thetas = [], []
    for side in (before, after):
        judge = np.array([each.judge for each in side.answers])
        people = np.array([np.nan if each.people is None else each.people for each in side.answers])
        n, influence, theta = len(judge), np.zeros(len(judge)), 0.0
        for verdict in (0.0, 1.0):
            there = judge == verdict
            known = there & ~np.isnan(people)
            m = (people[known].sum() + 0.5) / (known.sum() + 1)
            theta += there.mean() * m
            influence[there] += m
            influence[known] += there.mean() * n / known.sum() * (people[known] - m)
        influences.append(influence - influence.mean())
        thetas.append(theta)
    apart = influences[0] - influences[1]
    labels = int((~np.isnan(people)).sum())
    return thetas[0] - thetas[1], math.sqrt((apart**2).sum()) / n * math.sqrt((labels - 1) / (labels - 2))


@pytest.mark.parametrize("seed", range(5))
def test_the_estimate_is_the_formula(seed: int) -> None:
    """Estimate, interval and p value are those of influences subtracted per case, with t of labels - 2."""
    before, after = drawn(300, 60, seed=seed, drop=0.1)
    found = corrected_difference(before, after, rate=True)
    value, error = by_formula(before, after)
    assert found.estimate.value == pytest.approx(value)
    assert found.estimate.low == pytest.approx(value - scipy_stats.t.ppf(0.975, 58) * error)
    assert found.estimate.high == pytest.approx(value + scipy_stats.t.ppf(0.975, 58) * error)
    assert found.p_value == pytest.approx(scipy_stats.t.sf(value / error, 58))
    assert found.estimate.n == 60


def test_a_mean_of_grades_is_prediction_powered() -> None:
    """The judge's means and people's mean differences from it; with independent versions the variances add up."""
    source = np.random.default_rng(5)
    sides = []
    for shift in (0.0, 0.6):
        people = np.clip(np.round(source.normal(4 - shift, 0.8, 400)), 1, 5)
        judge = np.clip(people + source.integers(0, 2, 400), 1, 5)
        labelled = np.arange(400) < 80
        sides.append(
            Version(
                tuple(
                    Graded(float(f), i, float(y) if known else None)
                    for i, (f, y, known) in enumerate(zip(judge, people, labelled, strict=True))
                )
            )
        )
    found = corrected_difference(sides[0], sides[1], rate=False).estimate
    f, y = (np.array([[getattr(a, name) or 0 for a in s.answers] for s in sides]) for name in ("judge", "people"))
    expected = (f.mean(axis=1) + (y - f)[:, :80].mean(axis=1)) @ [1, -1]
    assert found.value == pytest.approx(expected)
    assert found.low is not None
    assert found.high is not None
    apart = (f - f.mean(axis=1, keepdims=True)) / 400
    rest = (y - f)[:, :80]
    apart[:, :80] += (rest - rest.mean(axis=1, keepdims=True)) / 80
    error = math.sqrt(((apart[0] - apart[1]) ** 2).sum() * 79 / 78)
    assert found.high - found.value == pytest.approx(scipy_stats.t.ppf(0.975, 78) * error)


def test_two_equal_files_differ_by_nothing() -> None:
    """The same answers, verdicts and labels twice: 0, in an interval that holds it, and no sign of a drop."""
    for rate in (True, False):
        same, _ = drawn(200, 40, seed=1)
        found = corrected_difference(same, same, rate=rate)
        assert found.estimate.value == 0
        assert found.estimate.low is not None
        assert found.estimate.high is not None
        assert found.estimate.low <= 0 <= found.estimate.high
        assert found.p_value is not None
        assert found.p_value >= 0.5


def test_swapping_the_versions_turns_the_sign() -> None:
    """After minus before is the negative of before minus after, with the complementary p value."""
    before, after = drawn(300, 60, seed=2, drop=0.1)
    one, other = corrected_difference(before, after, rate=True), corrected_difference(after, before, rate=True)
    assert one.estimate.value == -(other.estimate.value or 0)
    assert (one.p_value or 0) + (other.p_value or 0) == pytest.approx(1)


@given(seed=st.integers(0, 10_000), cluster=st.sampled_from([1, 3]), rate=st.booleans())
@settings(max_examples=15, deadline=None)
def test_order_and_names_of_clusters_change_nothing(seed: int, cluster: int, rate: bool) -> None:
    """Shuffled answers, and clusters renamed alike in both versions, give the same numbers to the last bit."""
    before, after = drawn(150, 25, seed=seed, drop=0.1, cluster=cluster)
    source = random.Random(seed)
    names = source.sample(range(10_000), 150)
    moved = []
    for side in (before, after):
        answers = [replace(each, cluster=f"q{names[each.cluster]}") for each in side.answers]  # type: ignore[call-overload]
        source.shuffle(answers)
        moved.append(Version(tuple(answers)))
    assert corrected_difference(before, after, rate=rate) == corrected_difference(moved[0], moved[1], rate=rate)
    one = Version(tuple(replace(each, people=None) for each in after.answers))
    two = Version(tuple(replace(each, people=None) for each in moved[1].answers))
    assert carried_difference(before, one, rate=rate, rng=rng()) == carried_difference(
        moved[0], two, rate=rate, rng=rng()
    )


def test_answers_that_fail_anyway_count_as_failing() -> None:
    """100 answers that a rule fails in the later version alone lower its rate by their share."""
    same, _ = drawn(300, 60, seed=4)
    after = replace(same, failing=tuple((1000 + i, 1.0) for i in range(100)))
    nothing = Version(tuple(replace(each, judge=0.0, people=each.people and 0.0) for each in same.answers))
    rate = corrected_difference(same, nothing, rate=True).estimate.value or 0
    lost = corrected_difference(same, after, rate=True).estimate.value or 0
    assert lost == pytest.approx(rate / 4, abs=0.01)
    assert lost > 0.15


@pytest.mark.parametrize(
    ("labels", "cluster", "said"),
    [
        (19, 1, "19 labels, labels of 20 questions of each version are needed"),
        (10, 5, "labels of 10 questions, labels of 20 questions of each version are needed"),
    ],
)
def test_few_labels_give_no_interval(labels: int, cluster: int, said: str) -> None:
    """Below 20 labelled cases, or 20 labelled clusters, there is no value, no p value, and a reason."""
    before, after = drawn(300, labels, seed=1, cluster=cluster)
    found = corrected_difference(before, after, rate=True)
    assert (found.estimate.value, found.p_value, found.estimate.reason) == (None, None, said)


def test_a_verdict_without_a_label_is_unknown() -> None:
    """Nothing is assumed about the answers that the judge fails if none of them is labelled."""
    before, after = drawn(300, 60, seed=1)
    bare = Version(tuple(replace(each, people=each.people if each.judge else None) for each in before.answers))
    found = corrected_difference(bare, after, rate=True)
    assert found.estimate.reason == "none of the answers that the judge fails in one version is labelled"


def test_labels_drawn_with_unequal_chances_are_weighted() -> None:
    """Within a verdict, answers that were drawn more often count less: the difference of all answers comes out."""
    source = np.random.default_rng(8)
    values = []
    for _ in range(60):
        sides = []
        for hard in (0.3, 0.6):
            answers = []
            for i in range(400):
                rare = i < 80
                people = source.random() < ((1 - hard) if rare else 0.9)
                known = source.random() < (0.8 if rare else 0.1)
                answers.append(Graded(1.0, i, float(people) if known else None, drawn=1.25 if rare else 10.0))
            answers += [Graded(0.0, 400 + i, 0.0) for i in range(20)]
            sides.append(Version(tuple(answers)))
        values.append(corrected_difference(sides[0], sides[1], rate=True).estimate.value or 0)
    assert np.mean(values) == pytest.approx(0.3 * 80 / 420, abs=0.012)


def test_carried_labels_need_a_judge_that_errs_alike() -> None:
    """With one version labelled, the judge's drop is divided by sensitivity + specificity - 1; without p value."""
    before, after = drawn(2000, 1500, seed=6, drop=0.1)
    bare = Version(tuple(replace(each, people=None) for each in after.answers))
    found = carried_difference(before, bare, rate=True, rng=rng())
    judged = np.mean([each.judge for each in before.answers]) - np.mean([each.judge for each in after.answers])
    assert found.estimate.value == pytest.approx(judged / 0.7, abs=0.02)
    assert found.p_value is None
    assert found.estimate.low is not None
    assert found.estimate.high is not None
    assert found.estimate.low < 0.1 < found.estimate.high
    mean = carried_difference(before, bare, rate=False, rng=rng()).estimate
    assert mean.value == pytest.approx(judged)


def test_a_judge_at_chance_carries_nothing() -> None:
    """A judge that passes what people fail says nothing about the other version."""
    before, after = drawn(300, 100, seed=1, judge=(0.2, 0.2))
    bare = Version(tuple(replace(each, people=None) for each in after.answers))
    found = carried_difference(before, bare, rate=True, rng=rng()).estimate
    assert (found.value, found.reason) == (None, "the judge tells passes from fails no better than chance")


@pytest.mark.slow
@pytest.mark.parametrize("judge", [(0.9, 0.8), (0.95, 0.5)])
def test_intervals_hold_the_truth(judge: tuple[float, float]) -> None:
    """A drop of 10 points, 50 labels: 95 % intervals hold it in 92 to 98 % of 300 runs, also by a lenient judge."""
    inside = 0
    for seed in range(300):
        before, _ = drawn(500, 50, seed=seed)
        _, after = drawn(500, 50, seed=seed, drop=0.1, judge=judge)
        found = corrected_difference(before, after, rate=True).estimate
        assert found.low is not None
        assert found.high is not None
        inside += found.low <= 0.1 <= found.high
    assert 0.92 <= inside / 300 <= 0.985
