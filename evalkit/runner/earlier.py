"""Sort the rows of an earlier process of a run: finished, to run again, or to set aside."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, field

from evalkit.aggregate.frame import Frame
from evalkit.aggregate.statuses import QUARANTINED
from evalkit.disk.paths import shown_path
from evalkit.disk.writing import drafted
from evalkit.errors import InputError, Problem, StoreError
from evalkit.formats.line import sum_of
from evalkit.formats.rows import decode_row, row_name
from evalkit.runner.engine import MakeRow
from evalkit.runner.grading import Grader
from evalkit.runner.scoring import Scoring
from evalkit.store.chain import Damage, lines_of, note_damage
from evalkit.store.folder import SET_ASIDE, RunFolder
from evalkit.store.index import row_at
from evalkit.store.row_keys import Key, RowKeys
from evalkit.types import FAILED, Case, Row, Verdict, verdict_of


@dataclass(frozen=True)
class Already:
    """The rows of a run that were there before it was resumed."""

    done: int = 0
    failed: Counter[Verdict] = field(default_factory=Counter)
    """Those that did not pass, by verdict."""

    def __add__(self, other: Already) -> Already:
        """Add the rows of another system."""
        return Already(self.done + other.done, self.failed + other.failed)


@dataclass
class EarlierRows:
    """The rows of a journal, sorted by how the current suite treats them; the last row of a key counts."""

    folder: RunFolder
    frame: Frame
    scoring: Scoring
    wanted: Collection[str] | None = None
    """Digests of the run's cases, `None` if every stored row belongs to it."""
    retry: bool = False
    """Whether to retry errors of the system and of the simulated user, ungraded scores and skipped cases."""
    done: RowKeys = field(default_factory=RowKeys)
    quarantined: set[Key] = field(default_factory=set)
    """Skipped cases that are to be run again."""
    counts: Mapping[bytes, bytes | None] = field(default_factory=dict)
    """Name of a row that was edited or added by hand -> checksum of its line that counts; `None` if no line counts."""
    damaged: list[Damage] = field(default_factory=list)
    n_rows: int = 0
    n_unwanted: int = 0
    n_by_hand: int = 0
    _failed: Mapping[Verdict, RowKeys] = field(default_factory=lambda: {verdict: RowKeys() for verdict in FAILED})
    """Verdict -> rows that did not pass and are neither run nor graded again."""
    _open: dict[Key, int] = field(default_factory=dict)

    def read(self, charge: Callable[[Row], None]) -> None:
        """Read every row; `charge` is called with each, for its cost.

        Raises:
            InputError: an intact row belongs to another run; the message has its line.
        """
        place = 0
        path = self.folder.rows_file
        for number, line in enumerate(lines_of(path) if os.path.lexists(path) else (), 1):
            row = decode_row(line)
            if row is None:
                note_damage(self.damaged, path, number, line)
            elif self.wanted is not None and row.case.digest not in self.wanted:
                self.n_unwanted += 1
            elif self._is_by_hand(line):
                self.n_by_hand += 1
            else:
                try:
                    self._take(row, place)
                except ValueError as error:
                    fix = "start a run in another folder"
                    raise InputError(Problem(f"{shown_path(path)}:{number}", str(error), fix)) from None
                charge(row)
            place += len(line)

    def _is_by_hand(self, line: bytes) -> bool:
        """Return whether an intact line was edited or added by hand."""
        if not self.counts:
            return False
        name = row_name(line) or b""
        return name in self.counts and self.counts[name] != sum_of(line)

    def _take(self, row: Row, place: int) -> None:
        key = (row.case.digest, row.repeat)
        self.n_rows += 1
        self._open.pop(key, None)
        for keys in self._failed.values():
            keys.discard(key)
        self.quarantined.discard(key)
        self.done.add(key)
        if self.retry and (row.failure is not None or row.skipped is not None):
            self.done.discard(key)
            if (row.skipped or "").startswith(QUARANTINED):
                self.quarantined.add(key)
        stands = self.scoring.stands(row)
        if stands:
            self.frame.add(row)  # where it is tried again, it counts until the new row is there
        if not (self.scoring.stands(row, retry=True) if self.retry else stands):
            self._open[key] = place
        elif key in self.done and (verdict := verdict_of(row, self.frame.advisory)) in FAILED:
            self._failed[verdict].add(key)

    @property
    def already(self) -> Already:
        """Return the rows that are neither run nor graded again, as far as they have been read."""
        return Already(
            len(self.done) - self.n_open,
            Counter({verdict: len(keys) for verdict, keys in self._failed.items() if len(keys)}),
        )

    @property
    def n_open(self) -> int:
        """Number of stored answers that scorers have yet to grade."""
        return len(self._open)

    def close(self, row: Row) -> None:
        """Note that an answer has been graded."""
        self._open.pop((row.case.digest, row.repeat), None)

    def ungraded(self) -> Iterator[tuple[Case, int]]:
        """Return the case and repeat of each row to run again, in the order of the journal."""
        return ((row.case, row.repeat) for row in self._open_rows())

    def asked_again(self) -> Iterator[tuple[Case, list[Grader]]]:
        """Return the case of each of these answers, and the scorers that have yet to grade it."""
        return ((row.case, self.scoring.open_to(row, retry=self.retry)) for row in self._open_rows())

    def _open_rows(self) -> Iterator[Row]:
        return (row_at(self.folder.rows_file, place) for place in sorted(self._open.values()))

    def graded_again(self) -> MakeRow:
        """Return a function that grades these answers without calling the system."""
        return self.scoring.graded_again(
            lambda digest, repeat: row_at(self.folder.rows_file, self._open[digest, repeat]), retry=self.retry
        )

    def set_aside(self) -> None:
        """Move damaged lines, edited rows and rows of removed cases from the journal to a file beside it.

        Raises:
            StoreError: a file cannot be written; the journal is unchanged.
        """
        path, aside = self.folder.rows_file, self.folder.file(SET_ASIDE)
        try:
            with drafted(path) as kept, aside.open("ab") as rest:
                for line in lines_of(path):
                    row = decode_row(line)
                    fits = row is not None and (self.wanted is None or row.case.digest in self.wanted)
                    fits = fits and not self._is_by_hand(line)
                    (kept if fits else rest).write(line if line.endswith(b"\n") else line + b"\n")
                rest.flush()
                os.fsync(rest.fileno())
        except OSError as error:
            raise StoreError.of(path, error) from error
