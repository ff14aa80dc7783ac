"""Turn the statistics of days into alarms that begin and end, and keep them in `alerts.json`."""

from __future__ import annotations

import math
import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from evalkit.disk.json_files import read_json, to_json
from evalkit.disk.writing import replacing
from evalkit.errors import InputError, Problem, StoreError
from evalkit.monitor.sampled_texts import id_hash
from evalkit.report.monitor.status import Alarm

ALERTS = "alerts.json"
FORMAT = 1
SPEND = "spend_usd_per_hour"
"""Metric of the alarm of the burn rate, which has no statistic by day."""
_HASH = re.compile("[0-9a-f]{16}")
QUIET_DAYS = 7
"""Days below half of the threshold after which an alarm has ended."""


@dataclass(frozen=True, slots=True)
class Episode:
    """Days of one stream from the first one over a threshold to the last one before it calmed down."""

    began: int
    """Number of the day."""
    peak: int
    """Day of the largest statistic."""
    ended: int | None
    """Day on which it ended; `None` while it lasts."""


def episodes(statistics: Sequence[float], threshold: float, recoveries: Collection[int] = ()) -> list[Episode]:
    """Return the episodes of one stream.

    An episode begins on the first day with a statistic above the threshold. It ends when the stream has recovered, or
    when the statistic has been below half of the threshold on 7 days in a row. A day without enough answers is below.

    Args:
        statistics: The largest statistic of each day, in order; -inf without enough answers.
        threshold: Above 0.
        recoveries: Days on which the stream has recovered.
    """
    found: list[Episode] = []
    began: int | None = None
    peak = calm = 0
    for day, value in enumerate(statistics):
        if began is None:
            if value > threshold:
                began = peak = day
                calm = 0
            continue
        if value > statistics[peak]:
            peak = day
        calm = calm + 1 if value < threshold / 2 else 0
        if calm == QUIET_DAYS or day in recoveries:
            found.append(Episode(began, peak, day))
            began = None
    if began is not None:
        found.append(Episode(began, peak, None))
    return found


def merge_known(found: Sequence[Alarm], known: Sequence[Alarm], today: str, since: str) -> tuple[Alarm, ...]:
    """Return the alarms that are found now, with what was sent before; alarms of an earlier reference are ended.

    An alarm is the same as a known one if stream, score key and level are the same and their days overlap: late calls
    may move its first day.

    Args:
        found: The alarms since the reference, as computed now.
        known: The alarms of `alerts.json`.
        today: The date.
        since: The date of the first day after the reference; alarms that began before it belong to an earlier one.
    """
    merged, used = [], set()
    for alarm in found:
        for at, old in enumerate(known):
            if at not in used and _same(alarm, old):
                used.add(at)
                began = old.began if alarm.metric == SPEND else alarm.began
                alarm = replace(alarm, id=old.id, sent=old.sent, began=began, examples=old.examples)
                break
        merged.append(alarm)
    kept = []
    for at, old in enumerate(known):
        if at in used:
            continue
        if old.ended is not None:
            kept.append(old)
        elif old.sent:
            # It was reported to somebody, so its end is kept too.
            reason = "a new reference was made" if old.began < since else "later calls no longer show it"
            reason = "spending is within the budget again" if old.metric == SPEND else reason
            kept.append(replace(old, ended=today, end_reason=reason))
    return (*kept, *merged)


def _same(alarm: Alarm, old: Alarm) -> bool:
    if (alarm.metric, alarm.cohort, alarm.score_key, alarm.level) != (old.metric, old.cohort, old.score_key, old.level):
        return False
    return alarm.began <= (old.ended or "9999") and old.began <= (alarm.ended or "9999")


def write_alerts(folder: Path, alarms: Sequence[Alarm]) -> Path:
    """Write the file, atomically, and return it.

    Raises:
        StoreError: It cannot be written.
    """
    file = folder / ALERTS
    try:
        with replacing(file) as text:
            text.write(to_json({"format": FORMAT, "alerts": [asdict(each) for each in alarms]}))
    except OSError as error:
        raise StoreError.of(file, error, "then run `evalkit monitor status` again") from error
    return file


def read_alerts(folder: Path) -> tuple[Alarm, ...]:
    """Read the alarms so far; none without a file.

    Raises:
        InputError: It is not a file that this version reads.
    """
    file = folder / ALERTS
    if not file.is_file():
        return ()
    try:
        raw = read_json(file)
        if raw["format"] == FORMAT:
            return tuple(_alarms(raw["alerts"]))
        what = f"format {raw['format']!r:.20}; this evalkit reads format {FORMAT}"
    except (OSError, ValueError, TypeError, KeyError, AttributeError) as error:
        what = f"not a file of alerts ({type(error).__name__})"
    fix = "move it away: `evalkit monitor status` finds the alarms again, and sends their messages once more"
    raise InputError(Problem(str(file), what, fix))


def _hashed(example: str) -> str:
    """Return the hash of an id; earlier versions kept the id itself."""
    return example if _HASH.fullmatch(example) else id_hash(example)


def _alarms(given: Sequence[Mapping[str, Any]]) -> Iterator[Alarm]:
    for each in given:
        alarm = Alarm(**{**each, "examples": tuple(map(_hashed, map(str, each["examples"])))})
        texts = (alarm.id, alarm.metric, alarm.cohort, alarm.score_key, alarm.began, alarm.ended or "", alarm.sent)
        numbers = (alarm.was, alarm.now, alarm.n, alarm.statistic, alarm.threshold)
        if not all(isinstance(text, str) for text in texts) or not all(math.isfinite(number) for number in numbers):
            raise ValueError(f"alarm {alarm.id!r}: a value of another type")
        yield alarm
