"""Single critical cases: four of four on both sides block, anything less warns."""

from __future__ import annotations

import pytest
from gate_rows import RULE, a_case, a_decision, a_row, decided, frozen

from evalkit.aggregate.frozen import FrozenFrame
from evalkit.gate.decide import NeedsRepeats
from evalkit.gate.policy import NoRegression
from evalkit.results import Check, Decision

POLICY = NoRegression(metrics=("pass_rate",))


def run_of(
    target: list[float], *, repeats_of_others: int = 4, severity: str = "critical", **changes: object
) -> FrozenFrame:
    """Forty cases that pass, and one of the severity with these verdicts, one a repeat."""
    others = [a_case(f"c{i:03}") for i in range(40)]
    rows = [a_row(case, {"rule": 1.0}, repeat=repeat) for case in others for repeat in range(repeats_of_others)]
    case = a_case("grave", severity=severity, **changes)
    rows += [a_row(case, {"rule": value}, repeat=repeat) for repeat, value in enumerate(target)]
    return frozen(rows, (RULE,))


def guard(decision: Decision) -> Check:
    """The check of single critical cases."""
    (found,) = [check for check in decision.checks if check.name == "critical cases"]
    return found


@pytest.mark.parametrize(
    ("before", "after", "outcome"),
    [
        ([1, 1, 1, 1], [0, 0, 0, 0], "block"),
        ([1, 1, 1, 1], [0, 0, 0, 1], "warn"),
        ([1, 1, 1, 1], [0, 1, 1, 1], "pass"),
        ([1, 1, 0, 1], [0, 0, 0, 0], "pass"),
        ([1], [0], "warn"),
        ([1, 1], [0, 0, 0, 0], "warn"),
        ([0, 0, 0, 0], [0, 0, 0, 0], "pass"),
        ([1, 1, 1, 1], [1, 1, 1, 1], "pass"),
    ],
)
def test_only_four_of_four_on_both_sides_blocks(before: list[float], after: list[float], outcome: str) -> None:
    """A case that ever flaked is not a proof; one without enough runs is a warning."""
    decision = a_decision(run_of(after), POLICY, baseline=run_of(before))
    assert guard(decision).outcome == outcome
    assert (decision.outcome == "blocked") == (outcome == "block")
    if outcome in ("block", "warn"):
        assert guard(decision).case_ids == ("grave",)
        assert "grave" in guard(decision).reason


def test_runs_that_would_settle_it_are_asked_for() -> None:
    """A baseline of four passes and a first failure: the candidate is run until it has four."""
    waiting = decided(run_of([0], repeats_of_others=1), POLICY, baseline=run_of([1, 1, 1, 1]))
    assert waiting == NeedsRepeats(("grave",), 4)
    settled = decided(run_of([0, 1, 0, 0], repeats_of_others=1), POLICY, baseline=run_of([1, 1, 1, 1]))
    assert isinstance(settled, Decision)
    assert settled.outcome != "blocked"


@pytest.mark.parametrize("changes", [{"severity": "high"}, {"kind": "canary"}], ids=str)
def test_other_cases_are_not_guarded(changes: dict[str, str]) -> None:
    """Canaries have their own rule, other severities none."""
    decision = a_decision(run_of([0, 0, 0, 0], **changes), POLICY, baseline=run_of([1, 1, 1, 1], **changes))  # type: ignore[arg-type]
    assert not [check for check in decision.checks if check.name == "critical cases"]


def test_a_case_that_is_new_is_not_broken() -> None:
    """What the baseline does not hold cannot have passed in it."""
    baseline = run_of([1, 1, 1, 1], digest="0" * 64)
    assert guard(a_decision(run_of([0, 0, 0, 0]), POLICY, baseline=baseline)).outcome == "pass"
