"""Keep the figures of production by hour, cohort and metric in `series.sqlite`, which can be made again.

A cell holds sums, so that hours merge to days and windows by adding. A cohort is "" for all calls, or `topic=cards`. A
metric has a score key: a judge with another model or rubric begins another series, never compared with the first.
"""

from __future__ import annotations

import hashlib
import json
import sqlite3
from collections.abc import Iterable, Iterator, Mapping
from contextlib import closing
from dataclasses import astuple, dataclass, field, fields
from datetime import UTC, datetime
from operator import attrgetter
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from evalkit.disk.paths import shown_path
from evalkit.errors import InputError, Problem, StoreError
from evalkit.stats.log_histogram import LogHistogram
from evalkit.stats.weighted_sums import WeightedSums

if TYPE_CHECKING:
    from evalkit.monitor.settings import Monitor

SERIES = "series.sqlite"
"""Name of the file in the folder of a monitor."""
ALL_CALLS = ""
"""The cohort of all calls."""
HOURS_PER_DAY = 24
LEAST = {"latency_s": 0.001, "cost_usd": 0.000_001}
"""Metrics whose cells have a histogram, and the upper end of its first bucket."""
_FORMAT = 1
_SUMS = [each.name for each in fields(WeightedSums)]
_sums_in = attrgetter(*_SUMS)
_ADDED = ", ".join(f"{name} = {name} + excluded.{name}" for name in _SUMS)
_COLUMNS = ["metric", "cohort", "score_key", "hour", *_SUMS]
_UPSERT = (
    f"INSERT INTO cells ({', '.join(_COLUMNS)}) VALUES ({', '.join('?' * len(_COLUMNS))}) "  # noqa: S608 - own names
    f"ON CONFLICT (metric, cohort, score_key, hour) DO UPDATE SET {_ADDED}"
)
_TABLES = f"""
CREATE TABLE IF NOT EXISTS cells (
    metric TEXT, cohort TEXT, score_key TEXT, hour INTEGER, {", ".join(f"{name} REAL" for name in _SUMS)},
    PRIMARY KEY (metric, cohort, score_key, hour)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS histograms (
    metric TEXT, cohort TEXT, score_key TEXT, hour INTEGER, least REAL, counts BLOB,
    PRIMARY KEY (metric, cohort, score_key, hour)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS metrics (
    metric TEXT, score_key TEXT, is_rate INTEGER, higher_is_better INTEGER, is_judged INTEGER, judge TEXT,
    PRIMARY KEY (metric, score_key)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS strata (day INTEGER, stratum TEXT, n INTEGER, PRIMARY KEY (day, stratum)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS batches (number INTEGER PRIMARY KEY);
CREATE TABLE IF NOT EXISTS cohort_values (cohort TEXT, value TEXT, n INTEGER, PRIMARY KEY (cohort, value))
WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS state (name TEXT PRIMARY KEY, value TEXT) WITHOUT ROWID;
PRAGMA user_version = {_FORMAT};
"""


@dataclass(frozen=True, slots=True)
class Stream:
    """One series: a metric in a cohort, with one score key.

    Attributes:
        metric: Such as `citation.passed`, `error`, `latency_s`.
        cohort: "" for all calls, or `topic=cards`.
        score_key: Identity of the scorer, 12 hex digits; empty for what the log itself holds.
    """

    metric: str
    cohort: str = ALL_CALLS
    score_key: str = ""


CALLS = Stream("error")
"""The stream that has a value for every call."""


@dataclass(frozen=True, slots=True)
class MetricFacts:
    """What is known of a metric with one score key.

    Attributes:
        metric: Its name.
        score_key: As in `Stream`.
        is_rate: Whether every value is 0 or 1, so that the mean is a rate.
        higher_is_better: Which way is good.
        is_judged: Whether it is known of the sampled calls only.
        judge: Model of the judge; empty for a program.
    """

    metric: str
    score_key: str = ""
    is_rate: bool = True
    higher_is_better: bool = True
    is_judged: bool = False
    judge: str = ""


@dataclass(frozen=True, slots=True)
class SeriesCell:
    """The figures of one stream in one hour, or in several that were added.

    Attributes:
        stream: Whose figures they are.
        hour: Hours since 1970 in UTC; of several hours, the first.
        sums: Of the values and their weights.
        histogram: Of amounts; `None` for other metrics.
    """

    stream: Stream
    hour: int
    sums: WeightedSums
    histogram: LogHistogram | None = None

    @property
    def day(self) -> int:
        """Days since 1970 in UTC."""
        return self.hour // HOURS_PER_DAY

    def __add__(self, other: SeriesCell) -> SeriesCell:
        """Add the figures of another hour of the same stream."""
        both = [each for each in (self.histogram, other.histogram) if each is not None]
        merged = both[0] + both[1] if len(both) == 2 else (both[0] if both else None)
        return SeriesCell(self.stream, min(self.hour, other.hour), self.sums + other.sums, merged)


@dataclass(frozen=True, slots=True)
class Counts:
    """Calls of a batch.

    Attributes:
        strata: (day, stratum) -> calls, where a stratum is a combination of cohorts, `language=de|topic=cards`.
        values: (cohort, value) -> calls.
    """

    strata: Mapping[tuple[int, str], int] = field(default_factory=dict)
    values: Mapping[tuple[str, str], int] = field(default_factory=dict)


def digest_of_key(key: Mapping[str, str], when: Mapping[str, Any] | None = None) -> str:
    """Return 12 hex digits of everything that a score depends on.

    Args:
        key: Score key of the metric.
        when: The calls that the scorer applies to; `None` for all.
    """
    return hashlib.sha256(json.dumps([dict(key), when], sort_keys=True, default=str).encode()).hexdigest()[:12]


def day_of(text: str) -> int:
    """Return the number of days since 1970 of a date such as `2026-09-01`.

    Raises:
        ValueError: it is not a date.
    """
    return datetime.fromisoformat(text).replace(tzinfo=UTC).toordinal() - datetime(1970, 1, 1, tzinfo=UTC).toordinal()


def date_of(day: int) -> str:
    """Return the date of a number of days since 1970, such as `2026-09-01`."""
    return datetime.fromordinal(day + datetime(1970, 1, 1, tzinfo=UTC).toordinal()).strftime("%Y-%m-%d")


class Series:
    """The file with the cells; one process adds to it, and others may read meanwhile.

    Every method raises `StoreError` if the file cannot be read or written, or is not a series.
    """

    def __init__(self, file: Path) -> None:
        """Open the file, and make it if there is none."""
        self._file = file
        try:
            self._database = sqlite3.connect(file, timeout=30, isolation_level=None)
        except sqlite3.Error as error:
            raise self._failed(error) from error
        try:
            found = self._database.execute("PRAGMA user_version").fetchone()[0]
            if found not in (0, _FORMAT):
                what = f"{file}: format {found}, this evalkit reads {_FORMAT}"
                raise StoreError(f"{what}; run `evalkit monitor take --rebuild`")
            if found != _FORMAT:
                self._database.execute("PRAGMA journal_mode = WAL")
                self._database.executescript(_TABLES)
            self._database.execute("PRAGMA synchronous = NORMAL")
        except sqlite3.Error as error:
            self._database.close()
            raise self._failed(error) from error
        except StoreError:
            self._database.close()
            raise

    def __enter__(self) -> Self:
        """Enter the context of the open file."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close the file."""
        self.close()

    def close(self) -> None:
        """Close the file."""
        self._database.close()

    def add(
        self,
        batch: int,
        cells: Iterable[SeriesCell],
        facts: Iterable[MetricFacts] = (),
        counts: Counts | None = None,
        state: Mapping[str, str] | None = None,
    ) -> bool:
        """Add the figures of one batch to the cells, all of them or none.

        Args:
            batch: Number of the batch, from 1.
            cells: At most one of each stream and hour.
            facts: Of the metrics of the cells.
            counts: Calls of the batch by stratum and by value of a cohort.
            state: Name -> value of what `take` goes on from.

        Returns:
            Whether they were added; a batch that was added before changes nothing.
        """
        try:
            with closing(self._database.cursor()) as cursor:
                cursor.execute("BEGIN IMMEDIATE")
                try:
                    added = self._add(cursor, batch, list(cells), facts, counts or Counts(), state or {})
                except BaseException:
                    cursor.execute("ROLLBACK")
                    raise
                cursor.execute("COMMIT")
        except sqlite3.Error as error:
            raise self._failed(error) from error
        return added

    def _add(
        self,
        cursor: sqlite3.Cursor,
        batch: int,
        cells: list[SeriesCell],
        facts: Iterable[MetricFacts],
        counts: Counts,
        state: Mapping[str, str],
    ) -> bool:
        if cursor.execute("INSERT OR IGNORE INTO batches VALUES (?)", (batch,)).rowcount == 0:
            return False
        cursor.executemany(_UPSERT, ((*_key(each), *_sums_in(each.sums)) for each in cells))
        for each in cells:
            if each.histogram is not None:
                old = _histogram(cursor, each)
                merged = each.histogram if old is None else old + each.histogram
                row = (*_key(each), merged.least, merged.packed())
                cursor.execute("INSERT OR REPLACE INTO histograms VALUES (?, ?, ?, ?, ?, ?)", row)
        cursor.executemany("INSERT OR REPLACE INTO metrics VALUES (?, ?, ?, ?, ?, ?)", map(astuple, facts))
        count = "INSERT INTO {} VALUES (?, ?, ?) ON CONFLICT DO UPDATE SET n = n + excluded.n"
        for table, found in (("strata", counts.strata), ("cohort_values", counts.values)):
            cursor.executemany(count.format(table), ((*key, n) for key, n in found.items()))
        cursor.executemany("INSERT OR REPLACE INTO state VALUES (?, ?)", state.items())
        return True

    def set_state(self, state: Mapping[str, str], dropped: Iterable[str]) -> None:
        """Set some names of `state`, and drop others."""
        try:
            with closing(self._database.cursor()) as cursor:
                cursor.execute("BEGIN IMMEDIATE")
                cursor.executemany("INSERT OR REPLACE INTO state VALUES (?, ?)", state.items())
                cursor.executemany("DELETE FROM state WHERE name = ?", ((name,) for name in dropped))
                cursor.execute("COMMIT")
        except sqlite3.Error as error:
            raise self._failed(error) from error

    def batches(self) -> frozenset[int]:
        """Return the numbers of the batches that were added."""
        return frozenset(row[0] for row in self._rows("SELECT number FROM batches"))

    def facts(self) -> list[MetricFacts]:
        """Return what is known of each metric, by name and score key."""
        rows = self._rows("SELECT * FROM metrics ORDER BY metric, score_key")
        return [MetricFacts(row[0], row[1], bool(row[2]), bool(row[3]), bool(row[4]), row[5]) for row in rows]

    def streams(self) -> list[Stream]:
        """Return every stream that has a cell, by metric, cohort and score key."""
        return [
            Stream(*row) for row in self._rows("SELECT DISTINCT metric, cohort, score_key FROM cells ORDER BY 1, 2, 3")
        ]

    def hours(self, stream: Stream, first: int | None = None, end: int | None = None) -> list[SeriesCell]:
        """Return the cells of a stream in the order of time.

        Args:
            stream: Whose.
            first: Hours since 1970; `None` from the beginning.
            end: The hour after the last; `None` to the end.
        """
        where = "metric = ? AND cohort = ? AND score_key = ? AND hour >= ? AND hour < ?"
        chosen = (*astuple(stream), -(1 << 40) if first is None else first, 1 << 40 if end is None else end)
        amounts = f"SELECT hour, least, counts FROM histograms WHERE {where}"  # noqa: S608 - constant texts
        histograms = {row[0]: LogHistogram.unpacked(row[2], row[1]) for row in self._rows(amounts, chosen)}
        cells = f"SELECT hour, {', '.join(_SUMS)} FROM cells WHERE {where} ORDER BY hour"  # noqa: S608 - own names
        return [SeriesCell(stream, row[0], _sums(row[1:]), histograms.get(row[0])) for row in self._rows(cells, chosen)]

    def days(self, stream: Stream, first: int | None = None, end: int | None = None) -> dict[int, SeriesCell]:
        """Return day -> figures of a stream, in the order of time; days without values are absent.

        Args:
            stream: Whose.
            first: Days since 1970 in UTC (see `day_of`); `None` from the beginning.
            end: The day after the last; `None` to the end.
        """
        found: dict[int, SeriesCell] = {}
        limits = (None if limit is None else limit * HOURS_PER_DAY for limit in (first, end))
        for cell in self.hours(stream, *limits):
            found[cell.day] = found[cell.day] + cell if cell.day in found else cell
        return found

    def by_day(self, first: int, end: int) -> dict[Stream, dict[int, WeightedSums]]:
        """Return stream -> day -> sums of all streams, from the day `first` to the day before `end`."""
        sums = ", ".join(f"SUM({name})" for name in _SUMS)
        query = (
            f"SELECT metric, cohort, score_key, hour / {HOURS_PER_DAY} AS day, {sums} FROM cells "  # noqa: S608 - own names
            "WHERE hour >= ? AND hour < ? GROUP BY 1, 2, 3, 4 ORDER BY 1, 2, 3, 4"
        )
        found: dict[Stream, dict[int, WeightedSums]] = {}
        for metric, cohort, key, day, *row in self._rows(query, (first * HOURS_PER_DAY, end * HOURS_PER_DAY)):
            found.setdefault(Stream(metric, cohort, key), {})[day] = _sums(tuple(row))
        return found

    def strata(self, first: int, end: int) -> dict[tuple[int, str], int]:
        """Return (day, stratum) -> calls, from the day `first` to the day before `end`."""
        rows = self._rows("SELECT day, stratum, n FROM strata WHERE day >= ? AND day < ?", (first, end))
        return {(day, stratum): n for day, stratum, n in rows}

    def values(self) -> dict[tuple[str, str], int]:
        """Return (cohort, value) -> calls, of the values that are counted."""
        return {(cohort, value): n for cohort, value, n in self._rows("SELECT cohort, value, n FROM cohort_values")}

    def state(self) -> dict[str, str]:
        """Return name -> value of what `take` goes on from."""
        return dict(self._rows("SELECT name, value FROM state"))

    def newest_hour(self) -> int | None:
        """Return the latest hour with a call; `None` if there is none. Feedback comes later and does not count."""
        query = "SELECT MAX(hour) FROM cells WHERE metric = ? AND cohort = ? AND score_key = ?"
        found: int | None = next(self._rows(query, astuple(CALLS)))[0]
        return found

    def _rows(self, query: str, values: tuple[object, ...] = ()) -> Iterator[tuple[Any, ...]]:
        try:
            yield from self._database.execute(query, values).fetchall()
        except sqlite3.Error as error:
            raise self._failed(error) from error

    def _failed(self, error: sqlite3.Error) -> StoreError:
        return StoreError(f"{self._file}: {error}; run `evalkit monitor take --rebuild`, which makes the file again")


def _key(cell: SeriesCell) -> tuple[str, str, str, int]:
    stream = cell.stream
    return stream.metric, stream.cohort, stream.score_key, cell.hour


def _histogram(cursor: sqlite3.Cursor, cell: SeriesCell) -> LogHistogram | None:
    where = "metric = ? AND cohort = ? AND score_key = ? AND hour = ?"
    found = cursor.execute(f"SELECT counts, least FROM histograms WHERE {where}", _key(cell)).fetchone()  # noqa: S608
    return None if found is None else LogHistogram.unpacked(*found)


def _sums(row: tuple[float, ...]) -> WeightedSums:
    return WeightedSums(int(row[0]), int(row[1]), *row[2:])


def open_series(monitor: Monitor, file: Path) -> Series:
    """Open the series of a monitor.

    Raises:
        InputError: Nothing was taken yet.
        StoreError: It cannot be read.
    """
    if not (monitor.folder / SERIES).is_file():
        raise nothing_taken(monitor, file)
    return Series(monitor.folder / SERIES)


def nothing_taken(monitor: Monitor, file: Path) -> InputError:
    """Return the error of a monitor that has no calls."""
    take = f"take logs first: evalkit monitor take {shown_path(file)} LOGS"
    return InputError(Problem(shown_path(file), f"monitor {monitor.name} has taken no calls", take))
