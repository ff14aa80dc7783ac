"""The head of a run: one for the same rows in any order, another for any other rows or decision."""

import random
from pathlib import Path
from typing import Any

import pytest

from evalkit.store.chain import head_of, scan
from evalkit.store.journal import Journal
from evalkit.types import Case, Output, Row

DECISION = {"outcome": "approved", "head": "not part of it"}


def a_row(name: str, answer: str = "said", repeat: int = 0) -> Row:
    """A small row."""
    return Row(case=Case(id=name, input="q", digest=name), repeat=repeat, output=Output(text=answer))


ROWS = [a_row("a"), a_row("b"), a_row("b", repeat=1), a_row("c", "first")]


def head(folder: Path, rows: list[Row], decision: dict[str, Any] | None = DECISION) -> str:
    """Head of a journal of these rows."""
    path = folder / f"{random.random()}.jsonl"
    with Journal(path) as journal:
        for row in rows:
            journal.append(row)
    return head_of([scan(path)], decision)


def test_the_order_of_completion_changes_no_head(tmp_path: Path) -> None:
    """Nor does a row that was run again with the same result."""
    turned = [ROWS[i] for i in (3, 1, 0, 2)]
    assert head(tmp_path, ROWS) == head(tmp_path, turned) == head(tmp_path, [a_row("a", "before"), *turned])


@pytest.mark.parametrize(
    "rows",
    [ROWS[:3], [*ROWS, a_row("d")], [*ROWS, a_row("c", "second")], [*ROWS[:3], a_row("c", "First")], []],
    ids=["removed", "added", "run again", "edited", "none"],
)
def test_other_rows_have_another_head(rows: list[Row], tmp_path: Path) -> None:
    """Whatever was done to them."""
    assert head(tmp_path, rows) != head(tmp_path, ROWS)


def test_another_decision_has_another_head(tmp_path: Path) -> None:
    """The decision is the last link; the head that stands in it is not a part of it."""
    blocked = head(tmp_path, ROWS, {**DECISION, "outcome": "blocked"})
    assert len({blocked, head(tmp_path, ROWS), head(tmp_path, ROWS, None)}) == 3
    assert head(tmp_path, ROWS, {"outcome": "approved"}) == head(tmp_path, ROWS)
