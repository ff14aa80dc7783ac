"""Keep what a monitor took: observations, texts of the sample, the journal of batches, ids and series."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable, Mapping, Sequence, Set
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import TracebackType
from typing import Self

from evalkit.disk.files import sha256_of
from evalkit.errors import InputError, Problem, StoreError
from evalkit.monitor.batches import AGAIN, Batch, BatchJournal
from evalkit.monitor.calls import DAY_S
from evalkit.monitor.cells import cells_of, strata_of
from evalkit.monitor.cursors import Cursor
from evalkit.monitor.known_ids import BACK_DAYS, IDS, KnownIds
from evalkit.monitor.month_heads import check_heads, has_unsealed_month, seal_months
from evalkit.monitor.observations import (
    Observations,
    observations_file,
    read_observations,
    stored_files,
    write_observations,
)
from evalkit.monitor.sampled_texts import cut_texts, delete_texts
from evalkit.monitor.series import SERIES, Counts, Series, SeriesCell, date_of, day_of
from evalkit.store.shards import remove_shards

try:
    import fcntl
except ImportError:  # no such locks on Windows: there nothing keeps two processes out of one monitor
    fcntl = None  # type: ignore[assignment]

LOCK = ".lock"
_END, _LAST, _NEWEST, _BEFORE = "journal_end", "last_batch", "newest", "before"
_CURSOR, _SAMPLED, _SPENT, _SEEN = "cursor ", "sampled ", "spent ", "seen "
KEPT_CURSOR_DAYS = 30
"""Days for which the cursor of a log that is gone is kept, to recognise copies and the packed file of that log."""


@dataclass(frozen=True)
class StoreState:
    """What the next batch goes on from.

    Attributes:
        last: Number of the last batch; 0 if there is none.
        newest: Seconds since 1970 of the newest call; `None` if there is none.
        before: The same, before the look that a killed process did not finish; `newest` if none is unfinished.
        cursors: Of the logs, by name.
        values: (cohort, hash of a value) -> calls.
        sampled: Date -> bytes of the texts of that day.
        spent: Date -> US dollars that judges cost.
    """

    last: int = 0
    newest: float | None = None
    before: float | None = None
    cursors: Mapping[str, Cursor] = field(default_factory=dict)
    values: Mapping[tuple[str, str], int] = field(default_factory=dict)
    sampled: Mapping[str, int] = field(default_factory=dict)
    spent: Mapping[str, float] = field(default_factory=dict)


class MonitorStore:
    """The folder of a monitor, locked for one process that takes."""

    def __init__(self, folder: Path, *, is_rebuilt: bool = False) -> None:
        """Set the folder; it is made and locked on entry.

        Args:
            folder: Of the monitor.
            is_rebuilt: Whether series and ids are deleted, for `rebuild`.
        """
        self.folder, self._is_rebuilt = folder, is_rebuilt
        self.ids = KnownIds(folder)

    def __enter__(self) -> Self:
        """Lock the folder, and finish or undo what a killed process began.

        Raises:
            InputError: another process takes.
            StoreError: the disk refuses, or a file was altered.
        """
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            ignored = self.folder / ".gitignore"
            if not ignored.exists():
                ignored.write_text("*\n", encoding="utf-8")
            self._lock = os.open(self.folder / LOCK, os.O_RDWR | os.O_CREAT, 0o644)
        except OSError as error:
            raise StoreError.of(self.folder, error, AGAIN) from error
        try:
            self._take_lock()
            self._journal = BatchJournal(self.folder)
            try:
                if self._is_rebuilt:
                    self._delete_series()
                self.series = Series(self.folder / SERIES)
                if not self._is_rebuilt:
                    self._recover()
            except BaseException:
                self._journal.close()
                raise
        except BaseException:
            os.close(self._lock)
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Release the folder."""
        self.series.close()
        self._journal.close()
        os.close(self._lock)

    def _take_lock(self) -> None:
        if fcntl is None:
            return
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            what = "another process takes logs into this monitor"
            raise InputError(Problem(str(self.folder), what, "wait for it to end, or stop it")) from None

    def state(self) -> StoreState:
        """Return what the next batch goes on from.

        Raises:
            StoreError: the store cannot be read.
        """
        found = self.series.state()

        def named(start: str) -> dict[str, str]:
            return {name.removeprefix(start): value for name, value in found.items() if name.startswith(start)}

        try:
            newest = float(found[_NEWEST]) if _NEWEST in found else None
            return StoreState(
                last=int(found.get(_LAST, "0")),
                newest=newest,
                before=json.loads(found[_BEFORE]) if found.get(_BEFORE) else newest,
                cursors={name: Cursor.decoded(value) for name, value in named(_CURSOR).items()},
                values=self.series.values(),
                sampled={date: int(value) for date, value in named(_SAMPLED).items()},
                spent={date: float(value) for date, value in named(_SPENT).items()},
            )
        except (ValueError, TypeError, KeyError) as error:
            what = f"{self.folder / SERIES}: damaged ({type(error).__name__})"
            raise StoreError(f"{what}; run `evalkit monitor take --rebuild`, which makes the file again") from error

    def commit(self, batch: Batch, observed: Sequence[Observations]) -> None:
        """Make a batch count; its texts are written.

        Args:
            batch: Its line, whose `files` are filled in here.
            observed: Its calls by day.

        Raises:
            StoreError: the store cannot be written; the batch does not count then, or is finished by the next process.
        """
        files = {}
        for each in observed:
            file = write_observations(self.folder, each)
            files[file.parent.name.removeprefix("day=")] = sha256_of(file)
        batch = replace(batch, files=files)
        self._apply(batch, observed, self._journal.append(batch))

    def rebuild(self, progress: Callable[[int], object] = lambda number: None) -> int:
        """Make series and ids from the journal and the observations, and return the number of batches.

        Args:
            progress: Called with the number of each batch.

        Raises:
            StoreError: a file is missing or was altered.
        """
        n = 0
        for batch, end in self._journal.after(0):
            self._apply(batch, self._read(batch), end)
            progress(batch.number)
            n += 1
        check_heads(self.folder, (batch for batch, _ in self._journal.after(0)))
        self._recover()
        return n

    def seal_months(self, open_day: int) -> None:
        """Write the heads of the months that are over: those before the month of the first day that is still open.

        Raises:
            StoreError: the journal or the heads cannot be read, or the heads cannot be written.
        """
        if has_unsealed_month(self.folder, open_day):
            seal_months(self.folder, (batch for batch, _ in self._journal.after(0)), open_day)

    def forget(self, first_text: int, first_ids: int) -> int:
        """Delete the texts before one day and the ids before another, and return the number of days deleted."""
        self.ids.forget(first_ids)
        return delete_texts(self.folder, first_text)

    def see_logs(self, seen: Set[str], today: int) -> None:
        """Note which logs are there, and drop the cursors of those that have been gone for 30 days.

        Args:
            seen: Names of the cursors of the logs that were looked at.
            today: Days since 1970.
        """
        found, date, gone = self.series.state(), date_of(today), date_of(today - KEPT_CURSOR_DAYS)
        last = {
            name: found.get(_SEEN + name, "")
            for name in (each.removeprefix(_CURSOR) for each in found if each.startswith(_CURSOR))
        }
        here = {name for name, when in last.items() if (name in seen or not when) and when != date}
        dropped = [name for name, when in last.items() if name not in seen and "" < when < gone]
        if here or dropped:
            old = [start + name for name in dropped for start in (_CURSOR, _SEEN)]
            self.series.set_state({_SEEN + name: date for name in here}, old)

    def _delete_series(self) -> None:
        for file in (SERIES, f"{SERIES}-wal", f"{SERIES}-shm"):
            (self.folder / file).unlink(missing_ok=True)
        shutil.rmtree(self.folder / IDS, ignore_errors=True)

    def _recover(self) -> None:
        offset = int(self.series.state().get(_END, "0"))
        for batch, end in self._journal.after(offset):
            self._apply(batch, self._read(batch), end)
        state = self.state()
        stored = []
        for day, number, file in stored_files(self.folder):
            if number > state.last:
                file.unlink(missing_ok=True)
            elif state.newest is not None and day >= int(state.newest // DAY_S) - BACK_DAYS - 2:
                stored.append((day, number))  # their ids are never forgotten before
        self.ids.check(stored)
        for draft in (*self.folder.glob("*/day=*/.*.tmp"), *self.folder.glob(".*.tmp")):
            draft.unlink(missing_ok=True)
        remove_shards(self.folder)  # texts that workers of a killed process read
        cut_texts(self.folder, state.sampled)

    def _read(self, batch: Batch) -> list[Observations]:
        found = []
        for date, digest in sorted(batch.files.items()):
            file = observations_file(self.folder, day_of(date), batch.number)
            try:
                known = sha256_of(file)
            except OSError as error:
                raise StoreError.of(file, error, "or restore it from a copy") from error
            if known != digest:
                raise StoreError(f"{file}: altered since it was written; restore it from a copy")
            found.append(read_observations(file))
        return found

    def _apply(self, batch: Batch, observed: Sequence[Observations], end: int) -> None:
        """Add the ids and figures of a batch of the journal."""
        cells: list[SeriesCell] = []
        strata: dict[tuple[int, str], int] = {}
        for each in sorted(observed, key=lambda each: each.day):
            self.ids.add(each.day, each.batch, each.ids)
            cells += cells_of(each)
            strata |= strata_of(each)
        facts = observed[0].facts if observed else ()
        known = self.series.state()
        spent = {date: float(known.get(_SPENT + date, "0")) + usd for date, usd in batch.spent.items()}
        newest = [
            each for each in (batch.newest, float(known[_NEWEST]) if _NEWEST in known else None) if each is not None
        ]
        state = {
            _END: str(end),
            _LAST: str(batch.number),
            _BEFORE: "" if batch.ends_look else json.dumps(batch.before),
            **({_NEWEST: repr(max(newest))} if newest else {}),
            **{_CURSOR + name: value for name, value in batch.cursors.items()},
            **{_SAMPLED + date: str(size) for date, size in batch.sampled.items()},
            **{_SPENT + date: json.dumps(usd) for date, usd in spent.items()},
        }
        values = {(cohort, value): n for cohort, value, n in batch.values}
        self.series.add(batch.number, cells, facts, Counts(strata, values), state)
