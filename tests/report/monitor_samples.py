"""A hand-made status of a monitor with everything that its page shows: alarms, a new judge, kinds, coverage, spend."""

from __future__ import annotations

import math
from dataclasses import replace
from datetime import date, timedelta

from evalkit.aggregate.failure_kinds import FailureKind
from evalkit.report.monitor.history import (
    CohortCoverage,
    DayPoint,
    History,
    SampleKinds,
    StreamTrend,
    ThinValue,
    TrendPart,
)
from evalkit.report.monitor.status import Alarm, AmountLine, InputLine, SpendLine, Status, StreamLine, StreamState
from evalkit.report.next_steps import NextStep
from evalkit.results import Estimate
from evalkit.stats.burn_rate import BurnRate

FIRST = date(2026, 9, 7)
DAYS = 70
LAST = FIRST + timedelta(days=DAYS - 1)
REFERENCE = ("2026-09-07", "2026-10-04")
BROKEN = 52
"""Day of the new judge."""
FELL = 60
"""Day on which loans became worse."""
COHORTS = ("", "topic=cards", "topic=loans", "language=de", "language=en", "tier=free")
KEY, NEW_KEY = "aaaaaaaaaaaa", "bbbbbbbbbbbb"
JUDGED = "the judge of correctness changed on 2026-10-29 from gpt-4o to gpt-5"


def day(number: int) -> str:
    """Date of a day of the history."""
    return (FIRST + timedelta(days=number)).isoformat()


def rate(value: float, n: int = 400) -> Estimate:
    """A rate with an interval."""
    half = 1.96 * math.sqrt(value * (1 - value) / n)
    return Estimate(value=value, low=max(0.0, value - half), high=min(1.0, value + half), n=n)


def points(level: float, first: int, end: int, fall: float = 0.0) -> tuple[DayPoint, ...]:
    """Days that swing around a level; two days are missing."""
    return tuple(
        DayPoint(
            date=day(number),
            now=rate(level + 0.02 * math.sin(number * 2.4) - (fall if number >= FELL else 0.0), 120 + number),
        )
        for number in range(first, end)
        if number not in (30, 31)
    )


def alarm(metric: str = "citation.passed", cohort: str = "topic=loans") -> Alarm:
    """An alarm that lasts."""
    return Alarm(
        id=f"alarm {metric} {cohort} {KEY} {day(FELL + 1)}",
        level="alarm",
        metric=metric,
        cohort=cohort,
        score_key=KEY,
        is_rate=True,
        began=day(FELL + 1),
        ended=None,
        end_reason="",
        window=5,
        at=day(FELL + 5),
        was=0.884,
        now=0.741,
        n=612.0,
        statistic=8.3,
        threshold=4.6,
        per_year=0.05,
        examples=("call-0017", "call-0291"),
    )


def warning() -> Alarm:
    """A warning that lasts."""
    return replace(
        alarm("error", ""),
        id="warning error",
        level="warning",
        was=0.031,
        now=0.052,
        statistic=4.2,
        threshold=3.95,
        per_year=1.0,
        examples=(),
    )


def ended() -> Alarm:
    """An alarm that is over."""
    return replace(
        alarm("citation.passed", "language=de"),
        id="alarm ended",
        began=day(40),
        ended=day(66),
        end_reason="the figures are back",
        at=day(44),
    )


def spend_alarm() -> Alarm:
    """An alarm of the burn rate, which has no stream."""
    return replace(
        alarm("spend_usd_per_hour", ""),
        id="alarm spend",
        is_rate=False,
        score_key="",
        was=1.39,
        now=22.4,
        n=1.0,
        statistic=16.1,
        threshold=14.4,
        per_year=None,
        examples=(),
    )


ALARMS = (alarm(), spend_alarm(), warning(), ended())


def line(metric: str, cohort: str, state: StreamState, **more: object) -> StreamLine:
    """One stream."""
    judged = metric.startswith("correctness")
    given: dict[str, object] = {
        "metric": metric,
        "cohort": cohort,
        "score_key": KEY,
        "is_rate": True,
        "higher_is_better": metric != "error",
        "judge": "gpt-5" if judged else "",
        "trusted": not judged,
        "was": 0.884,
        "now": rate(0.86),
        "state": state,
        "statistic": 8.3 if state == "alarm" else 1.2,
        "window": 5,
        "finds_7": 0.041,
        "finds_30": 0.025,
        "a_day": 118.4,
    }
    if judged:
        given |= {"was": None, "statistic": None, "finds_7": None, "finds_30": None, "note": "not in the reference"}
    return StreamLine(**given | more)  # type: ignore[arg-type]


def state_of(metric: str, cohort: str) -> StreamState:
    """State of a stream."""
    if metric == "correctness.passed":
        return "not watched"
    levels = [each.level for each in ALARMS if (each.metric, each.cohort) == (metric, cohort) and each.ended is None]
    return levels[0] if levels else "quiet"


def trend(metric: str, cohort: str) -> StreamTrend:
    """The days of one stream."""
    level = {"error": 0.03, "citation.passed": 0.88, "correctness.passed": 0.79}[metric]
    fall = 0.14 if cohort == "topic=loans" and metric == "citation.passed" else 0.0
    if metric == "correctness.passed":
        parts = (
            TrendPart(score_key=KEY, what="", was=level, points=points(level, 0, BROKEN)),
            TrendPart(score_key=NEW_KEY, what=JUDGED, was=None, points=points(level + 0.08, BROKEN, DAYS)),
        )
    else:
        parts = (TrendPart(score_key=KEY, what="", was=level, points=points(level, 0, DAYS, fall)),)
    return StreamTrend(
        metric=metric,
        cohort=cohort,
        is_rate=True,
        higher_is_better=metric != "error",
        state=state_of(metric, cohort),
        parts=parts,
        alarms=tuple(each for each in ALARMS if (each.metric, each.cohort) == (metric, cohort)),
    )


def history() -> History:
    """Three metrics in six cohorts over ten weeks."""
    kinds = (
        FailureKind(
            "failed", "citation", ("early", "repayment", "fee"), 41, 0, ("call-0017", "call-0291", "call-0301")
        ),
        FailureKind("failed", "citation", (), 17, 0, ("call-0444",)),
        FailureKind("unscored", "judge_timeout", (), 3, 0, ("call-0500",)),
    )
    return History(
        first=FIRST.isoformat(),
        last=LAST.isoformat(),
        trends=tuple(
            trend(metric, cohort) for metric in ("citation.passed", "error", "correctness.passed") for cohort in COHORTS
        ),
        n_more=7,
        sample=SampleKinds(calls=931, failing=58, kinds=kinds),
        keep_days=30,
        coverage=(
            CohortCoverage(
                metric="correctness", cohort="language", estimate=rate(0.99, 9_000), is_enough=True, thin=()
            ),
            CohortCoverage(
                metric="correctness",
                cohort="topic",
                estimate=rate(0.91, 9_000),
                is_enough=False,
                thin=(
                    ThinValue(value="insurance", share=0.07, judged=4),
                    ThinValue(value="other", share=0.04, judged=19),
                ),
            ),
        ),
        coverage_days=28,
        coverage_goal=0.95,
        enough=30,
    )


def status() -> Status:
    """The status."""
    streams = [
        line(metric, cohort, state_of(metric, cohort))
        for metric in ("citation.passed", "error", "correctness.passed")
        for cohort in COHORTS
    ]
    order = ("alarm", "warning", "quiet", "not watched")
    return Status(
        monitor="support-prod",
        checked="2026-11-16T06:30:12+00:00",
        state="alarm",
        exit_code=1,
        cannot_say=(f"{JUDGED}, and the new one has no reference",),
        reference=REFERENCE,
        first=day(DAYS - 7),
        last=LAST.isoformat(),
        calls=84_210,
        judged=6_931,
        alarm_threshold=4.6,
        warning_threshold=3.95,
        alarms_per_year=0.05,
        warnings_per_year=1.0,
        alarms=ALARMS,
        streams=tuple(sorted(streams, key=lambda each: order.index(each.state))),
        amounts=(
            AmountLine(metric="latency_s", n=84_210, p50=1.2, p95=4.8, was_p50=1.1, was_p95=3.9),
            AmountLine(metric="cost_usd", n=84_210, p50=0.0021, p95=0.0082, was_p50=None, was_p95=None),
        ),
        spend=SpendLine(
            period_usd=412.31,
            budget_usd=1_000.0,
            rates=(BurnRate(1, 16.1, 14.4), BurnRate(6, 3.2, 6.0)),
            times_last_week=2.4,
        ),
        inputs=(
            InputLine(name="topic", p=0.0004, moved=True, psi=0.12, what="topic=loans 4.1% → 11.2%"),
            InputLine(name="language", p=0.61, moved=False, psi=0.01, what="language=de 20.0% → 20.4%"),
            InputLine(name="texts", p=0.043, moved=False, psi=None),
        ),
        notes=(f"{JUDGED}: its alarms start anew, and its figures are not compared with those before",),
        next=(
            NextStep("read the calls that failed: call-0017, call-0291"),
            NextStep(f"look for what changed shortly before {day(FELL + 1)}: release, prompt, model, documents"),
            NextStep(
                "make a reference of weeks in which all was well",
                "evalkit monitor reference monitors/support.yaml --from 2026-10-29 --to 2026-11-11",
            ),
        ),
        history=history(),
    )


def hostile(payload: str) -> Status:
    """The status with the payload in every text that comes from logs, files or models."""
    cohort = f"{payload}={payload}"
    alarms = tuple(
        replace(each, metric=payload, cohort=cohort, examples=(payload, payload), end_reason=payload, score_key=payload)
        for each in ALARMS
    )
    given = status()
    past = history()
    trends = tuple(
        replace(
            each,
            metric=payload,
            cohort=cohort,
            alarms=alarms,
            parts=tuple(replace(part, what=payload, score_key=payload) for part in each.parts),
        )
        for each in past.trends[:2]
    )
    sample = SampleKinds(
        calls=9, failing=6, kinds=(FailureKind("failed", payload, (payload, payload), 6, 0, (payload, payload)),)
    )
    coverage = tuple(
        replace(
            each,
            metric=payload,
            cohort=payload,
            thin=tuple(replace(value, value=payload) for value in each.thin),
            estimate=replace(each.estimate, value=None, low=None, high=None, reason=payload),
        )
        for each in past.coverage
    )
    return replace(
        given,
        monitor=payload,
        cannot_say=(payload,),
        alarms=alarms,
        streams=tuple(
            replace(each, metric=payload, cohort=cohort, judge=payload, note=payload) for each in given.streams[:3]
        ),
        amounts=tuple(replace(each, metric=payload) for each in given.amounts),
        inputs=tuple(replace(each, name=payload, what=payload) for each in given.inputs),
        notes=(payload,),
        next=(NextStep(payload, payload),),
        history=replace(past, trends=trends, sample=sample, coverage=coverage),
    )
