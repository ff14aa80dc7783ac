"""One definition of a failing case, wherever failing cases are named or counted."""

from __future__ import annotations

import random

import numpy as np
import pytest
from gate_rows import RULE, a_case, a_decision, a_failure, a_row
from hypothesis import given
from hypothesis import strategies as st

from evalkit.aggregate.frame import Frame
from evalkit.aggregate.frozen import FrozenFrame, freeze
from evalkit.gate.policy import Coverage, Failures, NoRegression
from evalkit.report.survey import cases_of
from evalkit.types import Metric, Row, Score, Unscored, case_verdict, fails, verdict_of

ANY_COVERAGE = Coverage(min=0, by_cohort_min=0)
GIVEN = ("passed", "failed", "unscored", "system_error")


def runs_of(name: str, n_passed: int, n_runs: int, **changes: object) -> list[Row]:
    """A case of which the last `n_passed` runs pass."""
    case = a_case(name, **changes)
    return [a_row(case, {"rule": float(repeat >= n_runs - n_passed)}, repeat=repeat) for repeat in range(n_runs)]


def frame_of(rows: list[Row], rule: str, metrics: tuple[Metric, ...] = (RULE,)) -> FrozenFrame:
    """Freeze rows under a rule."""
    frame = Frame(metrics, [], (), rule)
    for row in rows:
        frame.add(row)
    return freeze(frame)


@pytest.mark.parametrize(
    ("rule", "failing"),
    [
        ("mean", {0, 1, 2, 3, 4, 5}),
        ("majority", {0, 1, 2, 3, 4, 5}),
        ("all", set(range(10))),
        ("any", {0}),
        ("rate:0.8", set(range(8))),
        ("rate:0.3", {0, 1, 2}),
        ("rate:1", set(range(10))),
        ("rate:0.1", {0}),
    ],
)
def test_a_case_fails_where_too_few_of_its_runs_pass(rule: str, failing: set[int]) -> None:
    """Of ten runs, worked by hand; the same from counts, from arrays of counts, from runs and in a frame."""
    counts = np.arange(11)
    assert {n for n in range(11) if fails(n, 10 - n, rule)} == failing
    assert set(np.flatnonzero(fails(counts, 10 - counts, rule)).tolist()) == failing
    assert {n for n in range(11) if case_verdict(["passed"] * n + ["failed"] * (10 - n), rule) == "failed"} == failing
    frame = frame_of([row for n in range(11) for row in runs_of(f"c{n:02}", n, 10)], rule)
    assert set(np.flatnonzero(frame.fails).tolist()) == failing


@pytest.mark.parametrize("n_runs", [1, 2, 3, 5, 7, 10, 20, 30, 100])
def test_a_share_that_is_just_reached_passes(n_runs: int) -> None:
    """No share that a fraction of floating point misses is read as a failure."""
    for n_passed in range(1, n_runs + 1):
        assert not fails(n_passed, n_runs - n_passed, f"rate:{n_passed / n_runs!r}")
        assert n_passed == n_runs or fails(n_passed - 1, n_runs - n_passed + 1, f"rate:{n_passed / n_runs!r}")


@given(
    st.lists(st.lists(st.sampled_from(GIVEN), min_size=1, max_size=5), min_size=1, max_size=6),
    st.sampled_from(["mean", "all", "any", "majority", "rate:0.7"]),
)
def test_rows_and_columns_agree_on_what_fails(cases: list[list[str]], rule: str) -> None:
    """The frame that the gate reads and the rows that reports read name the same cases, whatever is missing."""
    rows = []
    for number, ends in enumerate(cases):
        case = a_case(f"c{number}")
        for repeat, end in enumerate(ends):
            value = {"passed": 1.0, "failed": 0.0}.get(end)
            whole = a_row(case, {"rule": value}, repeat=repeat)
            rows.append(a_failure(case, repeat=repeat) if end == "system_error" else whole)
    assert [verdict_of(row) for row in rows] == [end for ends in cases for end in ends]
    shuffled = random.Random(1).sample(rows, len(rows))
    frame = frame_of(shuffled, rule)
    found = {runs[0].case.id for verdict, runs in cases_of(rows, (), rule) if verdict == "failed"}
    assert {frame.case_ids[case] for case in np.flatnonzero(frame.fails)} == found
    named = [{"failed": 0.0, "passed": 1.0}.get(end) for ends in cases for end in ends]
    assert [None if np.isnan(value) else value for value in frame.verdicts.values.tolist()] == named


def test_a_score_without_a_pass_mark_that_is_missing_fails_nothing() -> None:
    """Rows and columns agree there too."""
    graded = Metric(name="graded")
    case = a_case("c")
    rows = [a_row(case, {"rule": float(repeat > 0)}, repeat=repeat) for repeat in range(3)]
    rows = [
        Row(case=row.case, repeat=row.repeat, output=row.output, scores={**row.scores, "graded": grade})
        for row, grade in zip(rows, [Score("graded", 0.5), *[Unscored("graded", "judge_error")] * 2], strict=True)
    ]
    frame = frame_of(rows, "mean", (RULE, graded))
    assert frame.fails.tolist() == [verdict == "failed" for verdict, _ in cases_of(rows, (), "mean")]


def test_the_failures_gate_follows_the_rule() -> None:
    """7 of 10 misses `rate:0.8`, 8 of 10 meets it: one failing case, which alone is listed."""
    rows = [row for n in (7, 8, 10) for row in runs_of(f"c{n:02}", n, 10, severity="critical")]
    check = a_decision(frame_of(rows, "rate:0.8"), Failures(), ANY_COVERAGE).checks[0]
    assert (check.outcome, check.case_ids) == ("block", ("c07",))
    assert check.reason.startswith("1 case fails")
    for rule, outcome in (
        ("rate:0.7", "pass"),
        ("any", "pass"),
        ("majority", "pass"),
        ("mean", "warn"),
        ("all", "block"),
    ):
        assert a_decision(frame_of(rows, rule), Failures(), ANY_COVERAGE).checks[0].outcome == outcome, rule


@pytest.mark.parametrize(
    ("rule", "n_passed", "n_missing", "outcome"),
    [
        ("all", 2, 1, "insufficient evidence"),
        ("rate:0.8", 8, 2, "pass"),
        ("rate:0.8", 7, 3, "insufficient evidence"),
        ("any", 1, 9, "pass"),
        ("majority", 2, 1, "pass"),
        ("majority", 1, 1, "insufficient evidence"),
    ],
)
def test_a_missing_run_counts_where_it_could_turn_the_case(
    rule: str, n_passed: int, n_missing: int, outcome: str
) -> None:
    """A run without an answer is not a pass: it leaves the case open where a failure of it would fail the case."""
    case = a_case("c", severity="critical")
    rows = [a_row(case, {"rule": 1.0}, repeat=repeat) for repeat in range(n_passed)]
    rows += [a_failure(case, repeat=n_passed + repeat) for repeat in range(n_missing)]
    assert a_decision(frame_of(rows, rule), Failures(), ANY_COVERAGE).checks[0].outcome == outcome


def test_a_comparison_reads_both_runs_by_the_candidates_rule() -> None:
    """A case that fell from 9 to 7 of 10 is a new failure under `rate:0.8` and none under `mean`."""
    before = [*runs_of("fell", 9, 10), *runs_of("rose", 7, 10), *runs_of("stayed", 6, 10)]
    after = [*runs_of("fell", 7, 10), *runs_of("rose", 8, 10), *runs_of("stayed", 7, 10)]
    moved = {
        rule: a_decision(frame_of(after, rule), NoRegression(), baseline=frame_of(before, "mean")).comparison
        for rule in ("rate:0.8", "mean", "all")
    }
    listed = {rule: found and (found.new_failures, found.fixed, found.still_failing) for rule, found in moved.items()}
    assert listed["rate:0.8"] == (("fell",), ("rose",), ("stayed",))
    assert listed["mean"] == ((), (), ())
    assert {*listed["all"][2]} == {"fell", "rose", "stayed"}  # type: ignore[index]


def test_a_critical_case_that_fails_by_the_rule_is_told() -> None:
    """3 of 4 passes meet `mean` and miss `all`: under `all` a critical case that always passed newly fails."""
    others = [row for n in range(30) for row in runs_of(f"o{n}", 4, 4)]
    before = [*runs_of("c", 4, 4, severity="critical"), *others]
    after = [*runs_of("c", 3, 4, severity="critical"), *others]
    for rule, outcome in (("all", "warn"), ("mean", "pass")):
        decision = a_decision(frame_of(after, rule), NoRegression(), baseline=frame_of(before, rule))
        (check,) = [each for each in decision.checks if each.name == "critical cases"]
        assert check.outcome == outcome
