"""Rows become columns: what is kept, folded and derived."""

import math
import tracemalloc

import numpy as np
import pytest
from aggregate_rows import GRADE, OTHER, RULE, a_case, a_row, frozen

from evalkit.aggregate.frame import Frame
from evalkit.aggregate.frozen import FrozenFrame, freeze
from evalkit.aggregate.statuses import ABSENT, ERRORED, SCORED, UNSCORED
from evalkit.aggregate.summary import summarise
from evalkit.store.row_keys import RowKeys
from evalkit.types import Failure, Message, Metric, Output, Row, Usage


def test_a_row_is_read_once_per_content_and_repeat():
    """The last row of a content and repeat counts, as after a resumed error."""
    case = a_case("x")
    frame = frozen([Row(case=case, failure=Failure("timeout", "")), a_row(case, {"rule": 1.0})])
    assert frame.n_cases == 1
    assert frame.states == {"scored": 1, "unscored": 0, "system_error": 0, "skipped": 0}
    assert frame.error_kinds == {}


def test_repeats_are_folded_into_one_case():
    """Three repeats are one case with their mean; an unscored repeat does not enter it."""
    rows = [a_row("x", {"grade": value}, repeat=k) for k, value in enumerate((5.0, None, 2.0))]
    frame = frozen(rows, [GRADE])
    column = frame.cases["grade"]
    assert (frame.n_cases, frame.n_repeats) == (1, 3)
    assert (column.values.tolist(), column.status.tolist()) == ([3.5], [SCORED])


@pytest.mark.parametrize(
    ("values", "value", "status"),
    [
        pytest.param({"rule": 1.0, "other": 1.0}, 1.0, SCORED, id="all pass"),
        pytest.param({"rule": 1.0, "other": 0.0}, 0.0, SCORED, id="one fails"),
        pytest.param({"rule": 0.0, "other": None}, math.nan, UNSCORED, id="a failure without the other grade"),
        pytest.param({"rule": 1.0, "other": None}, math.nan, UNSCORED, id="one unknown"),
        pytest.param({"rule": 1.0}, 1.0, SCORED, id="the other does not apply"),
        pytest.param({"grade": 2.0}, math.nan, ABSENT, id="no pass mark applies"),
        pytest.param({"grade": (2.0, False), "rule": 1.0}, 0.0, SCORED, id="a graded pass mark counts"),
    ],
)
def test_a_case_passes_when_every_pass_mark_does(values, value: float, status: int):
    """`pass_rate` is 1, 0, unscored or absent."""
    ballast = [a_row("a", {"rule": 1.0, "other": 1.0})]
    frame = frozen([*ballast, a_row("x", values)], [RULE, OTHER, GRADE])
    column = frame.rows["pass_rate"]
    np.testing.assert_equal(column.values[1], value)
    assert column.status[1] == status


def test_a_broken_scorer_does_not_pull_the_pass_rate_down():
    """With one scorer out for every row, the failures of the other are no rate, but each is known."""
    rows = [a_row(str(i), {"rule": float(i > 2), "other": None}) for i in range(10)]
    frame = frozen(rows, [RULE, OTHER])
    assert frame.rows["pass_rate"].status.tolist() == [UNSCORED] * 10
    assert (frame.verdicts.values == 0).sum() == 3


def test_an_advisory_scorer_has_no_vote():
    """A failing advisory scorer leaves the pass rate alone."""
    frame = frozen([a_row("x", {"rule": 1.0, "other": 0.0})], [RULE, OTHER], advisory=["other"])
    assert frame.rows["pass_rate"].values.tolist() == [1.0]
    assert frame.voters == ("rule",)


def test_a_scorer_that_never_answered_is_not_left_out_of_the_pass_rate():
    """An outage of a whole scorer leaves the pass rate unknown; it does not turn into passes."""
    frame = frozen([a_row(f"c{i}", {"rule": 1.0, "other": None}) for i in range(3)], [RULE, OTHER])
    assert frame.rows["pass_rate"].status.tolist() == [UNSCORED] * 3


def test_a_failed_call_is_an_error_of_every_metric():
    """A system error is neither a pass nor a failure."""
    frame = frozen([a_row("a", {"rule": 1.0}), Row(case=a_case("x"), failure=Failure("timeout", "slow"))])
    assert frame.rows["pass_rate"].status.tolist() == [SCORED, ERRORED]
    assert frame.error_kinds == {"timeout": 1}
    assert frame.covered.tolist() == [True, False]


def test_a_skipped_case_has_no_grade():
    """A skipped row is counted with its reason and belongs to no metric."""
    frame = frozen([a_row("a", {"rule": 1.0}), Row(case=a_case("x"), skipped="deadline")])
    assert frame.rows["rule"].status.tolist() == [SCORED, ABSENT]
    assert frame.states["skipped"] == 1
    assert frame.skipped_reasons == {"deadline": 1}


@pytest.mark.parametrize(
    ("value", "kind"),
    [(math.nan, "not_finite"), (math.inf, "not_finite"), (90.0, "out_of_range"), (0.99, "out_of_range")],
)
def test_impossible_scores_are_unscored_and_never_clamped(value: float, kind: str):
    """A score that is not a number on its scale is counted under its kind."""
    frame = frozen([a_row("x", {"grade": value})], [GRADE])
    assert frame.rows["grade"].status.tolist() == [UNSCORED]
    assert frame.unscored_kinds == {kind: 1}
    assert frame.states["unscored"] == 1


def test_an_unbounded_metric_still_refuses_infinity():
    """The range 0 .. infinity holds every number but infinity itself."""
    frame = frozen([a_row("x", {"words": math.inf})], [Metric(name="words", high=math.inf)])
    assert frame.rows["words"].status.tolist() == [UNSCORED]


def test_cohorts_are_given_or_derived():
    """Declared cohorts come from the case, the query's length, kind and severity from what it says."""
    cases = [
        a_case("a", cohorts={"domain": "tax"}, input=" ".join(["w"] * 8), severity="high"),
        a_case("b", cohorts={"domain": "aml"}, input=" ".join(["w"] * 9), kind="canary"),
        a_case("c", input=(Message("user", " ".join(["w"] * 21)), Message("assistant", "yes"))),
    ]
    frame = frozen(
        [a_row(case, {"rule": 1.0}) for case in cases], cohorts=["domain", "query_length", "kind", "severity"]
    )
    assert {name: where.tolist() for name, where in frame.cohorts.items()} == {
        "overall": [0, 1, 2],
        "domain=aml": [1],
        "domain=tax": [0],
        "query_length=long": [2],
        "query_length=medium": [1],
        "query_length=short": [0],
        "kind=canary": [1],
        "kind=golden": [0, 2],
        "severity=high": [0],
        "severity=medium": [1, 2],
    }
    assert frame.cohort_gaps == {"domain": 1}


def test_cases_without_a_cluster_stand_alone():
    """Two cases of one cluster share a number, a case without one shares with nobody."""
    clusters = {"a": None, "b": "doc", "c": None, "d": "doc"}
    frame = frozen([a_row(a_case(name, cluster=cluster), {"rule": 1.0}) for name, cluster in clusters.items()])
    assert frame.clusters.tolist() == [0, 1, 2, 1]


def test_unknown_measures_are_not_zero():
    """A missing latency, cost or token count is unscored; a replayed latency too."""
    outputs = [
        Output(text="", latency_s=0.5, ttft_s=0.1, usage=Usage(output_tokens=20, cost_usd=0.0)),
        Output(text="", latency_s=9.0, replayed=True, usage=Usage(cost_usd=0.02)),
        Output(text=""),
    ]
    frame = frozen([a_row(f"c{i}", {"rule": 1.0}, output=output) for i, output in enumerate(outputs)])
    statuses = {name: column.status.tolist() for name, column in frame.amounts.cases.items()}
    assert statuses == {
        "latency_s": [SCORED, UNSCORED, UNSCORED],
        "ttft_s": [SCORED, UNSCORED, UNSCORED],
        "tokens_per_s": [SCORED, UNSCORED, UNSCORED],
        "cost_usd": [SCORED, SCORED, UNSCORED],
        "judge_cost_usd": [ABSENT, ABSENT, ABSENT],
        "tokens": [UNSCORED, UNSCORED, UNSCORED],
        "tool_calls": [UNSCORED, UNSCORED, UNSCORED],
        "user_cost_usd": [ABSENT, ABSENT, ABSENT],
    }
    assert frame.amounts.cases["tokens_per_s"].values[0] == 40
    assert frame.n_replayed == 1


def test_the_latency_of_a_case_is_its_first_measured_one():
    """A mean over repeats would hide a slow answer, and repeats are no cases of their own."""
    times = (None, 4.0, 1.0)
    rows = [a_row("x", {"rule": 1.0}, repeat=k, output=Output(text="", latency_s=time)) for k, time in enumerate(times)]
    assert frozen(rows).amounts.cases["latency_s"].values.tolist() == [4.0]


def test_an_undeclared_score_is_refused():
    """A score that no declared metric takes is never dropped in silence."""
    with pytest.raises(ValueError, match="case 'x' has a grade of 'tone', which no scorer of this run gives"):
        frozen([a_row("x", {"rule": 1.0, "tone": 0.5})])


@pytest.mark.parametrize(
    ("metrics", "message"),
    [
        pytest.param([RULE, RULE], "two scorers share the name", id="twice"),
        pytest.param([Metric(name="latency_p95_s")], "belongs to a metric that every run has", id="taken"),
    ],
)
def test_metric_names_are_unique(metrics, message: str):
    """A name means one metric."""
    with pytest.raises(ValueError, match=message):
        Frame(metrics, [])


def test_an_empty_run_freezes():
    """No rows, and no metrics, give an empty frame."""
    frame = frozen([], [RULE], ["domain"])
    assert (frame.n_cases, frame.n_repeats, list(frame.cohorts)) == (0, 0, ["overall"])
    assert frozen([Row(case=a_case("x"), output=Output(text=""))], []).states["scored"] == 1


def test_rows_are_not_kept():
    """A thousand answers of 10 kB leave less than 160 bytes each."""
    frame = Frame([RULE, OTHER, GRADE], ["domain"])
    tracemalloc.start()
    try:
        for i in range(1000):
            case = a_case(f"c{i:04}", cohorts={"domain": f"d{i % 5}"})
            frame.add(a_row(case, {"rule": 1.0, "other": 0.0, "grade": 3.0}, output=Output(text="x" * 10_000)))
        used, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert used / 1000 < 160


def test_a_run_takes_less_than_150_bytes_a_case():
    """Rows, their frozen columns and the keys of those done, with two metrics, two cohorts and ids of 12 characters.

    Freezing and summarising them takes no more than another 150 for a moment.
    """
    _a_run(300)  # numpy and scipy are loaded
    n = 16_000
    tracemalloc.start()
    try:
        held = _a_run(n)
        used, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert len(held) == 3
    assert used / n < 150
    assert peak / n < 300


def _a_run(n: int) -> tuple[Frame, RowKeys, FrozenFrame]:
    """The rows of n cases, the keys of those done, and the frozen columns after their summary."""
    frame, done = Frame([RULE, OTHER], ["region", "tier"]), RowKeys()
    for i in range(n):
        case = a_case(f"case-{i * 7919 % n:07d}", cohorts={"region": f"r{i % 13}", "tier": f"t{i % 3}"})
        scores = {"rule": float(i % 10 > 0), "other": 1.0}
        frame.add(a_row(case, scores, output=Output(text="x", latency_s=0.1 + i / n)))
        done.add((case.digest, 0))
    columns = freeze(frame)
    assert summarise(columns, suite="s", expected=n).n_cases == n
    return frame, done, columns
