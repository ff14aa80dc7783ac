"""Say how a monitored system is doing: figures, alarms, and what cannot be said."""

from __future__ import annotations

import re
import shlex
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import numpy as np

from evalkit.disk.paths import shown_path
from evalkit.errors import ExitCode, InputError, Problem
from evalkit.monitor.alarms import SPEND, merge_known, read_alerts, write_alerts
from evalkit.monitor.history import HistoryRequest, monitor_history
from evalkit.monitor.inputs import TextVectors, cohort_counts, embedded_days, input_lines
from evalkit.monitor.judge_comparisons import JudgeComparison, read_comparisons
from evalkit.monitor.judge_trust import distrust
from evalkit.monitor.key_changes import KeyChange, key_changes
from evalkit.monitor.period import LEAST_GRADED, WatchPeriod, amount_lines, stream_lines
from evalkit.monitor.reference import read_reference
from evalkit.monitor.sampled_texts import sampled_rows
from evalkit.monitor.series import ALL_CALLS, CALLS, HOURS_PER_DAY, Series, date_of, day_of, nothing_taken, open_series
from evalkit.monitor.settings import Monitor, load_monitor
from evalkit.monitor.spending import spend_alarm, spend_line
from evalkit.monitor.streams import THURSDAY, day_table, known_facts, read_days
from evalkit.monitor.watch_days import WatchedDays, alarms_of, watch_days, with_examples
from evalkit.operations.monitor_reference import SHORTEST_DAYS, USUAL_DAYS, changes_found
from evalkit.report.monitor.status import Alarm, InputLine, MonitorState, SpendLine, Status
from evalkit.report.next_steps import NextStep
from evalkit.stats.burn_rate import TIMES_LAST_WEEK
from evalkit.text.numbers import plural
from evalkit.trust.calibration_files import read_calibrations
from evalkit.types import Unscored

SILENT_HOURS = 48
WEEK = 7
LONGEST_SHOWN = 366
_DAYS = re.compile(r"(?P<number>[0-9]{1,4})(?P<unit>[dw])")
_NAMED = 3
"""Days or streams that a note names."""
Comparisons = Mapping[tuple[str, str, str], JudgeComparison]
"""(metric, old score key, new one) -> what both judges said about the same answers."""
_EXIT: Mapping[MonitorState, ExitCode] = {
    "alarm": ExitCode.BLOCKED,
    "cannot say": ExitCode.NO_DECISION,
    "warning": ExitCode.APPROVED,
    "quiet": ExitCode.APPROVED,
}


@dataclass(frozen=True, kw_only=True)
class StatusRequest:
    """What to look at.

    Attributes:
        file: File of the monitor.
        now: Seconds since 1970.
        days: Length of the period that is shown.
        seed: Of the permutations of days.
        embedder: Embeds the questions; `None` to leave out the test of their mean.
        with_history: Add what the page shows: the days of the streams, the failing kinds of the sample, coverage.
    """

    file: Path
    now: float
    days: int = WEEK
    seed: int = 0
    embedder: TextVectors | None = None
    with_history: bool = False


def since_days(text: str) -> int:
    """Read the number of days of `--since`, such as `7d` or `4w`.

    Raises:
        InputError: It is not one, or not 1 to 366 days.
    """
    found = _DAYS.fullmatch(text.strip())
    days = int(found["number"]) * (WEEK if found["unit"] == "w" else 1) if found else 0
    if not 1 <= days <= LONGEST_SHOWN:
        raise InputError(Problem("--since", f"{text!r} is not a number of days", "write 7d, or 4w; at most 366d"))
    return days


def check_targets(file: Path, targets: Mapping[str, Path | None]) -> None:
    """Refuse to write a status over the file of the monitor, or among what it keeps.

    Args:
        file: File of the monitor.
        targets: Flag -> file to write; `None` to write none.

    Raises:
        InputError: The monitor cannot be used, or names each flag with such a file.
    """
    if not any(targets.values()):
        return
    own, folder = file.resolve(), load_monitor(file).folder.resolve()
    problems = []
    for flag, target in targets.items():
        if target is None:
            continue
        place, fix = f"{flag} {shown_path(target)}", "name another file, such as status.html"
        if target.resolve() == own or (target.exists() and target.samefile(own)):
            problems.append(Problem(place, "this is the file of the monitor", fix))
        elif target.resolve().is_relative_to(folder):
            problems.append(Problem(place, f"{shown_path(folder)} holds what the monitor took", fix))
    if problems:
        raise InputError(problems)


def monitor_status(request: StatusRequest) -> Status:
    """Compute the status, and keep the alarms in `alerts.json`.

    Raises:
        InputError: The monitor, its reference or its alerts cannot be used.
        StoreError: The disk refuses, or a file of the monitor was altered.
    """
    monitor = load_monitor(request.file)
    reference = read_reference(monitor.folder)
    with open_series(monitor, request.file) as series:
        newest = series.newest_hour()
        if newest is None:
            raise nothing_taken(monitor, request.file)
        newest = min(newest, int(request.now // 3600))  # a clock that is ahead hides neither a day nor an hour
        last = newest // HOURS_PER_DAY - 1
        first = last - request.days + 1
        since = min(first, reference.last + 1) if reference else first
        cuts = reference.cuts if reference else {}
        facts = known_facts(series, cuts)
        records = read_calibrations(monitor.calibration_files, monitor.root)
        period = WatchPeriod(
            facts=facts,
            distrusted={key: why for key, each in facts.items() if (why := distrust(each, records))},
            reference=reference,
            first=first,
            last=last,
            by_day=read_days(series, cuts, since, last + 1),
        )
        return _status(request, monitor, series, period, newest)


def _status(request: StatusRequest, monitor: Monitor, series: Series, period: WatchPeriod, newest: int) -> Status:
    reference, options = period.reference, monitor.options.alarms
    streams = reference.streams if reference else ()
    changes = key_changes(period.by_day, period.facts.values(), [(each.metric, each.score_key) for each in streams])
    compared = {(each.metric, each.old, each.new): each for each in read_comparisons(monitor.folder)}
    watched = _watched(period, changes)
    spend = spend_line(series, options.budget_usd_per_month, newest, period.first)
    found = [*(alarms_of(watched, period.trusts) if watched else ()), *spend_alarm(spend, newest)]
    since = date_of(reference.last + 1 if reference else period.last)
    merged = merge_known(found, read_alerts(monitor.folder), date_of(period.last), since)
    merged = tuple(with_examples(each, monitor.folder, day_of) if each.ended is None else each for each in merged)
    write_alerts(monitor.folder, merged)
    recent = (each for each in merged if each.ended is None or each.ended >= date_of(period.first))
    shown = tuple(sorted(recent, key=_worst_first))
    inputs = _inputs(request, monitor, series, period)
    most_often = _reasons(monitor, period)
    reasons = tuple(_cannot_say(period, changes, most_often, newest, int(request.now // 3600)))
    state = _state(shown, reasons, inputs, spend)
    lines = stream_lines(period, watched, changes_found(reference) if reference else (), shown, changes)
    history = None
    if request.with_history:
        asked = HistoryRequest(
            folder=monitor.folder, keep=monitor.options.keep, series=series, period=period, lines=lines, alarms=merged
        )
        history = monitor_history(asked)
    return Status(
        monitor=monitor.name,
        checked=datetime.fromtimestamp(request.now, UTC).isoformat(timespec="seconds"),
        state=state,
        exit_code=int(_EXIT[state]),
        cannot_say=reasons,
        reference=reference.dates if reference else None,
        first=date_of(period.first),
        last=date_of(period.last),
        calls=period.total(CALLS).n,
        judged=period.judged,
        alarm_threshold=reference.alarm_threshold if reference else None,
        warning_threshold=reference.warning_threshold if reference else None,
        alarms_per_year=reference.alarms_per_year if reference else options.alarms_per_year,
        warnings_per_year=reference.warnings_per_year if reference else options.warnings_per_year,
        alarms=shown,
        streams=lines,
        amounts=tuple(amount_lines(period, series)),
        spend=spend,
        inputs=inputs,
        notes=tuple(_notes(period, changes, compared, spend)),
        next=tuple(_next_steps(request.file, period, (changes, compared), shown, _oldest(series, period.last))),
        history=history,
    )


def _watched(period: WatchPeriod, changes: Sequence[KeyChange]) -> WatchedDays | None:
    reference = period.reference
    if reference is None or period.last <= reference.last:
        return None
    table = day_table(period.by_day, [each.stream for each in reference.streams], reference.last + 1, period.last + 1)
    return watch_days(reference, table, changes)


def _state(
    shown: Sequence[Alarm], reasons: Sequence[str], inputs: Sequence[InputLine], spend: SpendLine | None
) -> MonitorState:
    lasting = {each.level for each in shown if each.ended is None}
    if "alarm" in lasting:
        return "alarm"
    if reasons:
        return "cannot say"
    return "warning" if lasting or _is_dearer(spend) or any(each.moved for each in inputs) else "quiet"


def _is_dearer(spend: SpendLine | None) -> bool:
    return spend is not None and spend.times_last_week is not None and spend.times_last_week > TIMES_LAST_WEEK


def _worst_first(alarm: Alarm) -> tuple[bool, bool, float]:
    return (alarm.ended is not None, alarm.level == "warning", -alarm.statistic / alarm.threshold)


def _oldest(series: Series, last: int) -> int | None:
    """Return the oldest day with calls of the usual length of a reference that ends with the last day."""
    return min(series.days(CALLS, last - USUAL_DAYS + 1, last + 1), default=None)


def _reasons(monitor: Monitor, period: WatchPeriod) -> Mapping[str, str]:
    """Return the most frequent reason of each scorer that graded too little, where texts are kept."""
    names = {each.name for each in period.coverages() if each.share < LEAST_GRADED}
    if not names or monitor.options.keep.text != "sampled":
        return {}
    found: dict[str, Counter[str]] = {}
    for row in sampled_rows(monitor.folder, range(period.first, period.last + 1)):
        for name in names & row.scores.keys():
            if isinstance(grade := row.scores[name], Unscored):
                found.setdefault(name, Counter())[grade.kind] += 1
    return {name: kinds.most_common(1)[0][0] for name, kinds in found.items()}


def _cannot_say(
    period: WatchPeriod, changes: Sequence[KeyChange], most_often: Mapping[str, str], newest: int, now: int
) -> Iterator[str]:
    """Yield why quiet would not mean that all is well; `newest` and `now` are hours."""
    replaced = {(each.metric, each.old) for each in changes}
    if period.reference is None:
        yield "there is no reference yet"
    for what in dict.fromkeys(each.what for each in _without_reference(changes)):
        yield f"{what}, and the new one has no reference"
    if now - newest > SILENT_HOURS:
        yield f"the newest call is {(now - newest) // HOURS_PER_DAY} days old"
    elif not period.total(CALLS).n:
        yield f"there are no calls from {date_of(period.first)} to {date_of(period.last)}"
    else:
        names = sorted({metric for metric, key in _vanished(period) if (metric, key) not in replaced})
        dates = f"from {date_of(period.first)} to {date_of(period.last)}"
        yield from (f"{name} has no values {dates}, and the reference has some" for name in names)
    for each in period.coverages():
        if each.share < LEAST_GRADED:
            calls = "the sampled calls" if each.is_judged else "its calls"
            why = f"; most often {most_often[each.name]}" if each.name in most_often else ""
            yield f"{each.name} graded {each.share:.0%} of {calls} (need {LEAST_GRADED:.0%}){why}"
    in_use = {(each.metric, each.score_key) for each in period.by_day if period.total(each).n}
    whys = (why for key, why in sorted(period.distrusted.items()) if key in in_use)
    yield from (f"the judge is not trusted: {why}" for why in dict.fromkeys(whys))


def _vanished(period: WatchPeriod) -> Iterator[tuple[str, str]]:
    """Yield metric and score key of the overall streams of the reference that have no value in the days shown."""
    for each in period.reference.streams if period.reference else ():
        if each.cohort == ALL_CALLS and not period.total(each.stream).n:
            yield each.metric, each.score_key


def _inputs(request: StatusRequest, monitor: Monitor, series: Series, period: WatchPeriod) -> tuple[InputLine, ...]:
    """Compare the questions of the last week with those of the reference."""
    reference, start = period.reference, period.last - WEEK + 1
    if reference is None or start <= reference.last:
        return ()
    week = list(range(start, period.last + 1))
    days = np.array([*range(reference.first, reference.last + 1), *week])
    counts = cohort_counts(series.strata(reference.first, period.last + 1), days.tolist())
    counts = [each for each in counts if each.counts[-WEEK:].any()]
    texts = None
    if request.embedder is not None and reference.inputs.days and reference.inputs.embedder == request.embedder.name:
        now = embedded_days(monitor.folder, week, request.embedder)
        texts = (reference.inputs, now) if now.days else None
    rng = np.random.default_rng(request.seed)
    return input_lines(counts, texts, days >= start, (days + THURSDAY) % 7 >= 5, rng=rng)


def _notes(
    period: WatchPeriod, changes: Sequence[KeyChange], compared: Comparisons, spend: SpendLine | None
) -> Iterator[str]:
    for what in dict.fromkeys(each.what for each in _without_reference(changes)):
        yield f"{what}: its alarms start anew, and its figures are not compared with those before"
    for name in dict.fromkeys(change.name for change in _without_reference(changes)):
        if name in compared:
            yield f"{name[0]}, graded by both judges: {compared[name].what}"
    seen = period.by_day.get(CALLS, {})
    missing = [date_of(day) for day in range(period.first, period.last + 1) if day not in seen]
    if 0 < len(missing) <= period.last - period.first:
        yield f"no calls on {_few(missing)}"
    if spend is not None and _is_dearer(spend):
        yield f"the last hour cost {spend.times_last_week:.1f} times as much as the same hour of last week"
    if period.reference is not None and period.reference.left_out:
        yield f"not watched, too few answers in the reference: {_few(sorted(period.reference.left_out))}"


def _without_reference(changes: Sequence[KeyChange]) -> list[KeyChange]:
    return [each for each in changes if not each.is_known]


def _few(names: Sequence[str]) -> str:
    more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
    return f"{'; '.join(names[:_NAMED])}{more}"


def _next_steps(
    file: Path,
    period: WatchPeriod,
    judges: tuple[Sequence[KeyChange], Comparisons],
    shown: Sequence[Alarm],
    oldest: int | None,
) -> Iterator[NextStep]:
    lasting = [each for each in shown if each.ended is None]
    examples = next((each.examples for each in lasting if each.examples), ())
    if examples:
        first_id = shlex.quote(examples[0])
        options = "--to golden.jsonl --needs-reference --reviewed-by YOU --dry-run"
        command = f"evalkit monitor incident {shlex.quote(shown_path(file))} {first_id} {options}"
        yield NextStep(f"read the calls that failed, by the hash of their id: {', '.join(examples)}", command)
    if any(each.metric == SPEND for each in lasting):
        yield NextStep("look for what the calls of the last hours have in common, by cohort")
    elif lasting:
        yield NextStep(f"look for what changed shortly before {lasting[0].began}: release, prompt, model, documents")
    if any(each.is_judged and each.share < LEAST_GRADED for each in period.coverages()):
        yield NextStep("fix the judge", "evalkit judge health SUITE.yaml")
    changes, compared = _without_reference(judges[0]), judges[1]
    if any(each.judges[1] and each.name not in compared for each in changes):
        command = f"evalkit monitor rejudge {shlex.quote(shown_path(file))}"
        yield NextStep("let the new judge grade answers of the old one, to see what the change alone moves", command)
    start = period.last + 1 if oldest is None else oldest
    first = max([start, *(each.day for each in changes)])
    weeks = (period.last - first + 1) // 7
    if (period.reference is None or changes) and 7 * weeks >= SHORTEST_DAYS:
        last = date_of(first + 7 * weeks - 1)
        command = f"evalkit monitor reference {shown_path(file)} --from {date_of(first)} --to {last}"
        yield NextStep("make a reference of weeks in which all was well", command)
    elif period.reference is None:
        days, until = plural(period.last - first + 1, "day"), date_of(first + SHORTEST_DAYS - 1)
        there = "is" if period.last == first else "are"
        yield NextStep(f"a reference needs 2 whole weeks of calls; there {there} {days}: take logs until {until}")
    elif changes:
        date = date_of(first + SHORTEST_DAYS - 1)
        yield NextStep(f"make a reference of the new judge when {date} is over; until then, read samples by hand")
    if period.distrusted:
        yield NextStep(
            "show that the judge agrees with people, and name the record in the monitor (`calibrations:`)",
            "evalkit judge calibrate RUN --out judge.json",
        )
