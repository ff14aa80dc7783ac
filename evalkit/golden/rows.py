"""Stream the rows of a golden set as cases."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from evalkit.errors import InputError, Problem
from evalkit.golden.columns import ColumnReader
from evalkit.golden.documents import read_json, read_yaml, text_of
from evalkit.golden.fields import SAME_FIELD, to_case, waits
from evalkit.golden.header import NAMELESS, RawTable
from evalkit.golden.index import RowPlaces
from evalkit.golden.json_lines import CANARY, SAVE_AS_UTF8, LastRow, Note, RawRow, read_jsonl
from evalkit.golden.separated import read_separated
from evalkit.golden.source import WORKBOOKS, GoldenSource, Reading
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


def read_cases(  # noqa: PLR0913 - each is a fact about the reading
    source: GoldenSource,
    file: Path | None,
    shown: str,
    note: Note,
    *,
    reading: Reading = PLAIN,
    warn: Note = unheard,
    wait: Callable[[Case], None] = lambda case: None,
    places: RowPlaces | None = None,
    cursor: LastRow | None = None,
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
        places: rows to read of a set that was checked; kinds of files other than JSON Lines are read whole.
        cursor: set to the row of each case before the case is yielded.
    """
    table, rows = open_rows(source, file, shown, note, warn, places=places, cursor=cursor)
    columns = ColumnReader(source, reading, table, note, warn, strict=places is None)
    told = set[str]()

    def complain(row: Mapping[str, Any], place: str, what: str, fix: str) -> None:
        label = f"{place} id {cut(str(row.get('id')), 60)}" if "id" in row else place
        if what not in told:
            note(Problem(label, what, fix))
        if table.kind != "records" and SAME_FIELD in what:
            told.add(what)  # the header is at fault, not each row

    for line, raw in rows:
        found = columns.read(line, raw)
        if found is None:
            continue
        row = found.row
        place = f"{shown}:{line}"
        case = to_case(
            row,
            place,
            partial(complain, row, place),
            make_id=source.make_ids,
            cohorts=found.cohorts,
            reread=found.reread,
            converses=reading.converses,
            plays_user=reading.plays_user,
            slots=reading.slots,
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
    places: RowPlaces | None = None,
    cursor: LastRow | None = None,
) -> tuple[RawTable, Iterator[RawRow]]:
    """Return the raw rows of a file with their lines, and the state of their columns.

    Args:
        source: source in the suite.
        file: the resolved file, `None` for a hub data set.
        shown: name of the file in messages.
        note: called for unreadable rows.
        warn: called for values and columns that are left out.
        fix: fix to suggest for bytes that are not in the encoding of a text file.
        places: rows of a JSON Lines file to read, `None` for all.
        cursor: set to each row of a JSON Lines file before it is yielded.
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
        rows = read_jsonl(file, shown, note, encoding=source.encoding, fix=fix, places=places, cursor=cursor)
        return RawTable(shown, "records"), (each for each in rows if CANARY not in each[1] or len(each[1]) > 1)
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
