"""Every metric by cohort, with the interval that fits it."""

import math

import pytest
from aggregate_rows import GRADE, RULE, a_case, a_row, frozen
from hypothesis import given, settings
from hypothesis import strategies as st

from evalkit.aggregate.summary import summarise
from evalkit.results import Estimate, Summary
from evalkit.stats import intervals
from evalkit.types import Failure, Metric, Output, Row, Score, Usage


def summary_of(rows, metrics=(RULE,), cohorts=(), **options) -> Summary:
    """Summarise rows that are all that was planned."""
    return summarise(
        frozen(rows, metrics, cohorts), suite="demo", expected=options.pop("expected", len(rows)), **options
    )


def estimate_of(summary: Summary, metric: str, cohort: str = "overall") -> Estimate:
    """Find an estimate that has to be there."""
    cell = summary.cell(metric, cohort)
    assert cell is not None
    return cell.estimate


def test_a_rate_has_a_wilson_interval():
    """8 of 10 passes give the interval of Wilson."""
    summary = summary_of([a_row(f"c{i}", {"rule": float(i < 8)}) for i in range(10)])
    assert estimate_of(summary, "rule") == intervals.wilson(8, 10)
    assert estimate_of(summary, "pass_rate") == intervals.wilson(8, 10)


def test_a_mean_has_a_t_interval_within_its_scale():
    """Graded scores have Student's interval, cut at the ends of the scale."""
    values = [5.0, 5.0, 5.0, 3.0]
    found = estimate_of(summary_of([a_row(f"c{i}", {"grade": v}) for i, v in enumerate(values)], [GRADE]), "grade")
    expected = intervals.mean_t(values)
    assert expected.high is not None and expected.high > 5
    assert (found.value, found.low, found.high) == (4.5, expected.low, 5.0)


def test_repeats_give_no_false_precision():
    """Five cases run ten times with equal results are five cases, with the interval of five."""
    rows = [a_row(f"c{i}", {"rule": float(i > 0)}, repeat=k) for i in range(5) for k in range(10)]
    summary = summary_of(rows)
    assert estimate_of(summary, "rule") == intervals.wilson(4, 5)
    assert (summary.n_cases, summary.n_repeats) == (5, 10)


def test_dependent_cases_have_a_cluster_robust_interval():
    """Where a cluster holds two cases the interval is wider than Wilson's."""
    rows = [a_row(a_case(f"c{i:02}", cluster=f"doc{i // 5}"), {"rule": float(i // 5 % 4 > 0)}) for i in range(40)]
    found = estimate_of(summary_of(rows), "rule")
    assert found.method == "cluster-robust t"
    assert found.low is not None and found.low < (intervals.wilson(30, 40).low or 0)


@pytest.mark.parametrize(("metric", "value"), [(RULE, 1.0), (GRADE, 5.0)], ids=["rate", "grade"])
def test_equal_values_do_not_prove_themselves(metric: Metric, value: float):
    """Without spread the interval is still as wide as that of 0 differing cases of n, clusters counted once."""
    alone = [a_row(f"c{i}", {metric.name: value}) for i in range(12)]
    together = [a_row(a_case(f"c{i}", cluster=f"doc{i // 4}"), {metric.name: value}) for i in range(12)]
    reach = metric.high - metric.low
    for rows, n in ((alone, 12), (together, 3)):
        unseen = intervals.wilson(0, n).high
        assert unseen is not None
        assert estimate_of(summary_of(rows, [metric]), metric.name).low == pytest.approx(value - reach * unseen)


def test_what_has_no_grade_is_counted_beside_the_estimate():
    """Unscored and failed cases stay in n_cases and never enter the mean."""
    rows = [
        *(a_row(f"c{i}", {"rule": 1.0}) for i in range(3)),
        a_row("u", {"rule": None}),
        Row(case=a_case("e"), failure=Failure("http_500", "")),
    ]
    summary = summary_of(rows)
    cell = summary.cell("rule")
    assert cell is not None
    assert (cell.estimate.value, cell.n_cases, cell.n_scored, cell.n_unscored, cell.n_errored) == (1.0, 5, 3, 1, 1)
    assert (summary.unscored_kinds, summary.error_kinds) == ({"judge_error": 1}, {"http_500": 1})
    assert summary.coverage == {"overall": (3, 5)}


def test_a_metric_without_any_grade_has_no_value():
    """A judge that failed everywhere gives a cell without a number, and says why."""
    found = estimate_of(summary_of([a_row("c", {"grade": None})], [GRADE]), "grade")
    assert (found.value, found.low, found.high) == (None, None, None)
    assert found.reason == "no case has a value: 1 unscored"


def test_a_graded_metric_with_a_pass_mark_is_reported_both_ways():
    """`grade` is a mean and `grade.passed` a rate beside it."""
    rows = [a_row(f"c{i}", {"grade": (float(i + 1), i >= 3)}) for i in range(5)]
    summary = summary_of(rows, [GRADE])
    assert estimate_of(summary, "grade").value == 3
    assert estimate_of(summary, "grade.passed") == intervals.wilson(2, 5)
    assert [metric.name for metric in summary.metrics][:3] == ["pass_rate", "grade", "grade.passed"]


def test_every_cohort_value_has_its_own_cell():
    """A metric that applies to no case of a cohort has no cell there."""
    rows = [a_row(a_case(f"c{i}", cohorts={"domain": "tax"}), {"rule": float(i)}) for i in range(2)]
    rows.append(a_row(a_case("x", cohorts={"domain": "aml"}), {"grade": 3.0}))
    summary = summary_of(rows, [RULE, GRADE], ["domain"])
    assert estimate_of(summary, "rule", "domain=tax").value == 0.5
    assert summary.cell("rule", "domain=aml") is None
    assert estimate_of(summary, "grade", "domain=aml").value == 3
    assert summary.coverage == {"overall": (3, 3), "domain=aml": (1, 1), "domain=tax": (2, 2)}


def measured(n: int, **changes: object) -> list[Row]:
    """Rows of an answer in 1, 2 .. n seconds for one cent."""
    return [
        a_row(
            f"c{i:03}",
            {"rule": 1.0},
            output=Output(text="", latency_s=float(i + 1), usage=Usage(output_tokens=10, cost_usd=0.01), **changes),  # type: ignore[arg-type]
        )
        for i in range(n)
    ]


def test_latency_is_summarised_by_quantiles():
    """p50, p95 and p99 are order statistics with their own bounds."""
    summary = summary_of(measured(100))
    for name, q in (("latency_p50_s", 0.5), ("latency_p95_s", 0.95), ("latency_p99_s", 0.99)):
        assert estimate_of(summary, name) == intervals.quantile_bounds([i + 1.0 for i in range(100)], q)
    assert summary.cell("ttft_p50_s") is None


def test_time_to_the_first_token_is_summarised_by_the_same_quantiles():
    """A limit on the slowest starts can be gated, where the system streams."""
    summary = summary_of(measured(100, ttft_s=0.25))
    for name, q in (("ttft_p50_s", 0.5), ("ttft_p95_s", 0.95), ("ttft_p99_s", 0.99)):
        assert estimate_of(summary, name) == intervals.quantile_bounds([0.25] * 100, q)


def test_replayed_latencies_are_left_out_and_said():
    """A stored answer's time is not a measurement of today."""
    summary = summary_of(measured(5, replayed=True))
    assert estimate_of(summary, "latency_p95_s").value is None
    assert estimate_of(summary, "cost_per_case_usd").value == pytest.approx(0.01)
    assert "5 replayed answers: latency is left out, cost is the stored one" in summary.notes


def test_costs_are_scaled_to_declared_traffic():
    """A cent per case is 1,000 USD at 100,000 calls a month; an unknown cost stays unknown."""
    summary = summary_of(measured(5), traffic_per_month=100_000, wall_s=2.0)
    assert estimate_of(summary, "monthly_cost_usd").value == pytest.approx(1000)
    assert estimate_of(summary, "throughput_per_s").value == 2.5
    unknown = summary_of([a_row("c", {"rule": 1.0})], traffic_per_month=100_000)
    assert estimate_of(unknown, "monthly_cost_usd").value is None
    assert estimate_of(unknown, "cost_per_case_usd").value is None


def test_the_cost_of_judges_is_kept_apart():
    """Judges' cost is the sum over a case's grades; one unknown part makes it unknown."""
    costs = {"known": (0.01, 0.02), "unknown": (0.01, None)}
    metrics = [Metric(name="a"), Metric(name="b")]
    rows = [
        Row(
            case=a_case(name),
            output=Output(text=""),
            scores={
                m.name: Score(m.name, 1.0, usage=Usage(cost_usd=cost)) for m, cost in zip(metrics, pair, strict=True)
            },
        )
        for name, pair in costs.items()
    ]
    cell = summary_of(rows, metrics).cell("judge_cost_usd_per_case")
    assert cell is not None
    assert cell.estimate.value == pytest.approx(0.03)
    assert (cell.n_scored, cell.n_unscored) == (1, 1)


def test_the_cost_of_simulated_users_is_kept_apart():
    """Also where the user failed and nothing was scored; a cached reply costs nothing, an unknown cost is unknown."""
    usages = {"known": Usage(cost_usd=0.02), "unknown": Usage(), "cached": Usage(cost_usd=0.5, cached=True)}
    rows = [
        Row(case=a_case(name), output=Output(text="", user_usage=usage), scores={"rule": Score("rule", 1.0)})
        for name, usage in usages.items()
    ]
    partial = Output(text="", user_usage=Usage(cost_usd=0.04))
    rows.append(Row(case=a_case("failed"), failure=Failure("user_error", "nothing said", partial)))
    rows.append(Row(case=a_case("scripted"), output=Output(text=""), scores={"rule": Score("rule", 1.0)}))
    cell = summary_of(rows).cell("user_cost_usd_per_case")
    assert cell is not None
    assert cell.estimate.value == pytest.approx(0.03)
    assert (cell.n_scored, cell.n_unscored) == (2, 1)


def test_small_cohorts_gaps_and_skips_are_noted():
    """What a reader has to know stands in the notes."""
    rows = [a_row(a_case(f"c{i}", cohorts={"domain": "tax"} if i else {}), {"rule": 1.0}) for i in range(40)]
    rows.append(Row(case=a_case("s"), skipped="budget"))
    notes = "\n".join(summary_of(rows, cohorts=["domain"]).notes)
    assert "fewer than 30 cases" not in notes
    assert "2 cases without `domain`" in notes
    assert "1 case skipped: budget" in notes
    assert "domain=tax (39)" not in notes
    assert "domain=tax (2)" in "\n".join(summary_of(rows[1:3], cohorts=["domain"]).notes)


@settings(max_examples=25, deadline=None)
@given(order=st.permutations(range(30)))
def test_the_order_of_completion_changes_no_digit(order: list[int]):
    """Any permutation of the rows gives an equal summary."""
    rows = [
        a_row(
            a_case(f"c{i // 2:02}", cohorts={"domain": f"d{i // 2 % 3}"}, cluster=f"doc{i // 6}" if i < 20 else None),
            {"rule": float(i % 3 > 0) if i % 7 else None, "grade": 1 + math.sin(i) ** 2},
            repeat=i % 2,
            output=Output(text=str(i), latency_s=0.1 * i, usage=Usage(cost_usd=0.001 * i, output_tokens=i)),
        )
        for i in range(30)
    ]
    straight = summary_of(rows, [RULE, GRADE], ["domain"])
    assert summary_of([rows[i] for i in order], [RULE, GRADE], ["domain"]) == straight
