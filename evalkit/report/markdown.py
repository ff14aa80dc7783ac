"""The summary for a job page or a pull request comment: verdict, cause, cohorts, worst cases, judges, cost."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterable, Sequence

from evalkit.report.cohort_table import CohortCell, CohortRow
from evalkit.report.headline import ORDER
from evalkit.report.numbers import plural
from evalkit.report.survey import FailedCase
from evalkit.report.texts import code, plain
from evalkit.report.view import GateLine, View
from evalkit.results import Comparison
from evalkit.types import Score

COMMENT_BYTES = 60_000
"""Fits a pull request comment, which ends at 65,536 characters."""
STEP_SUMMARY_BYTES = 900_000
"""Fits a job summary, which is lost whole beyond 1 MiB."""
MARKS = {
    "pass": "✓ pass",
    "warn": "! warn",
    "block": "✗ block",
    "insufficient evidence": "? unproven",
    "no decision": "? undecided",
}
ICONS = {"approved": "✅", "approved with conditions": "🟡", "blocked": "❌", "no decision": "⚪"}
_ROWS = 30
_CHECKS = 12
_WORST = 10


def summary_markdown(view: View, limit_bytes: int = STEP_SUMMARY_BYTES) -> str:
    """Render the ten-second summary in at most `limit_bytes` bytes of UTF-8.

    Sections are dropped whole from the bottom and counted; the marker and the verdict stay even where they alone are
    longer than the limit.
    """
    sections = [section for build in _SECTIONS if (section := build(view))]
    for kept in range(len(sections), -1, -1):
        hidden = len(sections) - kept
        parts = [_head(view), *sections[:kept]]
        if hidden:
            parts.append(f"_{plural(hidden, 'section')} hidden to fit the size limit; see the report file._")
        text = "\n\n".join(parts) + "\n"
        if len(text.encode("utf-8", "replace")) <= limit_bytes:
            return text
    return _head(view) + "\n"


def marker(suite: str) -> str:
    """The hidden line by which a comment is found again."""
    return f"<!-- evalkit: {re.sub(r'[^A-Za-z0-9._]+', '_', suite)[:80]} -->"


def _head(view: View) -> str:
    """Marker, verdict, facts."""
    partial = f"\n\n**Partial run, not a gate:** {plain(view.partial)}" if view.partial else ""
    facts = " · ".join(plain(fact, 120) for fact in view.facts)
    title = f"### {ICONS[view.outcome]} evalkit: {view.word} — {plain(view.headline)}"
    head = f"\n\nhead {code(view.head)}" if view.head else ""
    return f"{marker(view.suite)}\n{title}\n\n{plain(view.suite, 80)} · {facts}{partial}{head}"


def _gate_table(view: View) -> str:
    """The checks that ask for action, and how many others there are."""
    if not view.gates:
        return "_No check was asked for._"
    lines = view.pressing[:_CHECKS]
    counts = Counter(line.outcome for line in view.gates)
    hidden = len(view.pressing) - len(lines)
    others = [f"{hidden:,} more in the report"] if hidden else []
    others += [f"{MARKS[name]} × {counts[name]:,}" for name in ("insufficient evidence", "pass") if counts[name]]
    table = _table(GATE_HEAD, map(_gate_cells, lines)) + "\n\n" if lines else ""
    return f"{table}{' · '.join(others)}{_reasons(lines)}"


GATE_HEAD = ("Check", "Now", "Base", "Drop", "Need", "Outcome")


def _gate_cells(line: GateLine) -> tuple[str, ...]:
    words = (line.now or "–", line.base or "–", line.drop or "–", line.need)
    return (code(line.subject, 100, in_table=True), *(plain(word, 100) for word in words), MARKS[line.outcome])


def _reasons(lines: Sequence[GateLine]) -> str:
    """The gate's own words on the first lines that have some."""
    said = [f"- {code(line.subject, 100)}: {plain(line.check.reason, 300)}" for line in lines if line.check.reason]
    return "\n\n" + "\n".join(said[:3]) if said else ""


def _cohort_table(view: View) -> str:
    """The cohorts and metrics with a check that asks for action, the most urgent first."""
    urgent = {line.check.cohort: ORDER.index(line.outcome) for line in reversed(view.pressing)}
    names = {line.check.metric for line in view.pressing}
    rows = sorted((row for row in view.cohorts if row.cohort in urgent), key=lambda row: urgent[row.cohort])
    columns = [place for place, metric in enumerate(view.metrics) if metric.name in names]
    return "**Cohorts to look at**\n\n" + _cohorts(view, rows[:_CHECKS], columns) if rows and columns else ""


def _cohorts(view: View, rows: Iterable[CohortRow], columns: Sequence[int]) -> str:
    head = ("Cohort", *(code(view.metrics[place].name, 60, in_table=True) for place in columns))
    body = (
        (code(row.cohort, 80, in_table=True), *(_cohort_cell(row.cells[place]) for place in columns)) for row in rows
    )
    return _table(head, body)


def _cohort_cell(cell: CohortCell | None) -> str:
    if cell is None:
        return "–"
    if cell.cell.estimate.value is None:
        return f"undefined: {plain(cell.reason, 80)}" if cell.reason else "undefined"
    mark = f" {MARKS[cell.outcome].split()[0]}" if cell.outcome not in (None, "pass") else ""
    return plain(f"{cell.value} {cell.interval}") + f" n={cell.n:,}{mark}"


def _worst(view: View) -> str:
    """Up to ten cases, one line each."""
    if not view.failing:
        return ""
    title = "Worst new failures" if view.failing_are_new else "Worst failures"
    shown = view.failing[:_WORST]
    lines = [f"**{title}** ({len(shown)} of {view.n_failing:,})", *map(_worst_line, shown)]
    return "\n".join([lines[0], "", *lines[1:]])


def _worst_line(failed: FailedCase) -> str:
    row = failed.row
    scores = ", ".join(score_change(score, failed) for score in failed.failed)
    said = row.output.text if row.output else f"{row.failure.kind}: {row.failure.message}" if row.failure else ""
    return (
        f"- {code(row.case.id, 80)} {row.case.severity} · {scores or row.state.replace('_', ' ')} · answer {code(said)}"
    )


def score_change(score: Score, failed: FailedCase) -> str:
    """Write `faithfulness 0.92 → 0.31`, or the new value alone where the baseline has none."""
    before = failed.before.scores.get(score.metric) if failed.before else None
    was = f"{before.value:.3g} → " if isinstance(before, Score) and before.value != score.value else ""
    return f"{code(score.metric, 60)} {was}{score.value:.3g}"


def _judges(view: View) -> str:
    """Trust of every judge, one line each."""
    lines = [
        f"- {code(line.name, 80)} against {plain(line.agreement.rater_kind, 40)} in {code(line.agreement.cohort, 60)}: "
        f"kappa {plain(line.kappa, 160)}, {plural(line.n, 'label')}: {line.verdict}"
        for line in view.judges[:_ROWS]
    ]
    lines += [f"- {plain(sentence, 300)}" for sentence in view.corrections[:_ROWS]]
    return "\n".join(["**Judge trust**", "", *lines]) if lines else ""


def _changes(view: View) -> str:
    """What the comparison lists, in counts and first ids."""
    found = view.comparison
    if found is None:
        return ""
    counts = ", ".join(f"{word} {len(ids):,}" for word, ids in _listed(found))
    lines = [f"**Against the baseline** {plain(found.baseline_id, 120)}: {found.n_paired:,} pairs; {counts}"]
    for word, ids in _listed(found):
        if word in ("removed", "added", "changed") and ids:
            more = f" and {len(ids) - 5:,} more" if len(ids) > 5 else ""
            lines.append(f"- {word}: {', '.join(code(case_id, 60) for case_id in ids[:5])}{more}")
    return "\n".join([lines[0], "", *lines[1:]]) if len(lines) > 1 else lines[0]


def _listed(found: Comparison) -> tuple[tuple[str, tuple[str, ...]], ...]:
    return (
        ("new failures", found.new_failures),
        ("fixed", found.fixed),
        ("still failing", found.still_failing),
        ("added", found.added),
        ("removed", found.removed),
        ("changed", found.changed),
    )


def _resources(view: View) -> str:
    if not view.resources:
        return ""
    head = ("Cohort", *(code(name, 60, in_table=True) for name in view.resource_metrics))
    rows = (
        (code(row.cohort, 80, in_table=True), *(plain(value, 120) or "–" for value in row.values))
        for row in view.resources
    )
    return _details("Latency and cost", _table(head, rows))


def _errors(view: View) -> str:
    lines = [
        f"- {line.state} {code(line.kind, 60)} × {line.count:,}"
        + (f", first {code(line.example.case_id, 60)}: {code(line.example.message)}" if line.example else "")
        for line in view.errors[:_ROWS]
    ]
    return "\n".join(["**Errors and missing scores**", "", *lines]) if lines else ""


def _other_checks(view: View) -> str:
    lines = [line for line in view.gates if line not in view.pressing]
    return _details("Other checks", _table(GATE_HEAD, map(_gate_cells, lines))) if lines else ""


def _all_cohorts(view: View) -> str:
    columns = range(len(view.metrics))
    return _details("All cohorts", _cohorts(view, view.cohorts, columns)) if view.cohorts and columns else ""


def _notes(view: View) -> str:
    return "\n".join(f"- {plain(note)}" for note in view.notes)


def _provenance(view: View) -> str:
    lines = "\n".join(f"- {plain(name, 60)}: {code(value, 200)}" for name, value in view.provenance)
    return _details("Provenance", lines) if lines else ""


_SECTIONS: tuple[Callable[[View], str], ...] = (
    _gate_table,
    _cohort_table,
    _worst,
    _judges,
    _changes,
    _errors,
    _notes,
    _other_checks,
    _all_cohorts,
    _resources,
    _provenance,
)


def _table(head: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> str:
    """A table of at most `_ROWS` rows that says how many it hides."""
    body = [f"| {' | '.join(cells)} |" for cells in rows]
    hidden = f"\n\n{plural(len(body) - _ROWS, 'more row')} in the report" if len(body) > _ROWS else ""
    return "\n".join([f"| {' | '.join(head)} |", f"|{' --- |' * len(head)}", *body[:_ROWS]]) + hidden


def _details(title: str, body: str) -> str:
    return f"<details><summary>{title}</summary>\n\n{body}\n\n</details>"
