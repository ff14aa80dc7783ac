"""Pack the cases for the HTML file."""

from __future__ import annotations

import base64
import zlib
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, TextIO

from evalkit.report.bodies import Json, body_of, to_ascii
from evalkit.report.columns import CHUNK, Columns
from evalkit.report.shortened import Shortener
from evalkit.report.survey import Rows
from evalkit.report.view import View
from evalkit.trust.labels import Label
from evalkit.types import Row

_GZIP = 31
_LEVEL = 6

Pair = tuple[Row | None, Row | None]


def write_payload(
    file: TextIO, view: View, rows: Rows, baseline_rows: Rows | None, labels: Sequence[Label], record: str
) -> None:
    """Write the data blocks; memory holds one chunk, the compressed index and the frequent words.

    Args:
        file: text, written as UTF-8.
        view: names, changes and metrics of the run.
        rows: the candidate's, sorted by case id and repeat.
        baseline_rows: the baseline's, sorted in the same way.
        labels: labels of raters, on answers of this run or of others.
        record: the release decision as Markdown.
    """
    removed = {case_id for case_id, change in view.changes.items() if change == "removed"}
    columns, index, shortener = Columns(view, labels), PackedIndex(), Shortener()
    chunks = _Chunks(file, shortener)
    for row, before in side_by_side(rows(), baseline_rows() if baseline_rows else ()):
        either = row or before
        if either is None or (view.shown is not None and either.case.id not in view.shown.ids):
            continue
        if row is not None or either.case.id in removed:
            index.add(columns.entry(row, before))
            chunks.add(body_of(row, before))
    chunks.close()
    write_block(file, "record", packed(record))
    write_block(file, "words", packed(to_ascii(shortener.words)))
    write_block(file, "index", index.close(columns.legend()))


def side_by_side(rows: Iterable[Row], baseline_rows: Iterable[Row]) -> Iterator[Pair]:
    """Yield pairs of rows of two runs with the same case id and repeat; both are sorted by these."""
    others = iter(baseline_rows)
    other = next(others, None)
    for row in rows:
        while other is not None and _key(other) < _key(row):
            yield None, other
            other = next(others, None)
        if other is not None and _key(other) == _key(row):
            yield row, other
            other = next(others, None)
        else:
            yield row, None
    while other is not None:
        yield None, other
        other = next(others, None)


def _key(row: Row) -> tuple[str, int]:
    return row.case.id, row.repeat


class PackedIndex:
    """The entries of the index, compressed as they are added."""

    def __init__(self) -> None:
        self._packer = zlib.compressobj(_LEVEL, zlib.DEFLATED, _GZIP)
        self._packed = [self._packer.compress(b'{"rows":[')]
        self._waiting: list[list[Any]] = []
        self._first = True

    def add(self, entry: list[Any]) -> None:
        """Append one entry to the index."""
        self._waiting.append(entry)
        if len(self._waiting) == CHUNK:
            self._flush()

    def close(self, legend: Json) -> bytes:
        """End the index with its legend and return it as gzip."""
        self._flush()
        self._packed.append(self._packer.compress(f'],"legend":{to_ascii(legend)}}}'.encode("ascii")))
        self._packed.append(self._packer.flush())
        return b"".join(self._packed)

    def _flush(self) -> None:
        if self._waiting:
            text = ("" if self._first else ",") + to_ascii(self._waiting)[1:-1]
            self._packed.append(self._packer.compress(text.encode("ascii")))
            self._waiting, self._first = [], False


class _Chunks:
    """Writes bodies in blocks of `CHUNK`, their frequent words shortened."""

    def __init__(self, file: TextIO, shortener: Shortener) -> None:
        self._file = file
        self._shortener = shortener
        self._number = 0
        self._waiting: list[Json] = []

    def add(self, body: Json) -> None:
        """Append one body to the pending block."""
        self._waiting.append(body)
        if len(self._waiting) == CHUNK:
            self.close()

    def close(self) -> None:
        """Write the pending block."""
        if self._waiting:
            text = self._shortener.shorten(to_ascii(self._waiting))
            write_block(self._file, f"rows-{self._number}", packed(text))
            self._number += 1
            self._waiting = []


def packed(text: str) -> bytes:
    """Return a text as gzip."""
    return zlib.compress(text.encode("utf-8", "replace"), _LEVEL, _GZIP)


def write_block(file: TextIO, name: str, data: bytes) -> None:
    """Write gzip data as a block that `unpack` in the page opens."""
    file.write(f'<script type="text/plain" id="{name}">')
    file.write(base64.b64encode(data).decode("ascii"))
    file.write("</script>\n")
