"""Alarms begin and end, and are the same alarm the next day."""

import dataclasses
import json
import math
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from evalkit.errors import InputError
from evalkit.monitor.alarms import QUIET_DAYS, SPEND, Episode, episodes, merge_known, read_alerts, write_alerts
from evalkit.monitor.sampled_texts import id_hash
from evalkit.report.monitor.status import Alarm

ALARM = Alarm(
    id="alarm citation.passed 2026-07-14",
    level="alarm",
    metric="citation.passed",
    cohort="topic=cards",
    score_key="aaaaaaaaaaaa",
    is_rate=True,
    began="2026-07-14",
    ended=None,
    end_reason="",
    window=3,
    at="2026-07-16",
    was=0.9,
    now=0.8,
    n=600.0,
    statistic=5.2,
    threshold=4.6,
    per_year=0.05,
)


def test_an_alarm_lasts_until_a_week_below_half_of_the_threshold() -> None:
    """Over 4 on day 1; six days below 2 and a day at 2 do not end it, seven do."""
    values = [1.0, 4.5, 5.0, 3.0, *[1.0] * 6, 2.0, *[1.9] * 7, 0.0]
    assert episodes(values, 4.0) == [Episode(1, 2, 17)]


def test_an_alarm_that_lasts_has_no_end() -> None:
    """The day of the largest statistic is kept."""
    assert episodes([0.0, 4.1, 3.0, 6.0, 3.0], 4.0) == [Episode(1, 3, None)]
    assert episodes([4.0, 4.0], 4.0) == []


def test_days_without_answers_are_below() -> None:
    """A stream that stops does not alarm for ever."""
    assert episodes([5.0, *[-math.inf] * QUIET_DAYS], 4.0) == [Episode(0, 0, 7)]


@settings(derandomize=True, deadline=None)
@given(values=st.lists(st.floats(0, 10), max_size=60), threshold=st.floats(1, 6))
def test_every_day_over_the_threshold_is_in_one_episode(values: list[float], threshold: float) -> None:
    """Episodes are in order, do not overlap, and hold their largest day; no other day is over the threshold."""
    found = episodes(values, threshold)
    covered: set[int] = set()
    for each in found:
        days = set(range(each.began, len(values) if each.ended is None else each.ended + 1))
        assert not days & covered
        assert each.peak in days
        assert values[each.peak] == max(values[day] for day in days)
        covered |= days
    assert {day for day, value in enumerate(values) if value > threshold} <= covered


def test_an_alarm_of_yesterday_keeps_its_name_and_message() -> None:
    """Late calls moved its first day; it was sent and is not sent again."""
    known = dataclasses.replace(ALARM, sent="2026-07-17T00:00:00+00:00", examples=("a",))
    today = dataclasses.replace(ALARM, id="alarm citation.passed 2026-07-13", began="2026-07-13")
    (merged,) = merge_known([today], [known], "2026-07-18", "2026-07-01")
    assert (merged.id, merged.sent, merged.began, merged.examples) == (known.id, known.sent, "2026-07-13", ("a",))


def test_another_judge_or_level_is_another_alarm() -> None:
    """The score key is part of what an alarm is."""
    known = dataclasses.replace(ALARM, score_key="bbbbbbbbbbbb", sent="2026-07-17T00:00:00+00:00")
    merged = merge_known([ALARM], [known], "2026-07-18", "2026-07-01")
    assert [(each.score_key, each.sent != "", each.ended) for each in merged] == [
        ("bbbbbbbbbbbb", True, "2026-07-18"),
        ("aaaaaaaaaaaa", False, None),
    ]


def test_alarms_of_an_earlier_reference_end_with_it() -> None:
    """One that was reported is kept with the reason; one that nobody heard of is not."""
    sent = dataclasses.replace(ALARM, sent="2026-07-15T00:00:00+00:00")
    (ended,) = merge_known([], [sent, dataclasses.replace(ALARM, id="other")], "2026-08-01", "2026-07-25")
    assert (ended.ended, ended.end_reason) == ("2026-08-01", "a new reference was made")
    assert merge_known([], [ended], "2026-08-02", "2026-07-25") == (ended,)


def test_an_alarm_after_one_that_ended_is_new() -> None:
    """Its message is sent."""
    over = dataclasses.replace(ALARM, ended="2026-07-20", sent="x", began="2026-07-01")
    later = dataclasses.replace(ALARM, id="later", began="2026-07-25")
    assert [each.sent for each in merge_known([later], [over], "2026-07-26", "2026-06-01")] == ["x", ""]


def test_spending_keeps_its_first_day() -> None:
    """The burn rate has no days of its own, so the first one comes from the file."""
    known = dataclasses.replace(ALARM, metric=SPEND, cohort="", per_year=None)
    today = dataclasses.replace(known, began="2026-07-16", id="new")
    (merged,) = merge_known([today], [known], "2026-07-16", "2026-06-01")
    assert (merged.began, merged.id) == ("2026-07-14", known.id)
    sent = dataclasses.replace(known, sent="x")
    assert merge_known([], [sent], "2026-07-18", "2026-07-17")[0].end_reason == "spending is within the budget again"


def test_alerts_come_back_as_they_were_written(tmp_path: Path) -> None:
    """Both with and without an expected rate; nothing without a file."""
    assert read_alerts(tmp_path) == ()
    both = (ALARM, dataclasses.replace(ALARM, per_year=None, examples=("0" * 16, "f" * 16), ended="2026-08-01"))
    write_alerts(tmp_path, both)
    assert read_alerts(tmp_path) == both
    assert json.loads((tmp_path / "alerts.json").read_text())["format"] == 1


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        '{"format": 2, "alerts": []}',
        '{"format": 1}',
        '{"format": 1, "alerts": [{"id": "x"}]}',
        '{"format": 1, "alerts": 7}',
        "[" * 100_000,
        json.dumps({"format": 1, "alerts": [dataclasses.asdict(ALARM) | {"was": "high"}]}),
        json.dumps({"format": 1, "alerts": [dataclasses.asdict(ALARM) | {"was": math.nan}]}),
        json.dumps({"format": 1, "alerts": [dataclasses.asdict(ALARM) | {"metric": 7}]}),
    ],
)
def test_a_file_that_is_not_alerts_is_named(tmp_path: Path, text: str) -> None:
    """With the fix, and without a traceback."""
    (tmp_path / "alerts.json").write_text(text)
    with pytest.raises(InputError, match=r"alerts\.json.*move it away"):
        read_alerts(tmp_path)


def test_an_id_in_alerts_of_before_is_read_as_its_hash(tmp_path: Path) -> None:
    """An e-mail address does not outlive the texts."""
    write_alerts(tmp_path, [dataclasses.replace(ALARM, examples=("joe@bank.de", "f" * 16))])
    (alarm,) = read_alerts(tmp_path)
    assert alarm.examples == (id_hash("joe@bank.de"), "f" * 16)
