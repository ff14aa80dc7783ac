"""The sentence of a comparison of several systems."""

import pytest

from evalkit.aggregate.system_comparison import RankInterval, SystemComparison, SystemFigures
from evalkit.report.system_sentence import sentence
from evalkit.results import Estimate
from evalkit.types import Metric

GRADE = Metric(name="grade", low=1, high=5)
RATE = Metric(name="pass_rate", binary=True)


def system(
    name: str,
    value: float,
    cost: float | None = None,
    difference: tuple[float, float, float] | None = None,
    *,
    ranked: bool = True,
) -> SystemFigures:
    """Make one system, with its difference to the reference and the ends of its interval."""
    seen = None
    if difference is not None:
        seen = Estimate(value=difference[0], low=difference[1], high=difference[2], n=500)
    return SystemFigures(
        name=name,
        folder=f"systems/{name}",
        n_cases=500,
        n_scored=500,
        n_errors=0,
        primary=Estimate(value=value, low=value - 0.03, high=value + 0.03, n=500),
        difference=seen,
        rank=RankInterval(best=1, worst=2) if ranked else None,
        cost_usd_per_case=cost,
    )


def said(*systems: SystemFigures, candidates: str, metric: Metric = RATE) -> str:
    """Write the sentence for a reference `today`."""
    return sentence(
        SystemComparison(
            suite="s",
            primary=metric.name,
            metric=metric,
            higher_is_better=metric.higher_is_better,
            reference="today",
            systems=systems,
            candidates=tuple(candidates.split()),
        )
    )


def test_as_good_for_less() -> None:
    """The end of the interval, rounded up to whole points, and the share of the cost that is saved."""
    found = said(system("today", 0.85, 0.0100), system("b", 0.86, 0.0039, (0.01, -0.0152, 0.035)), candidates="today b")
    assert found == "b is as good as today within 2 points and costs 61% less"


def test_never_worse_is_within_a_point() -> None:
    """An interval above 0 without a sure rank is not called better."""
    found = said(system("today", 0.85, 1), system("b", 0.9, 0.5, (0.05, 0.001, 0.1)), candidates="today b")
    assert found == "b is as good as today within 1 point and costs 50% less"


@pytest.mark.parametrize(
    ("cost", "low", "words"),
    [
        (0.5, -0.09, "no clear best: today or b; the cheapest of them is b"),  # too wide to be called as good
        (1.5, -0.01, "no clear best: today or b; the cheapest of them is today"),
        (1.0, -0.01, "no clear best: today or b"),  # both cost the same
        (0.995, -0.01, "no clear best: today or b; the cheapest of them is b"),  # nothing worth saying
        (None, -0.01, "no clear best: today or b"),
    ],
)
def test_tied(cost: float | None, low: float, words: str) -> None:
    """Without a claim, the candidates and the cheapest of them, if all costs are known."""
    assert said(system("today", 0.85, 1.0), system("b", 0.85, cost, (0, low, 0.02)), candidates="today b") == words


def test_many_names_are_cut() -> None:
    """Six names and the number of the others."""
    systems = [system("today", 0.85), *(system(f"s{n}", 0.85, None, (0, -0.01, 0.01)) for n in range(9))]
    names = " ".join(each.name for each in systems)
    assert said(*systems, candidates=names) == "no clear best: today, s0, s1, s2, s3, s4 or 4 more"


def test_best_is_said_of_a_single_candidate() -> None:
    """With its figure and its gain over the reference."""
    b = system("b", 0.91, 1.0, (0.06, 0.02, 0.1))
    assert said(system("today", 0.85), b, candidates="b") == (
        "b is the best of 2 systems: pass rate 91.0% [88.0, 94.0], 6.0 pts more than today [2.0, 10.0]"
    )
    assert said(system("today", 0.85), b, candidates="today").startswith("today is the best of 2 systems: pass rate 85")


def test_best_is_never_said_of_two_nor_of_the_only_one_with_a_rank() -> None:
    """A system that has no rank was not beaten."""
    b = system("b", 0.91, 1.0, (0.06, 0.02, 0.1))
    unranked = system("c", 0.95, 1.0, (0.1, 0.02, 0.1), ranked=False)
    assert "is the best" not in said(system("today", 0.9), b, candidates="today b")
    alone = said(b, unranked, candidates="b")
    assert alone == "b has pass rate 91.0% [88.0, 94.0]; no other system has a rank"
    assert "best of the 2 systems with a rank" in said(system("today", 0.8), b, unranked, candidates="b")


def test_no_rank_is_said() -> None:
    """Nothing is claimed of systems with too many errors."""
    found = said(system("today", 0.85, ranked=False), system("b", 0.9, ranked=False), candidates="")
    assert found == "no system has a rank: fewer than 95% of the cases have a value"
    assert said(candidates="") == "no system was compared"
    assert said(system("today", 0.85), candidates="today") == "today has pass rate 85.0% [82.0, 88.0]"


def test_other_scales_and_directions() -> None:
    """A grade from 1 to 5 has no points; where lower is better, the upper end counts."""
    b = system("b", 4.0, 0.5, (0, -0.137, 0.2))
    found = said(system("today", 4.0, 1.0), b, candidates="today b", metric=GRADE)
    assert found == "b is as good as today within 0.14 and costs 50% less"
    lower = Metric(name="error_rate", binary=True, higher_is_better=False)
    c = system("c", 0.1, 0.5, (0, -0.2, 0.03))
    found = said(system("today", 0.1, 1.0), c, candidates="today c", metric=lower)
    assert found == "c is as good as today within 3 points and costs 50% less"


def test_names_cannot_break_the_line() -> None:
    """Names come from a suite, and may hold anything."""
    found = said(system("today", 0.85), system("b\u2028\x1b[31m", 0.85), candidates="today b")
    assert found.startswith("today is the best")
    found = said(system("b\n\x1b[31m", 0.85, ranked=False), candidates="")
    assert "\n" not in found
    assert "\x1b" not in found
