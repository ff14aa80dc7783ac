"""Which of several repeats `evalkit diff --case` shows."""

from __future__ import annotations

from evalkit.operations.compare import repeat_to_show
from evalkit.types import Case, Failure, Output, Row, Score

CASE = Case(id="a", digest="d", input="?")


def runs(*marks: str) -> list[Row]:
    """Repeats that passed (`p`), failed (`f`), failed in an advisory metric alone (`a`), or had no answer (`e`)."""
    rows = []
    for repeat, mark in enumerate(marks):
        scores = {name: Score(name, 0.0, mark != sign) for name, sign in (("exact", "f"), ("tone", "a"))}
        row = Row(case=CASE, repeat=repeat, output=Output(text="x"), scores=scores)
        failed = Row(case=CASE, repeat=repeat, failure=Failure("timeout", "late"))
        rows.append(failed if mark == "e" else row)
    return rows


def shown(before: list[Row], after: list[Row]) -> list[int | None]:
    """The repeats that are shown."""
    return [row and row.repeat for row in repeat_to_show(before, after, frozenset({"tone"}))]


def test_the_first_repeat_that_fails_now_is_shown_beside_the_same_one() -> None:
    """A failure is what a reader looks for; a repeat that the earlier run lacks stands beside its first."""
    assert shown(runs("p", "p", "p"), runs("p", "a", "f")) == [2, 2]
    assert shown(runs("p", "p"), runs("p", "e", "f")) == [1, 1]
    assert shown(runs("p"), runs("p", "f")) == [0, 1]
    assert shown(runs("f", "p"), runs("p", "p")) == [0, 0]


def test_a_run_without_the_case_shows_nothing_for_it() -> None:
    """The other run's first failing repeat is shown alone."""
    assert shown([], runs("p", "f")) == [None, 1]
    assert shown(runs("p", "f"), []) == [1, None]
    assert shown([], []) == [None, None]
