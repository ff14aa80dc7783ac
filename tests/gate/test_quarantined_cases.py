"""Quarantined cases are run and shown, and no gate counts them; who quarantines is seen."""

from __future__ import annotations

from dataclasses import replace

import pytest
from gate_rows import a_case, a_decision, a_row, frozen, passing

from evalkit.aggregate.frame import Frame
from evalkit.gate.amendments import case_changes
from evalkit.gate.assess import Terms, assess
from evalkit.gate.old_cases import Answered, former_changes
from evalkit.gate.policy import Coverage, Failures, NoRegression, Policy, Threshold
from evalkit.golden.old_cases import former_cases
from evalkit.results import Decision
from evalkit.types import Row

ALL_PASS = Threshold(metric="pass_rate", min=1.0)


def aside(row: Row, reason: str = "flaky: 4 of 10 runs passed") -> Row:
    """The row of the same case in quarantine: another content, so another digest."""
    case = replace(row.case, fields={"quarantine": reason}, digest=row.case.digest[::-1])
    return replace(row, case=case)


def rows_with_one_aside(n: int = 40) -> list[Row]:
    """All pass but the last, which is in quarantine."""
    rows = passing(n, n - 1)
    return [*rows[:-1], aside(rows[-1])]


def test_no_gate_counts_a_quarantined_case() -> None:
    """Neither its failure nor its row; the decision names it with the reason."""
    rows = rows_with_one_aside()
    assert a_decision(frozen([*passing(40, 39)]), ALL_PASS).outcome == "blocked"
    frame = frozen(rows)
    assert (frame.n_cases, dict(frame.quarantined)) == (39, {"c039": "flaky: 4 of 10 runs passed"})
    found = a_decision(frame, Failures(max=0, severity=None))
    assert found.outcome == "approved"
    check = next(check for check in found.checks if check.name == "quarantine")
    assert (check.outcome, check.case_ids) == ("pass", ("c039",))
    assert "c039 (flaky: 4 of 10 runs passed)" in check.reason


def test_a_set_without_one_has_no_such_check() -> None:
    """Nothing to name."""
    assert all(check.name != "quarantine" for check in a_decision(frozen(passing(9, 9)), ALL_PASS).checks)


def test_its_rows_are_not_missing() -> None:
    """The plan counts them, and they were run; one that was not is missing, as any other."""
    policy = Policy((ALL_PASS, Coverage(min=1.0)))
    for given, outcome in ((rows_with_one_aside(), "approved"), (rows_with_one_aside()[:-1], "no decision")):
        frame = Frame(frozen([]).metrics, [])
        for row in given:
            frame.add(row)
        summary, decision = assess(frame, Terms(suite="s", policy=policy), expected=40)
        assert isinstance(decision, Decision)
        assert decision.outcome == outcome
    assert summary.n_cases == 39


def test_a_case_quarantined_since_the_baseline_is_a_finding() -> None:
    """It is not said to be removed; and a case that was aside then already is none."""
    now = frozen(rows_with_one_aside())
    compared = NoRegression(baseline="main")
    found = a_decision(now, compared, baseline=frozen(passing(40, 39))).comparison
    assert found is not None
    assert (found.removed, found.quarantined, found.quarantined_failing) == ((), ("c039",), ("c039",))
    (change,) = case_changes(found)
    assert str(change) == "1 case quarantined (c039; 1 of them failing before)"
    assert change.loosens
    again = a_decision(now, compared, baseline=now).comparison
    assert again is not None
    assert case_changes(again) == ()


def test_one_that_passed_before_is_a_finding_too() -> None:
    """A flaky case passes now and then, so a pass says nothing."""
    compared = a_decision(
        frozen(rows_with_one_aside()), NoRegression(baseline="main"), baseline=frozen(passing(40, 40))
    ).comparison
    assert compared is not None
    assert [each.loosens for each in case_changes(compared)] == [True]


def test_the_old_form_of_the_base_tells_it() -> None:
    """Beside a commit the old form is run: it is a looser rule even if that passes."""
    case = a_case("c1")
    restored = frozen([a_row(case, {"rule": 1.0})])
    (change,) = former_changes([Answered(case, ("quarantine",))], restored, None, missing=0)
    assert (change.what, change.loosens) == ("1 case quarantined", True)
    assert change.note == "c1; in the old form it passes"


def test_an_old_form_that_was_aside_is_not_run() -> None:
    """Whoever takes a case out of quarantine, or removes it, loosens nothing."""
    old = aside(passing(1, 0)[0]).case
    assert former_cases([old], lambda: iter([])) == ()


@pytest.mark.parametrize("value", [3, "", ["x"]])
def test_a_stored_row_may_hold_any_value(value: object) -> None:
    """Only a text puts a case aside."""
    assert a_case("a", fields={"quarantine": value}).quarantine == ""
