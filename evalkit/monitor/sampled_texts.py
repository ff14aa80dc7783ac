"""Keep the texts of the sampled calls for some days, as sealed rows like those of a run."""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

from evalkit.disk.files import open_file
from evalkit.errors import StoreError
from evalkit.formats.rows import decode_row, encode_row
from evalkit.monitor.batches import AGAIN
from evalkit.monitor.series import date_of, day_of
from evalkit.types import Row

SAMPLED = "sampled"
"""Folder of the texts in that of a monitor."""
ROWS = "rows.jsonl"


def id_hash(call_id: str) -> str:
    """Return 16 hexadecimal digits for the id of a call: what outlives its texts, because an id may be an address."""
    return hashlib.blake2b(call_id.encode("utf-8", "surrogatepass"), digest_size=8).hexdigest()


def texts_file(folder: Path, day: int) -> Path:
    """Return the file with the texts of a day."""
    return folder / SAMPLED / f"day={date_of(day)}" / ROWS


def kept_days(folder: Path) -> list[int]:
    """Return the days whose texts are kept, in order."""
    return sorted(day_of(each.name.removeprefix("day=")) for each in (folder / SAMPLED).glob("day=*"))


def append_texts(folder: Path, day: int, rows: Sequence[Row]) -> int:
    """Write the rows of sampled calls, and return the bytes of the day's file.

    Raises:
        StoreError: the texts cannot be written.
    """
    file = texts_file(folder, day)
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        with file.open("ab") as texts:
            texts.writelines(map(encode_row, rows))
            texts.flush()
            os.fsync(texts.fileno())
            return texts.tell()
    except OSError as error:
        raise StoreError.of(file, error, AGAIN) from error


def sampled_rows(folder: Path, days: Iterable[int]) -> Iterator[Row]:
    """Yield the sampled calls of some days that are still kept, in the order in which they were taken.

    A row holds question, answer, contexts, cohorts and scores. Its `case.fields` have `at` (seconds since 1970), `pi`
    and `batch`.

    Raises:
        StoreError: a file cannot be read.
    """
    for day in days:
        file = texts_file(folder, day)
        if not file.is_file():
            continue
        try:
            with open_file(file) as lines:
                yield from (row for line in lines if (row := decode_row(line)) is not None)
        except OSError as error:
            raise StoreError.of(file, error, AGAIN) from error


def cut_texts(folder: Path, sizes: Mapping[str, int]) -> None:
    """Cut off the rows of batches that were not finished.

    Args:
        folder: Of the monitor.
        sizes: Date -> bytes of the batches that count.
    """
    for file in (folder / SAMPLED).glob(f"day=*/{ROWS}"):
        size = sizes.get(file.parent.name.removeprefix("day="), 0)
        if file.stat().st_size > size:
            os.truncate(file, size)


def delete_texts(folder: Path, first: int) -> int:
    """Delete the texts of the days before `first`, and return the number of days."""
    n = 0
    for day in (folder / SAMPLED).glob("day=*"):
        if day.name.removeprefix("day=") < date_of(first):
            shutil.rmtree(day)
            n += 1
    return n
