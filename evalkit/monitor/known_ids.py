"""Know the ids of the last days, so that a call that is logged twice counts once.

Each batch leaves the sorted hashes of its ids by day. The files are mapped, never read as a whole: 10 million calls a
day are 80 MB on disk and nothing in memory. They can be made again from the observations.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from evalkit.disk.writing import drafted
from evalkit.errors import StoreError
from evalkit.monitor.series import date_of

IDS = "ids"
_MOST_FILES = 24
"""Files of a day from which they are merged: each that is mapped takes a descriptor."""
_ID_BYTES = 8
_LOOKED_AT = 1_000
"""Ids of a file whose order is checked; a damaged one is not read as a whole either."""
_AGAIN = "run `evalkit monitor take MONITOR.yaml --rebuild`, which makes the ids again"
BACK_DAYS = 7
"""Days before and after that of a call in which the same id is a double."""


class KnownIds:
    """The ids of a monitor's calls, and the keys of its feedback."""

    def __init__(self, folder: Path) -> None:
        """Set the folder of the monitor."""
        self._folder = folder / IDS
        self._mapped: dict[Path, NDArray[np.uint64]] = {}
        self._listed: dict[int, list[Path]] = {}

    def are_known(self, day: int, ids: NDArray[np.uint64]) -> NDArray[np.bool_]:
        """Return which ids were counted within a week of `day`, shape (n,).

        Raises:
            StoreError: the files cannot be read.
        """
        found = np.zeros(len(ids), np.bool_)
        for near in range(day - BACK_DAYS, day + BACK_DAYS + 1):
            for file in self._files(near):
                known = self._ids_in(file)
                at = np.minimum(np.searchsorted(known, ids), len(known) - 1)
                found |= known[at] == ids
        return found

    def add(self, day: int, batch: int, ids: NDArray[np.uint64]) -> None:
        """Write the ids of a batch on a day.

        Raises:
            StoreError: the ids cannot be written.
        """
        file = self._file(day, batch)
        try:
            file.parent.mkdir(parents=True, exist_ok=True)
            with drafted(file) as draft:
                draft.write(np.sort(ids).astype("<u8").tobytes())
        except OSError as error:
            raise StoreError.of(file, error, "then run `evalkit monitor take` again") from error
        self._mapped.pop(file, None)
        self._listed.pop(day, None)
        if len(self._files(day)) > _MOST_FILES:
            self._merge(day)

    def check(self, stored: Iterable[tuple[int, int]]) -> None:
        """Check that the ids of batches are there.

        Args:
            stored: (day, batch) of the observations, from the newest day back to those whose ids are kept.

        Raises:
            StoreError: a file is missing, or its size is not that of ids.
        """
        by_day: dict[int, set[int]] = {}
        for day, batch in stored:
            by_day.setdefault(day, set()).add(batch)
        for day, batches in by_day.items():
            for file in self._files(day):
                first, _, last = file.stem.partition("-")
                if not (first.isdigit() and (last or first).isdigit()):
                    continue
                batches -= set(range(int(first), int(last or first) + 1))
                size = file.stat().st_size
                if not size or size % _ID_BYTES:
                    raise StoreError(f"{file}: damaged; {_AGAIN}")
            if batches:
                folder = self._file(day, 0).parent
                raise StoreError(f"{folder}: the ids of batch {min(batches)} are missing; {_AGAIN}")

    def forget(self, before: int) -> None:
        """Delete the ids of the days before `before`."""
        for folder in self._folder.glob("day=*"):
            if folder.name.removeprefix("day=") < date_of(before):
                shutil.rmtree(folder, ignore_errors=True)
        self._listed.clear()
        self._mapped.clear()

    def _merge(self, day: int) -> None:
        """Make one file of all of a day; if the process dies meanwhile, some ids are there twice, which is harmless."""
        parts = self._files(day)
        merged = parts[0].with_name(f"{parts[0].stem.partition('-')[0]}-{parts[-1].stem.rpartition('-')[2]}.ids")
        ids = np.unique(np.concatenate([self._ids_in(file) for file in parts]))
        with drafted(merged) as draft:
            draft.write(ids.astype("<u8").tobytes())
        for file in parts:
            self._mapped.pop(file, None)
            if file != merged:
                file.unlink(missing_ok=True)
        self._listed.pop(day, None)

    def _file(self, day: int, batch: int) -> Path:
        return self._folder / f"day={date_of(day)}" / f"{batch:05d}.ids"

    def _files(self, day: int) -> list[Path]:
        if day not in self._listed:
            self._listed[day] = sorted((self._folder / f"day={date_of(day)}").glob("[0-9]*.ids"))
        return self._listed[day]

    def _ids_in(self, file: Path) -> NDArray[np.uint64]:
        if file not in self._mapped:
            try:
                found = np.memmap(file, np.dtype("<u8"), "r")
            except (OSError, ValueError) as error:
                raise StoreError(f"{file}: cannot be read ({error}); {_AGAIN}") from error
            looked_at = found[:: max(1, len(found) // _LOOKED_AT)]
            if np.any(looked_at[1:] < looked_at[:-1]):
                raise StoreError(f"{file}: damaged, its ids are not in order; {_AGAIN}")
            self._mapped[file] = found
        return self._mapped[file]
