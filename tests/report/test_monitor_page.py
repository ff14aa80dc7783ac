"""The page of a monitor: what it says first, what it draws, and what it never holds."""

from __future__ import annotations

import html
import re
from dataclasses import replace
from xml.etree import ElementTree

import monitor_samples as samples
import pytest

from evalkit.report.monitor.charts import described_trend, stream_svg
from evalkit.report.monitor.history import DayPoint, History, StreamTrend, TrendPart
from evalkit.report.monitor.html import status_html
from evalkit.report.monitor.status import Status
from evalkit.results import Estimate

FELL = samples.day(samples.FELL + 1)


def words_of(page: str) -> str:
    """The text of a page, without tags, style and scripts."""
    body = re.sub(r"<(style|script)>.*?</\1>", " ", page, flags=re.DOTALL)
    return " ".join(html.unescape(re.sub(r"<[^>]*>", " ", body.replace("<wbr>", ""))).split())


def drawn(trend: StreamTrend, reference: tuple[str, str] | None = samples.REFERENCE) -> ElementTree.Element:
    """A drawing as XML."""
    return ElementTree.fromstring(stream_svg(trend, samples.history(), reference))  # noqa: S314 - our own drawing


def marked(drawing: ElementTree.Element, name: str) -> list[ElementTree.Element]:
    """The elements of a class."""
    return [each for each in drawing.iter() if name in (each.get("class") or "").split()]


def with_history(**changes: object) -> Status:
    """The status with another history."""
    return replace(samples.status(), history=replace(samples.history(), **changes))  # type: ignore[arg-type]


def test_it_says_what_why_and_what_next_before_anything_else() -> None:
    """State, headline, alarms, why nothing can be said of a judge, next steps; then alarms, worst first."""
    words = words_of(status_html(samples.status()))
    order = [
        "ALARM 2 alarms, 1 warning, inputs moved: topic",
        "2026-11-09 to 2026-11-15 84,210 calls, 6,931 judged reference 2026-09-07 to 2026-10-04",
        "Why citation.passed, topic=loans : 88.4% → 74.1% in 5 days",
        f"cannot say: {samples.JUDGED}",
        "Next Read the calls that failed: call-0017, call-0291",
        "evalkit monitor reference monitors/support.yaml --from 2026-10-29 --to 2026-11-11",
        "Alarms and warnings worst first ✗ alarm citation.passed, topic=loans",
        "✗ alarm spend_usd_per_hour",
        "! warning error, all calls",
        "✗ alarm ended citation.passed, language=de",
        "Trends 2026-09-07 to 2026-11-15, by day",
        "Streams 2026-11-09 to 2026-11-15",
        "Failing calls, by kind",
        "Calls that could not be judged",
        "Coverage of production",
        "Inputs last week against the reference",
        "Latency and spend",
        "Notes",
    ]
    at = 0
    for said in order:
        found = words.find(said, at)
        assert found >= 0, said
        at = found + len(said)


def test_every_figure_of_the_status_is_there() -> None:
    """What a stream would find, kinds with words and ids, coverage and what is thin, drift, quantiles, spend."""
    words = words_of(status_html(samples.status()))
    for said in (
        "✗ alarm citation.passed, topic=loans 88.4% 86.0% [82.6, 89.4] 8.3 in 5 d 4.1 / 2.5 pts 118",
        "· not watched correctness.passed judge gpt-5, not trusted – 86.0% [82.6, 89.4] – not in the reference",
        "58 of 931 sampled calls of 2026-11-09 to 2026-11-15 failed",
        "citation early, repayment, fee 41 call-0017 call-0291 call-0301",
        "Calls that could not be judged Kind Words in common Calls Such as judge_timeout – 3 call-0500",
        "✓ reached correctness, language 99.0% [98.8, 99.2]",
        "! missed correctness, topic 91.0% [90.4, 91.6] insurance 4 of 30, 7.0% of calls",
        "! moved topic < 0.001 0.12 topic=loans 4.1% → 11.2%",
        "✓ as in the reference texts 0.043 – –",
        "latency_s 1.20 s 1.10 s 4.80 s 3.90 s 84,210",
        "cost_usd $0.0021 – $0.0082 – 84,210",
        "spent in the period $412.31 budget of 30 days $1,000.00",
        "pace of the last hour 16.1 × the budget's ✗ above 14.4 ×",
        "pace of the last 6 hours 3.2 × the budget's allowed 6 ×",
        "2.4 × the same hour of last week",
        "7 more streams are not drawn",
        "an alarm from 4.60, a warning from 3.95",
    ):
        assert said in words, said


def test_nothing_leaves_the_file() -> None:
    """Its policy forbids all requests, and it names no address."""
    page = status_html(samples.status())
    policy = re.search(r'Content-Security-Policy" content="([^"]*)"', page)
    assert policy is not None
    assert policy[1].startswith("default-src &#39;none&#39;; script-src &#39;sha256-")
    assert "connect-src" not in policy[1]
    assert not re.findall(r"(?:src|href)=\"(?!#|data:,)[^\"]*", page)
    assert not re.search(r"https?://|url\(|@import", page)


def test_a_drawing_has_a_name_a_description_and_a_table() -> None:
    """For those who do not see it: the stream, first and last day, the reference, alarms and cuts."""
    history = samples.history()
    page = status_html(samples.status())
    assert page.count('role="img"') == page.count("<desc>") == page.count("As a table") == len(history.trends)
    loans = samples.trend("citation.passed", "topic=loans")
    drawing = drawn(loans)
    assert drawing.findtext("title") == "citation.passed, topic=loans"
    assert drawing.findtext("desc") == described_trend(loans)
    assert described_trend(loans) == (
        f"68 days, 2026-09-07 88%, 2026-11-15 76%; mean of the reference 88.0%; alarm since {FELL}, which lasts"
    )
    assert samples.JUDGED in described_trend(samples.trend("correctness.passed", ""))
    rows = words_of(page)
    assert f"{FELL} alarm begins 76% [70, 82] 181" in rows
    assert f"2026-10-29 cut before: {samples.JUDGED}" in rows


def test_the_days_of_two_judges_are_not_joined() -> None:
    """A cut stands between them, each part has its own line and band, and only the first a mean of the reference."""
    drawing = drawn(samples.trend("correctness.passed", ""))
    (cut,) = marked(drawing, "cut")
    lines = [
        [float(x) for x in re.findall(r"[ML](?:\s*)([\d.]+) ", str(each.get("d")))] for each in marked(drawing, "line")
    ]
    x = float(str(cut.get("x1")))
    assert len(lines) == 3
    assert all(max(line) < x or min(line) > x for line in lines)
    (mean,) = marked(drawing, "need")
    assert float(str(mean.get("x2"))) == pytest.approx(x)
    assert marked(drawn(samples.trend("citation.passed", "")), "cut") == []


def test_a_line_breaks_where_days_are_missing() -> None:
    """Nothing is drawn between; a day alone is a dot."""
    single = (*samples.points(0.9, 0, 5), *samples.points(0.9, 8, 9), *samples.points(0.9, 20, 25))
    part = TrendPart(score_key="k", what="", was=None, points=single)
    drawing = drawn(replace(samples.trend("error", "topic=cards"), parts=(part,)), None)
    assert len(marked(drawing, "line")) == 2
    assert len(marked(drawing, "day")) == 1
    assert len(marked(drawing, "band")) == 3
    assert marked(drawing, "reference") == []


def test_alarms_and_warnings_differ_by_more_than_colour() -> None:
    """The triangle of an alarm is full, that of a warning hollow: in the style sheet, by their class."""
    (alarm,) = marked(drawn(samples.trend("citation.passed", "topic=loans")), "mark")
    (warning,) = marked(drawn(samples.trend("error", "")), "mark")
    assert (alarm.get("class"), warning.get("class")) == ("mark block", "mark warn")
    page = status_html(samples.status())
    assert "svg path.mark { stroke-width: 1.5; fill: var(--card); } svg path.mark.block { fill: var(--bad); }" in page
    lasting, over = (
        marked(drawn(samples.trend("citation.passed", cohort)), "lasts") for cohort in ("topic=loans", "language=de")
    )
    ends = [float(str(each.get("x"))) + float(str(each.get("width"))) for each in (*lasting, *over)]
    assert ends[0] > ends[1]


@pytest.mark.parametrize("value", [0.0, 0.5, 1.0])
def test_a_flat_series_is_drawn_inside_its_frame(value: float) -> None:
    """Equal values, without an interval and on a single day, give a scale and no division by zero."""
    point = DayPoint(date=samples.day(3), now=Estimate(value=value, n=4))
    part = TrendPart(score_key="k", what="", was=None, points=(point,))
    drawing = drawn(replace(samples.trend("error", ""), parts=(part,), alarms=()), None)
    (dot,) = marked(drawing, "day")
    assert 14 <= float(str(dot.get("cy"))) <= 114


def test_an_alarm_of_before_the_period_is_marked_at_its_edge() -> None:
    """A mark never leaves the frame."""
    trend = samples.trend("citation.passed", "language=de")
    early = replace(trend.alarms[0], began="2026-01-01", ended="2026-09-20")
    (mark,) = marked(drawn(replace(trend, alarms=(early,))), "began")
    assert float(str(mark.get("x1"))) == 44.0


def test_cohorts_without_an_alarm_are_folded() -> None:
    """All calls, then cohorts with an alarm stay; the rest is a click away."""
    trends = tuple(samples.trend("citation.passed", cohort) for cohort in samples.COHORTS)
    alarms = replace(trends[2], state="alarm")
    page = status_html(with_history(trends=(trends[0], alarms, *trends[1:2], *trends[3:])))
    assert "3 more cohorts" in page
    assert page.index('id="trend-2"') < page.index("3 more cohorts") < page.index('id="trend-3"')
    many = tuple(replace(each, state="alarm") for each in trends)
    assert "more cohort" not in status_html(with_history(trends=many))


def test_metrics_without_cohorts_share_a_section() -> None:
    """Each would have a line of its own for a single drawing; one with an alarm stays by itself."""
    trends = (samples.trend("error", ""), samples.trend("citation.passed", ""), samples.trend("correctness.passed", ""))
    words = words_of(status_html(with_history(trends=trends)))
    assert "error lower is better ! warning all calls" in words
    others = words[words.index("Other metrics all calls") :]
    assert others.index("citation.passed 90% [85, 94] on 2026-11-15 ; higher is better") < others.index(
        "correctness.passed 89% [84, 93] on 2026-11-15 ; higher is better; judge gpt-5, whose agreement"
    )


def test_a_statistic_below_0_has_a_minus() -> None:
    """And one that rounds to 0 has none."""
    status = samples.status()
    lines = tuple(replace(status.streams[2], statistic=value) for value in (-0.04, -1.26))
    words = words_of(status_html(replace(status, streams=lines)))
    assert "] 0.0 in 5 d" in words
    assert "] −1.3 in 5 d" in words


def test_a_quiet_monitor_is_as_short_as_it_can_be() -> None:
    """Without alarms, streams, inputs, spend, or a judge, the sections are left out or say so."""
    past: History = replace(samples.history(), trends=(), n_more=0, sample=None, coverage=())
    quiet = replace(
        samples.status(),
        state="quiet",
        alarms=(),
        streams=(),
        amounts=(),
        spend=None,
        inputs=(),
        notes=(),
        next=(),
        cannot_say=(),
        history=past,
    )
    words = words_of(status_html(quiet))
    assert "✓ QUIET nothing has become worse than the reference" in words
    assert "the monitor keeps no texts" in words
    assert "rules grade every call" in words
    for absent in ("Alarms", "Trends", "Streams", "Inputs", "Latency and spend", "Notes", "Why", "Next"):
        assert absent not in words, absent


def test_what_is_not_known_is_no_figure() -> None:
    """No sample of the period, no failing call, an undefined coverage, unknown quantiles, no budget."""
    empty = replace(samples.history().sample, calls=0, failing=0, kinds=())  # type: ignore[type-var]
    assert "No text of 2026-11-09 to 2026-11-15 is kept." in words_of(status_html(with_history(sample=empty)))
    none = replace(samples.history().sample, failing=0, kinds=())  # type: ignore[type-var]
    assert "None failed." in words_of(status_html(with_history(sample=none)))
    unknown = replace(samples.history().coverage[0], estimate=Estimate(value=None, reason="no calls"), is_enough=False)
    assert "undefined: no calls" in words_of(status_html(with_history(coverage=(unknown,))))
    status = samples.status()
    spend = replace(status.spend, budget_usd=None, rates=(), times_last_week=None)  # type: ignore[type-var]
    amounts = (replace(status.amounts[0], p50=None, p95=None),)
    words = words_of(status_html(replace(status, spend=spend, amounts=amounts)))
    assert "budget of 30 days none" in words
    assert "latency_s unknown 1.10 s unknown" in words


def test_a_page_needs_the_history() -> None:
    """A status that was made without it is refused, rather than shown without its days."""
    with pytest.raises(ValueError, match="without its history"):
        status_html(replace(samples.status(), history=None))


def test_the_same_status_gives_the_same_page() -> None:
    """Byte for byte."""
    assert status_html(samples.status()) == status_html(samples.status())
