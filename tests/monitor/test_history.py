"""The days of a monitor: trends that break where the judge changes, failing kinds of the sample, coverage."""

from __future__ import annotations

import re
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
from watch_lab import JUDGE, OTHER_JUDGE, Lab, make_lab

from evalkit.monitor import history as histories
from evalkit.monitor.series import SERIES, Counts, MetricFacts, Series, SeriesCell, Stream
from evalkit.operations.monitor_reference import ReferenceRequest, make_reference
from evalkit.operations.monitor_status import StatusRequest, monitor_status
from evalkit.report.monitor.history import History, StreamTrend
from evalkit.report.monitor.status import Status
from evalkit.stats.weighted_sums import WeightedSums


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Lab:
    """A monitor with a reference of two weeks, which tests copy."""
    lab = make_lab(tmp_path_factory.mktemp("made"), per_day=120)
    lab.add(14)
    lab.close_day()
    make_reference(ReferenceRequest(file=lab.file, first="2026-06-01", last="2026-06-14", now=lab.now, years=40))
    return lab


@pytest.fixture
def watched(made: Lab, tmp_path: Path) -> Lab:
    """A monitor with a reference of two weeks."""
    shutil.copytree(made.file.parent, tmp_path / "project")
    return replace(made, file=tmp_path / "project" / made.file.name, rates=dict(made.rates))


def seen(lab: Lab) -> tuple[Status, History]:
    """The status of a lab with its history."""
    lab.close_day()
    status = monitor_status(StatusRequest(file=lab.file, now=lab.now, with_history=True))
    assert status.history is not None
    return status, status.history


def of(history: History, metric: str, cohort: str = "") -> StreamTrend:
    """The trend of one stream."""
    return next(each for each in history.trends if (each.metric, each.cohort) == (metric, cohort))


def test_every_day_since_the_reference_began_has_its_estimate(watched: Lab) -> None:
    """Value and interval of a day are those of the sums of that day alone."""
    watched.add(3)
    _, history = seen(watched)
    assert (history.first, history.last) == ("2026-06-01", "2026-06-17")
    points = of(history, "citation.passed").parts[0].points
    assert [each.date for each in points] == [f"2026-06-{day:02}" for day in range(1, 18)]
    # Day 15 has the call that closed the reference, too.
    assert [each.now.n for each in points] == [120] * 14 + [121] + [120] * 2
    for each in points:
        assert each.now.value is not None
        assert each.now.low is not None
        assert each.now.high is not None
        assert each.now.low < each.now.value < each.now.high
    cards, loans = (of(history, "citation.passed", f"topic={value}").parts[0].points for value in ("cards", "loans"))
    assert [each.now.n for each in cards[:2]] == [80, 80]
    for whole, one, two in list(zip(points, cards, loans, strict=True))[:14]:
        assert whole.now.value == pytest.approx((80 * (one.now.value or 0) + 40 * (two.now.value or 0)) / 120)


def test_without_a_reference_the_last_days_are_shown(tmp_path: Path) -> None:
    """No mean of a reference, no alarm, and no more days than a trend may have."""
    lab = make_lab(tmp_path, per_day=12)
    lab.add(90)
    status, history = seen(lab)
    assert status.reference is None
    trend = of(history, "error")
    assert len(trend.parts[0].points) == histories.TREND_DAYS
    assert (trend.parts[0].was, trend.alarms, trend.state) == (None, (), "not watched")


def test_a_trend_breaks_where_the_judge_changes(watched: Lab) -> None:
    """The days of each score key are a part; only that of the reference has its mean."""
    watched.add(2)
    watched.judge_key, watched.judge = OTHER_JUDGE, "gpt-5"
    watched.add(3)
    _, history = seen(watched)
    for cohort in ("", "topic=cards"):
        before, after = of(history, "correctness.passed", cohort).parts
        assert (before.score_key, after.score_key) == (JUDGE, OTHER_JUDGE)
        assert (before.what, before.points[-1].date) == ("", "2026-06-16")
        assert after.what == "the judge of correctness changed on 2026-06-17 from gpt-4o to gpt-5"
        assert [each.date for each in after.points][:1] == ["2026-06-17"]
        assert before.was is not None
        assert after.was is None
    assert len(of(history, "citation.passed").parts) == 1


def test_an_alarm_is_marked_in_its_stream_and_its_metric_is_first(watched: Lab) -> None:
    """All calls lead the cohorts of a metric; a stream without an alarm has no mark."""
    watched.rates = {"cards": 0.9, "loans": 0.2}
    watched.add(7)
    status, history = seen(watched)
    assert status.state == "alarm"
    first = history.trends[0].metric
    assert {each.metric for each in status.lasting if each.level == "alarm"} >= {first}
    loans = of(history, "citation.passed", "topic=loans")
    assert loans.state == "alarm"
    assert [each.id for each in loans.alarms] == [
        each.id for each in status.alarms if (each.metric, each.cohort) == ("citation.passed", "topic=loans")
    ]
    assert of(history, "steps").alarms == ()
    metrics = [each.metric for each in history.trends]
    assert len(dict.fromkeys(metrics)) == sum(a != b for a, b in zip(["", *metrics], metrics, strict=False))
    assert all(
        each.cohort == "" for each, before in zip(history.trends, ["", *metrics], strict=False) if each.metric != before
    )


def test_the_most_important_streams_stay_if_there_are_too_many(watched: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    """Those with an alarm, then all calls; the rest is counted."""
    watched.rates = {"cards": 0.9, "loans": 0.2}
    watched.add(7)
    _, everything = seen(watched)
    monkeypatch.setattr(histories, "MOST_TRENDS", 8)
    _, history = seen(watched)
    assert len(history.trends) == 8
    assert history.n_more == len(everything.trends) - 8 > 0
    assert of(history, "citation.passed", "topic=loans").state == "alarm"


def test_failing_calls_of_the_sample_are_grouped(watched: Lab) -> None:
    """By scorer and words, from the texts of the period that are kept; a few calls alike show no words."""
    watched.add(1, texts=True)
    _, history = seen(watched)
    sample = history.sample
    assert sample is not None
    assert 0 < sample.failing < sample.calls
    assert {each.name for each in sample.kinds} == {"citation"}
    assert sum(each.n for each in sample.kinds) == sample.failing
    assert all(not each.words for each in sample.kinds if each.n < histories.WORDS_FROM)
    hashes = [each for kind in sample.kinds for each in kind.case_ids]
    assert hashes, "an id may be an address, and a page outlives the texts, so it has hashes"
    assert all(re.fullmatch(r"[0-9a-f]{16}", each) for each in hashes)


def test_where_no_texts_are_kept_no_kinds_are_known(watched: Lab) -> None:
    """Not even from texts that an older setting has left."""
    watched.file.write_text(watched.file.read_text() + "keep: {text: none}\n")
    watched.add(1, texts=True)
    assert seen(watched)[1].sample is None


def test_coverage_counts_the_judged_answers_of_every_value(watched: Lab) -> None:
    """All calls of values with 30 judged answers in 28 days count; the others by their share of 30."""
    watched.pi = 0.02
    watched.add(14)
    _, history = seen(watched)
    (topic,) = history.coverage
    assert (topic.metric, topic.cohort, topic.is_enough, topic.thin) == ("correctness", "topic", True, ())
    assert topic.estimate.value == pytest.approx(1.0)


def test_a_value_with_too_few_judged_answers_is_named(tmp_path: Path) -> None:
    """With its share of calls, and how many judged answers there are."""
    lab = make_lab(tmp_path, per_day=120, pi=0.01)
    lab.add(20)
    _, history = seen(lab)
    (topic,) = history.coverage
    assert not topic.is_enough
    assert [each.value for each in topic.thin] == ["cards", "loans"]
    assert topic.thin[0].share == pytest.approx(2 / 3, abs=0.01)
    expected = sum(each.share * each.judged / 30 for each in topic.thin)
    assert topic.estimate.value == pytest.approx(expected, abs=1e-9)


def test_of_a_new_judge_only_its_own_answers_count(watched: Lab) -> None:
    """Answers that the judge before it scored say nothing about the new one."""
    watched.judge_key = OTHER_JUDGE
    watched.pi = 0.02
    watched.add(1)
    _, history = seen(watched)
    assert sum(each.judged for each in history.coverage[0].thin) <= 10
    assert not history.coverage[0].is_enough


def test_the_history_is_made_only_for_the_page(lab_status: Status) -> None:
    """It costs time, and JSON has the streams without it."""
    assert lab_status.history is None


@pytest.fixture
def lab_status(watched: Lab) -> Status:
    """The status of a monitor without a history."""
    watched.add(1)
    watched.close_day()
    return monitor_status(StatusRequest(file=watched.file, now=watched.now))


def test_one_value_of_a_mean_has_no_day() -> None:
    """A day whose interval is not known is left out, and is no 0."""
    assert histories.stream_estimate(WeightedSums.of([3.0], [1.0], [0]), is_rate=False).value is None


def test_a_judge_without_a_grade_covers_nothing(tmp_path: Path) -> None:
    """Its cost is not a score, and a scorer without grades is listed with 0 %."""
    lab = make_lab(tmp_path, per_day=120, graded=0.0)
    lab.add(20)
    cost = MetricFacts("judge_cost_usd", is_rate=False, higher_is_better=False, is_judged=True)
    with Series(lab.folder / SERIES) as series:
        for day in range(lab.first, lab.first + 20):
            sums = WeightedSums.of([0.1] * 40, [1.0] * 40, list(range(40)))
            names = ("", "topic=cards", "topic=loans")
            cells = [SeriesCell(Stream("judge_cost_usd", name), day * 24, sums) for name in names]
            series.add(9_000_000 + day, cells, [cost], Counts({}))
    _, history = seen(lab)
    assert [(each.metric, each.is_enough) for each in history.coverage] == [("correctness", False)]
    assert history.coverage[0].estimate.value == 0.0
