"""Non-inferiority and superiority: what has to be shown."""

from __future__ import annotations

import pytest
from gate_rows import a_case, a_decision, a_row, frozen

from evalkit.aggregate.frozen import FrozenFrame
from evalkit.gate.policy import NoRegression
from evalkit.results import Check, Decision


def run_of(n: int, failing: range, seed_domain: str = "a") -> FrozenFrame:
    """Cases that pass but for a range of them; one in five in the domain `small`."""
    rows = []
    for i in range(n):
        case = a_case(f"c{i:04}", cohorts={"domain": "small" if i % 5 == 0 else seed_domain})
        rows.append(a_row(case, {"rule": float(i not in failing)}))
    return frozen(rows)


def decided(n: int, before: range, after: range, **options: object) -> Decision:
    """Compare two runs of pass/fail cases."""
    policy = NoRegression(metrics=("pass_rate",), critical=("small",), **options)  # type: ignore[arg-type]
    return a_decision(run_of(n, after), policy, baseline=run_of(n, before))


def checks(decision: Decision, name: str) -> dict[str, Check]:
    """By cohort."""
    return {check.cohort: check for check in decision.checks if check.name == name}


def test_many_cases_rule_a_drop_out_and_few_do_not() -> None:
    """The same system: 1,000 cases show that it is not 2 points worse, 60 warn."""
    large = decided(1000, range(0), range(0), margin=0.02)
    small = decided(60, range(0), range(0), margin=0.02)
    assert large.outcome == "approved"
    assert set(checks(large, "non-inferiority")) == {"overall", "domain=small"}
    assert small.outcome == "approved with conditions"
    assert checks(small, "non-inferiority")["overall"].outcome == "warn"
    assert "need < 2 pts" in checks(small, "non-inferiority")["overall"].reason


def test_only_overall_and_critical_cohorts_are_held_to_it() -> None:
    """A cohort that nobody called critical may be small."""
    assert "domain=a" not in checks(decided(200, range(0), range(0), margin=0.1), "non-inferiority")


@pytest.mark.parametrize(
    ("fixed", "outcome"), [(0, "block"), (10, "insufficient evidence"), (60, "pass")], ids=["none", "some", "enough"]
)
def test_a_gain_is_shown_missing_or_open(fixed: int, outcome: str) -> None:
    """A gain of 3 points is wanted, of 500 cases that 0, 10 (2 points) or 60 (12 points) fewer fail."""
    decision = decided(500, range(100), range(100 - fixed), beats_by=0.03)
    (check,) = checks(decision, "superiority").values()
    assert check.outcome == outcome
    assert (decision.outcome == "blocked") == (outcome == "block")


def test_neither_is_asked_for_by_default() -> None:
    """The burden of proof is on the regression."""
    decision = decided(60, range(0), range(0))
    assert not checks(decision, "non-inferiority")
    assert not checks(decision, "superiority")


@pytest.mark.parametrize("name", ["margin", "beats_by"])
def test_a_margin_is_no_negative_number(name: str) -> None:
    """Nor none at all."""
    for value in (-0.1, float("nan")):
        with pytest.raises(ValueError, match=name):
            NoRegression(**{name: value})  # type: ignore[arg-type]
