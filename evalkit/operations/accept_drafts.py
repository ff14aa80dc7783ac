"""Add the drafts that a person accepted to a golden set, all of them or none."""

from __future__ import annotations

import datetime
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import msgspec

from evalkit.errors import InputError, Problem, noting
from evalkit.golden.fields import to_case
from evalkit.golden.json_lines import read_jsonl
from evalkit.golden.near_duplicates import nearest
from evalkit.golden.synthetic import ORIGIN, SYNTHETIC
from evalkit.monitor.deidentify import kinds_left
from evalkit.operations.draft import bare_text
from evalkit.operations.draft_plan import draftable_set
from evalkit.operations.draft_replies import (
    LEAST_QUOTE_CHARS,
    MOST_QUESTION_CHARS,
    MOST_REFERENCE_CHARS,
    is_quoted,
)
from evalkit.operations.new_case import NewCase, new_case, write_case
from evalkit.suite.parse import load_suite
from evalkit.text.escaping import visible
from evalkit.types import Case

_EDIT = "edit or drop the draft on the page, and export again"
_AGAIN = "export the decisions from the page again"
_HASH = re.compile("[0-9a-f]{16}")
_KEPT = ("quote", "file", "lines", "by", "reviewed_by")
"""Texts that join the set beside question and reference."""
_SHOWN = ("question", "reference", *_KEPT)


class ReviewedDraft(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One decision, as the page exports it."""

    of: str
    decision: Literal["accept", "drop"]
    question: str
    reference: str
    quote: str
    passage: str
    file: str
    lines: str
    cohorts: dict[str, str]
    by: str
    reviewed_by: str


@dataclass(frozen=True, kw_only=True)
class AcceptedDrafts:
    """The result of adding reviewed drafts."""

    cases: tuple[NewCase, ...]
    n_dropped: int
    n_known: int
    """Accepted drafts whose cases were in the set already."""
    file: Path


def accept_drafts(suite_file: Path, reviewed: Sequence[Path], today: datetime.date) -> AcceptedDrafts:
    """Add accepted drafts to the set of a suite, with `origin: synthetic`.

    Args:
        suite_file: the suite.
        reviewed: files that the page exported.
        today: the day to record.

    Raises:
        InputError: reports every draft that may not join the set; then none does.
        StoreError: the set cannot be written.
    """
    suite = load_suite(suite_file)
    file, known = draftable_set(suite)
    problems: list[Problem] = []
    rows = [each for path in reviewed for each in _read(path, problems)]
    there = {case.fields.get("of") for case in known}
    wanted = [(place, draft) for place, draft in rows if draft.decision == "accept" and draft.of not in there]
    made: list[NewCase] = []
    joined = list(known)
    for place, draft in wanted:
        faults = [Problem(place, what, fix) for what, fix in _faults(draft, joined)]
        try:
            case = new_case(_row(draft, today), file, known=joined)
        except InputError as error:
            faults += [Problem(place, each.what, _EDIT) for each in error.problems]
        problems += faults
        if not faults:
            made.append(case)
            joined.append(_case(case))
    problems += _repeated(wanted)
    if problems:
        raise InputError(dict.fromkeys(problems))
    for each in made:
        write_case(each)
    accepted = sum(draft.decision == "accept" for _, draft in rows)
    return AcceptedDrafts(cases=tuple(made), n_dropped=len(rows) - accepted, n_known=accepted - len(wanted), file=file)


def _read(path: Path, problems: list[Problem]) -> Iterator[tuple[str, ReviewedDraft]]:
    """Yield place and content of every decision."""
    if not path.is_file():
        problems.append(Problem(str(path), "no such file", "name an export of the page with the drafts"))
        return
    n_rows = 0
    for line, row in read_jsonl(path, str(path), noting(problems)):
        n_rows += 1
        try:
            yield f"{path}:{line}", msgspec.convert(row, ReviewedDraft)
        except msgspec.ValidationError as error:
            problems.append(Problem(f"{path}:{line}", f"not a decision about a draft: {error}", _AGAIN))
    if not n_rows:
        problems.append(Problem(str(path), "no decision in it", _AGAIN))


def _faults(draft: ReviewedDraft, known: Sequence[Case]) -> Iterator[tuple[str, str]]:
    """Yield what and fix of everything that is wrong with an accepted draft, besides what `new_case` reports."""
    if not 0 < len(draft.question.strip()) <= MOST_QUESTION_CHARS:
        yield "the question is empty or too long", f"write up to {MOST_QUESTION_CHARS} characters"
    if not 0 < len(draft.reference.strip()) <= MOST_REFERENCE_CHARS:
        yield "the reference is empty or too long", f"write up to {MOST_REFERENCE_CHARS:,} characters"
    if not draft.reviewed_by.strip():
        yield "nobody reviewed it", "write your name on the page"
    if not draft.quote.strip() or not is_quoted(draft.quote, draft.passage):
        yield "the quote is not in the passage", _AGAIN
    elif len(draft.quote.strip()) < LEAST_QUOTE_CHARS:
        yield f"the quote has fewer than {LEAST_QUOTE_CHARS} characters", _EDIT
    yield from _edited_faults(draft)
    case = to_case({"id": "draft", "input": draft.question}, "draft", lambda what, fix: None)
    for pair in nearest(bare_text(case), map(bare_text, known)) if case is not None else ():
        if pair.kind == "same":
            yield f"nearly the same as {pair.first.place} {pair.first.id} ({pair.jaccard:.2f})", _EDIT


def _edited_faults(draft: ReviewedDraft) -> Iterator[tuple[str, str]]:
    """Yield what and fix of everything that the page would not have exported."""
    if not _HASH.fullmatch(draft.of):
        yield "`of` is not the hash of a passage", _AGAIN
    if ORIGIN in draft.cohorts:
        yield f"a cohort {ORIGIN!r}, which a draft has as a field", _AGAIN
    for name in _SHOWN:
        text = getattr(draft, name)
        if visible(text) != text:
            yield f"characters in {name} that hide or reorder text", _EDIT
    for name in _KEPT:
        if kinds := kinds_left(getattr(draft, name)):
            yield f"personal data or secrets in {name}: {', '.join(kinds)}", _EDIT


def _repeated(wanted: Sequence[tuple[str, ReviewedDraft]]) -> Iterator[Problem]:
    counts = Counter(draft.of for _, draft in wanted)
    for place, draft in wanted:
        if counts[draft.of] > 1:
            yield Problem(place, "another decision accepts a draft of the same passage", "remove one of the two")


def _row(draft: ReviewedDraft, today: datetime.date) -> dict[str, object]:
    row: dict[str, object] = {
        "id": f"draft-{draft.of[:8]}",
        "input": draft.question.strip(),
        "reference": draft.reference.strip(),
        "kind": "golden",
        "severity": "medium",
    }
    if draft.cohorts:
        row["cohorts"] = draft.cohorts
    return row | {
        "origin": SYNTHETIC,
        "of": draft.of,
        "by": draft.by,
        "because": f"drafted from {draft.file}",
        "since": today.isoformat(),
        "reviewed_by": draft.reviewed_by.strip(),
        "source": {"file": draft.file, "lines": draft.lines, "quote": draft.quote},
    }


def _case(case: NewCase) -> Case:
    """Return the case of a checked row."""
    found = to_case(case.row, f"draft {case.id}", lambda what, fix: None)
    if found is None:
        raise ValueError(f"{case.id} was checked and is not a case")
    return found
