"""Write the failure analysis: failures by group, with blanks for causes and remedies."""

from __future__ import annotations

from collections import Counter

from evalkit.report.markdown import error_lines, score_change
from evalkit.report.page import line_markdown
from evalkit.report.records import BLANK
from evalkit.report.survey import FailedCase
from evalkit.report.view import View
from evalkit.text.numbers import plural
from evalkit.text.printable import code, plain

_LISTED = 100
_TEXT_CHARS = 600


def failure_analysis_markdown(view: View) -> str:
    """Group failing cases by kind, severity, metric and cohort, then list the worst with blanks for cause and fix."""
    tally = view.tally
    title = "Worst new failures" if view.failing_are_new else "Worst failures"
    sections = [
        f"# Failure analysis: {plain(view.suite, 120)}",
        f"**{view.word}**: {plain(view.headline)}",
        f"{tally.n_failed:,} of {plural(tally.n, 'case')} failed. Of {plural(tally.n_runs, 'run')}, "
        f"{tally.n_errors:,} had no answer and {tally.n_unscored:,} could not be scored in full.",
        _kinds(view),
        "## Where they are",
        _counts("Severity", tally.severities),
        _counts("Metric", tally.metrics),
        _counts("Cohort", tally.cohorts),
        _counts("Against the baseline", tally.changes),
        f"## {title} ({min(len(view.failing), _LISTED):,} of {view.n_failing:,})" if view.failing else "",
        *(_case(number, failed) for number, failed in enumerate(view.failing[:_LISTED], 1)),
        "## Errors and missing scores\n\n" + _errors(view),
        f"## Patterns and next steps\n\n{BLANK}",
    ]
    return "\n\n".join(section for section in sections if section) + "\n"


def _case(number: int, failed: FailedCase) -> str:
    """Render one failing case with its texts and blanks."""
    row = failed.row
    answer = failed.answer if row.output else f"no answer: {failed.answer}" if row.failure else "no answer"
    asked = "Input" if failed.turn is None else f"Input of turn {failed.turn}"
    lines = [
        f"### {number}. {code(row.case.id, 80)} ({row.case.severity}, {row.case.kind})",
        "",
        *([f"- Failed: {failed.runs}"] if failed.runs else []),
        f"- {asked}: {code(failed.question, _TEXT_CHARS)}",
        f"- Answer: {code(answer, _TEXT_CHARS)}",
        *(f"- Reference: {code(text, _TEXT_CHARS)}" for text in row.case.reference[:2]),
    ]
    if failed.before_answer is not None:
        lines.append(f"- Answer of the baseline: {code(failed.before_answer, _TEXT_CHARS)}")
    lines += [
        f"- {line_markdown(score_change(score, failed))}: {plain(score.reason) or 'no reason given'}"
        for score in failed.failed
    ]
    return "\n".join([*lines, f"- Cause: {BLANK}", f"- Remediation: {BLANK}"])


def _kinds(view: View) -> str:
    """Render a table of the kinds, each with cases to look at and a blank for its cause."""
    if not view.kinds:
        return ""
    rows = [
        f"| {code(line.name, 80, in_table=True)} | {plain(line.words) or '–'} | {line.kind.n:,} | {line.kind.n_new:,} "
        f"| {', '.join(code(name, 60, in_table=True) for name in line.kind.case_ids)} | {BLANK} |"
        for line in view.kinds[:_LISTED]
    ]
    head = ["| Kind | Words in common | Cases | New | Such as | Cause |", "| --- | --- | --- | --- | --- | --- |"]
    said = "Grouped by the model's fault or the scorer that failed first, then by words of question, answer and reason."
    return "\n".join(["## Kinds\n", said, "", *head, *rows])


def _counts(title: str, counts: Counter[str]) -> str:
    if not counts:
        return ""
    rows = [
        f"| {code(name, 80, in_table=True)} | {count:,} |"
        for name, count in sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    ]
    return "\n".join([f"| {title} | Failed |", "| --- | --- |", *rows[:_LISTED]])


def _errors(view: View) -> str:
    return "\n".join(f"- {line_markdown(line)}" for line in error_lines(view)) or "None."
