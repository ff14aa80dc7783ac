"""Read the rows of a journal in sorted order without holding them in memory."""

from __future__ import annotations

import shutil
import tempfile
from array import array
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import BinaryIO

from evalkit.disk.files import open_file
from evalkit.errors import StoreError
from evalkit.formats.rows import RowKey, decode_row, row_key
from evalkit.store.chain import open_journal
from evalkit.types import Row


def sorted_rows(path: Path) -> Callable[[], Iterator[Row]]:
    """Yield rows sorted by case id and repeat, the last of each key; can be iterated repeatedly.

    The positions of the rows are found once and kept; the rows themselves are decoded one at a time.
    """
    places: array[int] | None = None

    def rows() -> Iterator[Row]:
        nonlocal places
        with _open(path) as file:
            if places is None:
                places = _places(file)
            for place in places:
                file.seek(place)
                row = decode_row(file.readline())
                if row is not None:
                    yield row

    return rows


def row_at(path: Path, place: int) -> Row:
    """Read the row that begins at a byte of a journal.

    Raises:
        StoreError: no intact row begins there.
    """
    with open_file(path) as file:
        file.seek(place)
        row = decode_row(file.readline())
    if row is None:
        raise StoreError(f"{path}: changed while it was read; leave the file alone during a run")
    return row


def _places(file: BinaryIO) -> array[int]:
    places: dict[RowKey, int] = {}
    start = 0
    for line in file:
        key = row_key(line)
        if key is not None:
            places[key] = start
        start += len(line)
    return array("q", (places[key] for key in sorted(places)))


def _open(path: Path) -> BinaryIO:
    file = open_journal(path)
    if path.suffix != ".gz":
        return file
    # A compressed baseline is unpacked to a temporary file: seeking back in gzip would unpack it again each time.
    unpacked: BinaryIO = tempfile.TemporaryFile()
    try:
        with file:
            shutil.copyfileobj(file, unpacked)
        unpacked.seek(0)
    except BaseException:
        unpacked.close()
        raise
    return unpacked
