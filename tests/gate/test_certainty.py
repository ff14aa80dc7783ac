"""When the cases so far are enough: a certain drop, or no gate that would find one in the rest."""

from __future__ import annotations

from dataclasses import replace

import pytest
from gate_rows import JUDGE, RULE, a_case, a_decision, a_row, frozen
from hypothesis import given, settings
from hypothesis import strategies as st

from evalkit.aggregate.frozen import FrozenFrame
from evalkit.aggregate.summary import summarise
from evalkit.gate.decide import decide
from evalkit.gate.early_stop import Why, certainty, confirms
from evalkit.gate.pairing import Baseline
from evalkit.gate.policy import EarlyStop, NoRegression, Policy, Threshold
from evalkit.results import Check, Decision, StoppedEarly
from evalkit.types import Metric

N = 400
EVERY = NoRegression(metrics=("rule",), by=())


def run_of(n: int, broken: int = 0, *, metric: Metric = RULE) -> FrozenFrame:
    """The first `n` of the cases, of which the first `broken` fail."""
    cases = [a_case(f"c{i:03}", cohorts={"domain": "ab"[i % 2]}) for i in range(n)]
    return frozen([a_row(case, {metric.name: float(i >= broken)}) for i, case in enumerate(cases)], (metric,))


STOPS = EarlyStop()


def why(so_far: FrozenFrame, before: FrozenFrame, *checks: object, early_stop: EarlyStop | None = STOPS) -> Why | None:
    """The certainty of a run against a stored one."""
    policy = Policy(checks or (EVERY,), early_stop=early_stop)  # type: ignore[arg-type]
    summary = summarise(so_far, suite="demo", expected=len(so_far.row_case))
    return certainty(so_far, summary, policy, Baseline("id", before, {}, {}), 7)


def test_a_large_drop_is_certain() -> None:
    """Thirty of a hundred cases newly fail."""
    assert why(run_of(100, broken=30), run_of(N)) == "worse"


def test_a_drop_that_one_look_would_block_is_not_certain_yet() -> None:
    """Eight cases newly fail, p = .0039: enough for the end, whose level is .01, and not for a look."""
    so_far, before = run_of(200, broken=8), run_of(200)
    assert a_decision(so_far, EVERY, baseline=before).outcome == "blocked"
    assert why(so_far, run_of(N)) is None


def test_a_smaller_alpha_makes_looks_stricter() -> None:
    """Eleven newly failing cases have p = .0005, which is certain at .01, and not at .001."""
    so_far, before = run_of(200, broken=11), run_of(N)
    assert why(so_far, before) == "worse"
    assert why(so_far, before, replace(EVERY, alpha=0.001)) is None


def test_a_better_run_is_fine_before_its_end() -> None:
    """Cases that newly pass leave no room for a drop in the rest; sooner with `fine: 0.05`."""
    before = run_of(N, broken=12)
    assert why(run_of(100), before) is None
    assert why(run_of(300), before) == "fine"
    ends = [
        next(end for end in range(100, N, 10) if why(run_of(end), before, early_stop=EarlyStop(fine=fine)) == "fine")
        for fine in (0.01, 0.05)
    ]
    assert ends[1] < ends[0]


def test_an_equal_run_of_a_steady_system_is_not_fine() -> None:
    """Seven failures in the last hundred cases would still block, and a 5-point drop often brings so many."""
    assert why(run_of(300), run_of(N)) is None


def test_a_cohort_that_is_still_to_come_is_not_fine() -> None:
    """The cohort's cases are those of the baseline, whether one of them was run or not."""
    first = [i for i in range(N) if i % 2 == 0][:150]
    rows = [a_row(a_case(f"c{i:03}", cohorts={"domain": "a"}), {"rule": 1.0}) for i in first]
    before = frozen([a_row(a_case(f"c{i:03}", cohorts={"domain": "ab"[i % 2]}), {"rule": 1.0}) for i in range(N)])
    assert why(frozen(rows), before, NoRegression(metrics=("rule",))) is None


def test_a_metric_without_an_end_is_never_fine() -> None:
    """A drop of 5 points means nothing for a number of steps."""
    steps = Metric(name="rule", low=0, high=float("inf"))
    assert why(run_of(300, metric=steps), run_of(N, 12, metric=steps)) is None


def test_an_untrusted_judge_is_never_certain() -> None:
    """Its metric cannot block, so it neither stops a run nor keeps it going."""
    only = NoRegression(metrics=("judge",), by=())
    bad, good = run_of(100, broken=40, metric=JUDGE), run_of(N, metric=JUDGE)
    assert why(bad, good, only) != "worse"


def test_other_cases_than_the_baselines_are_not_certain() -> None:
    """Below nine in ten paired cases there will be no decision."""
    strangers = frozen([a_row(a_case(f"new{i:03}"), {"rule": 0.0}) for i in range(100)])
    assert why(strangers, run_of(N)) is None


def test_a_policy_without_the_key_is_never_certain() -> None:
    """And so is one that compares nothing."""
    assert why(run_of(100, broken=40), run_of(N), early_stop=None) is None
    assert why(run_of(300), run_of(N), Threshold(metric="rule", min=0.1)) is None


@pytest.mark.parametrize(
    ("checks", "reason", "expected"),
    [
        ([("no_regression", "block")], "worse", True),
        ([("no_regression", "pass"), ("rule", "block")], "worse", False),
        ([("no_regression", "pass"), ("rule", "pass")], "fine", True),
        ([("no_regression", "insufficient evidence"), ("rule", "pass")], "fine", True),
        ([("no_regression", "pass"), ("rule", "insufficient evidence")], "fine", False),
        ([("no_regression", "pass"), ("rule", "warn")], "fine", False),
        ([("no_regression", "warn")], "fine", False),
    ],
)
def test_only_the_certain_decision_ends_a_run(checks: list[tuple[str, str]], reason: Why, expected: bool) -> None:
    """A drop that the second look does not confirm, or a threshold that is open, keeps it going."""
    made = tuple(
        Check(name=name, metric="rule", cohort="overall", outcome=outcome, need="", reason="")  # type: ignore[arg-type]
        for name, outcome in checks
    )
    outcome = "blocked" if any(each == "block" for _, each in checks) else "approved with conditions"
    assert confirms(Decision(outcome=outcome, checks=made), reason) is expected  # type: ignore[arg-type]


@settings(max_examples=15, deadline=None)
@given(st.integers(100, 399), st.integers(0, 30))
def test_a_stopped_run_is_compared_on_its_own_cases(n: int, broken: int) -> None:
    """The cases that it left out are neither removed nor missing, and its p values are those of its rows."""
    so_far, before = run_of(n, broken), run_of(N)
    stopped = StoppedEarly(n_cases=n, of=N, why="worse", calls_saved=N - n)
    summary = summarise(so_far, suite="demo", expected=n)
    found = decide(
        so_far,
        summary,
        Policy((EVERY,)),
        baseline=Baseline("id", before, {}, {}),
        partial=None,
        seed=7,
        stopped=stopped,
    )
    alone = a_decision(so_far, EVERY, baseline=run_of(n))
    assert isinstance(found, Decision)
    assert found.comparison is not None
    assert found.comparison.removed == ()
    assert found.comparison.overlap == 1
    assert [check.p_value for check in found.checks] == [check.p_value for check in alone.checks]
    assert found.outcome == alone.outcome
    assert found.stopped_early == stopped
