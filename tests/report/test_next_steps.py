"""The next step is a line that works as it is copied."""

from __future__ import annotations

from evalkit.report.next_steps import NextStep, Places, next_steps
from evalkit.results import Decided, Decision

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


def test_an_earlier_decision_names_no_step() -> None:
    """Its command belonged to another run, and its fault may be mended by now."""
    earlier = Decided(run_id="r1", outcome="blocked", why="2 cases in prompts; see `evalkit golden leaks SUITE`")
    own = "`prompts` was not searched for cases; run `evalkit check SUITE`"
    decision = Decision(outcome="no decision", checks=(), reasons=(str(earlier), own))
    found = next_steps(decision, (), are_new=False, unknown=0, stopped=None, places=PLACES)
    assert ["evalkit check 'my evals/suite.yaml'"] == [step.command for step in found]


def test_a_block_without_a_failed_case_names_no_run_of_failed_cases() -> None:
    """Such as one by attacks, latency or cost."""
    decision = Decision(outcome="blocked", checks=(), reasons=("attack success is 50%",))
    found = next_steps(decision, (), are_new=False, unknown=0, stopped=None, places=PLACES)
    assert [step.command for step in found] == ["evalkit run 'my evals/suite.yaml'"]
