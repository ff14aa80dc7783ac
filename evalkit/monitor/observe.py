"""Turn logged calls into observations: drop doubles, grade by rules, draw the sample, ask the judge."""

from __future__ import annotations

import asyncio
import hashlib
import json
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from evalkit.monitor.calls import AMOUNTS, DAY_S, LoggedCall
from evalkit.monitor.cohort_values import CohortValues
from evalkit.monitor.grading import (
    BLOCKED,
    ERROR,
    JUDGE_COST,
    NOTHING_TO_GRADE,
    THUMB,
    MetricColumns,
    MonitorGraders,
    cost_of,
)
from evalkit.monitor.known_ids import KnownIds
from evalkit.monitor.observations import MICRO, Observations
from evalkit.monitor.sampling import (
    SEPARATOR,
    WEEK,
    WEEKS,
    InclusionPlan,
    expected_calls,
    first_day_calls,
    inclusion_plan,
    is_drawn,
    shared_as_seen,
    with_suspicion,
)
from evalkit.monitor.series import Series
from evalkit.monitor.settings import SampleOptions
from evalkit.monitor.workers import LEAST_SHARED, WorkerJudges
from evalkit.scorers.base import Grade
from evalkit.types import Case, Output, Row, Unscored

Floats = NDArray[np.float64]
_QUOTE_CHARS = 20
_PRIVATE = re.compile(r"\d[\d ./-]{3,}\d|[^\s'\",;]+@[^\s'\",;]+")
LEAST_ELAPSED = 1 / 24
"""Share of its first day that a monitor takes to have passed at least."""


@dataclass(frozen=True, kw_only=True)
class Unjudged:
    """Calls that judges could not grade.

    Attributes:
        n: Number of calls.
        kind: Why the first could not be graded.
        message: What its judge said.
    """

    n: int = 0
    kind: str = ""
    message: str = ""

    def __add__(self, other: Unjudged) -> Unjudged:
        """Add those of a later batch."""
        first = self if self.n else other
        return replace(first, n=self.n + other.n)


@dataclass(frozen=True, kw_only=True)
class Observed:
    """The calls of a batch.

    Attributes:
        days: By day, doubles left out.
        rows: Day -> sampled calls with their texts.
        n_double: Calls that were known.
        n_judged: Calls that judges graded.
        unjudged: Calls that judges were asked about and could not grade, with kind and message of the first.
        spent_usd: What judges cost.
        newest: Seconds since 1970 of the newest call; `None` of no calls.
    """

    days: Sequence[Observations] = ()
    rows: Mapping[int, Sequence[Row]] = field(default_factory=dict)
    n_double: int = 0
    n_judged: int = 0
    unjudged: Unjudged = field(default_factory=Unjudged)
    spent_usd: float = 0.0
    newest: float | None = None

    @property
    def n(self) -> int:
        """Number of calls."""
        return sum(map(len, self.days))


@dataclass
class _Drafts:
    """The calls of a batch while they are graded."""

    calls: Sequence[LoggedCall]
    days: Sequence[int]
    grades: list[Mapping[str, Grade]] = field(default_factory=list)
    labels: list[tuple[str, ...]] = field(default_factory=list)
    are_new: list[bool] = field(default_factory=list)
    suspicion: list[float] = field(default_factory=list)


def without_doubles(calls: Sequence[LoggedCall], ids: KnownIds) -> list[LoggedCall]:
    """Return the calls whose ids are not known of the days around, each once: the first counts.

    Raises:
        StoreError: the ids cannot be read.
    """
    keys = np.array([call.id for call in calls], np.uint64)
    days = np.array([int(call.at // DAY_S) for call in calls], np.int64)
    fresh = np.zeros(len(calls), np.bool_)
    fresh[np.unique(keys, return_index=True)[1]] = True
    for day in np.unique(days).tolist():
        own = np.flatnonzero(fresh & (days == day))
        fresh[own[ids.are_known(day, keys[own])]] = False
    return [calls[at] for at in np.flatnonzero(fresh).tolist()]


@dataclass(frozen=True)
class Observer:
    """Grades and draws calls.

    Attributes:
        graders: The scorers.
        options: Of the sample.
        names: Of the cohorts.
        values: Counts the values of the cohorts.
        series: With the calls of earlier days.
        concurrency: Answers that judges grade at once.
        workers: Ask the judges if the sample of a batch is large; `None` for this process.
    """

    graders: MonitorGraders
    options: SampleOptions
    names: Sequence[str]
    values: CohortValues
    series: Series
    concurrency: int = 16
    workers: WorkerJudges | None = None

    async def observe(self, batch: int, calls: Sequence[LoggedCall]) -> Observed:
        """Grade and draw the calls of a batch, doubles left out.

        Raises:
            StoreError: the series cannot be read.
            RunError: the judge does not answer.
        """
        if not calls:
            return Observed()
        drafts = await self._by_rules(calls)
        pis = self._probabilities(drafts)
        drawn = [call.case is not None and is_drawn(call.unit, pi) for call, pi in zip(calls, pis, strict=True)]
        chosen = [at for at, is_one in enumerate(drawn) if is_one]
        cases = {at: _with_digest(case) for at in chosen if (case := calls[at].case) is not None}
        spent: dict[int, float] = {}
        unjudged, n_judged = Unjudged(), 0
        if self.graders.judges:
            answers = [(case, calls[at].output) for at, case in cases.items()]
            if self.workers is not None and len(answers) >= LEAST_SHARED:
                judged = await self.workers.judge(answers)
            else:
                judged = await self._by_judges(answers)
            for at, grades in zip(chosen, judged, strict=True):
                drafts.grades[at] = {**drafts.grades[at], **grades}
                spent[at] = cost_of(grades)
                unjudged += _unjudged(grades, cases[at], calls[at].output)
                n_judged += any(not isinstance(each, Unscored) for each in grades.values())
        rows: dict[int, list[Row]] = {}
        for at in chosen:
            rows.setdefault(drafts.days[at], []).append(self._row(drafts, at, cases[at], pis[at], batch))
        return Observed(
            days=self._by_day(batch, drafts, np.array(pis), np.array(drawn), self._columns(drafts, spent)),
            rows=rows,
            n_judged=n_judged,
            unjudged=unjudged,
            spent_usd=sum(spent.values()),
            newest=max(call.at for call in calls),
        )

    async def _by_rules(self, calls: Sequence[LoggedCall]) -> _Drafts:
        grade, drafts = self.graders.by_rules, _Drafts(calls, [int(call.at // DAY_S) for call in calls])
        for call in calls:
            grades: Mapping[str, Grade] = {}
            if call.case is not None and call.output is not None and self.graders.rules:
                grades = await grade(call.case, call.output, 0)
            labels, is_new = self.values.count(call.cohorts)
            drafts.grades.append(grades)
            drafts.labels.append(labels)
            drafts.are_new.append(is_new)
            if self.options.suspects:
                failed = sum(getattr(each, "passed", None) is False for each in grades.values())
                drafts.suspicion.append(float(failed + (call.thumb is False)))
        return drafts

    def _probabilities(self, drafts: _Drafts) -> list[float]:
        """Return the probability of each call: 1 for new values of a cohort, else that of the day's plan."""
        kinds = Counter(zip(drafts.days, drafts.labels, strict=True))
        strata = {
            labels: [f"{name}={value}" for name, value in zip(self.names, labels, strict=True)] for _, labels in kinds
        }
        seen: dict[int, Counter[str]] = {}
        for (day, labels), n in kinds.items():
            seen.setdefault(day, Counter())[SEPARATOR.join(strata[labels])] += n
        newest = {int(at // DAY_S): at for at in sorted(call.at for call in drafts.calls)}
        history: dict[int, Counter[str]] = {}
        for (day, stratum), n in self.series.strata(min(seen) - WEEK * WEEKS, max(seen) + 1).items():
            history.setdefault(day, Counter())[stratum] = n
        plans: dict[int, InclusionPlan] = {}
        for day in sorted(seen):
            weeks = {each: history[each] for each in range(day - WEEK * WEEKS, day) if each in history}
            calls = expected_calls(day, {(each, stratum): n for each in weeks for stratum, n in weeks[each].items()})
            if calls is None:
                before = history.get(day, Counter())
                elapsed = min(1.0, max(LEAST_ELAPSED, newest[day] / DAY_S - day))
                calls = first_day_calls(seen[day] + before, elapsed)
            if self.options.arms is not None:
                calls = shared_as_seen(calls, seen[day])
            plans[day] = inclusion_plan(calls, self.options)
            history.setdefault(day, Counter()).update(seen[day])
        planned = {(day, labels): plans[day].pi(strata[labels]) for day, labels in kinds}
        found = [planned[kind] for kind in zip(drafts.days, drafts.labels, strict=True)]
        found = with_suspicion(found, drafts.suspicion, self.options.suspects)
        return [1.0 if is_new else pi for is_new, pi in zip(drafts.are_new, found, strict=True)]

    async def _by_judges(self, answers: Sequence[tuple[Case, Output | None]]) -> list[Mapping[str, Grade]]:
        room, reach = asyncio.Semaphore(self.concurrency), self.graders.reach

        async def judge(case: Case, output: Output | None) -> Mapping[str, Grade]:
            assert output is not None  # noqa: S101 - failed calls are not drawn
            async with room:
                grades = await self.graders.by_judges(case, output)
            reach.graded(grades)
            return grades

        return await reach.while_it_answers(judge(*answer) for answer in answers)

    def _columns(self, drafts: _Drafts, spent: Mapping[int, float]) -> dict[str, Floats]:
        found = MetricColumns(self.graders, len(drafts.calls))
        columns = found.columns
        columns[ERROR] = np.array([float(call.case is None) for call in drafts.calls])
        thumbs_down = [None if call.thumb is None else not call.thumb for call in drafts.calls]
        columns[THUMB] = np.array(thumbs_down, np.float64)  # numpy reads None as NaN
        if BLOCKED in columns:
            columns[BLOCKED] = np.array([call.is_blocked for call in drafts.calls], np.float64)
        columns |= zip(AMOUNTS, np.array([call.amounts for call in drafts.calls], np.float64).T.copy(), strict=True)
        for at, grades in enumerate(drafts.grades):
            found.fill(at, grades)
        for at, usd in spent.items():
            columns[JUDGE_COST][at] = usd
        return columns

    def _by_day(
        self,
        batch: int,
        drafts: _Drafts,
        pis: Floats,
        drawn: NDArray[np.bool_],
        columns: Mapping[str, Floats],
    ) -> list[Observations]:
        of_day = np.array(drafts.days)
        ids = np.array([call.id for call in drafts.calls], np.uint64)
        units = np.array([call.unit for call in drafts.calls], np.uint64)
        at = np.array([round(call.at * MICRO) for call in drafts.calls], np.int64)
        found = []
        for day in np.unique(of_day).tolist():
            own = np.flatnonzero(of_day == day)
            labels = [drafts.labels[one] for one in own.tolist()]
            found.append(
                Observations(
                    batch=batch,
                    day=day,
                    ids=ids[own],
                    units=units[own],
                    at=at[own],
                    pi=pis[own],
                    drawn=drawn[own],
                    cohorts={name: [each[where] for each in labels] for where, name in enumerate(self.names)},
                    metrics={name: values[own] for name, values in columns.items()},
                    facts=self.graders.facts,
                )
            )
        return found

    def _row(self, drafts: _Drafts, at: int, case: Case, pi: float, batch: int) -> Row:
        """Return a sampled call as a row: the mapped columns only, whatever else the log holds."""
        call = drafts.calls[at]
        labels = dict(zip(self.names, drafts.labels[at], strict=True))
        kept = replace(case, cohorts=labels, fields={"at": call.at, "pi": pi, "batch": batch}, place=call.place)
        return Row(case=kept, output=call.output, scores=drafts.grades[at])


def _with_digest(case: Case) -> Case:
    """Return a case with the hash of its content, which rows and some judges need."""
    content = json.dumps([case.id, case.question, *case.contexts])
    return replace(case, digest=hashlib.sha256(content.encode()).hexdigest())


def _unjudged(grades: Mapping[str, Grade], case: Case, output: Output | None) -> Unjudged:
    """Return why no judge graded a call; none if one did, or if no judge applies to it.

    An endpoint that refuses a request may quote it. Such a message is printed, and is therefore left out.
    """
    failed = [each for each in grades.values() if isinstance(each, Unscored)]
    if not failed or len(failed) < len(grades) or all(each.kind in NOTHING_TO_GRADE for each in failed):
        return Unjudged()
    message = failed[0].message
    if any(_quotes(message, text) for text in (case.question, *case.contexts, output.text if output else "")):
        message = "its message repeats text of the call, and is not shown"
    return Unjudged(n=1, kind=failed[0].kind, message=message)


def _quotes(message: str, text: str) -> bool:
    """Return whether a message has a part of a text: some characters in a row, or a number or an address."""
    parts = [message[at : at + _QUOTE_CHARS] for at in range(len(message) - _QUOTE_CHARS + 1)]
    return any(part in text for part in [*parts, *_PRIVATE.findall(message)])
