"""Read logged calls from JSON Lines and Parquet, in chunks with the cursors that follow them."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from evalkit.disk.files import open_file
from evalkit.disk.paths import shown_path
from evalkit.errors import InputError, Problem, what_and_fix
from evalkit.monitor.calls import LoggedCall, RowReader, RowRefused
from evalkit.monitor.cursors import Cursor, Cursors, cursor_at
from evalkit.monitor.log_files import LogBlock, LogNote

SHOWN_REFUSALS = 20
_NO_LINES = 1 << 62
"""Longest line of a file that has none."""
PARQUET_ROWS = 20_000
"""Rows of a Parquet file that are read at a time."""


@dataclass(frozen=True, slots=True)
class Chunk:
    """Some rows of a log.

    Attributes:
        calls: Those that could be read.
        refused: Some of those that could not, with their places.
        n_refused: Number of those that could not.
        cursors: Of the files, after these rows.
    """

    calls: Sequence[LoggedCall]
    refused: Sequence[Problem] = ()
    n_refused: int = 0
    cursors: Sequence[Cursor] = ()


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


def json_calls(blocks: Iterable[LogBlock], reader: RowReader) -> Iterator[Chunk]:
    """Yield the calls of JSON Lines; blank lines are no rows."""
    decode = msgspec.json.Decoder().decode
    for block in blocks:
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
        yield Chunk(calls, refusals.shown, refusals.n, cursors)


def parquet_calls(path: Path, reader: RowReader, cursors: Cursors, notes: list[LogNote]) -> Iterator[Chunk]:
    """Yield the calls of a Parquet file that were not read; it does not grow, so that the cursor counts rows.

    Raises:
        InputError: the source cannot be read.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    shown = shown_path(path)
    try:
        with open_file(path, max_line_bytes=_NO_LINES) as file:
            size = os.fstat(file.fileno()).st_size
            place = cursors.place_in(file, only_whole=True)
            after = cursor_at(file, size, 0)
            skip = place.lines
            if place.begin == "new" and after.name in cursors:
                notes.append(LogNote(shown, "replaced since it was read: it is read from the beginning"))
            row = 0
            found = pq.ParquetFile(file)
            if skip >= found.metadata.num_rows:
                if place.begin == "moved":
                    yield Chunk((), cursors=(_at_row(after, skip),))
                return
            for batch in found.iter_batches(PARQUET_ROWS):
                if row + len(batch) > skip:
                    own = batch.slice(max(0, skip - row))
                    first = max(row, skip) + 1
                    yield _of_rows(own.to_pylist(), shown, first, reader, lambda n: _at_row(after, n))
                row += len(batch)
    except FileNotFoundError:
        return
    except OSError as error:
        raise InputError(Problem(shown, f"cannot be read: {error.strerror or error}", "check the file")) from None
    except pa.ArrowException as error:
        what = f"not Parquet, or damaged ({type(error).__name__})"
        raise InputError(Problem(shown, what, "name a Parquet file, or set `logs: {format: jsonl}`")) from None


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
