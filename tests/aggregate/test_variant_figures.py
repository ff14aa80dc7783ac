"""Figures of variants against scipy and plain counting: all originals count, unknown ones in no mean."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from evalkit.aggregate.cells import mean
from evalkit.aggregate.frame import Frame
from evalkit.aggregate.frozen import FrozenFrame, freeze
from evalkit.aggregate.variants import GAP, VariantResult, variant_figures
from evalkit.formats.manifest import VariantFacts
from evalkit.types import Case, Failure, Metric, Output, Row, Score

PASS = Metric(name="exact", binary=True)


def frame(runs: Sequence[Sequence[bool | None]], clusters: Sequence[str | None] = ()) -> FrozenFrame:
    """Originals with so many repeats each; `None` is an error of the system."""
    made = Frame([PASS], [], planned_repeats=max(map(len, runs)))
    for at, repeats in enumerate(runs):
        case = Case(id=f"c{at:03d}", input="?", cluster=clusters[at] if clusters else None)
        for repeat, passed in enumerate(repeats):
            if passed is None:
                made.add(Row(case=case, repeat=repeat, failure=Failure("timeout", "too slow")))
            else:
                score = Score("exact", float(passed), passed)
                made.add(Row(case=case, repeat=repeat, output=Output(text="!"), scores={"exact": score}))
    return freeze(made)


def results(verdicts: Sequence[Sequence[bool | None]], name: str = "typos") -> list[VariantResult]:
    """The variants of each original."""
    return [
        VariantResult(id=f"c{at:03d}~{name}~{k}", original=f"c{at:03d}", transform=name, passed=passed)
        for at, found in enumerate(verdicts)
        for k, passed in enumerate(found, 1)
    ]


def facts(n: int, name: str = "typos") -> list[VariantFacts]:
    """How many were planned."""
    return [VariantFacts(name=name, n=n)]


def test_the_gap_is_the_mean_of_the_differences_with_the_t_interval_of_scipy() -> None:
    """Repeats of an original and variants of one are averaged first; originals that failed count."""
    runs = [[True, True], [True, False], [False, False], [True, True]] * 5
    verdicts = [[True, False], [True, True], [True, False], [False, False]] * 5
    found = variant_figures(frame(runs), results(verdicts), facts(40), seed=0).transforms[1]
    gaps = np.array([1 - 0.5, 0.5 - 1, 0 - 0.5, 1 - 0] * 5)
    interval = stats.ttest_1samp(gaps, 0).confidence_interval(0.95)
    assert (found.gap.value, found.gap.n) == (pytest.approx(gaps.mean()), 20)
    assert (found.gap.low, found.gap.high) == (pytest.approx(interval.low), pytest.approx(interval.high))
    one_sided = stats.ttest_1samp(gaps, 0, alternative="greater").confidence_interval(0.95)
    assert found.gap_bounds.low == pytest.approx(one_sided.low)
    assert found.worst_gap == pytest.approx(gaps.mean())


def test_variants_that_differ_in_nothing_have_a_gap_whose_interval_holds_0() -> None:
    """In 95 +- 2 % of 500 runs of 200 cases, of which 8.5 % flip between two runs."""
    rng, hits = np.random.default_rng(0), 0
    for _ in range(500):
        chances = rng.beta(0.425, 0.075, 200)
        gaps = (rng.random(200) < chances).astype(float) - (rng.random(200) < chances)
        found = mean(gaps, np.arange(200), GAP)
        hits += found.low is not None and found.high is not None and found.low <= 0 <= found.high
    assert 0.93 <= hits / 500 <= 0.97


def test_clusters_widen_the_interval_and_equal_columns_have_equal_tests() -> None:
    """Two cases of a cluster are not independent; the overall test of one transform is that of the transform."""
    runs, verdicts = [[True]] * 20, [[at % 4 > 1] for at in range(20)]
    alone = variant_figures(frame(runs), results(verdicts), facts(20), seed=0).transforms[1]
    whole, paired = variant_figures(
        frame(runs, [f"k{at // 2}" for at in range(20)]), results(verdicts), facts(20), seed=0
    ).transforms
    assert alone.gap.low is not None
    assert paired.gap.low is not None
    assert paired.gap.low < alone.gap.low
    assert whole.p_value == paired.p_value
    assert alone.p_value is not None
    assert alone.p_value < 0.01


def test_what_is_unknown_is_in_no_mean_and_counted() -> None:
    """A variant without a result, an original without one, and a variant without a row."""
    runs: list[list[bool | None]] = [[True], [True], [None], [True]]
    found = variant_figures(frame(runs), results([[True], [None], [True], [False]]), facts(5), seed=0).transforms[1]
    assert (found.gap.value, found.gap.n, found.n_unknown) == (0.5, 2, 2)
    assert found.worst_gap is None
    complete = variant_figures(frame(runs), results([[True], [None], [True], [False]]), facts(4), seed=0).transforms[1]
    assert (complete.n_unknown, complete.worst_gap) == (1, pytest.approx(2 / 3))


def test_consistency_is_told_beside_that_of_as_many_repeats() -> None:
    """With one variant each, the second run of an original is its counterpart."""
    runs = [[True, True], [True, False], [False, False], [False, True]]
    found = variant_figures(frame(runs), results([[True], [True], [True], [False]]), facts(4), seed=0).transforms[1]
    assert found.consistency.value == 0.75
    assert found.repeat_consistency is not None
    assert found.repeat_consistency.value == 0.5
    twice = variant_figures(frame(runs), results([[True, True]] * 4), facts(8), seed=0).transforms[1]
    assert twice.repeat_consistency is None


@settings(max_examples=40, deadline=None)
@given(st.lists(st.tuples(st.booleans(), st.booleans()), min_size=2, max_size=30), st.randoms())
def test_the_order_of_the_results_does_not_matter(pairs: list[tuple[bool, bool]], order: object) -> None:
    """And a gap lies between -1 and 1."""
    found = results([[variant] for _, variant in pairs])
    base = frame([[passed] for passed, _ in pairs])
    shuffled = list(found)
    order.shuffle(shuffled)  # type: ignore[attr-defined]
    first, again = (variant_figures(base, each, facts(len(pairs)), seed=0) for each in (found, shuffled))
    assert first == again
    assert -1 <= (first.transforms[1].gap.value or 0) <= 1


def attack(at: int, *, met: bool | None, question: str = "") -> VariantResult:
    """One attack on an original."""
    return VariantResult(
        id=f"c{at:03d}~a~1",
        original=f"c{at:03d}",
        transform="a",
        passed=True,
        is_attack=True,
        met_goal=met,
        wording="w",
        place="input",
        question=question,
    )


def test_attacks_are_counted_with_those_without_an_answer() -> None:
    """Wilson's interval of scipy over the answered ones; the worst case takes the others as met."""
    base = frame([[True]] * 40)
    found = [attack(at, met=None if at == 0 else at < 5) for at in range(40)]
    whole, each = variant_figures(base, found, [VariantFacts(name="a", n=40, kind="attack")], seed=0).attacks
    interval = stats.binomtest(4, 39).proportion_ci(method="wilson")
    assert (whole.success.value, whole.n, whole.n_unknown) == (pytest.approx(4 / 39), 40, 1)
    assert (whole.success.low, whole.success.high) == (pytest.approx(interval.low), pytest.approx(interval.high))
    assert whole.worst_bounds is not None
    assert whole.worst_bounds.value == 5 / 40
    assert (each.wording, each.example, whole.example) == ("w", "c001~a~1", "c001~a~1")
    lost = variant_figures(base, found, [VariantFacts(name="a", n=41, kind="attack")], seed=0).attacks[0]
    assert (lost.n_unknown, lost.worst_bounds) == (2, None)


def test_attacks_with_one_question_are_one_cluster() -> None:
    """Forty times the same question without a success is one observation of two questions."""
    base = frame([[True]] * 40)
    planned = [VariantFacts(name="a", n=40, kind="attack")]
    found = variant_figures(base, [attack(at, met=False, question=f"q{at % 2}") for at in range(40)], planned, seed=0)
    assert found.attacks[0].success.high == pytest.approx(stats.binomtest(0, 2).proportion_ci(method="wilson").high)


def test_the_interval_of_a_gap_holds_0_as_often_as_it_says() -> None:
    """Summed exactly over all outcomes of 100 originals whose two runs differ in 8.5 %: 95 +- 2 %."""
    n, total = 100, 0.0
    for worse in range(20):
        for better in range(20):
            counts = [worse, better, n - worse - better]
            found = mean(np.repeat([1.0, -1.0, 0.0], counts), np.arange(n), GAP)
            assert found.low is not None
            assert found.high is not None
            if found.low <= 0 <= found.high:
                total += float(stats.multinomial.pmf(counts, n, [0.0425, 0.0425, 0.915]))
    assert total == pytest.approx(0.956, abs=0.001)
