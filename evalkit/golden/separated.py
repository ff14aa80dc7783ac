"""Stream the rows of CSV and TSV files: the separator is read from the header, cells stay text."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import BinaryIO

from evalkit.errors import Problem, what_and_fix
from evalkit.golden.encoding import MAX_LINE_BYTES, is_unmarked_utf16, open_text
from evalkit.golden.header import RawTable, named_columns, named_row
from evalkit.golden.json_lines import MAX_BLANK_LINES, MAX_COLUMNS, MIXED, UNMARKED, Note, RawRow, Rejected, readable
from evalkit.golden.names import field_of, plain_name
from evalkit.golden.source import SEPARATORS, GoldenSource
from evalkit.text.numbers import plural
from evalkit.text.values import not_utf8

_HEADER_LINES = 50
"""Maximum number of lines of a header in which a separator is looked for."""
_DECLARED = "sep="
"""Start of the line with which Excel names the separator of a file."""


def read_separated(path: Path, table: RawTable, source: GoldenSource, note: Note, fix: str) -> Iterator[RawRow]:
    """Yield the rows of a file, with every column under its trimmed name.

    Args:
        path: the file.
        table: state of the file; the line of the header is set.
        source: source in the suite.
        note: called for every problem.
        fix: fix to suggest for bytes that are not in the encoding of the file.
    """
    yield from readable(_rows(path, table, source, note, fix), table.shown, note, fix)


def _rows(path: Path, table: RawTable, source: GoldenSource, note: Note, fix: str) -> Iterator[RawRow]:
    csv.field_size_limit(MAX_LINE_BYTES)
    with open_text(path, source.encoding) as file:
        lines = _RowLines(file, fix)
        try:
            yield from _records(lines, path, table, source, note)
        except Rejected as error:
            note(Problem(f"{table.shown}:{lines.number}", *what_and_fix(error)))
        except csv.Error as error:
            fix = "close the quotes of the row that begins here"
            note(Problem(f"{table.shown}:{lines.row_number}", f"not CSV: {error}", fix))


def _records(lines: _RowLines, path: Path, table: RawTable, source: GoldenSource, note: Note) -> Iterator[RawRow]:
    kind = path.name.removesuffix(".gz").lower()
    separator = source.separator or ("\t" if kind.endswith(".tsv") else ",")
    seen = _past_blank_lines(lines)
    if seen and (declared := _declared(seen[0])):
        separator, seen = source.separator or declared, _past_blank_lines(lines)
    elif source.separator is None:
        separator = _separator(seen, lines, separator, source)
    table.separator = separator
    feed = _Again(seen, lines)
    reader = csv.reader(feed, delimiter=separator, strict=True)
    cells = next(reader, [])
    table.header_line = feed.number
    lines.begin(feed.number + 1)
    columns = named_columns(cells, table, note)
    sound = False
    for row in reader if columns else ():
        lines.begin(feed.number + 1)
        place = f"{table.shown}:{feed.number}"
        if not any(cell.strip() for cell in row):
            continue
        n_cells = len(row)
        if n_cells < len(columns) or any(cell.strip() for cell in row[len(cells) :]):
            if len(cells) == 1 and not sound and not _asks(cells, source):
                what = f"the first row has 1 cell, the next {n_cells}, and {cells[0]!r} is not the question"
                note(Problem(f"{table.shown}:{table.header_line}", what, "remove the rows above the header"))
                return
            what = f"{plural(n_cells, 'cell')}, the header has {len(cells)}"
            blank = any(cell[:1] == " " and cell.lstrip().startswith('"') for cell in row)
            fix = f"quote cells that hold {SEPARATORS[separator]}"
            if n_cells < len(columns):
                fix = f"add the missing {SEPARATORS[separator]}, or put quotes around a cell of several lines"
            note(Problem(place, what, "remove the blank before the opening quote" if blank else fix))
            continue
        sound = True
        yield feed.number, named_row(columns, row, table, feed.number)


def _past_blank_lines(lines: _RowLines) -> list[str]:
    """Return the next line that is not blank, in a list; an empty list at the end of the file."""
    line = next((line for line in lines if line.strip()), None)
    if line is not None and is_unmarked_utf16(line[:4].encode()):
        raise Rejected("; ".join(UNMARKED))
    return [] if line is None else [line]


def _declared(line: str) -> str | None:
    """Return the separator that a line like `sep=;` declares."""
    text = line.rstrip("\r\n")
    found = text.removeprefix(_DECLARED)
    return found if text.startswith(_DECLARED) and found in SEPARATORS else None


def _separator(seen: list[str], lines: _RowLines, own: str, source: GoldenSource) -> str:
    """Return the separator of the file's kind, or the only other one if only that splits the header.

    Raises:
        Rejected: several do, or only another one gives a header that makes sense.
    """
    found = {each: _header(seen, lines, each) for each in SEPARATORS}
    split = [each for each, cells in found.items() if each != own and len(cells) > 1]
    if len(found[own]) > 1 and not _asks(found[own], source):
        for each in split:
            if _asks(found[each], source):
                what = f"no column gives the question (`input`), but with {SEPARATORS[each]} one does"
                raise Rejected(f"{what}; write `{source.line(separator=each)}`")
    if len(found[own]) > 1 or not split:
        return own
    if len(split) > 1:
        named = " or ".join(SEPARATORS[each] for each in split)
        lines_to_copy = " or ".join(f"`{source.line(separator=each)}`" for each in split)
        raise Rejected(f"the cells of the header may be separated by {named}; write {lines_to_copy}")
    return split[0]


def _asks(cells: Sequence[str], source: GoldenSource) -> bool:
    """Return whether a header has a column for the question."""
    wanted = plain_name(source.columns.get("input", ""))
    return any(field_of(name) == "input" or name == wanted for name in map(plain_name, cells) if name)


def _header(seen: list[str], lines: _RowLines, separator: str) -> Sequence[str]:
    """Return the cells of the first record with a separator; none if it cannot be read with it."""
    try:
        cells = next(csv.reader(_Again(seen, lines, keep=True), delimiter=separator, strict=True), [])
    except csv.Error:
        return []
    return cells if len(cells) <= MAX_COLUMNS else []


class _Again:
    """Yield the lines that were read so far, then the rest."""

    def __init__(self, seen: list[str], lines: _RowLines, *, keep: bool = False) -> None:
        """Start at the first line.

        Args:
            seen: the lines that were read.
            lines: the rest of the lines.
            keep: whether to add more lines to `seen`, up to `_HEADER_LINES`.
        """
        self._seen, self._lines, self._keep, self._at = seen, lines, keep, 0
        self.number = lines.number - len(seen)
        """Number of the last line."""

    def __iter__(self) -> _Again:
        return self

    def __next__(self) -> str:
        if self._at < len(self._seen):
            line = self._seen[self._at]
        elif self._keep and self._at >= _HEADER_LINES:
            raise StopIteration
        else:
            line = next(self._lines)
        if self._keep and self._at == len(self._seen):
            self._seen.append(line)
        self._at += 1
        self.number += 1
        return line


class _RowLines:
    """The lines of a CSV file as text, with limits on the length of a row and on blank lines."""

    def __init__(self, file: BinaryIO, fix: str) -> None:
        self._lines = _ends(iter(lambda: file.readline(MAX_LINE_BYTES + 1), b""), fix, self)
        self.number = self._chars = self._blank = 0
        self.row_number = 1
        """Number of the line at which the row begins that is being read."""

    def __iter__(self) -> _RowLines:
        return self

    def __next__(self) -> str:
        self.number += 1
        try:
            line = next(self._lines)
        except StopIteration:
            self.number -= 1
            raise
        self._chars += len(line)
        self._blank += len(line) <= 2 and not line.strip()
        if self._chars > MAX_LINE_BYTES:
            raise Rejected("a row longer than 8 MiB; split it, or close its quotes")
        if self._blank > MAX_BLANK_LINES:
            raise Rejected(f"more than {MAX_BLANK_LINES:,} blank lines; remove them")
        return line

    def begin(self, number: int) -> None:
        """Begin the next row, at the line of this number."""
        self._chars = 0
        self.row_number = number


def _ends(lines: Iterable[bytes], fix: str, counted: _RowLines) -> Iterator[str]:
    """Decode lines, which may also end with a carriage return.

    Raises:
        Rejected: bytes are not UTF-8.
    """
    is_utf8 = False
    for line in lines:
        if len(line) > MAX_LINE_BYTES:
            raise Rejected("a row longer than 8 MiB; split it, or close its quotes")
        try:
            text = line.decode()
            is_utf8 = is_utf8 or not line.isascii()
        except UnicodeDecodeError as error:
            counted.number += line.replace(b"\r\n", b"\n").count(b"\r", 0, error.start)
            raise Rejected(f"{not_utf8(error)}; {MIXED if is_utf8 else fix}") from None
        yield from io.StringIO(text, newline="") if "\r" in text[:-2] else (text,)
