"""The summary for a job page or a pull request comment: verdict, cause, cohorts, worst cases, judges, changes, cost."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace

from evalkit.report.cohort_table import CohortCell, CohortRow
from evalkit.report.headline import ORDER, subject
from evalkit.report.page import STEP_SUMMARY_BYTES, Code, Line, Page, Section, Table, markdown
from evalkit.report.survey import FailedCase
from evalkit.report.view import GateLine, View
from evalkit.results import OVERALL, Amendment, Comparison
from evalkit.text.numbers import plural
from evalkit.text.printable import MODEL_TEXT_CHARS, one_line
from evalkit.types import Score

MARKS = {
    "pass": "✓ pass",
    "warn": "! warn",
    "block": "✗ block",
    "insufficient evidence": "? unproven",
    "no decision": "? undecided",
}
_ROWS, _COLUMNS, _SCORES = 30, 30, 8
_CHECKS = 12
_WARNINGS = 6
"""Rows that warnings may fill up; what decides is shown beyond them."""
_WORST = 10
_LISTED = 100
_GATE_HEAD: tuple[Line, ...] = (("Check",), ("Now",), ("Base",), ("Drop",), ("Need",), ("Outcome",))


def summary_markdown(view: View, limit_bytes: int = STEP_SUMMARY_BYTES) -> str:
    """Render the ten-second summary in at most `limit_bytes` bytes of UTF-8."""
    return markdown(page_of(view), limit_bytes)


def page_of(view: View) -> Page:
    """What a reader has to know in ten seconds, and the rest folded below it."""
    found = view.comparison
    moved = (
        found is None
        or found.new_failures
        or found.fixed
        or found.removed
        or found.changed
        or found.added
        or view.amendments
    )
    sections = tuple(section for build in _SECTIONS if (section := build(view)) is not None)
    return Page(
        suite=view.suite,
        outcome=view.outcome,
        headline=view.headline,
        facts=view.facts,
        partial=view.partial,
        head=view.head,
        sections=sections,
        news=bool(view.outcome != "approved" or moved or view.amendments),
    )


def _code(text: str, limit: int = MODEL_TEXT_CHARS) -> Code:
    return Code(one_line(text, limit))


def _gate_table(view: View) -> Section:
    """The checks that ask for action, and how many others there are."""
    if not view.gates:
        return Section(lines=(("No check was asked for.",),))
    deciding = sum(line.outcome != "warn" for line in view.pressing)
    shown = view.pressing[: min(_CHECKS, max(_WARNINGS, deciding))]
    counts = Counter(line.outcome for line in view.gates)
    hidden = len(view.pressing) - len(shown)
    others = [f"{hidden:,} more in the report"] if hidden else []
    others += [f"{MARKS[name]} × {counts[name]:,}" for name in ("insufficient evidence", "pass") if counts[name]]
    said = [_said(line) for line in shown if line.check.reason]
    return Section(
        table=Table(_GATE_HEAD, tuple(map(_gate_cells, shown))) if shown else None,
        lines=((" · ".join(others),),) if others else (),
        bullets=tuple(said[:3]),
    )


def _said(line: GateLine) -> Line:
    """The reason of a check, after its name where the reason does not name it."""
    reason = one_line(line.check.reason, 300)
    names = {line.check.metric, line.check.cohort} - {OVERALL, ""}
    return (reason,) if all(name in reason for name in names) else (_code(_name(line), 100), f": {reason}")


def _gate_cells(line: GateLine) -> tuple[Line, ...]:
    words = (line.now or "–", line.base or "–", line.drop or "–", line.need)
    return ((_code(_name(line), 100),), *((one_line(word, 100),) for word in words), (MARKS[line.outcome],))


def _name(line: GateLine) -> str:
    """What a check looks at; base and drop beside it say where it is a comparison."""
    return subject(line.check) if line.check.name == "no_regression" else line.subject


def _cohort_table(view: View) -> Section | None:
    """The cohorts and metrics with a check that asks for action, the most urgent first."""
    urgent = {line.check.cohort: ORDER.index(line.outcome) for line in reversed(view.pressing)}
    names = {line.check.metric for line in view.pressing}
    rows = sorted((row for row in view.cohorts if row.cohort in urgent), key=lambda row: urgent[row.cohort])
    columns = [place for place, metric in enumerate(view.metrics) if metric.name in names]
    return _cohorts(view, "Cohorts to look at", rows[:_CHECKS], columns) if rows and columns else None


def _cohorts(
    view: View, title: str, rows: Iterable[CohortRow], columns: Sequence[int], *, folded: bool = False
) -> Section:
    shown, hidden = columns[:_COLUMNS], len(columns) - _COLUMNS
    head: tuple[Line, ...] = (("Cohort",), *((_code(view.metrics[place].name, 60),) for place in shown))
    body = [((_code(row.cohort, 80),), *(_cohort_cell(row.cells[place]) for place in shown)) for row in rows]
    section = _tabled(title, head, body, folded=folded)
    more = ((f"{plural(hidden, 'more metric')} in the report",),) if hidden > 0 else ()
    return replace(section, lines=(*section.lines, *more))


def _cohort_cell(cell: CohortCell | None) -> Line:
    if cell is None:
        return ("–",)
    if cell.cell.estimate.value is None:
        return (f"undefined: {one_line(cell.reason, 80)}" if cell.reason else "undefined",)
    mark = f" {MARKS[cell.outcome].split()[0]}" if cell.outcome not in (None, "pass") else ""
    return (f"{cell.value} {cell.interval} n={cell.n:,}{mark}",)


def _worst(view: View) -> Section | None:
    """Up to ten cases, one line each."""
    if not view.failing:
        return None
    shown = view.failing[:_WORST]
    return Section(
        title="Worst new failures" if view.failing_are_new else "Worst failures",
        note=f"({len(shown)} of {view.n_failing:,})",
        bullets=tuple(map(_worst_line, shown)),
    )


def _worst_line(failed: FailedCase) -> Line:
    row = failed.row
    said = row.output.text if row.output else f"{row.failure.kind}: {row.failure.message}" if row.failure else ""
    scores = [span for score in failed.failed[:_SCORES] for span in (*score_change(score, failed), ",")][:-1]
    hidden = len(failed.failed) - _SCORES
    state = [*scores, f"and {hidden:,} more"] if hidden > 0 else scores or [row.state.replace("_", " ")]
    runs = [f"{failed.runs} ·"] if failed.runs else []
    return (_code(row.case.id, 80), f"{row.case.severity} ·", *runs, *state, "· answer", _code(said))


def score_change(score: Score, failed: FailedCase) -> Line:
    """Write `faithfulness 0.92 → 0.31`, the new value alone without a baseline, `failed` where nothing moved."""
    before = failed.before.scores.get(score.metric) if failed.before else None
    was = before.value if isinstance(before, Score) else None
    change = (
        "failed" if was == score.value else f"{score.value:.3g}" if was is None else f"{was:.3g} → {score.value:.3g}"
    )
    return (_code(score.metric, 60), change)


def judge_lines(view: View) -> tuple[Line, ...]:
    """Trust of every judge, one line each, and what people's labels say of its figures."""
    lines: list[Line] = [
        (_code(panel.metric, 60), "by", _code(panel.judge, 80), one_line(panel.standing, 300))
        for panel in view.panels[:_ROWS]
    ]
    return (*lines, *((one_line(sentence, 300),) for sentence in view.corrections[:_ROWS]))


def _judges(view: View) -> Section | None:
    """Overall; the cohorts of a judge are in the report."""
    lines = judge_lines(view)
    return Section(title="Judge trust", bullets=lines) if lines else None


def _amendments(view: View) -> Section | None:
    """What the same change did to its own rules, the looser ones marked."""
    if not view.amendments:
        return None
    return Section(
        title="Rules, labels and cases that changed",
        note=f"since {one_line(view.amended_since, 80)}" if view.amended_since else "",
        bullets=tuple(map(amendment_line, view.amendments[:_ROWS])),
    )


def amendment_line(each: Amendment) -> Line:
    """Write ``! looser `gate pass_rate.min` 0.85 → 0.80``."""
    change = f"{one_line(each.before, 100)} → {one_line(each.after, 100)}" if each.before or each.after else ""
    words = " ".join(filter(None, (change, f"({each.note})" if each.note else "")))
    mark = ("! looser:",) if each.loosens else ()
    return (*mark, _code(each.what, 100), words) if words else (*mark, _code(each.what, 100))


def _changes(view: View) -> Section | None:
    """What the comparison lists, in counts and first ids."""
    found = view.comparison
    if found is None:
        return None
    counts = ", ".join(f"{word} {len(ids):,}" for word, ids in _listed(found))
    named = [(word, ids) for word, ids in _listed(found) if word in ("removed", "added", "changed") and ids]
    return Section(
        title="Against the baseline",
        note=f"{one_line(found.baseline_id, 120)}: {found.n_paired:,} pairs; {counts}",
        bullets=tuple((f"{word}:", *_first_ids(ids)) for word, ids in named),
    )


def _first_ids(ids: Sequence[str]) -> Line:
    spans = [span for case_id in ids[:5] for span in (_code(case_id, 60), ",")][:-1]
    return (*spans, f"and {len(ids) - 5:,} more") if len(ids) > 5 else tuple(spans)


def _listed(found: Comparison) -> tuple[tuple[str, tuple[str, ...]], ...]:
    return (
        ("new failures", found.new_failures),
        ("fixed", found.fixed),
        ("still failing", found.still_failing),
        ("added", found.added),
        ("removed", found.removed),
        ("changed", found.changed),
    )


def _resources(view: View) -> Section | None:
    alone = tuple((_code(name, 60), one_line(value, 120)) for name, value in view.resources_alone)
    if not view.resources:
        return Section(title="Latency and cost", folded=True, bullets=alone) if alone else None
    head: tuple[Line, ...] = (("Cohort",), *((_code(name, 60),) for name in view.resource_metrics))
    rows: list[tuple[Line, ...]] = [
        ((_code(row.cohort, 80),), *((one_line(value, 120) or "–",) for value in row.values)) for row in view.resources
    ]
    return replace(_tabled("Latency and cost", head, rows, folded=True), bullets=alone)


def error_lines(view: View) -> tuple[Line, ...]:
    """Every kind of error with its count and first case."""
    return tuple(
        (f"{line.state}", _code(line.kind, 60), f"× {line.count:,}")
        + ((", first", _code(line.example.case_id, 60), ":", _code(line.example.message)) if line.example else ())
        for line in view.errors[:_ROWS]
    )


def _errors(view: View) -> Section | None:
    lines = error_lines(view)
    return Section(title="Errors and missing scores", bullets=lines) if lines else None


def _other_checks(view: View) -> Section | None:
    lines = [line for line in view.gates if line not in view.pressing]
    return _tabled("Other checks", _GATE_HEAD, list(map(_gate_cells, lines)), folded=True) if lines else None


def _all_cohorts(view: View) -> Section | None:
    columns = range(len(view.metrics))
    return _cohorts(view, "All cohorts", view.cohorts, columns, folded=True) if view.cohorts and columns else None


def _notes(view: View) -> Section | None:
    return Section(bullets=tuple((one_line(note, 400),) for note in view.notes[:_LISTED])) if view.notes else None


def _provenance(view: View) -> Section | None:
    lines = tuple((f"{one_line(name, 60)}:", _code(value, 200)) for name, value in view.provenance[:_LISTED])
    return Section(title="Provenance", folded=True, bullets=lines) if lines else None


_SECTIONS: tuple[Callable[[View], Section | None], ...] = (
    _gate_table,
    _cohort_table,
    _worst,
    _judges,
    _amendments,
    _changes,
    _errors,
    _notes,
    _other_checks,
    _all_cohorts,
    _resources,
    _provenance,
)


def _tabled(title: str, head: tuple[Line, ...], rows: Sequence[tuple[Line, ...]], *, folded: bool) -> Section:
    """A table of at most `_ROWS` rows that says how many it hides."""
    hidden = len(rows) - _ROWS
    more: tuple[Line, ...] = ((f"{plural(hidden, 'more row')} in the report",),) if hidden > 0 else ()
    return Section(title=title, folded=folded, table=Table(head, tuple(rows[:_ROWS])), lines=more)
