"""Runs grouped by what happened in them: shown, and never gated."""

from __future__ import annotations

from typing import Any

import pytest
from aggregate_rows import GRADE, RULE, a_case, a_row

from evalkit.aggregate.frame import Frame
from evalkit.aggregate.frozen import FrozenFrame, freeze
from evalkit.aggregate.outcomes import outcomes_of
from evalkit.aggregate.summary import summarise
from evalkit.results import Cell, Summary
from evalkit.types import Message, Output, Row, Step


def an_output(**given: Any) -> Output:
    """Make an output; `users` is how often a user spoke, `error` that of its one step."""
    users, error = given.pop("users", None), given.pop("error", False)
    said = (Message("user", "?"), Message("assistant", "!"))
    return Output(
        text="",
        messages=None if users is None else said * users,
        trajectory=None if error is False else (Step(kind="tool", name="t", error=error),),
        **given,
    )


def frozen(rows: list[Row], rule: str = "mean") -> FrozenFrame:
    """Freeze rows."""
    frame = Frame([RULE, GRADE], ["topic"], repeat_rule=rule)
    for row in rows:
        frame.add(row)
    return freeze(frame)


def summary_of(rows: list[Row], rule: str = "mean") -> Summary:
    """Summarise rows."""
    return summarise(frozen(rows, rule), suite="s", expected=len(rows))


def found(summary: Summary, metric: str = "pass_rate") -> dict[str, Cell]:
    """Return the cells of a metric by what happened."""
    return {cell.cohort: cell for cell in summary.outcomes if cell.metric == metric}


@pytest.mark.parametrize(
    ("output", "said"),
    [
        (an_output(), (None, None, None, None)),
        (an_output(stop=""), (None, None, None, None)),
        (an_output(stop="user_done", users=1, user_why="gave_up"), ("user_done", "gave_up", "1", None)),
        (an_output(users=2, error=None), (None, None, "2-3", "no")),
        (an_output(users=3, error="boom"), (None, None, "2-3", "yes")),
        (an_output(users=4), (None, None, "4-7", None)),
        (an_output(users=7), (None, None, "4-7", None)),
        (an_output(users=8), (None, None, "8+", None)),
        (an_output(users=0), (None, None, None, None)),
        (Output(text="", trajectory=()), (None, None, None, "no")),
        (Output(text="", trajectory=(Step(turn=1), Step(turn=5))), (None, None, "4-7", "no")),
    ],
)
def test_what_an_answer_says_of_itself(output: Output, said: tuple[str | None, ...]) -> None:
    """And nothing of what it does not say."""
    assert outcomes_of(a_case("c"), output) == said


def test_the_metrics_of_each_group_are_shown() -> None:
    """A case whose repeats differ is in both groups, each with its own runs."""
    rows = [a_row(f"c{i}", {"rule": 1.0, "grade": 4.0}, output=an_output(error=None)) for i in range(3)]
    rows += [a_row(f"d{i}", {"rule": 0.0, "grade": 2.0}, output=an_output(error="boom")) for i in range(2)]
    rows += [
        a_row("e", {"rule": float(repeat)}, repeat=repeat, output=an_output(error="boom" if repeat else None))
        for repeat in range(2)
    ]
    rows += [a_row("f", {"rule": 0.0})]
    summary = summary_of(rows)
    rates = found(summary)
    assert {name: (cell.estimate.value, cell.n_cases) for name, cell in rates.items()} == {
        "has_error=no": (0.75, 4),
        "has_error=yes": (pytest.approx(1 / 3), 3),
    }
    assert found(summary, "grade")["has_error=yes"].estimate.value == 2
    assert summary.cell("pass_rate", "has_error=yes") is None


def test_the_rule_of_the_suite_reads_the_runs_of_a_group() -> None:
    """One pass of two is a failure under `all`."""
    rows = [a_row("c", {"rule": float(repeat)}, repeat=repeat, output=an_output(stop="done")) for repeat in range(2)]
    rows += [a_row("d", {"rule": 1.0}, output=an_output(stop="max_turns"))]
    assert found(summary_of(rows, "all"))["stop=done"].estimate.value == 0
    assert found(summary_of(rows, "mean"))["stop=done"].estimate.value == 0.5


def test_what_is_the_same_everywhere_is_not_shown() -> None:
    """A table of one line says nothing that the overall figure does not."""
    assert (
        summary_of([a_row(f"c{i}", {"rule": 1.0}, output=an_output(error=None, users=1)) for i in range(3)]).outcomes
        == ()
    )
    assert summary_of([a_row("c", {"rule": 1.0})]).outcomes == ()


def test_a_stop_in_free_words_does_not_fill_the_report() -> None:
    """The twenty most frequent are kept."""
    rows = [a_row(f"c{i:02}", {"rule": 1.0}, output=an_output(stop=f"s{i:02}")) for i in range(50)]
    rows += [a_row("d", {"rule": 1.0}, output=an_output(stop="s49"))]
    labels = list(found(summary_of(rows)))
    assert len(labels) == 20
    assert "stop=s49" in labels


def test_no_gate_sees_these_groups() -> None:
    """They are in no cohort of the frame, so nothing is compared or limited by them."""
    rows = [
        a_row(a_case(f"c{i}", cohorts={"topic": "a"}), {"rule": 1.0}, output=an_output(error="x" if i else None))
        for i in range(4)
    ]
    frame = frozen(rows)
    assert list(frame.cohorts) == ["overall", "topic=a"]
    assert set(summarise(frame, suite="s", expected=4).coverage) == {"overall", "topic=a"}
