"""Check a whole golden set once, then stream its cases.

Checking and reading are two passes over the file, so that every problem is reported before the first call, and no more
than one case is held in memory.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, Protocol

from evalkit.disk.files import sha256_of
from evalkit.errors import InputError, Problem, noting
from evalkit.formats.manifest import GoldenFacts
from evalkit.golden.columns import ColumnReader
from evalkit.golden.documents import read_json, read_yaml, text_of
from evalkit.golden.fields import SAME_FIELD, to_case, waits
from evalkit.golden.header import NAMELESS, RawTable
from evalkit.golden.index import CaseIndex
from evalkit.golden.json_lines import CANARY, SAVE_AS_UTF8, Note, RawRow, read_jsonl
from evalkit.golden.separated import read_separated
from evalkit.golden.source import WORKBOOKS, GoldenSource, Reading
from evalkit.golden.survey import GoldenSurvey, Lack, Need
from evalkit.text.escaping import cut
from evalkit.types import Case

PLAIN = Reading()
SUFFIXES = (".jsonl", ".csv", ".tsv", ".xlsx", ".json", ".yaml", ".parquet", ".arrow")
"""Kinds of files, as messages list them."""
_OTHERS = {
    **dict.fromkeys((".xls", ".ods", ".numbers"), "save it as .xlsx or as CSV UTF-8; use"),
    ".txt": "call a table .csv or .tsv; use",
}
"""Similar kinds of files that are not read, and the fix for each."""


def unheard(problem: Problem) -> None:
    """Discard a problem."""


class Reopen(Protocol):
    """Streams the cases of a checked set again."""

    def __call__(self, chosen: Collection[str] | None = None) -> Iterator[Case]:
        """Yield the cases in file order, only those with the digests in `chosen` if given.

        Raises:
            InputError: the set differs from the one that was checked.
        """


@dataclass(frozen=True)
class GoldenSet:
    """A checked golden set: its properties, and a way to stream its cases."""

    path: str
    """Name in messages."""
    sha256: str
    n_cases: int
    cohort_counts: Mapping[str, Mapping[str, int]]
    """Cohort name -> value -> number of cases."""
    missing: Mapping[str, Lack]
    """Required field -> cases without it."""
    warnings: tuple[Problem, ...]
    """Warnings about rows that are allowed but probably not intended."""
    open: Reopen
    outlines: Callable[[], Iterator[Case]]
    """Function that streams the cases with no more than what a choice depends on: the id, the digest, kind, severity
    and cohorts; the question has the right length, up to 32 words. The file is not read, except when a run is resumed:
    then it streams the whole cases."""
    checks: bool = False
    """Whether a case carries checks of its own."""
    learnt: tuple[Problem, ...] = ()
    """Warnings about cases in training data or prompts."""
    leaked: Mapping[str, Sequence[str]] = field(default_factory=dict)
    """Kind of source -> ids of the cases that occur in it, for each kind that was searched."""
    card_gaps: tuple[str, ...] | None = None
    """What the data card of the set lacks; `None` if no check asked for it."""
    waiting: tuple[Case, ...] = ()
    """Cases with `needs_reference`, which are not among the others and never count."""


def open_golden(
    source: GoldenSource,
    file: Path | None,
    shown: str,
    *,
    need: Need | None = None,
    reading: Reading = PLAIN,
    cohorts: Sequence[str] = (),
) -> GoldenSet:
    """Check every row of a golden set.

    Args:
        source: source in the suite.
        file: the resolved file, `None` for a hub data set.
        shown: name of the file in messages.
        need: called for each valid case; the fields that it yields are collected in `missing`.
        reading: the meaning of columns in the rest of the suite.
        cohorts: names that the suite reports by, whose sizes are checked.

    Raises:
        InputError: reports every problem found (at most 200).
    """
    problems: list[Problem] = []
    note = noting(problems)
    survey, index = GoldenSurvey(note, need), CaseIndex(shown)
    waiting: list[Case] = []
    warn = survey.warnings.append
    for line, case in read_cases(source, file, shown, note, reading=reading, warn=warn, wait=waiting.append):
        survey.add(case, line)
        index.add(case, line)
    problems.extend(survey.repeated(waiting))
    problems.extend(survey.spellings())
    problems.extend(survey.too_many_quarantined())
    if not survey.n_cases and not problems:
        fix = "write at least one row with an `id` and an `input`"
        what = "no case in it that has its reference" if waiting else "no case in it"
        problems.append(Problem(f"{shown}:1", what, fix))
    if problems:
        raise InputError(problems)
    counts = {name: dict(sorted(found.items())) for name, found in sorted(survey.counts.items())}
    sha256 = survey.sha256  # the survey holds an entry for every id, so that nothing below may keep it alive

    def again(chosen: Collection[str] | None = None) -> Iterator[Case]:
        if chosen is None:
            return _again(source, file, shown, reading, sha256)
        return _chosen_again(source, file, shown, reading, (index.lines_of(chosen), chosen))

    return GoldenSet(
        path=shown,
        sha256=sha256,
        n_cases=survey.n_cases,
        cohort_counts=counts,
        missing=survey.missing,
        warnings=(*survey.warnings, *survey.small(cohorts), *survey.waiting(waiting)),
        open=again,
        outlines=index.outlines,
        checks=survey.checks,
        waiting=tuple(waiting),
    )


def read_all(file: Path, shown: str) -> list[Case]:
    """Read every case of a file, also those that wait for their reference; rows without an id get one.

    Raises:
        InputError: reports every problem of the rows.
    """
    problems: list[Problem] = []
    note = noting(problems)
    survey = GoldenSurvey(note, None)
    cases: list[Case] = []
    source = GoldenSource(path=file.name, make_ids=True)
    for _, case in read_cases(source, file, shown, note, wait=cases.append):
        survey.add(case, int(case.place.rpartition(":")[2]))
        cases.append(case)
    problems.extend(survey.repeated(case for case in cases if waits(case)))
    if problems:
        raise InputError(problems)
    return cases


def known_golden(
    source: GoldenSource, file: Path | None, shown: str, facts: GoldenFacts, *, reading: Reading = PLAIN
) -> GoldenSet | None:
    """Return the set as checked by a run with the same suite, if its file is unchanged.

    Args:
        source: source in the suite.
        file: the resolved file, `None` for a hub data set.
        shown: name of the file in messages.
        facts: facts of the run's manifest.
        reading: the meaning of columns in the rest of the suite.
    """
    if file is None or facts.file_sha256 != file_sha256(file):
        return None

    def again(chosen: Collection[str] | None = None) -> Iterator[Case]:
        cases = _again(source, file, shown, reading, facts.sha256)
        return cases if chosen is None else (case for case in cases if case.digest in chosen)

    return GoldenSet(
        path=shown,
        sha256=facts.sha256,
        n_cases=facts.n_cases,
        cohort_counts={},
        missing={},
        warnings=(),
        open=again,
        outlines=again,
        checks=facts.checks,
    )


def file_sha256(file: Path) -> str | None:
    """Return the SHA-256 (hex) of a file's bytes, `None` if it cannot be read."""
    try:
        return sha256_of(file)
    except OSError:
        return None


def _again(source: GoldenSource, file: Path | None, shown: str, reading: Reading, sha256: str) -> Iterator[Case]:
    """Yield the cases again, and raise if they are not those that were checked."""
    content = hashlib.sha256()
    try:
        for _, case in read_cases(source, file, shown, _changed, reading=reading):
            content.update(case.digest.encode())
            yield case
    except OSError as error:
        _changed(Problem(shown, str(error.strerror)))
    if content.hexdigest() != sha256:
        _changed(Problem(shown, "these are not the cases that were checked"))


def _chosen_again(
    source: GoldenSource, file: Path | None, shown: str, reading: Reading, wanted: tuple[list[int], Collection[str]]
) -> Iterator[Case]:
    """Yield the cases with these lines and digests, and raise if they are not there any more."""
    lines, chosen = wanted
    n_open = len(lines)
    try:
        for _, case in read_cases(source, file, shown, _changed, reading=reading, lines=frozenset(lines)):
            if case.digest in chosen:
                n_open -= 1
                yield case
    except OSError as error:
        _changed(Problem(shown, str(error.strerror)))
    if n_open:
        _changed(Problem(shown, "these are not the cases that were checked"))


def read_cases(  # noqa: PLR0913 - each is a fact about the reading
    source: GoldenSource,
    file: Path | None,
    shown: str,
    note: Note,
    *,
    reading: Reading = PLAIN,
    warn: Note = unheard,
    wait: Callable[[Case], None] = lambda case: None,
    lines: Collection[int] | None = None,
) -> Iterator[tuple[int, Case]]:
    """Yield the valid cases of a set with their lines, without those that need a reference.

    Args:
        source: source in the suite.
        file: the resolved file, `None` for a hub data set.
        shown: name of the file in messages.
        note: called for every problem.
        reading: the meaning of columns in the rest of the suite.
        warn: called for warnings.
        wait: called for each case with `needs_reference`, which is left out.
        lines: lines to read of a set that was checked; kinds of files other than JSON Lines are read whole.
    """
    table, rows = open_rows(source, file, shown, note, warn, lines=lines)
    columns = ColumnReader(source, reading, table, note, warn, strict=lines is None)
    told = set[str]()
    for line, raw in rows:
        found = columns.read(line, raw)
        if found is None:
            continue
        row = found.row
        place = f"{shown}:{line}"
        label = f"{place} id {cut(str(row.get('id')), 60)}" if "id" in row else place

        def complain(what: str, fix: str, label: str = label) -> None:
            if what not in told:
                note(Problem(label, what, fix))
            if table.kind != "records" and SAME_FIELD in what:
                told.add(what)  # the header is at fault, not each row

        case = to_case(
            row,
            place,
            complain,
            make_id=source.make_ids,
            cohorts=found.cohorts,
            reread=found.reread,
            converses=reading.converses,
            plays_user=reading.plays_user,
        )
        if case is not None and waits(case):
            wait(case)
        elif case is not None:
            yield line, case
    columns.finish()


def training_rows(file: Path, shown: str, note: Note) -> Iterator[RawRow]:
    """Yield the rows of training data under the names of fields, for any columns."""
    source = GoldenSource(path=file.name)
    table, rows = open_rows(source, file, shown, note, unheard, fix=SAVE_AS_UTF8)
    columns = ColumnReader(source, PLAIN, table, note, unheard, strict=False)
    for line, raw in rows:
        found = columns.read(line, raw)
        if found is not None:
            yield line, found.row


@dataclass(frozen=True)
class Header:
    """Names of a file's columns."""

    names: tuple[str, ...]
    """Columns of a table, or keys of the first row; none if there is no row."""
    is_cut: bool
    """Whether the first row has values in columns without a name, as below a title."""


def header_of(source: GoldenSource, file: Path | None, shown: str) -> Header:
    """Read the names of a file's columns.

    Raises:
        InputError: reports every problem up to the first row.
    """
    problems: list[Problem] = []
    table, rows = open_rows(source, file, shown, problems.append, unheard)
    first = next(rows, None)
    if problems:
        raise InputError(problems)
    return Header(() if first is None else tuple(first[1]), any(name.startswith(NAMELESS) for name in table.left_out))


def open_rows(  # noqa: PLR0913 - each is a fact about the reading
    source: GoldenSource,
    file: Path | None,
    shown: str,
    note: Note,
    warn: Note,
    *,
    fix: str | None = None,
    lines: Collection[int] | None = None,
) -> tuple[RawTable, Iterator[RawRow]]:
    """Return the raw rows of a file with their lines, and the state of their columns.

    Args:
        source: source in the suite.
        file: the resolved file, `None` for a hub data set.
        shown: name of the file in messages.
        note: called for unreadable rows.
        warn: called for values and columns that are left out.
        fix: fix to suggest for bytes that are not in the encoding of a text file.
        lines: lines of a JSON Lines file to read, `None` for all.
    """
    if source.url is not None:
        from evalkit.golden.tables import fetch

        file = fetch(source.url, shown)
    if file is None or file.suffix.lower() in (".parquet", ".arrow", ".feather"):
        from evalkit.golden.tables import read_table

        table = RawTable(shown, "typed")
        return table, read_table(source, file, table)
    name = file.name.removesuffix(".gz").lower()
    fix = fix or f"{SAVE_AS_UTF8}, or name its encoding, such as `{source.line(encoding='cp1252')}`"
    if name.endswith((".jsonl", ".ndjson")):
        rows = read_jsonl(file, shown, note, encoding=source.encoding, fix=fix, lines=lines)
        return RawTable(shown, "records"), ((line, row) for line, row in rows if row.keys() != {CANARY})
    if name.endswith((".csv", ".tsv")):
        table = RawTable(shown, "cells")
        return table, read_separated(file, table, source, note, fix)
    if name.endswith(WORKBOOKS):
        from evalkit.golden.workbook import read_workbook

        table = RawTable(shown, "cells")
        return table, read_workbook(file, table, source, note)
    if name.endswith((".json", ".yaml", ".yml")):
        table = RawTable(shown, "records")
        read = read_json if name.endswith(".json") else read_yaml
        return table, read(partial(text_of, file, shown, source.encoding, fix), table, note, warn)
    fix = f"{_OTHERS.get(file.suffix.lower(), 'use')} {', '.join(SUFFIXES[:-1])} or {SUFFIXES[-1]}"
    raise InputError(Problem(shown, f"unknown kind of file {file.suffix!r}", fix))


def _changed(problem: Problem) -> Any:
    fix = "leave the file alone during a run, and start a new one"
    raise InputError(Problem(problem.place, f"changed during the run: {problem.what}", fix))
