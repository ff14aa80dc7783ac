"""The gate `best`: a release system that is surely worse than another by more than a margin is blocked."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence

import numpy as np
import pytest
from gate_rows import GRADE, JUDGE, RULE, a_case, a_failure, a_row

from evalkit.aggregate.frame import Frame
from evalkit.aggregate.frozen import freeze
from evalkit.aggregate.summary import summarise
from evalkit.aggregate.system_columns import columns_of_run
from evalkit.gate.best_system import Contender, Standings
from evalkit.gate.decide import decide
from evalkit.gate.policy import Best, Coverage, Policy
from evalkit.results import Check, Decision
from evalkit.stats.differences import of_pairs, simultaneous
from evalkit.trust.judges import with_judges
from evalkit.types import Metric, Row


def frame_of(rows: Sequence[Row], metrics: Sequence[Metric] = (RULE,), repeats: int = 1) -> Frame:
    """Put rows into a frame whose plan is known."""
    frame = Frame(metrics, (), planned_repeats=repeats)
    for row in rows:
        frame.add(row)
    return frame


def rows_of(values: Sequence[float | None], metric: str = "rule") -> list[Row]:
    """One row for each value; `None` is a failed call."""
    cases = [a_case(f"c{at:03}") for at in range(len(values))]
    return [
        a_failure(case) if value is None else a_row(case, {metric: value})
        for case, value in zip(cases, values, strict=True)
    ]


def decision_of(
    systems: Mapping[str, Frame],
    own: str,
    check: Best,
    *,
    primary: str = "pass_rate",
    partial: str | None = None,
    seed: int = 7,
) -> Decision:
    """Decide about one system among others."""
    columns = tuple(columns_of_run(frame, name=name, primary=primary) for name, frame in systems.items())
    frozen = freeze(systems[own])
    summary = with_judges(frozen, summarise(frozen, suite="s", expected=frozen.n_cases, repeats=1), ())
    made = decide(
        frozen,
        summary,
        Policy((check, Coverage(min=0.0, by_cohort_min=0.0))),
        baseline=None,
        partial=partial,
        seed=seed,
        contender=Contender(own, Standings(columns, seed)),
        final=True,
    )
    assert isinstance(made, Decision)
    return made


def best_of(decision: Decision) -> Check:
    """The check of that name."""
    return next(check for check in decision.checks if check.name == "best")


def passing(n: int, n_cases: int = 100) -> Frame:
    """A system that passes the first n cases."""
    return frame_of(rows_of([1.0] * n + [0.0] * (n_cases - n)))


def test_a_system_that_is_surely_worse_by_more_than_the_margin_is_blocked() -> None:
    """The reason names the other one, the difference with its interval, and the margin."""
    decision = decision_of({"old": passing(95), "new": passing(75)}, "new", Best(within=0.02))
    check = best_of(decision)
    assert ("blocked", "block") == (decision.outcome, check.outcome)
    assert check.drop is not None
    assert check.drop.value == pytest.approx(0.20)
    assert check.drop.low is not None
    assert check.drop.low > 0.02
    assert "pass_rate is 20 pts [" in check.reason
    assert "worse than that of old, more than 2 pts" in check.reason
    assert check.case_ids == tuple(f"c{at:03}" for at in range(75, 95))
    assert check.observed is not None
    assert 0.75 == check.observed.value


def test_a_system_that_may_be_as_good_passes() -> None:
    """The figure alone blocks nothing; the reason gives the largest difference."""
    decision = decision_of({"old": passing(95), "new": passing(91)}, "new", Best(within=0.02))
    check = best_of(decision)
    assert ("approved", "pass") == (decision.outcome, check.outcome)
    assert "no other system is surely better by more than 2 pts" in check.reason
    assert "old" in check.reason


def test_the_difference_must_be_surely_larger_than_the_margin_and_not_than_0() -> None:
    """Surely worse, and not surely by so much."""
    systems = {"old": passing(95), "new": passing(75)}
    assert "approved" == decision_of(systems, "new", Best(within=0.15)).outcome
    assert "blocked" == decision_of(systems, "new", Best(within=0.05)).outcome


def test_the_intervals_are_those_of_all_pairs_of_systems() -> None:
    """An oracle: the simultaneous intervals of every pair, with the seed of the run."""
    counts = {"a": 70, "b": 80, "c": 90}
    systems = {name: passing(n) for name, n in counts.items()}
    check = best_of(decision_of(systems, "a", Best(within=0.02)))
    table = np.array([[1.0 if at < n else 0.0 for n in counts.values()] for at in range(100)])
    pairs = list(itertools.combinations(range(3), 2))
    found = of_pairs(table, pairs, np.arange(100))
    estimates = dict(zip(pairs, simultaneous(found, span=1.0, rng=np.random.default_rng([7, 0])), strict=True))
    assert check.drop is not None
    assert estimates[0, 2].low is not None
    assert estimates[0, 2].high is not None
    assert (check.drop.low, check.drop.high) == pytest.approx((-estimates[0, 2].high, -estimates[0, 2].low))


def test_the_order_of_the_systems_does_not_matter() -> None:
    """Nor which one is asked about first."""
    systems = {"a": passing(70), "b": passing(80), "c": passing(92)}
    first = best_of(decision_of(systems, "a", Best(within=0.02)))
    assert "that of c, more than 2 pts; also than that of b" in first.reason
    turned = best_of(decision_of(dict(reversed(systems.items())), "a", Best(within=0.02)))
    assert first.outcome == turned.outcome == "block"
    assert first.case_ids == turned.case_ids


def test_lower_can_be_better() -> None:
    """A cost that is surely higher blocks, in the unit of the metric."""
    cheap = frame_of([a_row(a_case(f"c{at:03}"), {"rule": 1.0}, cost_usd=0.01 + at * 1e-5) for at in range(60)])
    dear = frame_of([a_row(a_case(f"c{at:03}"), {"rule": 1.0}, cost_usd=0.05 + at * 1e-5) for at in range(60)])
    systems = {"cheap": cheap, "dear": dear}
    check = best_of(decision_of(systems, "dear", Best(within=0.02), primary="cost_per_case_usd"))
    assert "block" == check.outcome
    assert "cost_per_case_usd" in check.reason
    assert "worse than that of cheap" in check.reason
    assert "pass" == best_of(decision_of(systems, "cheap", Best(within=0.02), primary="cost_per_case_usd")).outcome


def test_a_system_without_a_rank_is_not_passed_over_in_silence() -> None:
    """One that failed half of its calls may be better; the approval says that it was not compared."""
    broken = frame_of(rows_of([1.0] * 50 + [None] * 50))
    decision = decision_of({"old": passing(90), "dead": broken, "new": passing(90)}, "new", Best(within=0.02))
    check = best_of(decision)
    assert ("approved", "insufficient evidence") == (
        decision.outcome.removesuffix(" with conditions"),
        check.outcome,
    )
    assert "not compared with dead, which has no rank" in check.reason


def test_a_release_system_without_a_rank_gets_no_decision() -> None:
    """Fewer than 95 % of its cases have a value."""
    broken = frame_of(rows_of([1.0] * 50 + [None] * 50))
    decision = decision_of({"old": passing(90), "new": broken}, "new", Best(within=0.02))
    assert "no decision" == decision.outcome
    assert "new has no rank" in best_of(decision).reason


def test_a_partial_run_gets_no_decision() -> None:
    """As with every check."""
    systems = {"old": passing(95), "new": passing(75)}
    assert "no decision" == decision_of(systems, "new", Best(within=0.02), partial="--limit 100").outcome


def test_one_that_warns_does_not_block() -> None:
    """`on_fail: warn`."""
    systems = {"old": passing(95), "new": passing(75)}
    decision = decision_of(systems, "new", Best(within=0.02, on_fail="warn"))
    assert ("approved with conditions", "warn") == (decision.outcome, best_of(decision).outcome)


def test_a_judge_that_people_did_not_check_cannot_block() -> None:
    """As in the other gates on its metric."""
    frames = {
        name: frame_of(rows_of([1.0] * n + [0.0] * (100 - n), "judge"), (JUDGE,))
        for name, n in {"old": 95, "new": 60}.items()
    }
    decision = decision_of(frames, "new", Best(within=0.02), primary="judge")
    assert "no decision" == decision.outcome
    assert "rests on a judge whose agreement with people is not shown" in best_of(decision).reason


def test_a_case_that_was_run_again_counts_once() -> None:
    """Suspect cases are run again on two of the systems alone, which would favour them."""
    base = rows_of([1.0] * 60 + [0.0] * 40)
    again = [a_row(row.case, {"rule": 1.0}, repeat=repeat) for row in base[60:] for repeat in (1, 2, 3)]
    plain, repeated = frame_of(base), frame_of([*base, *again])
    ours, theirs = (columns_of_run(each, name="a").values.tolist() for each in (plain, repeated))
    assert ours == theirs
    other = columns_of_run(frame_of([*base, *again], repeats=4), name="a")
    assert 0.9 == pytest.approx(float(other.values.mean()))


def test_a_graded_metric_has_its_own_unit() -> None:
    """The margin is in units of the metric."""
    low, high = (frame_of(rows_of([value + (at % 2) for at in range(80)], "grade"), (GRADE,)) for value in (2.0, 4.0))
    systems = {"low": low, "high": high}
    check = best_of(decision_of(systems, "low", Best(within=0.5), primary="grade"))
    assert "block" == check.outcome
    assert "more than 0.5" in check.reason


def test_too_few_cases_show_nothing_and_the_reason_says_how_many_would() -> None:
    """A worse result cannot be excluded: 3 cases, one of which only the other system passes."""
    decision = decision_of({"old": passing(3, 3), "new": passing(2, 3)}, "new", Best())
    check = best_of(decision)
    assert ("approved with conditions", "insufficient evidence") == (decision.outcome, check.outcome)
    assert "too few cases to show that no system is better: about 90 are needed (old: 33 pts [" in check.reason


def test_systems_that_agree_on_too_few_cases_are_not_told_apart_either() -> None:
    """No spread, and an interval as wide as Wilson's: z^2 (1 - 0.1) / 0.1 = 34.6 cases narrow it to 10 points."""
    check = best_of(decision_of({"old": passing(3, 3), "new": passing(3, 3)}, "new", Best()))
    assert "insufficient evidence" == check.outcome
    assert "about 35 are needed (old: 0 pts" in check.reason
    assert "pass" == best_of(decision_of({"old": passing(35, 35), "new": passing(35, 35)}, "new", Best())).outcome


def test_one_case_shows_nothing() -> None:
    """There is no interval, and no number of cases follows from it."""
    check = best_of(decision_of({"old": passing(1, 1), "new": passing(1, 1)}, "new", Best()))
    assert "insufficient evidence" == check.outcome
    assert check.reason.startswith("pass_rate: too few cases to show that no system is better (old: 0 pts")


def test_a_wide_interval_within_the_margin_passes() -> None:
    """Only an interval that reaches beyond the margin leaves the question open."""
    systems = {"old": passing(8, 20), "new": passing(16, 20)}
    assert "pass" == best_of(decision_of(systems, "new", Best())).outcome
    assert (
        "insufficient evidence" == best_of(decision_of({"a": passing(9, 10), "b": passing(8, 10)}, "b", Best())).outcome
    )


def test_an_amount_without_a_scale_is_compared_with_a_tenth_of_itself() -> None:
    """Costs have no largest value."""
    rows = {
        name: frame_of(
            [a_row(a_case(f"c{at:03}"), {"rule": 1.0}, cost_usd=0.05 + spread * (at % 2)) for at in range(60)]
        )
        for name, spread in {"even": 0.0, "near": 0.001, "far": 0.05}.items()
    }
    near = {name: rows[name] for name in ("even", "near")}
    assert "pass" == best_of(decision_of(near, "even", Best(), primary="cost_per_case_usd")).outcome
    far = {name: rows[name] for name in ("even", "far")}
    assert "pass" == best_of(decision_of(far, "even", Best(), primary="cost_per_case_usd")).outcome
    few = {
        name: frame_of([a_row(a_case(f"c{at}"), {"rule": 1.0}, cost_usd=cost) for at, cost in enumerate(costs)])
        for name, costs in {
            "x": (0.01, 0.09, 0.02, 0.08, 0.05, 0.04),
            "y": (0.08, 0.02, 0.09, 0.01, 0.04, 0.05),
        }.items()
    }
    assert "insufficient evidence" == best_of(decision_of(few, "x", Best(), primary="cost_per_case_usd")).outcome


@pytest.mark.parametrize("within", [-0.01, float("nan"), float("inf")])
def test_a_margin_that_is_none_is_refused(within: float) -> None:
    """With the fix."""
    with pytest.raises(ValueError, match=r"within: .* write one such as 0\.02"):
        Best(within=within)


def test_without_the_other_systems_nothing_is_claimed() -> None:
    """As when the answers of one system are scored again."""
    frozen = freeze(passing(90))
    summary = summarise(frozen, suite="s", expected=100, repeats=1)
    made = decide(frozen, summary, Policy((Best(within=0.02),)), baseline=None, partial=None, seed=0, final=True)
    assert isinstance(made, Decision)
    assert "insufficient evidence" == best_of(made).outcome
    assert "the other systems of its run" in best_of(made).reason
