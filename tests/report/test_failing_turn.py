"""Console, summary, JUnit and annotations name the turn at which a conversation went wrong, once a line."""

from __future__ import annotations

import io
from dataclasses import replace
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
import report_samples
import stored_conversations as stored
from rich.console import Console

from evalkit.report.console import print_view
from evalkit.report.failure_analysis import failure_analysis_markdown
from evalkit.report.junit import write_junit
from evalkit.report.markdown import summary_markdown
from evalkit.report.marks import without_turn
from evalkit.report.survey import FailedCase, failed_scores, first_wrong
from evalkit.report.view import View, build_view
from evalkit.results import Decision, Summary
from evalkit.types import USER_ERROR, Failure, Row, Score

VIOLATION = "1 violation; approve: refund (step 3) was approved with other arguments"
POLICY_FIRST = replace(stored.ROW, scores={"policy": stored.POLICY, "keywords": stored.KEYWORDS})


def view_of(*rows: Row) -> View:
    """A view of a run without a baseline."""
    decision = Decision(outcome="blocked", checks=(), reasons=("a failure",))
    return build_view(report_samples.summary(), decision, lambda: rows, None, report_samples.manifest())


def failed_case(row: Row) -> FailedCase:
    """A row as the lists of the worst cases hold it."""
    return FailedCase(row, failed=failed_scores(row))


@pytest.mark.parametrize(
    ("row", "told"),
    [
        (stored.ROW, ("turn 3", "keywords 0.00 \"Soon.\" missing '14 days'")),
        (
            POLICY_FIRST,
            (
                "turn 2",
                'policy 0.00 "That failed: <b>too much</b>." ' + VIOLATION,
            ),
        ),
        (stored.failed(), ("turn 2", "timeout: no answer within 5 s")),
        (stored.unread(), ("turn 2", "tone unscored (judge_error) the reply had no score")),
        (
            replace(stored.ROW, output=None, failure=Failure(USER_ERROR, "after turn 1: it said nothing")),
            ("after turn 1", "user_error: it said nothing"),
        ),
        (
            replace(stored.ROW, scores={"m": Score("m", 0.0, False, "all wrong")}),
            ("", 'm 0.00 "Soon." all wrong'),
        ),
    ],
)
def test_the_first_fault_names_its_turn_once(row: Row, told: tuple[str, str]) -> None:
    """The turn stands apart from what is wrong, so that a line can name it beside the case."""
    found = first_wrong(row)
    assert (found.turn, found.text) == told
    assert str(found) == ": ".join(filter(None, told))


@pytest.mark.parametrize(
    ("reason", "left"),
    [
        ("turn 3: missing", "missing"),
        ("1 violation; approve: refund (step 3, turn 3) was not", "1 violation; approve: refund (step 3) was not"),
        ("1 of 2 turns are sound; turn 3: it denies; turn 4: so", "1 of 2 turns are sound; it denies; turn 4: so"),
        ("at turn 3 it was late", "at turn 3 it was late"),
    ],
)
def test_a_line_that_names_the_turn_names_it_once(reason: str, left: str) -> None:
    """Reasons name turns in their own ways."""
    assert without_turn(reason, 3) == left


def test_the_value_is_that_of_the_turn(tmp_path: Path, summary: Summary) -> None:
    """The mean over the turns does not stand beside the reason of one of them."""
    row = replace(stored.ROW, scores={"keywords": replace(stored.KEYWORDS, value=0.5)})
    assert first_wrong(row).text.startswith("keywords 0.00 ")
    assert junit(tmp_path, row, summary)[1] == "turn 3: keywords 0: missing '14 days'"
    told = replace(stored.KEYWORDS, value=0.5, turns=((3, None),))
    assert first_wrong(replace(row, scores={"keywords": told})).text.startswith("keywords 0.50 ")


def test_a_turn_that_was_not_reached_is_asked_by_the_script() -> None:
    """What was asked is the user of the failing turn, what was answered is the answer to it."""
    missed = Score("keywords", 0.0, False, "turn 3: never reached: the conversation ended with agent_done")
    assert stored.OUTPUT.messages is not None
    short = replace(
        stored.ROW, output=replace(stored.OUTPUT, messages=stored.OUTPUT.messages[:4]), scores={"keywords": missed}
    )
    found = failed_case(short)
    assert (found.turn, found.question, found.answer) == (3, "When does it arrive?", "")


@pytest.mark.parametrize(
    ("row", "turn", "question", "wrong", "answer"),
    [
        (stored.ROW, 3, "When does it arrive?", "turn 3: missing '14 days'", "Soon."),
        (
            POLICY_FIRST,
            2,
            "Yes.",
            f"turn 2: {VIOLATION}",
            "That failed: <b>too much</b>.",
        ),
        (stored.failed(), 2, "Yes.", "turn 2: no answer: timeout", "no answer within 5 s"),
        (
            report_samples.row(22),
            None,
            report_samples.row(22).case.question,
            "no answer: http_500",
            "the server answered 500",
        ),
    ],
)
def test_a_failed_case_is_shown_at_its_turn(row: Row, turn: int | None, question: str, wrong: str, answer: str) -> None:
    """Question and answer are those of the turn that failed, not of the first and the last one."""
    found = failed_case(row)
    assert (found.turn, found.question, found.wrong, found.answer) == (turn, question, wrong, answer)


@pytest.mark.parametrize("reason", ["turn 1: odd", "turn 9: odd"])
def test_a_reason_of_a_plain_case_may_begin_like_a_turn(tmp_path: Path, summary: Summary, reason: str) -> None:
    """An answer without messages is shown whole, whatever its scorer writes."""
    row = replace(report_samples.row(1), scores={"m": Score("m", 0.0, False, reason)})
    found, text = failed_case(row), report_samples.DOMAINS["privacy"][1]
    assert (found.question, found.answer) == (row.case.question, text)
    assert text[:40] in first_wrong(row).text
    assert junit(tmp_path, row, summary)[2].endswith(f"answer: {text}")


def test_the_baseline_answered_the_same_turn() -> None:
    """Beside the answer of a turn stands the baseline's to this turn."""
    before = stored.before()
    found = replace(failed_case(POLICY_FIRST), before=before)
    assert found.before_answer == "That failed: <b>too much</b>."
    assert replace(found, before=None).before_answer is None
    gone = replace(before, output=None)
    assert replace(found, before=gone).before_answer is None


@pytest.mark.parametrize("width", [80, 120])
def test_the_terminal_names_the_turn_once_a_line(width: int) -> None:
    """The worst cases show the turn that failed, at any width."""
    file = io.StringIO()
    print_view(view_of(stored.ROW), Console(file=file, width=width))
    lines = [line.rstrip() for line in file.getvalue().splitlines()]
    at = lines.index("  ✗ r1  medium")
    assert lines[at + 1 : at + 4] == [
        "    asked   When does it arrive?",
        "    wrong   turn 3: missing '14 days'",
        "    answer  Soon.",
    ]


def test_the_comment_names_the_turn_once_a_line() -> None:
    """In the table of the worst failures and in the folded list."""
    text = summary_markdown(view_of(stored.ROW))
    assert "| `r1` | When does it arrive? | turn 3: missing '14 days' | Soon. |" in text
    assert "- `r1` medium · turn 3 · `keywords` 0, `policy` 0 · answer `Soon.`" in text
    assert max(line.count("turn 3") for line in text.splitlines()) == 1


def test_the_analysis_of_failures_shows_the_turn() -> None:
    """The document that people complete has the failing turn's question and answer."""
    text = failure_analysis_markdown(view_of(stored.ROW))
    assert "- Input of turn 3: `When does it arrive?`" in text
    assert "- Answer: `Soon.`" in text


def junit(path: Path, row: Row, summary: Summary) -> tuple[str, Any, Any]:
    """The element of a row that is not a pass: its tag, message and text."""
    write_junit(path / "junit.xml", lambda: [row], summary)
    found = ElementTree.parse(path / "junit.xml").getroot().find(".//testcase/*")  # noqa: S314 - our own output
    assert found is not None
    return found.tag, found.get("message"), found.text


def test_junit_names_the_first_failing_turn(tmp_path: Path, summary: Summary) -> None:
    """Whichever scorer comes first in the row: the message is of the first turn that failed."""
    tag, message, text = junit(tmp_path, stored.ROW, summary)
    assert (tag, message) == (
        "failure",
        f"turn 2: policy 0: {VIOLATION}",
    )
    assert text.split("\n") == [
        f"turn 2: policy 0: {VIOLATION}",
        "turn 3: keywords 0: missing '14 days'",
        "",
        "user: Yes.",
        "answer: That failed: <b>too much</b>.",
    ]
    assert junit(tmp_path, stored.failed(), summary) == ("error", "turn 2: no answer within 5 s", "user: Yes.")
    assert junit(tmp_path, stored.unread(), summary)[:2] == (
        "skipped",
        "turn 2: tone judge_error: the reply had no score",
    )
