"""Write JUnit XML: a test suite for each cohort, a test case for each row."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from xml.sax.saxutils import escape, quoteattr

from evalkit.disk.writing import replacing
from evalkit.formats.conversation import MOST_TURNS
from evalkit.formats.labelled_text import shown_text
from evalkit.report.marks import failing_turn, turn_named, value_at, without_turn
from evalkit.report.survey import NO_ADVISORY, Rows, cases_of, failed_scores
from evalkit.report.transcript import exchange
from evalkit.results import OVERALL, Summary
from evalkit.types import Row, Score, Unscored, Verdict, verdict_of

_ILLEGAL = re.compile(r"[^\t\n\r\x20-\x7e\x85\xa0-\ud7ff\ue000-\ufdcf\ufdf0-\ufffd\U00010000-\U0010ffff]")
_TAGS = {"failed": "failure", "system_error": "error", "unscored": "skipped", "skipped": "skipped"}
_BODY_CHARS = 2_000


def write_junit(
    path: Path, rows: Rows, summary: Summary, advisory: frozenset[str] = NO_ADVISORY, repeat_rule: str = "mean"
) -> None:
    r"""Write one `testcase` for each row.

    `failure` is a score below its pass mark, `error` a row without output, `skipped` one without a score. A failed run
    passes, with a note in `system-out`, if its case does not fail by the suite's `repeat_rule`. The suites are the
    values of the first cohort of the summary, else the kinds of cases. Characters that XML 1.0 cannot hold are written
    as `\uXXXX`.
    """
    cohort = _first_cohort(summary)
    suites: dict[str, _Suite] = {}
    for verdict, runs in cases_of(rows(), advisory, repeat_rule):
        for row in runs:
            suites.setdefault(_suite_name(row, cohort), _Suite()).add(row, advisory, verdict)
    total = _Suite.total(suites)
    with replacing(path) as file:
        file.write(f'<?xml version="1.0" encoding="utf-8"?>\n<testsuites name={_attribute(summary.suite)}{total}>\n')
        for name, suite in suites.items():
            file.write(f"<testsuite name={_attribute(name)}{suite.attributes()}>\n")
            file.writelines(suite.lines)
            file.write("</testsuite>\n")
        file.write("</testsuites>\n")


class _Suite:
    """The lines of one `testsuite` with their counts."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self.counts = {"failure": 0, "error": 0, "skipped": 0}
        self.time_s = 0.0

    def add(self, row: Row, advisory: frozenset[str], case: Verdict) -> None:
        """Render one row of a case."""
        verdict = verdict_of(row, advisory)
        is_flaky = verdict == "failed" and case != "failed" and not row.case.quarantine
        tag = "skipped" if row.case.quarantine else None if is_flaky else _TAGS.get(verdict)
        latency_s = row.output.latency_s if row.output and not row.output.replayed else None
        self.time_s += latency_s or 0.0
        name = row.case.id if row.repeat == 0 else f"{row.case.id} #{row.repeat}"
        time = f' time="{latency_s:.3f}"' if latency_s is not None else ""
        head = f"<testcase classname={_attribute(row.case.kind)} name={_attribute(name)}{time}"
        if is_flaky:
            said = f"this run failed, its case does not fail: {_explained(row, advisory)[1]}"
            self.lines.append(f"{head}><system-out>{_text(said)}</system-out></testcase>\n")
            return
        if tag is None:
            self.lines.append(f"{head}/>\n")
            return
        self.counts[tag] += 1
        kind, message, body = _explained(row, advisory)
        kind = "" if tag == "skipped" else f" type={_attribute(kind)}"
        self.lines.append(f"{head}><{tag}{kind} message={_attribute(message)}>{_text(body)}</{tag}></testcase>\n")

    def attributes(self) -> str:
        """Return the exact counts of this suite."""
        counts = self.counts
        return (
            f' tests="{len(self.lines)}" failures="{counts["failure"]}" errors="{counts["error"]}"'
            f' skipped="{counts["skipped"]}" time="{self.time_s:.3f}"'
        )

    @classmethod
    def total(cls, suites: Mapping[str, _Suite]) -> str:
        """Return the counts of all suites together."""
        whole = cls()
        for suite in suites.values():
            whole.lines += suite.lines
            whole.time_s += suite.time_s
            for tag, count in suite.counts.items():
                whole.counts[tag] += count
        return whole.attributes()


def _first_cohort(summary: Summary) -> str | None:
    """Return the name of the cohort that the summary lists first: `domain` of `domain=aml`."""
    named = (cell.cohort for cell in summary.cells if cell.cohort != OVERALL and "=" in cell.cohort)
    first = next(named, None)
    return first.partition("=")[0] if first else None


def _suite_name(row: Row, cohort: str | None) -> str:
    value = row.case.cohorts.get(cohort) if cohort else None
    return f"kind={row.case.kind}" if value is None else f"{cohort}={value}"


def _explained(row: Row, advisory: frozenset[str]) -> tuple[str, str, str]:
    """Return the type, message and body of a result other than a pass; the message names the first failing turn."""
    if row.case.quarantine:
        return "skipped", f"in quarantine: {row.case.quarantine}", ""
    if row.skipped is not None:
        return "skipped", row.skipped, ""
    if row.failure is not None:
        found = exchange(row, turn_named(row.failure.message)[0])
        return row.failure.kind, row.failure.message, f"user: {found[0]}" if found else ""
    grades = [grade for grade in row.scores.values() if grade.metric not in advisory]
    unscored = [grade for grade in grades if isinstance(grade, Unscored)]
    wrong = [*_by_turn(failed_scores(row, advisory)), *_by_turn(unscored)]
    lines = [_line(grade) for grade in wrong]
    return "below_pass_mark", lines[0], "\n".join(lines) + _said(row, failing_turn(wrong[0]))


def _by_turn(grades: Iterable[Score | Unscored]) -> list[Score | Unscored]:
    """Return grades of turns in the order of the turns, then the others in the order of the row."""
    return sorted(grades, key=lambda grade: failing_turn(grade) or MOST_TURNS + 1)


def _line(grade: Score | Unscored) -> str:
    turn = failing_turn(grade)
    if isinstance(grade, Unscored):
        said = f"{grade.metric} {grade.kind}: {without_turn(grade.message, turn)}"
    else:
        said = f"{grade.metric} {value_at(grade, turn):.4g}: {without_turn(grade.reason, turn)}"
    return said if turn is None else f"turn {turn}: {said}"


def _said(row: Row, turn: int | None) -> str:
    """Return the answer; for a conversation, the user's message in that turn and the answer to it."""
    if row.output is None:
        return ""
    found = exchange(row, turn)
    return f"\n\nanswer: {shown_text(row.output)}" if found is None else f"\n\nuser: {found[0]}\nanswer: {found[1]}"


def _legal(text: str) -> str:
    return _ILLEGAL.sub(lambda match: f"\\u{ord(match[0]):04x}", text[:_BODY_CHARS])


def _attribute(text: str) -> str:
    """Quote an attribute; line breaks are kept as character references."""
    return quoteattr(_legal(text))


def _text(text: str) -> str:
    return escape(_legal(text))
