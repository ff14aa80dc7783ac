"""Make a regression case of a sampled call of a monitor."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from evalkit.errors import InputError, Problem
from evalkit.formats.messages import input_of
from evalkit.monitor.alarms import read_alerts
from evalkit.monitor.calls import MISSING
from evalkit.monitor.cohort_values import OTHER
from evalkit.monitor.sampled_texts import SAMPLED, id_hash, kept_days, sampled_rows
from evalkit.monitor.series import date_of
from evalkit.monitor.settings import Monitor, load_monitor
from evalkit.operations.add_case import Review, cohort_of, refuse_lost_folder, reviewed_case
from evalkit.operations.new_case import NewCase
from evalkit.types import Row


@dataclass(frozen=True, kw_only=True)
class Incident:
    """A sampled call, and the case that it becomes."""

    case: NewCase
    question: str
    """What the user asked, as it was kept; the case has it without personal data."""
    answer: str
    """What the system answered; it is not part of the case."""
    failed: tuple[str, ...]
    """Metrics whose pass mark the answer missed."""


def incident_case(file: Path, call_id: str, review: Review, golden: Path) -> Incident:
    """Return the regression case of a sampled call, without personal data; nothing is written.

    The case has the question and the cohorts of the call, and not its contexts, which are what the system retrieved
    when it failed. Its `source` names the monitor, the day and a hash of the call's id.

    Args:
        file: file of the monitor.
        call_id: id of the call, or its hash as an alarm has it.
        review: what a person says; an empty `because` becomes the alarm that names the call, or the monitor.
        golden: the set that it joins.

    Raises:
        InputError: no text of the call is kept, or something keeps the case out of the set.
        StoreError: the texts cannot be read.
    """
    refuse_lost_folder(golden, "--to")
    monitor = load_monitor(file)
    row = _sampled(monitor, call_id)
    day = date_of(int(_number(row.case.fields.get("at")) // 86_400))
    digest = id_hash(row.case.id)
    cohorts = {name: value for name, value in row.case.cohorts.items() if value != OTHER}
    made: dict[str, object] = {"id": f"{monitor.name}-{day}-{digest[:6]}", "input": input_of(row.case)}
    if cohorts:
        made["cohorts"] = cohorts
        _agree(cohorts, review)
    because = review.because.strip() or _reason(monitor, digest)
    source = {"monitor": monitor.name, "day": day, "id_hash": digest}
    case = reviewed_case(made, source, replace(review, because=because, replace_data=True), golden)
    failed = (name for name, score in row.scores.items() if getattr(score, "passed", None) is False)
    return Incident(
        case=case, question=row.case.question, answer=row.output.text if row.output else "", failed=tuple(failed)
    )


def _agree(cohorts: Mapping[str, str], review: Review) -> None:
    """Refuse cohorts of a person that contradict the log."""
    given = dict(map(cohort_of, review.cohorts))
    wrong = sorted(name for name, value in given.items() if cohorts.get(name, MISSING) not in (MISSING, value))
    if wrong:
        raise InputError(
            Problem("--cohort", f"{name}={given[name]} contradicts the logged {name}={cohorts[name]}", "leave it out")
            for name in wrong
        )


def _sampled(monitor: Monitor, call_id: str) -> Row:
    rows = sampled_rows(monitor.folder, reversed(kept_days(monitor.folder)))
    row = next((row for row in rows if call_id in (row.case.id, id_hash(row.case.id))), None)
    if row is None:
        kept = monitor.options.keep
        what = f"no text of a call {call_id!r} is kept"
        fix = f"name a sampled call of the last {kept.days} days, or its hash, as in `alerts.json`"
        if kept.text == "none":
            fix = "set `keep: {text: sampled}` in the monitor, so that texts of sampled calls are kept"
        raise InputError(Problem(str(monitor.folder / SAMPLED), what, fix))
    return row


def _number(value: object) -> float:
    if not isinstance(value, int | float):
        raise InputError(Problem("sampled call", "holds no time", "run `evalkit monitor take` again"))
    return float(value)


def _reason(monitor: Monitor, digest: str) -> str:
    """Name the alarm that has the call as an example, else the monitor."""
    for alarm in read_alerts(monitor.folder):
        if digest in alarm.examples:
            return " ".join(filter(None, (alarm.level, alarm.metric, alarm.cohort, "since", alarm.began)))
    return f"monitor {monitor.name}"
