"""What scorers give single turns is shown by metric and turn."""

from __future__ import annotations

import pytest

from evalkit.aggregate.cells import outcome_cells
from evalkit.aggregate.frame import Frame
from evalkit.aggregate.frozen import freeze
from evalkit.types import Case, Metric, Output, Row, Score

METRICS = (Metric("keywords"), Metric("contains", binary=True))


def row(name: str, repeat: int = 0, **turns: tuple[tuple[int, float | None], ...]) -> Row:
    """A conversation whose metrics have these turns."""
    scores = {
        metric: Score(metric, min(value for _, value in given if value is not None), turns=given)
        for metric, given in turns.items()
    }
    return Row(case=Case(id=name, input="x", digest=name * 4), repeat=repeat, output=Output(text="x"), scores=scores)


def shown(*rows: Row) -> dict[tuple[str, str], tuple[float | None, int]]:
    """(metric, group) -> mean over cases and number of cases scored."""
    frame = Frame(METRICS, [])
    for each in rows:
        frame.add(each)
    cells = outcome_cells(freeze(frame))
    return {
        (cell.metric, cell.cohort): (cell.estimate.value, cell.n_scored)
        for cell in cells
        if cell.cohort.startswith("turn=")
    }


def test_turns_are_grouped_and_averaged_within_a_case() -> None:
    """Turns 4 to 7 are one value of their case; a case that has no such turn is not counted."""
    found = shown(
        row("a", keywords=((1, 1.0), (2, 0.0), (4, 1.0), (5, 0.5), (9, 0.25))),
        row("b", keywords=((1, 0.5), (3, 1.0)), contains=((1, 1.0),)),
    )
    assert found == {
        ("keywords", "turn=1"): (0.75, 2),
        ("keywords", "turn=2"): (0.0, 1),
        ("keywords", "turn=3"): (1.0, 1),
        ("keywords", "turn=4-7"): (0.75, 1),
        ("keywords", "turn=8+"): (0.25, 1),
        ("contains", "turn=1"): (1.0, 1),
    }


def test_a_turn_without_a_grade_is_not_a_number() -> None:
    """It is counted as unknown."""
    assert shown(row("a", keywords=((1, None), (2, 1.0)))) == {
        ("keywords", "turn=1"): (None, 0),
        ("keywords", "turn=2"): (1.0, 1),
    }


def test_repeats_are_averaged_and_a_row_that_was_replaced_does_not_count() -> None:
    """The last row of a case and repeat counts."""
    found = shown(
        row("a", keywords=((1, 0.0),)),
        row("a", keywords=((1, 1.0),)),
        row("a", 1, keywords=((1, 0.5),)),
    )
    assert found == {("keywords", "turn=1"): (pytest.approx(0.75), 1)}


def test_runs_without_turns_have_none() -> None:
    """Single answers show nothing new."""
    plain = Row(
        case=Case(id="a", input="x", digest="a"), output=Output(text="x"), scores={"keywords": Score("keywords", 1.0)}
    )
    assert shown(plain) == {}
