"""What `evalkit diff --case` prints of one case of two runs."""

from __future__ import annotations

import io
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
import report_samples
import stored_conversations as stored
from rich.console import Console

from evalkit.report.side_by_side import PRINTED_STEPS, SHOWN_PATHS, print_answers
from evalkit.types import Failure, Message, Output, Row


def printed(before: Row | None, after: Row | None, width: int = 80, **options: Any) -> list[str]:
    """The lines at a width, without the blanks at their ends."""
    file = io.StringIO()
    plain: dict[str, Any] = {"highlight": False, "markup": False, "emoji": False, **options}
    print_answers(before, after, Console(file=file, width=width, **plain))
    return [line.rstrip() for line in file.getvalue().split("\n")]


def column(lines: list[str], sign: str) -> list[str]:
    """Lines with a sign between the columns."""
    return [line for line in lines if len(line) > 39 and line[39] == sign]


@pytest.mark.parametrize("width", [80, 120])
def test_two_conversations_are_printed_as_stored(same_as_golden: Callable[[str, str], None], width: int) -> None:
    """Turn by turn with steps, errors and marks, once where they are the same; no line is longer than the terminal."""
    state = {"orders": {"A-17": {"total": 20, "status": "refunded"}}}
    after = replace(stored.ROW, output=replace(stored.OUTPUT, state=state))
    lines = [*printed(stored.before(), after, width), *printed(stored.before(), stored.failed(), width)]
    assert max(map(len, lines)) <= width
    same_as_golden(f"side-by-side-{width}.txt", "\n".join(lines))


def test_colours_change_no_letter() -> None:
    """What a colour says, a sign says too."""
    import re

    coloured = printed(stored.before(), stored.ROW, force_terminal=True, color_system="standard")
    assert any("\x1b[31m" in line for line in coloured)
    bare = [re.sub(r"\x1b\[[\d;]*m", "", line).rstrip() for line in coloured]
    assert bare == printed(stored.before(), stored.ROW)


def test_steps_that_only_one_run_took_stand_alone() -> None:
    """Equal steps are found beside each other, however many others stand between them."""
    lines = printed(stored.long_row(3), stored.ROW)
    alone = [line[:39].strip() for line in column(lines, "<")]
    assert alone[:3] == [f'tool look {{"page": {page}}}' for page in range(3)]
    assert any("approval refund approved" in line for line in column(lines, ">"))
    same = next(line for line in lines if line.count("That failed: <b>too") == 2)
    assert same[39] == " "


def test_one_run_may_have_no_conversation() -> None:
    """A case that a run does not have, or whose first turn failed, leaves its column empty and says why at the end."""
    assert "(not in this run)" in "\n".join(printed(None, stored.ROW))
    broken = Row(case=stored.CASE, failure=Failure("environment", "cannot build the shop"))
    lines = printed(stored.ROW, broken)
    assert "(environment: cannot build the shop)" in "\n".join(line[39:] for line in lines)
    assert not any("the same in both" in line for line in lines)


def test_why_the_simulated_user_ended_stands_beside_the_stop() -> None:
    """Two conversations that stop alike differ in it."""
    rows = [
        replace(stored.ROW, output=replace(stored.OUTPUT, stop="user_done", user_why=why))
        for why in ("gave_up", "reached")
    ]
    (line,) = [line for line in printed(*rows) if "the user says" in line]
    assert line[:39].strip() == "user_done: the user says gave_up"
    assert line[39:].strip() == "| user_done: the user says reached"


def test_a_conversation_of_ten_thousand_steps_is_cut() -> None:
    """The terminal shows the first steps and says how many more there are."""
    lines = printed(None, stored.long_row(10_000))
    assert sum("tool look" in line for line in lines) == PRINTED_STEPS - 1
    assert any(f"… {10_001 - PRINTED_STEPS:,} more steps" in line for line in lines)


def test_a_final_state_that_differs_is_listed_by_path() -> None:
    """Each path with both values; a value that one of them lacks is no value, and many paths are counted."""
    many = {f"k{at:02d}": at for at in range(SHOWN_PATHS + 3)}
    rows = [replace(stored.ROW, output=replace(stored.OUTPUT, state=state)) for state in ({"a": 1}, {"a": 2, **many})]
    lines = [line for line in printed(*rows, width=100) if line.startswith("state") or "more path" in line]
    assert lines[:2] == ["state  a  1 → 2", "state  k00  (none) → 0"]
    assert (len(lines), lines[-1]) == (SHOWN_PATHS + 1, "… and 4 more paths")
    unknown = replace(rows[0], output=replace(stored.OUTPUT, state=None))
    assert not any(line.startswith("state") for line in printed(unknown, rows[1]))


def test_a_later_repeat_is_named() -> None:
    """The number is that of JUnit and of the report's link."""
    assert printed(None, replace(stored.ROW, repeat=2))[0] == "r1 #2  Refund A-17"


def test_hostile_text_moves_no_cursor() -> None:
    """Control characters of a conversation are shown by name."""
    said = (Message("user", "\x1b[2Jhi"), Message("assistant", report_samples.HOSTILE))
    row = Row(case=stored.CASE, output=Output(text="x", messages=said))
    text = "\n".join(printed(row, None, width=200))
    assert "\x1b" not in text and "\u202e" not in text
    assert "<U+001B>" in text


def test_other_answers_stand_one_after_the_other() -> None:
    """An answer that is no conversation is printed whole, with the scores below."""
    lines = printed(report_samples.row(0, baseline=True), report_samples.row(0))
    assert lines[0].startswith("aml-0000  When must")
    at = lines.index("after  It should be reported within thirty days of the transaction.")
    assert lines[at + 1] == "  ✗ keywords 0.25  found 1 of 4: unit"
    gone = printed(report_samples.row(11), None)
    assert any(line.startswith("before  (timeout: no answer within 30 s") for line in gone)
    assert "after  (not in this run)" in gone
