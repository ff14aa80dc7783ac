"""A reference: whole weeks, streams with enough answers, thresholds that come out the same again."""

import json
import math
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from scipy import stats
from watch_lab import RULE, Lab, refer

from evalkit.errors import InputError, StoreError
from evalkit.monitor.reference import Reference, read_reference, write_reference
from evalkit.monitor.series import SERIES, MetricFacts, Series, Stream
from evalkit.monitor.skewness import skewness_of
from evalkit.monitor.streams import day_table, find_cuts, is_watched, read_days
from evalkit.stats.weighted_sums import WeightedSums


@pytest.mark.parametrize(
    ("first", "last", "message"),
    [
        ("yesterday", "2026-06-28", "--from: 'yesterday' is not a date; write it as 2026-09-01"),
        ("2026-06-01", "2026-06-31", "--to: '2026-06-31' is not a date"),
        (
            "2026-06-01",
            "2026-06-27",
            "--to: 27 days; whole weeks are needed, at least 2; for 4 weeks, write --to 2026-06-28",
        ),
        ("2026-06-01", "2026-06-07", "--to: 7 days; .* for 2 weeks, write --to 2026-06-14"),
        ("2026-06-28", "2026-06-01", "whole weeks are needed"),
        ("2026-07-06", "2026-07-19", "the last whole day is 2026-07-12, so 2026-07-19 is not over"),
        ("2026-01-05", "2026-01-18", "no stream has 30 answers on 14 days"),
    ],
)
def test_a_period_that_cannot_be_used_is_explained(quiet: Lab, first: str, last: str, message: str) -> None:
    """With the dates to write."""
    with pytest.raises(InputError, match=message):
        refer(quiet, first=first, last=last)


def test_the_same_seed_gives_the_same_bytes(quiet: Lab) -> None:
    """And another seed another threshold."""
    first = refer(quiet).file.read_bytes()
    assert refer(quiet).file.read_bytes() == first
    assert refer(quiet, seed=1).file.read_bytes() != first


def test_a_reference_holds_what_the_period_showed(quiet: Lab) -> None:
    """Means are those of the sums; rates are smoothed in the variance only; small cohorts would be left out."""
    made = refer(quiet)
    cards = next(
        each for each in made.reference.streams if each.stream == Stream("citation.passed", "topic=cards", RULE)
    )
    with Series(quiet.folder / SERIES) as series:
        days = series.days(cards.stream, quiet.first, quiet.first + 28)
    total = sum((cell.sums for cell in days.values()), WeightedSums())
    assert cards.mean == pytest.approx(total.wy / total.w)
    assert cards.n == pytest.approx(total.n, rel=0.01)
    assert cards.effect >= 1
    assert made.reference.warning_threshold < made.reference.alarm_threshold
    assert made.reference.left_out == {}
    assert set(made.reference.cuts) == {
        f"{name}_above_{q}" for name in ("latency_s", "cost_usd") for q in ("p50", "p95")
    }


def test_a_reference_comes_back_as_it_was_written(quiet: Lab) -> None:
    """Every figure, bit by bit."""
    made = refer(quiet)
    assert read_reference(quiet.folder) == made.reference
    assert read_reference(quiet.folder.parent) is None


def damaged(reference: Reference) -> list[str]:
    """Texts that are no reference."""
    record = {"format": 1, **asdict(reference)}
    stream = record["streams"][0]
    return [
        "",
        "null",
        "{}",
        "[" * 100_000,
        json.dumps({**record, "format": 2}),
        json.dumps({**record, "alarm_threshold": math.inf}),
        json.dumps({**record, "alarm_threshold": "high"}),
        json.dumps({**record, "streams": [{**stream, "mean": math.nan}]}),
        json.dumps({**record, "streams": [{**stream, "n": -1.0}]}),
        json.dumps({**record, "streams": [{**stream, "metric": 3}]}),
        json.dumps({**record, "streams": [{**stream, "more": 3}]}),
        json.dumps({**record, "streams": 5}),
        json.dumps({**record, "cuts": {"latency_s_above_p50": "x"}}),
        json.dumps({**record, "inputs": {"days": [1], "sums": [], "weights": [], "embedder": ""}}),
        json.dumps({**record, "inputs": {"days": [1, 2], "sums": [[1], [1, 2]], "weights": [1, 1], "embedder": ""}}),
    ]


def test_a_file_that_is_not_a_reference_is_named(quiet: Lab) -> None:
    """With the command that makes it again."""
    for text in damaged(refer(quiet).reference):
        (quiet.folder / "reference.json").write_text(text)
        with pytest.raises(InputError, match=r"reference\.json.*make it again: evalkit monitor reference"):
            read_reference(quiet.folder)


def test_a_disk_that_refuses_is_named(quiet: Lab, tmp_path: Path) -> None:
    """The folder is not there any more."""
    with pytest.raises(StoreError, match=r"reference\.json"):
        write_reference(tmp_path / "gone", refer(quiet).reference)


def test_skewness_is_that_of_scipy(lab: Lab) -> None:
    """Of the steps of three days, read from the observations."""
    lab.add(3)
    found = skewness_of(lab.folder, lab.first, lab.first + 2, {("steps", "")})
    values = []
    for day in range(lab.first, lab.first + 3):
        rng = np.random.default_rng((lab.seed, day))
        rng.integers(0, 86_400, lab.per_day)
        rng.random((3, lab.per_day))
        values.append(rng.geometric(0.4, lab.per_day))
    assert found["steps", ""] == pytest.approx(stats.skew(np.concatenate(values)))
    assert skewness_of(lab.folder, lab.first - 9, lab.first - 1, {("steps", "")}) == {("steps", ""): 0.0}


def test_what_is_watched() -> None:
    """Scores and rates by cohort; amounts as shares, steps over all calls; the coverage of judges, not of rules."""
    judged = MetricFacts("correctness.scored", "k", is_judged=True)
    assert is_watched(judged, "")
    assert not is_watched(judged, "topic=cards")
    assert not is_watched(MetricFacts("citation.scored", "k"), "")
    assert is_watched(MetricFacts("citation.passed", "k"), "topic=cards")
    assert is_watched(MetricFacts("steps"), "")
    assert not is_watched(MetricFacts("steps"), "topic=cards")
    assert not any(is_watched(MetricFacts(name), "") for name in ("latency_s", "cost_usd", "input_tokens"))


def test_shares_above_the_quantiles_are_rates(quiet: Lab) -> None:
    """Half and a twentieth of the reference's own calls lie above its p50 and p95, within a bucket of 2 %."""
    with Series(quiet.folder / SERIES) as series:
        cuts = find_cuts(series, quiet.first, quiet.first + 28)
        by_day = read_days(series, cuts, quiet.first, quiet.first + 28)
    table = day_table(
        by_day, [Stream("latency_s_above_p50"), Stream("latency_s_above_p95")], quiet.first, quiet.first + 28
    )
    assert table.total(0).mean == pytest.approx(0.5, abs=0.02)
    assert table.total(1).mean == pytest.approx(0.05, abs=0.005)
    assert table.total(0).n == 28 * quiet.per_day
    assert table.total(0, quiet.first + 27).n == quiet.per_day
    assert table.weekend.tolist() == [day % 7 >= 5 for day in range(28)]


@settings(derandomize=True, deadline=None, max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.binary(max_size=300))
def test_any_bytes_are_no_reference(tmp_path: Path, data: bytes) -> None:
    """They are refused as input, with the place."""
    (tmp_path / "reference.json").write_bytes(data)
    with pytest.raises(InputError, match=r"reference\.json"):
        read_reference(tmp_path)
