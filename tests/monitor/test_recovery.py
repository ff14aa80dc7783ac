"""An alarm ends soon after the repair, and the scan begins anew."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from evalkit.monitor.recovery import restarted_scan
from evalkit.monitor.series import date_of
from evalkit.stats.scan import DailySums, Level, Streams, estimate_level, is_weekend, scan
from tests.monitor.watch_lab import look, make_lab, refer

DAYS, H = 150, 4.0


def drawn(seed: int, rates: np.ndarray, a_day: int = 100) -> tuple[DailySums, np.ndarray, Level, Streams]:
    """Days of one stream with these rates, after a reference at 90 %."""
    rng = np.random.default_rng(seed)
    n = np.full((1, 28 + len(rates)), float(a_day))
    chance = np.concatenate([np.full(28, 0.9), rates])
    days = DailySums(n, n, rng.binomial(a_day, chance)[None].astype(float))
    streams = Streams(np.zeros(1, int), np.ones(1, int), np.full(1, np.nan), np.zeros(1))
    weekend = is_weekend(0, n.shape[1])
    return days.between(28, None), weekend[28:], estimate_level(days.between(0, 28), weekend[:28], streams), streams


def rates(*parts: tuple[int, float]) -> np.ndarray:
    """Rates of periods of days, one after the other."""
    return np.concatenate([np.full(days, rate) for days, rate in parts])


@pytest.mark.parametrize("fall", [0.7, 0.8, 0.84])
def test_a_stream_recovers_within_two_weeks_of_its_repair(fall: float) -> None:
    """The long windows keep bad days for six weeks, but a week or two of good days is enough."""
    days, weekend, level, streams = drawn(3, rates((20, 0.9), (20, fall), (60, 0.9)))
    (recoveries,) = restarted_scan(days, weekend, level, streams, H).recoveries
    (day,) = recoveries
    assert 40 + 6 <= day <= 40 + 14
    assert scan(days, weekend, level, streams).statistic[0, day + 10] > H / 2  # the plain scan is slower


@pytest.mark.parametrize("seed", range(4))
def test_a_fall_that_lasts_does_not_recover(seed: int) -> None:
    """A hundred days at 80 % of 90 %, with a weekend of luck."""
    days, weekend, level, streams = drawn(seed, rates((20, 0.9), (50, 0.8), (2, 0.95), (50, 0.8)))
    assert restarted_scan(days, weekend, level, streams, H).recoveries == (frozenset(),)


def test_a_second_fall_is_found_anew() -> None:
    """After a recovery an episode begins again; two repairs are two recoveries."""
    twice = rates((20, 0.9), (15, 0.75), (25, 0.9), (15, 0.75), (25, 0.9))
    days, weekend, level, streams = drawn(5, twice)
    found = restarted_scan(days, weekend, level, streams, H)
    first, second = sorted(found.recoveries[0])
    assert 35 <= first < 50 and 75 <= second < 90
    assert found.result.statistic[0, 70] > H


@pytest.mark.parametrize("seed", range(6))
def test_no_statistic_is_larger_than_without_restarts(seed: int) -> None:
    """So beginning anew never makes a false alarm."""
    rng = np.random.default_rng(seed)
    days, weekend, level, streams = drawn(seed, np.clip(0.9 + 0.08 * rng.standard_normal(DAYS).cumsum() / 9, 0.5, 1))
    plain, found = scan(days, weekend, level, streams), restarted_scan(days, weekend, level, streams, H)
    assert (found.result.statistic <= plain.statistic + 1e-9).all()
    same = found.result.window == 0
    assert np.isinf(found.result.statistic[same]).all()


def test_the_alarm_of_a_repaired_cohort_ends(tmp_path: Path) -> None:
    """Ten bad days, then ten good ones: the alarm has ended, and the exit code is 0 again."""
    lab = make_lab(tmp_path, gone=frozenset({"correctness.passed", "correctness.scored"}))
    lab.add(35)
    refer(lab)
    good, lab.rates = lab.rates, {**lab.rates, "cards": 0.72}
    lab.add(10)
    assert look(lab).state == "alarm"
    lab.rates = good
    lab.add(10)
    status = look(lab)
    ended = [each for each in status.alarms if (each.metric, each.cohort) == ("citation.passed", "topic=cards")]
    assert {each.end_reason for each in ended} == {"the figures are back"}
    assert all(date_of(lab.first + 45 + 6) <= (each.ended or "") <= date_of(lab.first + 55) for each in ended)
    assert status.exit_code == 0
    assert replace(status, alarms=()).lasting == ()
