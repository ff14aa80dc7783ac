"""The file of series: cells add, a batch counts once, days and streams are read back."""

import sqlite3
from pathlib import Path

import pytest

from evalkit.errors import StoreError
from evalkit.monitor.series import CALLS, Counts, MetricFacts, Series, SeriesCell, Stream, date_of, day_of
from evalkit.stats.log_histogram import LogHistogram
from evalkit.stats.weighted_sums import WeightedSums

CARDS = Stream("citation.passed", "topic=cards", "abc")
LATENCY = Stream("latency_s")


def cell(stream: Stream, hour: int, values: list[float], amounts: list[float] | None = None) -> SeriesCell:
    """A cell of equally weighted values."""
    sums = WeightedSums.of(values, [1.0] * len(values), range(len(values)))
    return SeriesCell(stream, hour, sums, None if amounts is None else LogHistogram.of(amounts, 0.001))


def test_cells_add_and_a_batch_counts_once(tmp_path: Path) -> None:
    """Two batches of one hour add up; the second time the same number changes nothing."""
    with Series(tmp_path / "series.sqlite") as series:
        assert series.add(1, [cell(CARDS, 480_000, [1, 0]), cell(LATENCY, 480_000, [2.0], [2.0])])
        assert series.add(2, [cell(CARDS, 480_000, [1]), cell(LATENCY, 480_000, [4.0], [4.0])])
        assert not series.add(2, [cell(CARDS, 480_000, [1])])
        (found,) = series.hours(CARDS)
        assert (found.sums.n, found.sums.mean) == (3, pytest.approx(2 / 3))
        (amounts,) = series.hours(LATENCY)
        assert amounts.histogram == LogHistogram.of([2.0, 4.0], 0.001)
        assert series.batches() == {1, 2}


def test_hours_are_read_as_days_in_utc(tmp_path: Path) -> None:
    """The last hour of a day and the first of the next are two days; the end is not included."""
    day = day_of("2026-09-01")
    with Series(tmp_path / "series.sqlite") as series:
        series.add(1, [cell(CARDS, day * 24 + hour, [1]) for hour in (0, 23, 24, 60)])
        series.add(2, [cell(CALLS, day * 24 + 48, [0])])
        found = series.days(CARDS, day, day + 2)
        assert {date_of(key): value.sums.n for key, value in found.items()} == {"2026-09-01": 2, "2026-09-02": 1}
        assert series.newest_hour() == day * 24 + 48


def test_streams_facts_and_strata_are_kept(tmp_path: Path) -> None:
    """Another score key is another stream."""
    other = Stream("citation.passed", "topic=cards", "def")
    facts = MetricFacts("citation.passed", "abc", is_judged=True, judge="gpt-4o")
    with Series(tmp_path / "series.sqlite") as series:
        series.add(
            1,
            [cell(CARDS, 1, [1]), cell(other, 1, [0])],
            [facts],
            Counts({(0, "topic=cards"): 5}, {("topic", "cards"): 5}),
            {"end": "1"},
        )
        series.add(
            2,
            [],
            [facts],
            Counts({(0, "topic=cards"): 2, (1, "topic=loans"): 1}, {("topic", "cards"): 2}),
            {"end": "2"},
        )
    with Series(tmp_path / "series.sqlite") as series:
        assert series.streams() == [CARDS, other]
        assert series.facts() == [facts]
        assert series.strata(0, 1) == {(0, "topic=cards"): 7}
        assert series.values() == {("topic", "cards"): 7}
        assert series.state() == {"end": "2"}


def test_a_failed_batch_adds_nothing(tmp_path: Path) -> None:
    """All cells of a batch are added, or none."""
    with Series(tmp_path / "series.sqlite") as series:
        mixed = [cell(LATENCY, 1, [1.0], [1.0]), SeriesCell(LATENCY, 1, WeightedSums(), LogHistogram(1e-6, {1: 1}))]
        with pytest.raises(ValueError, match="do not merge"):
            series.add(1, mixed)
        assert series.batches() == frozenset()
        assert series.hours(LATENCY) == []
        assert series.newest_hour() is None


def test_what_is_no_series_is_refused_with_its_fix(tmp_path: Path) -> None:
    """A damaged file and one of another format: both say `take --rebuild`."""
    file = tmp_path / "series.sqlite"
    file.write_bytes(b"not a database" * 100)
    with pytest.raises(StoreError, match="--rebuild"):
        Series(file)
    file.unlink()
    with sqlite3.connect(file) as database:
        database.execute("PRAGMA user_version = 9")
    database.close()
    with pytest.raises(StoreError, match="format 9"):
        Series(file)
