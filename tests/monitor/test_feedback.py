"""Ratings and labels that come after the calls: counted once, in the cohorts of their calls, as streams."""

import datetime
from pathlib import Path

import numpy as np
import pytest
from monitor_lab import DAY, MONITOR, START, MonitorLab, row

from evalkit.errors import Problem
from evalkit.monitor.series import SERIES, Series, Stream
from evalkit.monitor.streams import RATED, known_facts, read_days
from evalkit.operations.monitor_take import rebuild
from suites.compliance.traffic import Traffic, otlp_export
from suites.compliance.traffic import days_of as traffic_days

PRIVATE = "my account number is 4711"


def said(number: int, at: float, **more: object) -> dict[str, object]:
    """A line of feedback about a call."""
    return {"id": f"call-{number}", "at": START + at, **more}


@pytest.fixture
def lab(tmp_path: Path) -> MonitorLab:
    """120 calls of topic cards, and ten ratings of them the next day."""
    made = MonitorLab(tmp_path, MONITOR.replace("thumb: thumb, ", ""))
    made.now += DAY
    made.log([row(i, i * 60) for i in range(120)])
    ratings = [said(i, DAY + i, thumb="down" if i % 5 == 0 else "up", text=PRIVATE) for i in range(100, 110)]
    made.log(ratings, "../ratings.jsonl")
    return made


def days_of(lab: MonitorLab, metric: str, cohort: str = "") -> dict[int, tuple[int, float]]:
    """Day from the first -> number of values and their sum."""
    with Series(lab.folder / SERIES) as series:
        cells = series.days(Stream(metric, cohort))
    return {day - int(START // DAY): (each.sums.n, each.sums.wy) for day, each in cells.items()}


def test_a_rating_counts_once_on_its_own_day(lab: MonitorLab) -> None:
    """Of the call's cohort; a second look, a copy and a changed mind count nothing; calls stay calls."""
    assert lab.take(feedback=["../ratings.jsonl"]).feedback == {"counted": 10, "double": 0, "refused": 0}
    assert days_of(lab, "thumbs_down") == {1: (10, 2.0)}
    assert days_of(lab, "thumbs_down", "topic=cards") == {1: (10, 2.0)}
    assert lab.take(feedback=["../ratings.jsonl"]).feedback == {"counted": 0, "double": 0, "refused": 0}
    lab.log([said(100, DAY + 900, thumb="up"), said(101, DAY + 901, thumb="down")], "../more.jsonl")
    assert lab.take(feedback=["../more.jsonl"]).feedback == {"counted": 0, "double": 2, "refused": 0}
    with Series(lab.folder / SERIES) as series:
        assert sum(series.strata(0, 30_000).values()) == 120
        by_day = read_days(series, {}, int(START // DAY), int(START // DAY) + 3)
        assert (RATED, "") in known_facts(series, {})
    assert [sums.mean for sums in by_day[Stream(RATED)].values()] == [0.0]


def test_a_rating_counts_in_the_week_after_its_call_whatever_its_neighbours_say(lab: MonitorLab) -> None:
    """The call of the third day opens no window for the call of the first."""
    lab.take(feedback=["../ratings.jsonl"])
    lab.now += 9 * DAY
    lab.log([row(900, 3 * DAY)])
    lab.take()
    lab.log([said(900, 3 * DAY + 60, thumb="up"), said(100, 9 * DAY, thumb="down")], "../late.jsonl")
    assert lab.take(feedback=["../late.jsonl"]).feedback == {"counted": 1, "double": 0, "refused": 1}


def test_the_series_is_made_again_with_ratings(lab: MonitorLab) -> None:
    """They are observations, so that nothing is lost; no text of them is anywhere."""
    lab.take(feedback=["../ratings.jsonl"])
    before = lab.dumped()
    rebuild(lab.file)
    assert lab.dumped() == before
    assert PRIVATE.encode() not in b"".join(each.read_bytes() for each in lab.folder.rglob("*") if each.is_file())


def test_labels_of_blocked_answers_are_two_streams(lab: MonitorLab) -> None:
    """The share of blocked answers that is good, and of delivered ones that is bad."""
    labels = [said(i, DAY, good=i < 3, action="block") for i in range(10)]
    labels += [said(i, DAY, good=i != 20, action=("pass", "warn")[i % 2]) for i in range(20, 30)]
    lab.log(labels, "../labels.jsonl")
    assert lab.take(feedback=["../labels.jsonl"]).feedback["counted"] == 20
    assert days_of(lab, "blocked_good") == {1: (10, 3.0)}
    assert days_of(lab, "delivered_bad") == {1: (10, 1.0)}
    assert days_of(lab, "thumbs_down") == {}


def test_lines_that_are_no_feedback_are_refused_without_their_values(lab: MonitorLab) -> None:
    """Each with its place and fix."""
    lines: list[object] = [
        said(500, DAY, thumb="up"),
        said(1, DAY),
        said(1, DAY, thumb=PRIVATE),
        said(1, DAY, good="yes", action="block"),
        said(1, DAY, good=True),
        {"thumb": "up", "at": START},
        "[]",
        "{",
    ]
    lab.log(lines, "../odd.jsonl")  # type: ignore[arg-type]
    found = lab.take(feedback=["../odd.jsonl"])
    assert found.feedback == {"counted": 0, "double": 0, "refused": len(lines)}
    assert all(isinstance(each, Problem) and each.fix for each in found.refused)
    told = " ".join(map(str, found.refused))
    assert PRIVATE not in told
    for part in (
        "no call of the week before",
        "neither thumb nor good",
        "not a rating",
        "not true or false",
        "action: m",
    ):
        assert part in told


def test_a_thumb_in_a_trace_is_a_rating(tmp_path: Path) -> None:
    """The attribute that `logs: {thumb: ...}` names; of any span of the trace."""
    traffic = Traffic(until=datetime.date(2026, 9, 1), days=1, calls=3)
    exports = [otlp_export(call) for _, calls in traffic_days(traffic) for call in calls]
    for export, thumb in zip(exports, ("down", "up", None), strict=True):
        root = export["resourceSpans"][0]["scopeSpans"][0]["spans"][1]
        if thumb:
            root["attributes"].append({"key": "app.thumb", "value": {"stringValue": thumb}})
    text = "name: shop\nlogs: {format: otlp, thumb: app.thumb}\nscorers: [{length: {max: 12}}]\n"
    lab = MonitorLab(tmp_path, text)
    lab.log(exports)
    lab.now = (lab.logs / "a.jsonl").stat().st_mtime + 60
    assert lab.take().n_scored == 3
    (found,) = lab.observed()
    values = found.metrics["thumbs_down"]
    assert sorted(values[~np.isnan(values)].tolist()) == [0.0, 1.0]
