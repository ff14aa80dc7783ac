"""Seal each month of observations by a head, once no call and no label of it can come any more.

A head is one hash over the observations of the month and over the head before it. So neither a file nor a batch of a
sealed month can be altered, added or removed unseen.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

from evalkit.disk.files import open_file
from evalkit.errors import StoreError
from evalkit.formats.line import body_of, seal
from evalkit.monitor.batches import AGAIN, Batch
from evalkit.monitor.observations import OBSERVATIONS
from evalkit.monitor.series import date_of, day_of

HEADS = "heads.jsonl"
FORMAT = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class MonthHead:
    """The head of one month."""

    month: str
    """Such as `2026-09`."""
    files: int
    """Files of observations."""
    head: str
    """SHA-256, in hex, of the head before and of a line `DATE BATCH SHA-256` for each file, by date and batch."""


def has_unsealed_month(folder: Path, open_day: int) -> bool:
    """Return whether a month with observations is over and has no head.

    Args:
        folder: Of the monitor.
        open_day: The first day, since 1970, of which calls or labels may still come.

    Raises:
        StoreError: The heads cannot be read.
    """
    sealed = max((each.month for each in read_heads(folder)), default="")
    months = {each.name.removeprefix("day=")[:7] for each in (folder / OBSERVATIONS).glob("day=*")}
    return any(sealed < month < date_of(open_day)[:7] for month in months)


def seal_months(folder: Path, batches: Iterable[Batch], open_day: int) -> None:
    """Write the heads of the months that are over and have none.

    Args:
        folder: Of the monitor.
        batches: All batches that count.
        open_day: As for `has_unsealed_month`.

    Raises:
        StoreError: The heads cannot be read or written.
    """
    heads = read_heads(folder)
    sealed, last = (heads[-1].month, heads[-1].head) if heads else ("", "")
    lines = []
    for month, files in sorted(_files_by_month(batches).items()):
        if sealed < month < date_of(open_day)[:7]:
            made = _head(month, files, last)
            last = made.head
            lines.append(seal(json.dumps({"format": FORMAT, **asdict(made)}, sort_keys=True).encode()))
    file = folder / HEADS
    try:
        with file.open("ab") as out:
            out.writelines(lines)
            out.flush()
            os.fsync(out.fileno())
    except OSError as error:
        raise StoreError.of(file, error, AGAIN) from error


def first_unsealed_day(folder: Path) -> int:
    """Return the first day, since 1970, after the months that have a head; 0 without a head.

    Raises:
        StoreError: The heads cannot be read.
    """
    months = [each.month for each in read_heads(folder)]
    if not months:
        return 0
    year, month = map(int, max(months).split("-"))
    return day_of(f"{year + month // 12}-{month % 12 + 1:02d}-01")


def check_heads(folder: Path, batches: Iterable[Batch]) -> None:
    """Check that the batches of sealed months are those that were sealed.

    Raises:
        StoreError: They are not, or the heads were altered.
    """
    by_month, last = _files_by_month(batches), ""
    for each in read_heads(folder):
        if _head(each.month, by_month.get(each.month, {}), last) != each:
            what = f"{folder}: the observations of {each.month} are not those that were sealed"
            raise StoreError(f"{what}; restore the folder from a copy")
        last = each.head


def read_heads(folder: Path) -> list[MonthHead]:
    """Read the heads, by month; none without a file. A line that a kill cut off does not count.

    Raises:
        StoreError: A line was altered.
    """
    file = folder / HEADS
    if not file.is_file():
        return []
    heads = []
    try:
        with open_file(file) as lines:
            for line in lines:
                if not line.endswith(b"\n"):
                    break
                body = body_of(line)
                record = json.loads(body) if body is not None else {}
                if record.pop("format", None) != FORMAT:
                    raise ValueError(line)
                heads.append(MonthHead(**record))
    except OSError as error:
        raise StoreError.of(file, error, AGAIN) from error
    except (ValueError, TypeError) as error:
        what = f"{file}: a line was altered, or another version wrote it"
        raise StoreError(f"{what}; restore it from a copy") from error
    return heads


Files = Mapping[tuple[str, int], str]
"""(date, number of the batch) -> SHA-256."""


def _files_by_month(batches: Iterable[Batch]) -> dict[str, dict[tuple[str, int], str]]:
    found: dict[str, dict[tuple[str, int], str]] = {}
    for batch in batches:
        for date, digest in batch.files.items():
            found.setdefault(date[:7], {})[date, batch.number] = digest
    return found


def _head(month: str, files: Files, last: str) -> MonthHead:
    lines = [last, *(f"{date} {number} {digest}" for (date, number), digest in sorted(files.items()))]
    return MonthHead(month=month, files=len(files), head=hashlib.sha256("\n".join(lines).encode()).hexdigest())
