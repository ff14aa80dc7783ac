"""The next step is a line that works as it is copied."""

from __future__ import annotations

from evalkit.report.next_steps import NextStep, Places, next_steps
from evalkit.results import Decision

UNDECIDED = Decision(outcome="no decision", checks=(), reasons=())
PLACES = Places(run="reports/one", suite="my evals/suite.yaml")


def steps(unknown: int | None) -> tuple[NextStep, ...]:
    """The steps of a run without a decision."""
    return next_steps(UNDECIDED, (), are_new=False, unknown=unknown, stopped=None, places=PLACES)


def test_a_system_that_answered_nothing_is_fixed_and_called_in_a_new_run() -> None:
    """A changed system cannot go on with a run of the one before."""
    assert steps(None) == (NextStep("fix the system, then run again", "evalkit run 'my evals/suite.yaml'"),)


def test_rows_without_a_result_beside_others_are_run_again() -> None:
    """What was answered is kept."""
    assert steps(10) == (
        NextStep(
            "run the 10 rows without a result again",
            "evalkit run 'my evals/suite.yaml' --out reports/one --retry-errors",
        ),
    )
