"""Let the new judge of a monitor grade answers that the old one graded: what the change of the judge alone moves."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path

import numpy as np

from evalkit.aggregate.frame import Frame
from evalkit.aggregate.frozen import FrozenFrame, freeze
from evalkit.disk.paths import shown_path
from evalkit.errors import InputError, Problem
from evalkit.monitor.calls import DAY_S
from evalkit.monitor.grading import SCORED, MonitorGraders, open_graders
from evalkit.monitor.judge_comparisons import JudgeComparison, write_comparisons
from evalkit.monitor.observations import observations_file, read_observations
from evalkit.monitor.sampled_texts import kept_days, sampled_rows
from evalkit.monitor.series import MetricFacts
from evalkit.monitor.settings import Monitor, load_monitor
from evalkit.runner.grading import Grader
from evalkit.scorers.base import Grade
from evalkit.trust.drift import drift_of
from evalkit.types import Metric, Row, Score, Unscored

ANSWERS = 200


@dataclass(frozen=True, kw_only=True)
class RejudgeRequest:
    """What to grade again.

    Attributes:
        file: File of the monitor, with the new judge.
        env: The environment, for keys.
        now: Seconds since 1970.
        answers: Answers that each new judge grades.
    """

    file: Path
    env: Mapping[str, str]
    now: float
    answers: int = ANSWERS


@dataclass
class _Changed:
    """A scorer whose judge changed, with answers that the old judge graded."""

    grader: Grader
    metric: Metric
    new: MetricFacts
    old: MetricFacts | None = None
    rows: list[Row] = field(default_factory=list)


async def rejudge(request: RejudgeRequest) -> tuple[JudgeComparison, ...]:
    """Grade the newest sampled answers of the last other judge of each metric again, and keep the comparison.

    Raises:
        InputError: The monitor cannot be used, no text is kept, or no judge changed.
        RunError: The judge does not answer.
        StoreError: The disk refuses, or a file of the monitor was altered.
    """
    monitor = load_monitor(request.file, shown_path(request.file))
    async with open_graders(monitor, request.env) as graders:
        changed = [each for each in _changed(monitor, graders, request.answers) if each.rows]
        if not changed:
            what = "no sampled answer with its text was graded by another judge than the monitor's"
            fix = "change the judge in the file first; texts are kept with `keep: {text: sampled}`"
            raise InputError(Problem(shown_path(request.file), what, fix))
        made = [await _compared(each, graders, monitor.options.concurrency, request.now) for each in changed]
    found = tuple(each for each in made if each is not None)
    if not found:
        what = "the judge could grade none of the answers"
        fix = "check the address, key and model of `judge:`, then run `evalkit monitor rejudge` again"
        raise InputError(Problem(shown_path(request.file), what, fix))
    write_comparisons(monitor.folder, found)
    return found


def _changed(monitor: Monitor, graders: MonitorGraders, n: int) -> list[_Changed]:
    """Return the judged metrics, each with up to `n` rows that the last other judge graded, the newest first."""
    keys = {each.metric: each for each in graders.facts}
    wanted = [
        _Changed(grader, metric, keys[metric.name + SCORED]) for grader in graders.judges for metric in grader.metrics
    ]
    facts: dict[tuple[int, int], Mapping[str, MetricFacts]] = {}
    for row in _newest_first(monitor.folder):
        if all(len(each.rows) >= n for each in wanted):
            break
        day, batch = int(row.case.fields["at"] // DAY_S), int(row.case.fields["batch"])
        if (day, batch) not in facts:
            stored = read_observations(observations_file(monitor.folder, day, batch))
            facts[day, batch] = {each.metric: each for each in stored.facts}
        for each in wanted:
            own = facts[day, batch].get(each.metric.name + SCORED)
            is_old = own is not None and own.score_key != each.new.score_key
            if is_old and isinstance(row.scores.get(each.metric.name), Score) and len(each.rows) < n:
                each.old = each.old or own
                if own == each.old:
                    each.rows.append(row)
    return wanted


def _newest_first(folder: Path) -> Iterator[Row]:
    for day in sorted(kept_days(folder), reverse=True):
        yield from reversed(list(sampled_rows(folder, [day])))


async def _compared(changed: _Changed, graders: MonitorGraders, concurrency: int, now: float) -> JudgeComparison | None:
    """Return the comparison of one metric; `None` if the new judge graded nothing."""
    alone, room, name = replace(graders, judges=(changed.grader,)), asyncio.Semaphore(concurrency), changed.metric.name

    async def grade(row: Row) -> Grade | None:
        assert row.output is not None  # noqa: S101 - failed calls are not drawn
        async with room:
            grades = await alone.by_judges(row.case, row.output)
        graders.reach.graded(grades)
        return grades.get(name)

    grades = await graders.reach.while_it_answers(map(grade, changed.rows))
    again = [replace(row, scores={name: each}) for row, each in zip(changed.rows, grades, strict=True) if each]
    before = [replace(row, scores={name: row.scores[name]}) for row in changed.rows]
    old, new = (_frame(changed.metric, rows) for rows in (before, again))
    found = drift_of(old, new, name, (), np.random.default_rng(0))
    if found.old_mean is None or found.new_mean is None or changed.old is None:
        return None
    return JudgeComparison(
        metric=name,
        old=changed.old.score_key,
        new=changed.new.score_key,
        judges=(changed.old.judge, changed.new.judge),
        made=datetime.fromtimestamp(now, UTC).isoformat(timespec="seconds"),
        n=found.n,
        n_ungraded=sum(each is None or isinstance(each, Unscored) for each in grades),
        old_mean=found.old_mean,
        new_mean=found.new_mean,
        stricter=found.stricter,
        milder=found.milder,
        p=found.verdicts_p,
        test=found.test,
    )


def _frame(metric: Metric, rows: Sequence[Row]) -> FrozenFrame:
    frame = Frame((metric,), ())
    for row in rows:
        frame.add(row)
    return freeze(frame)
