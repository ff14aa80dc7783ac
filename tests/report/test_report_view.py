"""The view model: verdict sentence, order of the checks, worst cases, unknown in words."""

from __future__ import annotations

from dataclasses import replace

import pytest
import report_samples

from evalkit.report.cohort_table import standing
from evalkit.report.shown_cases import LISTED_CASES
from evalkit.report.view import View, build_view
from evalkit.results import Cell, Check, Comparison, Decision, Estimate, Summary
from evalkit.types import Case, Failure, Metric, Output, Row, Score, Unscored, verdict_of

CASE = Case(id="one", input="?")
PASSED, FAILED = Score("a", 1, True), Score("a", 0, False)
MARKLESS, MISSING = Score("b", 0.4), Unscored("b", "judge_error")


def a_view(decision: Decision, summary: Summary | None = None, **manifest: object) -> View:
    """A view of the hand-made run with another decision."""
    given = replace(report_samples.manifest(), **manifest)  # type: ignore[arg-type]
    rows = report_samples.candidate_rows
    return build_view(summary or report_samples.summary(), decision, rows, None, given)


def a_check(**changes: object) -> Check:
    """A blocking threshold on the pass rate of one cohort."""
    given = {"name": "pass_rate", "metric": "pass_rate", "cohort": "domain=aml", "outcome": "block", "need": ">= 0.85"}
    return Check(**(given | changes))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("row", "verdict"),
    [
        pytest.param(Row(case=CASE, output=Output(text=""), scores={"a": PASSED}), "passed", id="passed"),
        pytest.param(Row(case=CASE, output=Output(text=""), scores={"b": MARKLESS}), "scored", id="no pass mark"),
        pytest.param(Row(case=CASE, output=Output(text=""), scores={"a": PASSED, "b": MISSING}), "unscored", id="gap"),
        pytest.param(Row(case=CASE, output=Output(text=""), scores={"a": FAILED, "b": MISSING}), "failed", id="both"),
        pytest.param(Row(case=CASE, failure=Failure("timeout", "")), "system_error", id="no answer"),
        pytest.param(Row(case=CASE, skipped="off"), "skipped", id="not run"),
    ],
)
def test_a_row_reads_as_one_verdict(row: Row, verdict: str) -> None:
    """Each row has one verdict; a failed score is a failure even beside a missing one."""
    assert verdict_of(row) == verdict


@pytest.mark.parametrize(
    ("decision", "headline"),
    [
        pytest.param(
            Decision(
                outcome="blocked",
                checks=(a_check(outcome="pass"), a_check(observed=Estimate(value=0.5, n=10), baseline=0.9)),
            ),
            "pass rate in domain=aml fell 90% → 50% (need ≥ 85%)",
            id="blocked by a fall",
        ),
        pytest.param(
            Decision(outcome="blocked", checks=(a_check(observed=Estimate(value=0.5, n=10)), a_check())),
            "pass rate in domain=aml is 50%, need ≥ 85%; 1 more check blocks",
            id="blocked by a level",
        ),
        pytest.param(
            Decision(
                outcome="blocked",
                checks=(
                    a_check(observed=Estimate(value=0.5, n=10), reason="first"),
                    a_check(metric="citation", observed=Estimate(value=0.4, n=10), reason="second"),
                ),
                reasons=("second", "first"),
            ),
            "citation in domain=aml is 40%, need ≥ 85%; 1 more check blocks",
            id="the most important reason is named",
        ),
        pytest.param(
            Decision(
                outcome="blocked",
                checks=(a_check(name="canary", cohort="kind=canary", reason="2 canaries are broken"),),
            ),
            "pass rate in kind=canary: 2 canaries are broken",
            id="a reason without a figure",
        ),
        pytest.param(
            Decision(
                outcome="no decision", checks=(a_check(outcome="no decision", reason="the judge is not trusted"),)
            ),
            "pass rate in domain=aml: the judge is not trusted",
            id="no decision",
        ),
        pytest.param(
            Decision(outcome="approved with conditions", checks=(), reasons=("no baseline yet",)),
            "no baseline yet",
            id="only a reason",
        ),
        pytest.param(
            Decision(outcome="approved", checks=(a_check(outcome="pass"),)), "all 1 check passed", id="approved"
        ),
        pytest.param(Decision(outcome="approved", checks=()), "no check was asked for", id="no check"),
    ],
)
def test_the_headline_names_cause_and_cohort(decision: Decision, headline: str) -> None:
    """One sentence says what decided, where, and how far off it was."""
    assert a_view(decision).headline == headline


def test_a_partial_run_says_so_first() -> None:
    """A partial run is named as no gate, whatever its checks say."""
    reasons = ("partial run (--limit 5), not a gate",)
    view = a_view(Decision(outcome="no decision", checks=(a_check(),), reasons=reasons), partial="--limit 5")
    assert view.headline == "partial run, not a gate: --limit 5"
    assert view.partial == "--limit 5"


def test_checks_are_listed_by_urgency(view: View) -> None:
    """Blocks come first, passes last, and only those that ask for action are pressing."""
    outcomes = [line.outcome for line in view.gates]
    assert outcomes == ["block", "no decision", "warn", "insufficient evidence", "pass", "pass", "pass"]
    assert [line.outcome for line in view.pressing] == ["block", "no decision", "warn"]


def test_a_gate_line_has_all_its_figures(view: View) -> None:
    """A check shows now, baseline, drop and need in one unit."""
    line = view.gates[0]
    assert (line.now, line.base, line.drop, line.need, line.smallest_drop) == (
        "50% [24, 76]",
        "90%",
        "40 pts [18, 61]",
        "≥ 85%",
        "21 pts",
    )
    assert view.gates[1].now == "undefined: every label is a pass"


@pytest.mark.parametrize("higher", [True, False])
def test_a_cohort_that_is_surely_bad_stands_before_one_failed_case(*, higher: bool) -> None:
    """The bound that speaks for a cohort orders them; of one case it may still be good, and the unknown comes last."""
    metric = Metric(name="m", higher_is_better=higher)
    sign = 1 if higher else -1

    def cell(name: str, value: float | None, low: float | None, high: float | None) -> Cell:
        bounds = (low, high) if higher or low is None or high is None else (-high, -low)
        made = Estimate(value=None if value is None else sign * value, low=bounds[0], high=bounds[1])
        return Cell(metric="m", cohort=name, estimate=made, n_cases=1, n_scored=1, n_unscored=0, n_errored=0)

    surely, one, bare, unknown = (
        cell("surely", 0.74, 0.71, 0.77),
        cell("one", 0.0, 0.0, 0.79),
        cell("bare", 0.9, None, None),
        cell("unknown", None, None, None),
    )
    ordered = sorted([unknown, bare, one, surely], key=lambda each: standing(each, metric))
    assert [each.cohort for each in ordered] == ["surely", "one", "bare", "unknown"]


def test_the_cohort_table_holds_estimates_baseline_and_outcome(view: View) -> None:
    """A cell shows estimate, n and what the gate said; what is undefined has its reason."""
    assert [metric.name for metric in view.metrics] == [
        "pass_rate",
        "keywords",
        "citation",
        "similarity",
        "correctness",
    ]
    assert view.cohorts[0].cohort == "overall"
    aml = next(row for row in view.cohorts if row.cohort == "domain=aml").cells[0]
    assert aml is not None
    assert (aml.value, aml.n, aml.base, aml.drop, aml.outcome, aml.heat, aml.few) == (
        "50%",
        10,
        "90%",
        "40 pts [18, 61]",
        "block",
        4,
        True,
    )
    undefined = view.cohorts[-1].cells[0]
    assert undefined is not None
    assert (undefined.value, undefined.reason, undefined.heat) == ("undefined", "no case has a label", None)


def test_latency_and_cost_stand_apart(view: View) -> None:
    """Latency and cost are no columns of the quality table, and the facts name them."""
    assert view.resource_metrics == ("latency_p95_s", "cost_per_case_usd")
    assert view.resources[0].values == ("790 ms [740, 840]", "$0.0031 [0.0029, 0.0033]")
    assert view.facts[-2:] == ("latency p95 790 ms", "cost per case $0.0031")


def test_an_unknown_cost_is_a_word(summary: Summary, decision: Decision) -> None:
    """A cost that nobody knows is unknown, never free."""
    cells = tuple(
        replace(cell, estimate=Estimate(value=None, reason="no price")) if cell.metric == "cost_per_case_usd" else cell
        for cell in summary.cells
    )
    assert a_view(decision, replace(summary, cells=cells)).facts[-1] == "cost per case unknown"


def test_worst_new_failures_come_by_severity_then_by_the_gate(view: View) -> None:
    """Severe cases come first, then the order that the gate gave, each with the baseline's row."""
    assert [failed.row.case.id for failed in view.failing] == ["aml-0024", "aml-0016", "aml-0032", "aml-0000"]
    assert view.failing_are_new
    assert all(failed.before is not None and failed.before.output is not None for failed in view.failing)


def test_without_a_baseline_every_failure_counts(decision: Decision) -> None:
    """Without a comparison the worst failures are all that failed."""
    view = a_view(replace(decision, comparison=None))
    assert (view.n_failing, view.failing_are_new, dict(view.changes)) == (7, False, {})


def test_only_the_worst_are_kept(summary: Summary) -> None:
    """Of a thousand failures the view keeps the worst and counts all."""
    rows = [Row(case=replace(CASE, id=f"c{i:04d}"), output=Output(text=""), scores={"a": FAILED}) for i in range(1000)]
    rows.append(replace(rows[0], case=replace(CASE, id="z", severity="critical")))
    view = build_view(summary, Decision(outcome="blocked", checks=()), lambda: rows, None, report_samples.manifest())
    assert (view.n_failing, len(view.failing), view.failing[0].row.case.id) == (1001, LISTED_CASES, "z")


def test_errors_have_counts_and_an_example(view: View) -> None:
    """Each kind of error has its count and its first case."""
    found = [(line.state, line.kind, line.count, line.example and line.example.case_id) for line in view.errors]
    assert found == [
        ("system error", "http_500", 1, "consumer-0022"),
        ("system error", "timeout", 1, "markets-0011"),
        ("unscored", "judge_error", 2, "privacy-0017"),
    ]


def test_what_was_not_compared_is_said(view: View) -> None:
    """A metric that was scored differently is named with the part that differs."""
    assert view.notes[-1] == "similarity is not compared with the baseline: version"


def test_histograms_count_the_scores_in_range(view: View) -> None:
    """A histogram counts the scores of each graded metric; pass or fail needs none."""
    counts = {histogram.metric: sum(histogram.counts) for histogram in view.histograms}
    scores = {"keywords": 37, "similarity": 37, "correctness": 35}
    assert counts == scores | dict.fromkeys(("latency", "cost per case", "input tokens", "output tokens"), 37)


def test_changes_keep_the_strongest_word() -> None:
    """A case that is listed twice is called by what changed in the set."""
    compared = Comparison(baseline_id="b", n_paired=1, overlap=1, still_failing=("x",), changed=("x",), fixed=("y",))
    view = a_view(Decision(outcome="approved", checks=(), comparison=compared))
    assert dict(view.changes) == {"x": "changed", "y": "fixed"}


def test_an_advisory_metric_decides_nothing() -> None:
    """A low or missing advisory score neither fails a row nor leaves it unscored."""
    row = Row(case=CASE, output=Output(text=""), scores={"a": PASSED, "b": MISSING, "c": Score("c", 0, False)})
    assert verdict_of(row, frozenset({"b", "c"})) == "passed"
    assert verdict_of(row, frozenset({"b"})) == "failed"
    assert verdict_of(row, frozenset({"c"})) == "unscored"
    view = a_view(Decision(outcome="approved", checks=()), advisory=["correctness"])
    assert {score.metric for failed in view.failing for score in failed.failed} == {"keywords", "citation"}
    assert view.n_failing == 6


def test_what_only_the_whole_run_knows_is_no_column(summary: Summary, decision: Decision) -> None:
    """A cost that is unknown everywhere is said once, with its reason, and not in every row of the table."""
    unknown = Estimate(value=None, reason="no case has a value: 40 unknown")
    costs = [
        replace(cell, metric="cost_per_case_usd", cohort=cohort, estimate=unknown)
        for cell in summary.cells[:1]
        for cohort in ("overall", "domain=aml")
    ]
    others = [cell for cell in summary.cells if cell.metric != "cost_per_case_usd"]
    rows = report_samples.candidate_rows
    view = build_view(replace(summary, cells=(*others, *costs)), decision, rows, None, report_samples.manifest())
    assert view.resources_alone == (("cost_per_case_usd", "undefined: no case has a value: 40 unknown"),)
    assert "cost_per_case_usd" not in view.resource_metrics


def test_a_score_key_is_one_line(decision: Decision) -> None:
    """What a score depends on stands in one line of the provenance, and times have no noise behind the point."""
    keys = {"keywords": {"scorer": "keywords 1", "options": "619a", "judge": None}}
    provenance = dict(a_view(decision, score_keys=keys, wall_s=1.8447442939).provenance)
    assert provenance["scorer keywords"] == "keywords 1, options 619a"
    assert provenance["wall_s"] == "1.845"
