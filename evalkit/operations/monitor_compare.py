"""Compare two arms of the traffic, such as a canary with the release before it, at any time."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from evalkit.errors import ExitCode, InputError, Problem
from evalkit.formats.build import choices
from evalkit.monitor.arms import ArmScores, TwoArms, read_arms
from evalkit.monitor.cohort_values import ENOUGH
from evalkit.monitor.series import HOURS_PER_DAY, date_of, nothing_taken, open_series
from evalkit.monitor.settings import load_monitor
from evalkit.report.monitor.arms import ArmComparison, ArmLine
from evalkit.report.next_steps import NextStep
from evalkit.stats.sequence import FEWEST_UNITS, ArmAnswer, ArmMean, answer_of, arm_mean, half_width

TARGET_DAYS = 14
"""Day for which the interval is narrowest."""
LONGEST_COMPARED = 90
"""Days back that are compared at most."""
LEVEL = 0.05
_NEW_VALUE = f"a new value is `other` until it has {ENOUGH} calls"
_NEW_COHORT = "a cohort counts from the first take after it was added to the monitor"


@dataclass(frozen=True, kw_only=True)
class CompareRequest:
    """What to compare.

    Attributes:
        file: File of the monitor.
        arm: The new arm, `version=v2`.
        against: The other arm, `version=v1`.
        margin: Loss that is acceptable, in the unit of the score; 0.03 is 3 points of a rate.
        metrics: Names to compare; all by default.
        days: Length of the comparison; by default from the first day that both arms have.
    """

    file: Path
    arm: str
    against: str
    margin: float
    metrics: Sequence[str] = ()
    days: int | None = None


def compare_arms(request: CompareRequest) -> ArmComparison:
    """Compare every metric that both arms have; the intervals hold at all looks, and for all metrics together.

    Raises:
        InputError: The arms or the metrics cannot be used.
        StoreError: A file of the monitor cannot be read.
    """
    monitor = load_monitor(request.file)
    cohort, values = _arms(request, tuple(monitor.cohorts))
    with open_series(monitor, request.file) as series:
        newest = series.newest_hour()
        if newest is None:
            raise nothing_taken(monitor, request.file)
        last = newest // HOURS_PER_DAY
        by_day = series.by_day(last + 1 - LONGEST_COMPARED, last + 1)
    seen = [
        {day for stream, days in by_day.items() if stream.cohort == f"{cohort}={value}" for day in days}
        for value in values
    ]
    both = seen[0] & seen[1]
    missing = [f"{cohort}={value}" for value, days in zip(values, seen, strict=True) if not days]
    if missing or not both:
        known = sorted({stream.cohort for stream in by_day if stream.cohort.startswith(f"{cohort}=")})
        what = f"no calls of {' and '.join(missing)}" if missing else "no day has calls of both arms"
        fix = f"{choices(missing[0], known) if missing else 'take more logs'}; {_NEW_VALUE}" if known else _NEW_COHORT
        raise InputError(Problem("--arm", what, fix))
    first = min(both) if request.days is None else max(min(both), last - request.days + 1)
    found = read_arms(monitor.folder, cohort, values, first, last)
    if request.metrics:
        found = _chosen(found, request.metrics)
    if request.margin >= 1 and any(each.facts.is_rate for each in found):
        what = f"{request.margin:g} is {100 * request.margin:g} points of a rate"
        raise InputError(Problem("--margin", what, f"write {request.margin / 100:g} for {request.margin:g} points"))
    level = LEVEL / max(1, len(found))
    lines = tuple(_line(each, first, last, request.margin, level) for each in found)
    return ArmComparison(
        monitor=monitor.name,
        arm=request.arm,
        against=request.against,
        margin=request.margin,
        first=date_of(first),
        last=date_of(last),
        days=last - first + 1,
        exit_code=int(_exit_code(lines)),
        lines=lines,
        mixed=max((each.mixed for each in found), default=0),
        notes=tuple(_notes(found)),
        next=tuple(_next_steps(lines)),
    )


def _arms(request: CompareRequest, cohorts: Sequence[str]) -> tuple[str, tuple[str, str]]:
    problems, pairs = [], []
    for flag, text in (("--arm", request.arm), ("--against", request.against)):
        name, mark, value = text.partition("=")
        if not mark or not value:
            problems.append(Problem(flag, f"{text!r} names no value", "write it as version=v2"))
        elif name not in cohorts:
            fix = choices(name, cohorts) if cohorts else "name it in the monitor: cohorts: [version]"
            problems.append(Problem(flag, f"the monitor has no cohort {name!r}", fix))
        pairs.append((name, value))
    if not problems and pairs[0][0] != pairs[1][0]:
        problems.append(Problem("--against", "another cohort than --arm", f"write {pairs[0][0]}=..."))
    if not problems and pairs[0] == pairs[1]:
        problems.append(Problem("--against", "the same arm as --arm", "name the other value"))
    if not 0 < request.margin < float("inf"):
        problems.append(Problem("--margin", f"must be above 0, got {request.margin:g}", "write 0.03 for 3 points"))
    if request.days is not None and request.days < 1:
        problems.append(Problem("--since", "must be at least 1 day", "write 14d"))
    if request.days is not None and request.days > LONGEST_COMPARED:
        problems.append(
            Problem("--since", f"at most {LONGEST_COMPARED} days are compared", f"write {LONGEST_COMPARED}d")
        )
    if problems:
        raise InputError(problems)
    return pairs[0][0], (pairs[0][1], pairs[1][1])


def _chosen(found: Sequence[TwoArms], names: Sequence[str]) -> list[TwoArms]:
    known = {each.facts.metric for each in found}
    unknown = [name for name in names if name not in known]
    if unknown:
        fixes = ((name, choices(name, sorted(known))) for name in unknown)
        raise InputError([Problem("--metric", f"both arms have no {name!r}", fix) for name, fix in fixes])
    return [each for each in found if each.facts.metric in names]


def _line(arms: TwoArms, first: int, last: int, margin: float, level: float) -> ArmLine:
    facts, pair = arms.facts, (arms.new, arms.old)
    units = tuple(len(np.unique(each.units)) for each in pair)
    means: list[ArmMean] = []
    if min(units) >= 2:
        means = [arm_mean(each.values, each.weights, each.units, rate=facts.is_rate) for each in pair]
    error = math.hypot(*(each.error for each in means))
    difference = means[0].mean - means[1].mean if means else None
    note, low, high = "", None, None
    answer: ArmAnswer = "not yet"
    if min(units) < FEWEST_UNITS:
        note = f"{min(units)} units in one arm; {FEWEST_UNITS} are needed"
    elif error == 0:
        note = "no spread was observed"
    elif difference is not None:
        half = float(half_width(error, _progress(arms, error, first, last), level=level))
        low, high = difference - half, difference + half
        sign = 1 if facts.higher_is_better else -1
        gain = sorted((sign * low, sign * high))
        answer = answer_of(gain[0], gain[1], margin)
    return ArmLine(
        metric=facts.metric,
        score_key=facts.score_key,
        is_rate=facts.is_rate,
        higher_is_better=facts.higher_is_better,
        judge=facts.judge,
        answer=answer,
        mean=means[0].mean if means else None,
        against=means[1].mean if means else None,
        difference=difference,
        low=low,
        high=high,
        n=(len(arms.new.values), len(arms.old.values)),
        units=(units[0], units[1]),
        note=note,
    )


def _progress(arms: TwoArms, error: float, first: int, last: int) -> float:
    """Return the information at this look relative to that of day 14, which is extrapolated before that day."""
    days = last - first + 1
    if days <= TARGET_DAYS:
        return days / TARGET_DAYS
    target = [_until(each, first + TARGET_DAYS) for each in (arms.new, arms.old)]
    if min(len(np.unique(each.units)) for each in target) < FEWEST_UNITS:
        return days / TARGET_DAYS
    errors = [arm_mean(each.values, each.weights, each.units, rate=arms.facts.is_rate).error for each in target]
    then = math.hypot(*errors)
    return (then / error) ** 2 if then > 0 else days / TARGET_DAYS


def _until(scores: ArmScores, end: int) -> ArmScores:
    kept = scores.days < end
    return ArmScores(scores.values[kept], scores.weights[kept], scores.units[kept], scores.days[kept])


def _exit_code(lines: Sequence[ArmLine]) -> ExitCode:
    answers = {line.answer for line in lines}
    if "worse" in answers:
        return ExitCode.BLOCKED
    return ExitCode.NO_DECISION if "not yet" in answers or not lines else ExitCode.APPROVED


def _notes(found: Sequence[TwoArms]) -> Iterator[str]:
    mixed = max((each.mixed for each in found), default=0)
    if mixed:
        yield f"{mixed} sessions were in both arms; their answers are left out"
    names = [each.facts.metric for each in found]
    for name in sorted({name for name in names if names.count(name) > 1}):
        yield f"{name} has several score keys: each is compared by itself, never across"
    if not found:
        yield "no metric has scores in both arms"


def _next_steps(lines: Sequence[ArmLine]) -> Iterator[NextStep]:
    if any(line.answer == "worse" for line in lines):
        yield NextStep("stop the new arm, and read its calls that failed")
    elif any(line.answer == "not yet" for line in lines):
        yield NextStep("wait for more calls: you may look as often as you like")
