"""Write the summary for a job page or a pull request comment: what happened, why, what next; the rest is folded."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace

from evalkit.report.cohort_table import CohortCell, CohortRow
from evalkit.report.gate_lines import GateLine
from evalkit.report.headline import subject
from evalkit.report.markdown_changes import amendments_section, changes_section, code, first_ids
from evalkit.report.nodes import NODE_COLUMNS
from evalkit.report.page import NEXT, STEP_SUMMARY_BYTES, Code, Line, Page, Section, Table, markdown
from evalkit.report.survey import FailedCase
from evalkit.report.variants import VariantTable
from evalkit.report.view import View
from evalkit.results import OVERALL, CheckOutcome
from evalkit.text.numbers import plural
from evalkit.text.printable import one_line
from evalkit.types import Score

MARKS = {
    "pass": "✓ pass",
    "warn": "! warn",
    "block": "✗ block",
    "insufficient evidence": "? unproven",
    "no decision": "? undecided",
}
_HASH = re.compile(r"#[0-9a-f]{8}\b")
_BOTH_HIDDEN = re.compile(rf"{_HASH.pattern} → {_HASH.pattern}")
_ROWS, _COLUMNS, _SCORES = 30, 30, 8
_WORST = 10
_LISTED = 100
_GATE_HEAD: tuple[Line, ...] = (("Check",), ("Now",), ("Base",), ("Drop",), ("Need",), ("Outcome",))
MOST_WORDS = 250
"""Maximum number of words in a comment before a fold is opened, with the titles of the folds."""
_HEADLINE_WORDS, _FOOT_WORDS, _COMMAND_WORDS = 24, 10, 16
_CHOICES = ((3, 3), (3, 2), (2, 2), (2, 1), (1, 1))
"""Reasons and cases to show; the first that fits is taken."""
_REASON_WORDS, _QUESTION_WORDS, _WRONG_WORDS, _ANSWER_WORDS, _NAME_WORDS = 16, 9, 8, 9, 4


def summary_markdown(view: View, limit_bytes: int = STEP_SUMMARY_BYTES) -> str:
    """Render the ten-second summary in at most `limit_bytes` bytes of UTF-8."""
    return markdown(page_of(view), limit_bytes)


def page_of(view: View) -> Page:
    """Build the page: the essentials in at most `MOST_WORDS` words, and the rest folded below."""
    found = view.comparison
    moved = (
        found is None or found.new_failures or found.fixed or found.removed or found.changed or found.added
    )  # fmt: skip
    headline = few_words(view.headline.replace("`", ""), _HEADLINE_WORDS)
    facts = (*view.facts[:2], *view.moves, *((*view.facts[2:], view.caveat) if view.caveat else ()))
    folded = tuple(section for build in _FOLDED if (section := build(view)) is not None)
    folded = (*folded, *map(_variants, view.variants))
    titles = [(section.title, section.note) for section in folded]
    room = (
        MOST_WORDS - _FOOT_WORDS - _words([(view.suite, view.outcome, headline, view.partial or "", *facts), *titles])
    )
    choices = (_visible(view, reasons, cases) for reasons, cases in _CHOICES)
    shown = next((sections for sections in choices if sum(map(_words_of, sections)) <= room), _visible(view, 1, 1))
    return Page(
        suite=view.suite,
        outcome=view.outcome,
        headline=headline,
        facts=facts,
        partial=view.partial,
        head=view.head,
        sections=(*shown, *folded),
        compares=view.compares,
        news=bool(view.outcome != "approved" or moved or view.amendments),
    )


def _visible(view: View, reasons: int, cases: int) -> tuple[Section, ...]:
    """Return the sections on why and next, with so many checks, reasons and kinds, and so many cases."""
    found = (_why(view, reasons), _cases_to_look_at(view, cases), _next(view))
    return tuple(section for section in found if section is not None)


def _words_of(section: Section) -> int:
    """Count the visible words of a section."""
    table = [cell for row in (section.table.head, *section.table.rows) for cell in row] if section.table else []
    return _words([(section.title, section.note), *table, *section.lines, *section.bullets])


def words_of_page(page: Page) -> int:
    """Count the visible words of a page without folded sections."""
    head = _words([("evalkit", page.suite, page.outcome, page.headline, page.partial or "", *page.facts)])
    return head + sum(map(_words_of, page.sections))


def _words(lines: Iterable[Line]) -> int:
    texts = (span.text if isinstance(span, Code) else span for line in lines for span in line)
    return sum(any(map(str.isalnum, word)) for text in texts for word in text.split())


def few_words(text: str, most: int) -> str:
    """Return the first words of a text on one line, with an ellipsis if it was cut."""
    words = one_line(text, 300).split()
    return " ".join(words) if len(words) <= most else " ".join(words[:most]) + " …"


def _why(view: View, most: int) -> Section | None:
    """Return the checks that decided, the other reasons, the kinds of failures, and what else moved."""
    shown = [line for line in view.gates if line.outcome in _deciding(view) and line.now and line.base]
    looser = [_without_hashes(str(each)) for each in view.amendments if each.loosens]
    alike = [str(line) for line in view.kinds if view.news and line.kind.state == "failed"]
    lines = [
        sentence("Changed rules, looser", looser, most, 6 * most),
        sentence("Failing alike", alike, most, 10 * most),
        sentence("What else moved", [str(shift) for shift in view.shifts], 4, 26),
    ]
    reasons = [few_words(reason, _REASON_WORDS) for reason in view.why[:most]]
    hidden = len(view.why) - len(reasons)
    bullets = [(reason,) for reason in reasons] + ([(f"{plural(hidden, 'more reason')}",)] if hidden > 0 else [])
    section = Section(
        title="Why",
        table=_short_table(shown[:most]),
        lines=tuple(line for line in lines if line),
        bullets=tuple(bullets),
    )
    return section if section.table or section.lines or section.bullets else None


def _deciding(view: View) -> tuple[CheckOutcome, ...]:
    """Return the outcomes of the checks that decided."""
    return {"blocked": ("block",), "approved with conditions": ("warn",)}.get(view.outcome, ())  # type: ignore[return-value]


def _short_table(lines: Sequence[GateLine]) -> Table | None:
    """Return the table of checks with one interval on each line: that of the drop."""
    rows = [
        tuple((few_words(word, _NAME_WORDS),) for word in (_name(line), line.base, line.now.split(" [")[0], line.drop))
        for line in lines
    ]
    return Table((("Check",), ("Before",), ("Now",), ("Drop",)), tuple(rows)) if rows else None


def sentence(title: str, parts: Sequence[str], most: int, words: int) -> Line:
    """Format `Title: first · second · 3 more`; empty without parts.

    Args:
        title: title of the list.
        parts: any number.
        most: parts to show.
        words: words of the parts that are shown; only the first part is cut.
    """
    kept: list[str] = []
    for part in parts[:most]:
        short = one_line(part, 300) if kept else few_words(part, words)
        if kept and _words([(*kept, short)]) > words:
            break
        kept.append(short)
    more = [f"{len(parts) - len(kept):,} more"] if len(parts) > len(kept) else []
    return (f"{title}: {' · '.join([*kept, *more])}",) if kept else ()


def _without_hashes(change: str) -> str:
    """Return a change without hashes of values; these are in the folded part."""
    return _HASH.sub("a hidden value", _BOTH_HIDDEN.sub("a hidden value → another", change))


def _cases_to_look_at(view: View, most: int) -> Section | None:
    """Return the worst cases with question, fault and answer."""
    if not view.failing or not view.news:
        return None
    shown = view.failing[:most]
    return Section(
        title="Worst new failures" if view.failing_are_new else "Worst failures",
        note=f"({len(shown)} of {view.n_failing:,})",
        table=Table((("Case",), ("Question",), ("Wrong",), ("Answer",)), tuple(map(_case_cells, shown))),
    )


def _case_cells(failed: FailedCase) -> tuple[Line, ...]:
    wrong = failed.wrong + (f" ({failed.runs})" if failed.runs else "")
    return (
        (code(few_words(failed.row.case.id, 3), 60),),
        (few_words(one_line(failed.question, 90), _QUESTION_WORDS),),
        (few_words(one_line(wrong, 90), _WRONG_WORDS),),
        (few_words(one_line(failed.answer, 90), _ANSWER_WORDS),),
    )


def _next(view: View) -> Section | None:
    """Return what to do next, with commands to copy."""
    lines = tuple(
        (f"{few_words(step.text, 9)}:", code(step.command, 200))
        if 0 < len(step.command.split()) <= _COMMAND_WORDS
        else (few_words(step.text, 9),)
        for step in view.next[:2]
    )
    return Section(title=NEXT, bullets=lines) if lines else None


def _checks(view: View) -> Section:
    """Return all checks, the most urgent first, and the reasons of those that ask for action."""
    if not view.gates:
        return Section(title="Checks", folded=True, lines=(("No check was asked for.",),))
    section = _tabled("Checks", _GATE_HEAD, list(map(_gate_cells, view.gates)), folded=True)
    return replace(section, bullets=tuple(_said(line) for line in view.pressing if line.check.reason)[:_ROWS])


def _said(line: GateLine) -> Line:
    """Return the reason of a check, preceded by its name if the reason does not name it."""
    reason = one_line(line.check.reason, 300)
    names = {line.check.metric, line.check.cohort} - {OVERALL, ""}
    return (reason,) if all(name in reason for name in names) else (code(_name(line), 100), f": {reason}")


def _gate_cells(line: GateLine) -> tuple[Line, ...]:
    words = (line.now or "–", line.base or "–", line.drop or "–", line.need)
    return ((code(_name(line), 100),), *((one_line(word, 100),) for word in words), (MARKS[line.outcome],))


def _name(line: GateLine) -> str:
    """Return the subject of a check; for a comparison, base and drop are in other columns."""
    return subject(line.check) if line.check.name == "no_regression" else line.subject


def _cohorts(
    view: View, title: str, rows: Iterable[CohortRow], columns: Sequence[int], *, folded: bool = False
) -> Section:
    shown, hidden = columns[:_COLUMNS], len(columns) - _COLUMNS
    head: tuple[Line, ...] = (("Cohort",), *((code(view.metrics[place].name, 60),) for place in shown))
    body = [((code(row.cohort, 80),), *(_cohort_cell(row.cells[place]) for place in shown)) for row in rows]
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
    """Return up to ten cases in full: scores before and now, and the answer."""
    if not view.failing:
        return None
    shown = view.failing[:_WORST]
    return Section(
        title="Failing cases", folded=True, note=f"({len(shown)} of {view.n_failing:,})",
        bullets=tuple(map(_worst_line, shown)),
    )  # fmt: skip


def _worst_line(failed: FailedCase) -> Line:
    row = failed.row
    scores = [span for score in failed.failed[:_SCORES] for span in (*score_change(score, failed), ",")][:-1]
    hidden = len(failed.failed) - _SCORES
    state = [*scores, f"and {hidden:,} more"] if hidden > 0 else scores or [row.state.replace("_", " ")]
    runs = [f"{failed.runs} ·"] if failed.runs else []
    turn = [f"turn {failed.turn} ·"] if failed.turn is not None else []
    return (code(row.case.id, 80), f"{row.case.severity} ·", *runs, *turn, *state, "· answer", code(failed.answer))


def _kinds(view: View) -> Section | None:
    """Return each kind of failure with cases to look at."""
    if not view.kinds:
        return None
    bullets = tuple((f"{line}:", *first_ids(line.kind.case_ids)) for line in view.kinds[:_ROWS])
    return Section(title="Failures by kind", folded=True, bullets=bullets)


def score_change(score: Score, failed: FailedCase) -> Line:
    """Format `faithfulness 0.92 → 0.31`, the new value alone without a baseline, `failed` if nothing moved."""
    before = failed.before.scores.get(score.metric) if failed.before else None
    was = before.value if isinstance(before, Score) else None
    change = (
        "failed" if was == score.value else f"{score.value:.3g}" if was is None else f"{was:.3g} → {score.value:.3g}"
    )
    return (code(score.metric, 60), change)


def judge_lines(view: View) -> tuple[Line, ...]:
    """Return the trust of each judge on one line, and its corrected figures."""
    lines: list[Line] = [
        (code(panel.metric, 60), "by", code(panel.judge, 80), one_line(panel.standing, 300))
        for panel in view.panels[:_ROWS]
    ]
    return (*lines, *((one_line(sentence, 300),) for sentence in view.corrections[:_ROWS]))


def _judges(view: View) -> Section | None:
    """Return the judges' overall trust; their cohorts are in the report."""
    lines = judge_lines(view)
    return Section(title="Judge trust", folded=True, bullets=lines) if lines else None


def _resources(view: View) -> Section | None:
    alone = tuple((code(name, 60), one_line(value, 120)) for name, value in view.resources_alone)
    if not view.resources:
        return Section(title="Latency and cost", folded=True, bullets=alone) if alone else None
    head: tuple[Line, ...] = (("Cohort",), *((code(name, 60),) for name in view.resource_metrics))
    rows: list[tuple[Line, ...]] = [
        ((code(row.cohort, 80),), *((one_line(value, 120) or "–",) for value in row.values)) for row in view.resources
    ]
    return replace(_tabled("Latency and cost", head, rows, folded=True), bullets=alone)


def _outcomes(view: View) -> Section | None:
    """Return the metrics of runs grouped by outcome."""
    if not view.outcomes.rows:
        return None
    head: tuple[Line, ...] = (("Runs with",), *((code(name, 60),) for name in view.outcomes.metrics))
    rows: list[tuple[Line, ...]] = [
        ((code(label, 80),), *((one_line(value, 120),) for value in values)) for label, values in view.outcomes.rows
    ]
    return _tabled("What happened on the way (shown, never gated)", head, rows, folded=True)


def _nodes(view: View) -> Section | None:
    """Return the tokens, cost and time of each node of an agent."""
    if not view.nodes:
        return None
    head: tuple[Line, ...] = (("Node",), *((name,) for name in NODE_COLUMNS))
    rows: list[tuple[Line, ...]] = [
        ((code(line.node, 60),), *((one_line(value, 60),) for value in line.values)) for line in view.nodes
    ]
    return _tabled("Nodes", head, rows, folded=True)


def _variants(table: VariantTable) -> Section:
    """Return a table of variants."""
    head: tuple[Line, ...] = ((table.name,), *((column,) for column in table.columns))
    rows: list[tuple[Line, ...]] = [
        ((code(name, 60),), *((one_line(value, 120),) for value in values)) for name, values in table.rows
    ]
    section = _tabled(table.title, head, rows, folded=True)
    return replace(section, lines=((one_line(table.note, 600),), *section.lines))


def error_lines(view: View) -> tuple[Line, ...]:
    """Return each kind of error with its count and first case."""
    return tuple(
        (f"{line.state}", code(line.kind, 60), f"× {line.count:,}")
        + ((", first", code(line.example.case_id, 60), ":", code(line.example.message)) if line.example else ())
        for line in view.errors[:_ROWS]
    )


def _errors(view: View) -> Section | None:
    lines = error_lines(view)
    return Section(title="Errors and missing scores", folded=True, bullets=lines) if lines else None


def _all_cohorts(view: View) -> Section | None:
    columns = range(len(view.metrics))
    return _cohorts(view, "All cohorts", view.cohorts, columns, folded=True) if view.cohorts and columns else None


def _notes(view: View) -> Section | None:
    notes = tuple((one_line(note, 400),) for note in view.notes[:_LISTED])
    return Section(title="Notes", folded=True, bullets=notes) if notes else None


def _provenance(view: View) -> Section | None:
    lines = tuple((f"{one_line(name, 60)}:", code(value, 200)) for name, value in view.provenance[:_LISTED])
    return Section(title="Provenance", folded=True, bullets=lines) if lines else None


_FOLDED: tuple[Callable[[View], Section | None], ...] = (
    _worst,
    _kinds,
    _checks,
    _all_cohorts,
    amendments_section,
    changes_section,
    _judges,
    _errors,
    _notes,
    _resources,
    _outcomes,
    _nodes,
    _provenance,
)


def _tabled(title: str, head: tuple[Line, ...], rows: Sequence[tuple[Line, ...]], *, folded: bool) -> Section:
    """Return a table of at most `_ROWS` rows that says how many it hides."""
    hidden = len(rows) - _ROWS
    more: tuple[Line, ...] = ((f"{plural(hidden, 'more row')} in the report",),) if hidden > 0 else ()
    return Section(title=title, folded=folded, table=Table(head, tuple(rows[:_ROWS])), lines=more)
