"""Read logged calls from JSON Lines and Parquet, in chunks with the cursors that follow them."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import msgspec

from evalkit.disk.files import open_file
from evalkit.disk.paths import shown_path
from evalkit.errors import Problem, what_and_fix
from evalkit.monitor.calls import LoggedCall, RowReader, RowRefused
from evalkit.monitor.cursors import Cursor, Cursors, cursor_at
from evalkit.monitor.log_files import LogBlock, LogNote, UnreadableLog

SHOWN_REFUSALS = 20
UNREADABLE = object()
"""Stands for a value that Python cannot hold: it is neither a text, nor a number, nor missing."""
_NO_LINES = 1 << 62
"""Longest line of a file that has none."""
PARQUET_ROWS = 200
"""Rows of a Parquet file that are read at a time, few because a text may have a megabyte."""


@dataclass(frozen=True, slots=True)
class Chunk:
    """Some rows of a log.

    Attributes:
        calls: Those that could be read.
        refused: Some of those that could not, with their places.
        n_refused: Number of those that could not.
        cursors: Of the files, after these rows.
        n_bytes: Bytes that the rows take in the log, for Parquet unpacked.
    """

    calls: Sequence[LoggedCall]
    refused: Sequence[Problem] = ()
    n_refused: int = 0
    cursors: Sequence[Cursor] = ()
    n_bytes: int = 0


class RefusedRows:
    """Counts refused rows, and keeps the first of them."""

    def __init__(self) -> None:
        """Begin with none."""
        self.shown: list[Problem] = []
        self.n = 0

    @classmethod
    def of(cls, chunks: Iterable[Chunk]) -> RefusedRows:
        """Return those of some chunks."""
        found = cls()
        for chunk in chunks:
            found.n += chunk.n_refused
            found.shown = [*found.shown, *chunk.refused][:SHOWN_REFUSALS]
        return found

    def add(self, place: str, said: object) -> None:
        """Count one row: `what; fix`."""
        self.n += 1
        if len(self.shown) < SHOWN_REFUSALS:
            self.shown.append(Problem(place, *what_and_fix(said)))

    def readable(self, blocks: Iterable[LogBlock]) -> Iterator[LogBlock]:
        """Yield the blocks of a log; if it cannot be read, it counts as one row."""
        try:
            yield from blocks
        except UnreadableLog as error:
            for each in error.problems:
                self.add(each.place, f"{each.what}; {each.fix}")


def json_calls(blocks: Iterable[LogBlock], reader: RowReader) -> Iterator[Chunk]:
    """Yield the calls of JSON Lines; blank lines are no rows."""
    decode, unreadable = msgspec.json.Decoder().decode, RefusedRows()
    for block in unreadable.readable(blocks):
        refusals = RefusedRows()
        calls: list[LoggedCall] = []
        for number, line in enumerate(block.lines, block.first):
            if not line.strip():
                continue
            place = f"{block.shown}:{number}"
            try:
                calls.append(reader.read(decode(line), place))
            except RowRefused as error:
                refusals.add(place, error)
            except (msgspec.DecodeError, RecursionError, UnicodeDecodeError):
                refusals.add(place, "not JSON; write one JSON object a line, in UTF-8")
        cursors = () if block.cursor is None else (block.cursor,)
        yield Chunk(calls, refusals.shown, refusals.n, cursors, block.end - block.start)
    if unreadable.n:
        yield Chunk((), unreadable.shown, unreadable.n)


def parquet_calls(path: Path, reader: RowReader, cursors: Cursors, notes: list[LogNote]) -> Iterator[Chunk]:
    """Yield the calls of a Parquet file that were not read; it does not grow, so that the cursor counts rows.

    A damaged file is refused as one row, at every look until it is whole or gone; of one whose rows are damaged, these
    are refused.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    shown = shown_path(path)
    try:
        with open_file(path, max_line_bytes=_NO_LINES) as file:
            size = os.fstat(file.fileno()).st_size
            place = cursors.place_in(file, only_whole=True)
            after = cursor_at(file, size, 0)
            if place.begin == "new" and after.name in cursors:
                notes.append(LogNote(shown, "replaced since it was read: it is read from the beginning"))
            table = pq.ParquetFile(file)
            if place.lines < table.metadata.num_rows:
                yield from _of_groups(table, shown, place.lines, reader, lambda n: _at_row(after, n))
            elif place.begin == "moved":
                yield Chunk((), cursors=(_at_row(after, place.lines),))
    except FileNotFoundError:
        return
    except (OSError, pa.ArrowException) as error:
        problem = Problem(shown, *_DAMAGED) if not isinstance(error, OSError) or not error.strerror else None
        yield Chunk((), (problem or Problem(shown, f"cannot be read: {error}", "check the file"),), 1)


_DAMAGED = ("not Parquet, or damaged", "restore it, or set `logs: {format: jsonl}` if it is not Parquet")


def _of_groups(
    table: Any, shown: str, skip: int, reader: RowReader, cursor: Callable[[int], Cursor]
) -> Iterator[Chunk]:
    """Yield the calls of the row groups of a table, from the row after `skip` on; damaged rows are refused."""
    import pyarrow as pa

    row = 0
    for group in range(table.num_row_groups):
        end = row + table.metadata.row_group(group).num_rows
        try:
            for batch in table.iter_batches(PARQUET_ROWS, row_groups=[group]) if end > skip else ():
                if row + len(batch) > skip:
                    own = batch.slice(max(0, skip - row))
                    found = _of_rows(_rows_of(own), shown, max(row, skip) + 1, reader, cursor)
                    yield replace(found, n_bytes=own.nbytes)
                row += len(batch)
        except (OSError, pa.ArrowException):
            first = max(row, skip) + 1
            problem = Problem(f"{shown} rows {first} to {end}", "damaged", "write these calls to a log again")
            yield Chunk((), (problem,), end + 1 - first, (cursor(end),))
        row = end


def _rows_of(batch: Any) -> list[dict[str, Any]]:
    """Return the rows of a batch; a value that Python cannot hold, such as a time after the year 9999, is `UNREADABLE`.

    Any scorer may read any column, so that no column is left out.
    """
    try:
        rows: list[dict[str, Any]] = batch.to_pylist()
    except (ValueError, OverflowError):
        columns = {name: [_value(cell) for cell in batch[name]] for name in batch.schema.names}
        rows = [dict(zip(columns, cells, strict=True)) for cells in zip(*columns.values(), strict=True)]
    return rows


def _value(cell: Any) -> Any:
    try:
        return cell.as_py()
    except (ValueError, OverflowError):
        return UNREADABLE


def _of_rows(
    rows: Sequence[Mapping[str, Any]], shown: str, first: int, reader: RowReader, cursor: Callable[[int], Cursor]
) -> Chunk:
    refusals = RefusedRows()
    calls: list[LoggedCall] = []
    for number, row in enumerate(rows, first):
        place = f"{shown} row {number}"
        try:
            calls.append(reader.read(row, place))
        except RowRefused as error:
            refusals.add(place, error)
    return Chunk(calls, refusals.shown, refusals.n, (cursor(first + len(rows) - 1),))


def _at_row(after: Cursor, n: int) -> Cursor:
    return Cursor(after.device, after.inode, after.offset, n, after.head, after.tail)
