"""Find the column that names the cases of two files of results. A row's position never does."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass

from evalkit.errors import InputError, Problem
from evalkit.imports.result_table import ResultTable, columns_of_both, fold, quoted
from evalkit.text.values import one_line

ID_NAMES = (
    "id",
    "case_id",
    "test_id",
    "example_id",
    "item_id",
    "sample_id",
    "question_id",
    "doc_id",
    "test_idx",
    "name",
)
INPUT_NAMES = ("input", "question", "prompt", "query", "user_input")
REPEAT_NAMES = ("repeat", "run", "trial", "attempt", "epoch", "seed", "sample", "iteration")
CLUSTER_NAMES = ("cluster", "conversation_id", "session_id", "thread_id", "document_id", "template", "group_id")
SYSTEM_NAMES = ("model", "provider", "prompt", "system", "variant")
"""Columns that tell several systems apart in one file."""
OUTPUT_NAMES = ("output", "answer", "response", "actual_output", "prediction", "completion")
MOST_REPEATS = 100
_ID_CHARS = 200
_HEX = 16


@dataclass(frozen=True, kw_only=True)
class CaseColumns:
    """The columns that name and describe the cases."""

    id: str
    is_text: bool = False
    """Whether the id is made from the text of the column."""
    repeat: str | None = None
    """Column that numbers the repeats of a case."""
    in_file_order: bool = False
    """Whether rows of one id are its repeats, in the order of the file."""
    input: str | None = None
    output: str | None = None
    cluster: str | None = None
    twice: int = 0
    """Rows that equal an earlier one in every cell, and are not read."""

    @property
    def used(self) -> frozenset[str]:
        """The columns that have a meaning."""
        named = (self.id, self.repeat, self.input, self.output, self.cluster)
        return frozenset(name for name in named if name is not None)


def case_ids(table: ResultTable, columns: CaseColumns) -> list[str]:
    """Return the id of the case of each row."""
    return [made_id(text) if columns.is_text else _short(text) for text in table.texts(columns.id)]


def choose_cases(
    before: ResultTable,
    after: ResultTable,
    *,
    id_asked: str | None,
    repeat: str | None,
    cluster: str | None,
    taken: Collection[str],
) -> CaseColumns:
    """Choose the columns that name the cases of two tables, and those that describe them.

    Args:
        before: results of the old system.
        after: results of the new one.
        id_asked: the column that the user names.
        repeat: the column that numbers repeats, if the user names it.
        cluster: the column of dependent cases, if the user names it.
        taken: columns that have another meaning.

    Raises:
        InputError: no column names the cases, or one names several rows that are not known to be repeats.
    """
    tables = (before, after)
    both = [name for name in columns_of_both(before, after) if name not in taken]
    found = _named(tables, both, id_asked, repeat)
    given = next((name for name in INPUT_NAMES if name in both), None)
    clusters = [fold(cluster)] if cluster else [name for name in CLUSTER_NAMES if name in both and name != found.id]
    return CaseColumns(
        id=found.id,
        is_text=found.is_text,
        repeat=found.repeat,
        in_file_order=found.in_file_order,
        twice=found.twice,
        input=given,
        output=next((name for name in OUTPUT_NAMES if name in both), None),
        cluster=next(iter(clusters), None),
    )


def _named(tables: Sequence[ResultTable], both: Sequence[str], asked: str | None, repeat: str | None) -> CaseColumns:
    wanted = [fold(asked)] if asked else [name for name in ID_NAMES if name in both]
    complete = [name for name in wanted if all(table.is_complete(name) for table in tables)]
    repeats = [fold(repeat)] if repeat else [name for name in REPEAT_NAMES if name in both and name not in wanted]
    for name in complete:
        if not repeat and all(_is_unique(table, (name,)) for table in tables):
            return CaseColumns(id=name)
        for number in repeats:
            numbered = all(_is_unique(table, (name, number)) and table.is_complete(number) for table in tables)
            if numbered and (repeat or _asks_the_same(tables, both, name)):
                _refuse_many(tables, name)
                _refuse_systems(tables, name, repeat)
                return CaseColumns(id=name, repeat=number)
    named = [] if asked or repeat else [name for name in INPUT_NAMES if name in both]
    texts = [name for name in named if all(table.is_complete(name) for table in tables)]
    for name in texts:
        if all(_is_unique(table, (name,)) for table in tables):
            return CaseColumns(id=name, is_text=True)
    if not complete:
        for name in texts:
            _refuse_systems(tables, name, repeat)
            for number in repeats:
                if all(_is_unique(table, (name, number)) and table.is_complete(number) for table in tables):
                    _refuse_many(tables, name)
                    return CaseColumns(id=name, is_text=True, repeat=number)
        raise InputError(_no_id(tables, both, wanted, asked))
    return _repeating(tables, both, complete[0], repeat)


def _refuse_systems(tables: Sequence[ResultTable], name: str, repeat: str | None) -> None:
    """Refuse rows of one case that a column shows to be those of several systems, and so not repeats."""
    if repeat:
        return
    for table in tables:
        texts = table.texts(name)
        for each in [each for each in SYSTEM_NAMES if each in table.names and each != name]:
            values = table.texts(each)
            pairs = {(text, value) for text, value in zip(texts, values, strict=True) if value}
            if len(pairs) > len({text for text, _ in pairs}):
                raise InputError(_several(tables, table, each))


def _several(tables: Sequence[ResultTable], table: ResultTable, column: str) -> Problem:
    first, second, *_ = values = list(dict.fromkeys(value for value in table.texts(column) if value))
    before, after = tables
    if before.shown != after.shown and all(first in each.texts(column) for each in tables if column in each.names):
        second = first  # of two files, the same system is compared
    own = table.names[column]
    line = f"--system {quoted(own)} --before {quoted(first)} --after {quoted(second)}"
    return Problem(table.shown, f"rows of {len(values)} systems in the column {own!r}", f"compare two of them: {line}")


def _refuse_many(tables: Sequence[ResultTable], name: str) -> None:
    for table in tables:
        text, count = Counter(table.texts(name)).most_common(1)[0]
        if count > MOST_REPEATS:
            own = f"{table.names[name]!r} {one_line(text, 60)!r}"
            what = f"{own} has {count} rows, at most {MOST_REPEATS} repeats are read"
            raise InputError(Problem(table.shown, what, "name the column that names the cases: --id COLUMN"))


def _is_unique(table: ResultTable, names: Sequence[str]) -> bool:
    keys = Counter(zip(*(table.texts(name) for name in names), strict=True))
    return max(keys.values(), default=0) <= 1


def _no_id(tables: Sequence[ResultTable], both: Sequence[str], wanted: Sequence[str], asked: str | None) -> Problem:
    """Describe that no column names every case."""
    before, after = tables
    for name in wanted:
        table = next(table for table in tables if not table.is_complete(name))
        own = table.names[name]
        row = next(row for row, text in zip(table.rows, table.texts(name), strict=True) if not text)
        return Problem(table.place(row, name), "empty, but it names the cases", f"fill in {own!r} in every row")
    what = f"no column of both files names the cases, the columns are {after.listed()}"
    if set(before.names) != set(after.names):
        what += f" in {after.shown}, and {before.listed()} in {before.shown}"
    unique = [name for name in both if all(t.is_complete(name) and _is_unique(t, (name,)) for t in tables)]
    fix = "write an id in each row of both files, under `id`"
    if unique:
        fix = f"name it: --id {quoted(after.names[unique[0]])}, if it holds the same for a case in both files"
    return Problem(after.shown, what, fix)


def _repeating(tables: Sequence[ResultTable], both: Sequence[str], name: str, repeat: str | None) -> CaseColumns:
    """Return the columns of cases that have several rows each.

    Raises:
        InputError: the rows of one id may be those of several systems, or are not known to be repeats.
    """
    table = next(table for table in tables if not _is_unique(table, (name,)))
    own = table.names[name]
    _refuse_systems(tables, name, repeat)
    counts = [Counter(each.texts(name)) for each in tables]
    even = all(len(set(count.values())) == 1 for count in counts) and not repeat
    if even and max(max(count.values()) for count in counts) <= MOST_REPEATS and _asks_the_same(tables, both, name):
        return CaseColumns(id=name, in_file_order=True)
    twice = [_equal_rows(each, name) for each in tables]
    if None not in twice and not repeat:
        return CaseColumns(id=name, twice=sum(count or 0 for count in twice))
    raise InputError(_repeated(table, name, own, repeat))


def _asks_the_same(tables: Sequence[ResultTable], both: Sequence[str], name: str) -> bool:
    """Tell whether rows of one id have one input, so that they can be repeats; `name` alone is not enough."""
    asked = next((each for each in INPUT_NAMES if each in both and each != name), None)
    if asked is None:
        return name != "name"
    return all(
        len(set(zip(table.texts(name), table.texts(asked), strict=True))) == len(set(table.texts(name)))
        for table in tables
    )


def _equal_rows(table: ResultTable, name: str) -> int | None:
    """Count the rows that equal an earlier row of their id in every cell; `None` if one differs."""
    first: dict[str, object] = {}
    count = 0
    for row, text in zip(table.rows, table.texts(name), strict=True):
        if text in first:
            if first[text] != row.cells:
                return None
            count += 1
        first.setdefault(text, row.cells)
    return count


def _repeated(table: ResultTable, name: str, own: str, repeat: str | None) -> Problem:
    lines: dict[tuple[str, ...], int] = {}
    keys: Iterable[tuple[str, ...]] = zip(
        *(table.texts(each) for each in (name, *([fold(repeat)] if repeat else ()))), strict=True
    )
    for row, key in zip(table.rows, keys, strict=True):
        if key in lines:
            what = f"{own!r} {one_line(key[0], 60)!r} repeats line {lines[key]}"
            if repeat:
                what += f" with the same {repeat!r}"
            fix = "name the column that numbers the repeats (--repeat COLUMN), or the one that names the cases (--id)"
            return Problem(table.place(row, name), f"{what}; the columns are {table.listed()}", fix)
        lines[key] = row.line
    return Problem(table.shown, f"{own!r} does not name the cases", "name the column that does: --id COLUMN")


def made_id(text: str) -> str:
    """Return the id of a case that is known by its text."""
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:_HEX]


def _short(text: str) -> str:
    """Return an id; one that is too long to show is replaced by its hash."""
    return text if len(text) <= _ID_CHARS and text.isprintable() else made_id(text)
