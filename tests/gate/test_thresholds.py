"""Absolute limits: which bound decides, in plain and in critical cohorts."""

import hashlib

import pytest
from gate_rows import GRADE, JUDGE, RULE, a_case, a_decision, a_failure, a_row, frozen, passing

from evalkit.gate.policy import Coverage, Threshold
from evalkit.trust.labels import Label
from evalkit.types import Metric

ANY_COVERAGE = Coverage(min=0, by_cohort_min=0)


@pytest.mark.parametrize(
    ("n", "n_passing", "outcome"),
    [
        # One-sided 95 % Wilson upper bounds, z = 1.645: 70/100 -> .769; 80/100 -> .858; 90/100 -> .940; 2/3 -> .922.
        pytest.param(100, 70, "block", id="even the upper bound is below"),
        pytest.param(100, 80, "warn", id="only the figure is below"),
        pytest.param(100, 90, "pass", id="the figure is above"),
        pytest.param(3, 2, "warn", id="too few cases to block"),
    ],
)
def test_a_rate_is_judged_by_its_upper_bound(n: int, n_passing: int, outcome: str):
    """`min: 0.85` blocks when the Wilson upper bound is below, and warns when only the rate is."""
    check = a_decision(frozen(passing(n, n_passing)), Threshold(metric="pass_rate", min=0.85)).checks[0]
    assert check.outcome == outcome
    assert len(check.case_ids) == (n - n_passing if outcome != "pass" else 0)


@pytest.mark.parametrize(
    ("n", "n_passing", "outcome"),
    [
        # With no failure the one-sided Wilson lower bound is n / (n + 2.706): .897 at 24 and .902 at 25 cases.
        pytest.param(24, 24, "insufficient evidence", id="24 perfect cases do not prove .90"),
        pytest.param(25, 25, "pass", id="25 perfect cases do"),
        pytest.param(100, 88, "insufficient evidence", id="below but within noise"),
        pytest.param(100, 70, "block", id="clearly below"),
    ],
)
def test_a_critical_cohort_has_to_prove_the_limit(n: int, n_passing: int, outcome: str):
    """In a critical cohort the lower bound has to hold the limit."""
    frame = frozen(passing(n, n_passing, cohorts={"domain": "aml"}))
    decision = a_decision(frame, Threshold(metric="pass_rate", min=0.90, by=("domain",), critical=("aml",)))
    (check,) = [check for check in decision.checks if check.name == "pass_rate" and check.cohort == "domain=aml"]
    assert check.outcome == outcome


def test_a_maximum_is_the_mirror_of_a_minimum():
    """`max` on a rate of the opposite direction gives the outcomes of `min`."""
    bad = Metric(name="bad", binary=True, higher_is_better=False)
    for n_bad, outcome in ((30, "block"), (20, "warn"), (10, "pass")):
        rows = [a_row(a_case(f"c{i:03}"), {"bad": float(i < n_bad)}) for i in range(100)]
        check = a_decision(frozen(rows, [bad]), Threshold(metric="bad", max=0.15)).checks[0]
        assert check.outcome == outcome


@pytest.mark.parametrize(
    ("slow", "outcome"),
    [
        # p95 of 100 values: the ranks of the one-sided 95 % bounds are 91 and 99.
        pytest.param(0, "pass", id="upper bound below the limit"),
        pytest.param(3, "warn", id="figure below, upper bound above"),
        pytest.param(7, "warn", id="figure above, lower bound below"),
        pytest.param(20, "block", id="lower bound above"),
    ],
)
def test_a_latency_quantile_is_judged_by_order_statistics(slow: int, outcome: str):
    """`latency_p95_s: {max: 3}` blocks on the lower bound and passes on the upper one."""
    rows = [a_row(a_case(f"c{i:03}"), {"rule": 1.0}, latency_s=9.0 if i < slow else 1.0) for i in range(100)]
    assert a_decision(frozen(rows), Threshold(metric="latency_p95_s", max=3)).checks[0].outcome == outcome


def test_a_tail_without_an_upper_bound_is_not_proved():
    """58 fast answers do not prove a p95, 59 do."""
    for n, outcome in ((58, "insufficient evidence"), (59, "pass")):
        decision = a_decision(frozen(passing(n, n)), Threshold(metric="latency_p95_s", max=3))
        assert decision.checks[0].outcome == outcome


@pytest.mark.parametrize(
    ("metric", "limit"),
    [
        ("grade", {"min": 3}),
        ("cost_per_case_usd", {"max": 0.1}),
        ("latency_p95_s", {"max": 3}),
        ("nowhere", {"min": 0}),
    ],
)
def test_no_value_in_no_pass_out(metric: str, limit: dict[str, float]):
    """A metric without a value, or that the run does not have, is never a pass: no decision."""
    rows = [a_row(a_case(f"c{i}"), {"grade": None}, latency_s=None, cost_usd=None) for i in range(40)]
    decision = a_decision(frozen(rows, [GRADE]), Threshold(metric=metric, **limit), ANY_COVERAGE)
    assert decision.checks[0].outcome == "no decision"
    assert decision.outcome == "no decision"


def test_an_unknown_value_of_a_warning_check_only_warns():
    """`on_fail: warn` lowers both a failed and an undecidable check to a condition."""
    rows = [a_row(a_case(f"c{i}"), {"rule": 1.0}, cost_usd=None) for i in range(40)]
    decision = a_decision(frozen(rows), Threshold(metric="cost_per_case_usd", max=0.05, on_fail="warn"))
    assert decision.outcome == "approved with conditions"
    assert "cost_per_case_usd is unknown" in decision.reasons[0]
    lowered = a_decision(frozen(passing(100, 10)), Threshold(metric="pass_rate", min=0.9, on_fail="warn"))
    assert lowered.outcome == "approved with conditions"


def test_system_errors_never_pass():
    """A run in which every call failed has no decision, whatever the limits."""
    rows = [a_failure(a_case(f"c{i}")) for i in range(50)]
    assert a_decision(frozen(rows), Threshold(metric="pass_rate", min=0.0)).outcome == "no decision"


def test_a_misspelt_critical_cohort_gives_no_decision():
    """A critical value to which no case belongs protects nothing, so the gate says so."""
    frame = frozen(passing(100, 100, cohorts={"domain": "aml"}))
    decision = a_decision(frame, Threshold(metric="pass_rate", min=0.8, by=("domain",), critical=("amll",)))
    assert decision.outcome == "no decision"
    assert "amll: called critical for pass_rate, but no case of this run belongs to it" in decision.reasons


def judged_rows(n: int):
    """Rows that the judge and a rule both pass, every fifth apart."""
    return [a_row(a_case(f"c{i:03}"), {"judge": float(i % 5 != 0), "rule": 1.0}) for i in range(n)]


def labels_for(n: int, kind: str = "person") -> list[Label]:
    """Labels that agree with `judged_rows` everywhere."""
    return [
        Label(
            f"c{i:03}",
            hashlib.sha256(f"answer to c{i:03}".encode()).hexdigest(),
            "judge",
            "pass" if i % 5 else "fail",
            "anna",
            kind,  # type: ignore[arg-type]
        )
        for i in range(n)
    ]


@pytest.mark.parametrize("metric", ["judge", "pass_rate"])
def test_a_judge_without_labels_decides_nothing(metric: str):
    """A blocking check that rests on an unproven judge gives no decision and names `calibrate`."""
    decision = a_decision(frozen(judged_rows(100), [JUDGE, RULE]), Threshold(metric=metric, min=0.1))
    assert decision.outcome == "no decision"
    assert "evalkit labels sample" in decision.reasons[0]


def test_a_judge_that_agrees_with_people_decides():
    """With 100 agreeing labels by a person the same check passes; labels by a program change nothing."""
    frame = frozen(judged_rows(100), [JUDGE, RULE])
    check = Threshold(metric="judge", min=0.5)
    assert a_decision(frame, check, labels=labels_for(100)).outcome == "approved"
    assert a_decision(frame, check, labels=labels_for(100, "program")).outcome == "no decision"


def test_an_unproven_judge_may_warn_and_an_advisory_one_is_left_out_of_pass_rate():
    """`on_fail: warn` on an unproven judge stays a warning, and an advisory judge has no part in `pass_rate`."""
    frame = frozen(judged_rows(100), [JUDGE, RULE], advisory=["judge"])
    decision = a_decision(
        frame, Threshold(metric="judge", min=0.95, on_fail="warn"), Threshold(metric="pass_rate", min=0.9)
    )
    assert [check.outcome for check in decision.checks[:2]] == ["warn", "pass"]
    assert decision.outcome == "approved with conditions"


@pytest.mark.parametrize("metric", ["pass_rate", "pass_all", "pass_any"])
def test_no_pass_metric_lets_an_unproven_judge_decide(metric: str) -> None:
    """Whatever the runs of a case are made into, the judge behind them has no vote before labels show it."""
    rows = [
        a_row(a_case(f"c{i:03}"), {"judge": float(i % 4 != 0)}, repeat=repeat) for i in range(40) for repeat in range(2)
    ]
    decision = a_decision(frozen(rows, (JUDGE,)), Threshold(metric=metric, min=0.95))
    assert decision.outcome == "no decision"
    assert "draw answers to label" in decision.reasons[0]


def test_small_cohorts_share_one_sentence_that_says_what_would_prove_the_limit():
    """N / (n + 2.706) reaches .80 at 11 cases: three cohorts with fewer are one reason, a larger one has its own."""
    sizes = {"es": 3, "it": 4, "pl": 10, "fr": 40}
    rows = [
        row
        for name, n in sizes.items()
        for row in passing(n, n if name != "fr" else 33, prefix=name, cohorts={"domain": name})
    ]
    check = Threshold(metric="pass_rate", min=0.8, by=("domain",), critical=tuple(sizes))
    decision = a_decision(frozen(rows), check)
    small = [reason for reason in decision.reasons if "too small" in reason]
    assert small == [
        "3 cohorts are too small to prove pass_rate ≥ 80%: domain=es (3), domain=it (4), domain=pl (10); "
        "11 passing cases would"
    ]
    assert [reason for reason in decision.reasons if "domain=fr" in reason and "not proved" in reason]
    assert not [reason for reason in decision.reasons if reason.startswith(("domain=es", "domain=it", "domain=pl"))]


def test_one_small_cohort_keeps_its_sentence():
    """It says how many passing cases would prove the limit."""
    rows = passing(8, 8, cohorts={"domain": "aml"})
    decision = a_decision(frozen(rows), Threshold(metric="pass_rate", min=0.8, by=("domain",), critical=("aml",)))
    reasons = [reason for reason in decision.reasons if "domain=aml" in reason]
    assert any("too few cases, 11 passing ones would prove it" in reason for reason in reasons), decision.reasons


def test_pass_all_of_k_runs_is_gated_with_its_cohorts() -> None:
    """Four repeats, three of which are looked at: the cohort that fails now and then blocks."""
    rows = []
    for number in range(60):
        case = a_case(f"c{number:02}", cohorts={"domain": "aml" if number % 2 else "tax"})
        rows += [a_row(case, {"rule": float(not (number % 2 and repeat < 2))}, repeat=repeat) for repeat in range(4)]
    decision = a_decision(frozen(rows), Threshold(metric="pass_all", k=3, min=0.6, by=("domain",)))
    found = {check.cohort: check for check in decision.checks if check.name == "pass_all"}
    assert {cohort: check.outcome for cohort, check in found.items()} == {
        "overall": "warn", "domain=aml": "block", "domain=tax": "pass",
    }  # fmt: skip
    assert {check.metric for check in found.values()} == {"pass_all_3"}
    assert found["domain=aml"].observed is not None
    assert found["domain=aml"].observed.value == 0.0


def test_pass_all_of_more_runs_than_there_are_is_no_decision() -> None:
    """A stored run with two repeats says nothing about three."""
    rows = [a_row(a_case(f"c{i}"), {"rule": 1.0}, repeat=repeat) for i in range(30) for repeat in range(2)]
    decision = a_decision(frozen(rows), Threshold(metric="pass_all", k=3, min=0.6))
    assert decision.outcome == "no decision"
    assert decision.reasons[0] == "pass_all_3 is unknown: no case has 3 scored runs"
