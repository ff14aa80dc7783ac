"""Rows of a journal in a fixed order, whatever order they were written in, without holding them all."""

from __future__ import annotations

import gzip
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from evalkit.store.rows import decode_row, row_key
from evalkit.types import Row


def sorted_rows(path: Path) -> Iterator[Row]:
    """One row for each case x repeat (the last one written), sorted by case id and repeat.

    Two passes: the first keeps the key and the place of each line, the second reads the lines in order.
    """
    with _open(path) as file:
        places: dict[tuple[str, str, int], int] = {}
        start = 0
        for line in file:
            key = row_key(line)
            if key is not None:
                places[key] = start
            start += len(line)
        for _, place in sorted(places.items()):
            file.seek(place)
            row = decode_row(file.readline())
            if row is not None:
                yield row


def _open(path: Path) -> BinaryIO:
    # A compressed baseline is unpacked into memory: seeking back in gzip would unpack it again each time.
    if path.suffix == ".gz":
        import io

        with gzip.open(path, "rb") as packed:
            return io.BytesIO(packed.read())
    return path.open("rb")
