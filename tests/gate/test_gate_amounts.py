"""Amounts at the gate: limits for each success, and steps and tokens that drift against the baseline."""

from __future__ import annotations

import math
import random
from dataclasses import replace

import pytest
from gate_rows import RULE, a_case, a_decision, a_failure, a_row, frozen

from evalkit.aggregate.frozen import FrozenFrame
from evalkit.gate.policy import NoRegression, Threshold
from evalkit.gate.policy import Policy as GatePolicy
from evalkit.gate.policy_problems import policy_problems
from evalkit.results import Check, Decision
from evalkit.types import Metric, Output, Row, Step, Usage

STEPS = Metric(name="steps", high=math.inf, higher_is_better=False, unit="steps")


def check_of(decision: Decision, metric: str, cohort: str = "overall") -> Check:
    """Return the one check of a metric in a cohort."""
    (found,) = (check for check in decision.checks if check.metric == metric and check.cohort == cohort)
    return found


def runs(n: int, passing: float, cost_usd: float | None) -> FrozenFrame:
    """Freeze n cases, a share of which passes, at one cost each."""
    return frozen([a_row(a_case(f"c{i:03}"), {"rule": float(i < passing * n)}, cost_usd=cost_usd) for i in range(n)])


@pytest.mark.parametrize(("limit", "outcome"), [(0.10, "block"), (0.19, "warn"), (0.30, "pass")])
def test_a_success_may_cost_so_much(limit: float, outcome: str) -> None:
    """Ten cents a run, half of which pass: twenty cents for a success, within an interval."""
    decision = a_decision(runs(100, 0.5, 0.1), Threshold(metric="cost_usd_per_success", max=limit))
    check = check_of(decision, "cost_usd_per_success")
    assert check.outcome == outcome
    assert check.observed is not None
    assert check.observed.value == pytest.approx(0.2)
    assert check.need == f"<= {limit:g}"


@pytest.mark.parametrize(
    ("frame", "why"),
    [
        (runs(10, 0.0, 0.1), "no run passed"),
        (runs(10, 1.0, None), "unknown for 10 runs"),
        (frozen([a_row(a_case("a"), {"rule": 1.0}), a_failure(a_case("b"))]), "unknown for 1 run"),
    ],
)
def test_an_unknown_cost_of_a_success_is_no_decision(frame: FrozenFrame, why: str) -> None:
    """It neither passes nor blocks."""
    check = check_of(a_decision(frame, Threshold(metric="cost_usd_per_success", max=1)), "cost_usd_per_success")
    assert check.outcome == "no decision"
    assert check.reason == f"cost_usd_per_success is unknown: {why}"


def test_an_open_bound_holds_no_limit_in_a_critical_cohort() -> None:
    """One pass of four runs: how much a success costs at most is not known."""
    rows = [a_row(a_case(f"c{i}", cohorts={"domain": "aml"}), {"rule": float(i == 0)}, cost_usd=0.1) for i in range(4)]
    limit = Threshold(metric="cost_usd_per_success", max=1, by=("domain",), critical=("aml",))
    check = check_of(a_decision(frozen(rows), limit), "cost_usd_per_success", "domain=aml")
    assert check.outcome == "insufficient evidence"


def drifting(by: int, *, seed: int, measured: str) -> tuple[FrozenFrame, FrozenFrame]:
    """Freeze a baseline and a candidate of 100 cases; the candidate takes `by` more steps, or tokens, in one domain."""
    rng = random.Random(seed)

    def rows(more: int) -> list[Row]:
        made = []
        for i in range(100):
            case = a_case(f"c{i:03}", cohorts={"domain": "aml" if i % 2 else "tax"})
            count = rng.randint(3, 9) + (more if i % 2 else 0)
            scores = {"rule": 1.0, **({"steps": float(count)} if measured == "steps" else {})}
            made.append(a_row(case, scores, input_tokens=100 * count if measured == "tokens" else None))
        return made

    metrics = (RULE, STEPS) if measured == "steps" else (RULE,)
    return frozen(rows(0), metrics), frozen(rows(by), metrics)


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize(
    ("measured", "metric", "policy"),
    [
        ("steps", "steps", NoRegression()),
        ("tokens", "tokens_per_case", NoRegression(metrics=("pass_rate", "tokens_per_case"))),
    ],
)
def test_more_steps_or_tokens_block_and_the_same_number_does_not(
    measured: str, metric: str, policy: NoRegression, seed: int
) -> None:
    """A metric without an upper end goes through the family of comparisons like any other, and names its cohort."""
    before, same = drifting(0, seed=seed, measured=measured)
    assert a_decision(same, policy, baseline=before).outcome == "approved"
    before, more = drifting(4, seed=seed, measured=measured)
    decision = a_decision(more, policy, baseline=before)
    assert decision.outcome == "blocked"
    check = check_of(decision, metric, "domain=aml")
    assert check.outcome == "block"
    assert check.drop is not None
    assert check.drop.value == pytest.approx(4 if measured == "steps" else 400, rel=0.35)
    assert decision.reasons[0].startswith(f"domain=aml: {metric} rose ")


def test_the_cohort_that_takes_more_steps_is_the_cause_and_the_whole_an_echo() -> None:
    """A range without an end ranks gates too: by the share that they rose."""
    before, more = drifting(6, seed=1, measured="steps")
    decision = a_decision(more, NoRegression(), baseline=before)
    assert [reason for reason in decision.reasons if "steps" in reason] == [
        check_of(decision, "steps", "domain=aml").reason
    ]


def test_amounts_are_compared_only_where_they_are_named() -> None:
    """A cheaper prompt is no regression, and a dearer one not unless the suite says so."""
    before, more = drifting(4, seed=0, measured="tokens")
    assert a_decision(more, NoRegression(), baseline=before).outcome == "approved"


@pytest.mark.parametrize("name", ["tokens_per_case", "tool_calls_per_case", "cost_per_case_usd"])
def test_amounts_can_be_named(name: str) -> None:
    """In the list of metrics that are compared."""
    assert policy_problems(GatePolicy((NoRegression(metrics=(name,)),)), [RULE], []) == []


@pytest.mark.parametrize("name", ["latency_p95_s", "cost_usd_per_success", "tokens"])
def test_other_figures_cannot(name: str) -> None:
    """A quantile and a ratio of totals have no value of a single case."""
    ((_, what, _),) = policy_problems(GatePolicy((NoRegression(metrics=(name,)),)), [RULE], [])
    assert what == f"unknown quality metric `{name}`"


def test_a_baseline_without_tokens_is_no_evidence() -> None:
    """Nothing can be compared with what was not recorded."""
    policy = NoRegression(metrics=("tokens_per_case",))
    unknown = frozen([a_row(a_case(f"c{i:03}"), {"rule": 1.0}) for i in range(100)])
    _, known = drifting(0, seed=0, measured="tokens")
    decision = a_decision(known, policy, baseline=unknown)
    assert decision.outcome == "approved with conditions"
    assert decision.reasons == ("no metric has 5 cases that both runs scored",)


@pytest.mark.parametrize(
    ("check", "what", "fix"),
    [
        (
            Threshold(metric="tokens:planer", max=9),
            "tokens:planer: the suite lists no node `planer`",
            "did you mean `planner`?",
        ),
        (
            Threshold(metric="cost_usd:x", max=9),
            "cost_usd:x: the suite lists no node `x`",
            "add `nodes: [planner, tools, x]` to the suite",
        ),
        (
            NoRegression(metrics=("tokens:x",)),
            "tokens:x: the suite lists no node `x`",
            "add `nodes: [planner, tools, x]` to the suite",
        ),
        (Threshold(metric="calls:planner", max=9), "unknown metric `calls:planner`", None),
        (Threshold(metric="tokens:", max=9), "unknown metric `tokens:`", None),
    ],
)
def test_a_node_is_gated_only_if_the_suite_lists_it(
    check: Threshold | NoRegression, what: str, fix: str | None
) -> None:
    """So that the family of comparisons is known before any result is, and a typing error is none of a rename."""
    ((_, found, said),) = policy_problems(GatePolicy((check,)), [RULE], [], ["planner", "tools"])
    assert found == what
    assert fix in (None, said)


def test_a_node_that_takes_more_tokens_blocks() -> None:
    """By a limit, and against the baseline, where the answer and the total may stay what they were."""

    def run(tokens: int) -> FrozenFrame:
        rows = []
        for i in range(60):
            usage = Usage(input_tokens=tokens + i, output_tokens=0)
            steps = (
                Step(kind="node", name="planner", id="n"),
                Step(kind="llm", name="m", parent="n", usage=usage),
            )
            row = a_row(a_case(f"c{i:02}"), {"rule": 1.0})
            rows.append(replace(row, output=Output(text="x", trajectory=steps)))
        return frozen(rows)

    metrics = NoRegression(metrics=("pass_rate", "tokens:planner"))
    before, after = run(1000), run(1200)
    assert (
        a_decision(before, metrics, Threshold(metric="tokens:planner", max=1100), baseline=before).outcome == "approved"
    )
    decision = a_decision(after, metrics, Threshold(metric="tokens:planner", max=1100), baseline=before)
    assert [check.name for check in decision.checks if check.outcome == "block"] == ["no_regression", "tokens:planner"]
    assert check_of(decision, "pass_rate").outcome == "pass"


def test_a_node_that_is_gone_is_no_decision() -> None:
    """A planner that was renamed did not become free."""
    rows = [a_row(a_case(f"c{i:02}"), {"rule": 1.0}) for i in range(30)]
    decision = a_decision(frozen(rows), Threshold(metric="tokens:planner", max=1100))
    assert decision.outcome == "no decision"
    assert decision.reasons[0] == "tokens:planner is unknown: this run does not have the metric"


@pytest.mark.parametrize("name", ["stop", "turns", "has_error"])
def test_what_happened_is_no_cohort_of_a_gate(name: str) -> None:
    """With the reason, unless cases themselves have a cohort of that name."""
    for check in (Threshold(metric="pass_rate", min=0.5, by=(name,)), NoRegression(by=(name,))):
        ((_, what, _),) = policy_problems(GatePolicy((check,)), [RULE], ["domain"])
        assert what == f"`{name}` is read from the answers, which the change itself moves, so it is shown and not gated"
        assert policy_problems(GatePolicy((check,)), [RULE], [name]) == []


@pytest.mark.parametrize(
    ("name", "fix"),
    [
        ("cost_per_success_usd", "did you mean `cost_usd_per_success`?"),
        ("cost_usd_per_case", "did you mean `cost_per_case_usd`?"),
        ("tokens_per_succes", "did you mean `tokens_per_success`?"),
        ("pass_all_3", "write `pass_all: {k: 3, ...}`"),
        ("pass_any_12", "write `pass_any: {k: 12, ...}`"),
    ],
)
def test_a_metric_by_another_name_is_recognised(name: str, fix: str) -> None:
    """The same words in another order, and the name under which a report shows the metric."""
    ((_, what, found),) = policy_problems(GatePolicy((Threshold(metric=name, max=1),)), [RULE], [])
    assert (what, found) == (f"unknown metric `{name}`", fix)
