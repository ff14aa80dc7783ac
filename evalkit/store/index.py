"""Read the rows of a journal in sorted order without holding them in memory."""

from __future__ import annotations

import re
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
from evalkit.store.row_sums import SortedRows
from evalkit.types import Row

_PLACE_BYTES = 8
_MOST_REPEATS = 1 << 63  # no row has as many
_DIGEST = re.compile("[0-9a-f]{64}")


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
    rows, start = SortedRows(), 0
    for line in file:
        key = row_key(line)
        if key is not None:
            rows.add(_packed(key) + start.to_bytes(_PLACE_BYTES))
        start += len(line)
    return array("q", (int.from_bytes(row[-_PLACE_BYTES:]) for row in rows.last_of_each(_PLACE_BYTES)))


def _packed(key: RowKey) -> bytes:
    """Return a key as bytes that sort by case id, then by digest, then by repeat."""
    case_id, digest, repeat = key
    content = b"\1" + bytes.fromhex(digest) if _DIGEST.fullmatch(digest) else b"\2" + _ended(digest)
    return b"".join((_ended(case_id), content, min(repeat, _MOST_REPEATS).to_bytes(_PLACE_BYTES)))


def _ended(text: str) -> bytes:
    """Return a text with an end that sorts before every further character."""
    return text.encode("utf-8", "surrogatepass").replace(b"\0", b"\0\1") + b"\0\0"


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
