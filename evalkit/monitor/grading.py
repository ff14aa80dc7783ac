"""Bind the scorers of a monitor: rules for every call, judges for the sample."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import asdict, dataclass, replace

import numpy as np

from evalkit.errors import InputError, Problem
from evalkit.llm.budget import Budget, BudgetReached
from evalkit.monitor.calls import AMOUNTS
from evalkit.monitor.judge_reach import JudgeReach
from evalkit.monitor.series import MetricFacts, digest_of_key
from evalkit.monitor.settings import Monitor
from evalkit.runner.chat_clients import Common, judges_of, open_cache, unpriced
from evalkit.runner.graders import bind_graders, open_services
from evalkit.runner.grading import GradeAll, Grader, grade_all
from evalkit.runner.names import metric_name_problems
from evalkit.runner.prepare import placed_in_suite
from evalkit.scorers.base import Asking, Grade, Noted, ReadsPassages, Services
from evalkit.systems.base import Shared
from evalkit.types import Case, Output, Unscored

ERROR, THUMB, BLOCKED, JUDGE_COST = "error", "thumbs_down", "blocked", "judge_cost_usd"
PASSED, SCORED = ".passed", ".scored"

NOTHING_TO_GRADE = frozenset({"no_claims"})
"""Kinds of `Unscored` that say that an answer has nothing to grade, which is not the fault of its judge."""
_RATES = {ERROR, THUMB, BLOCKED}


@dataclass(frozen=True)
class MonitorGraders:
    """The bound scorers of a monitor.

    Attributes:
        rules: Those that ask no judge.
        judges: Those that ask one.
        facts: Of every metric that a call may have.
        reach: Says whether the judges answer.
        budget: What judges may cost a day; `None` without a limit.
        notices: What is worth a word about cache and scorers.
    """

    rules: tuple[Grader, ...]
    judges: tuple[Grader, ...]
    facts: tuple[MetricFacts, ...]
    reach: JudgeReach
    budget: Budget | None = None
    notices: tuple[str, ...] = ()

    @property
    def by_rules(self) -> GradeAll:
        """Grades one answer with every rule."""
        return grade_all(self.rules)

    async def by_judges(self, case: Case, output: Output) -> Mapping[str, Grade]:
        """Grade one answer with every judge; beyond the budget every metric is unscored."""
        try:
            return await grade_all(self.judges)(case, output, 0)
        except BudgetReached as error:
            return self.ungraded(case, "budget", str(error))

    def ungraded(self, case: Case, kind: str, message: str) -> Mapping[str, Grade]:
        """Say of every judge's metric why it is unscored."""
        names = [metric.name for grader in self.judges if grader.applies(case) for metric in grader.metrics]
        return {name: Unscored(name, kind, message) for name in names}


@asynccontextmanager
async def open_graders(
    monitor: Monitor, env: Mapping[str, str], common: Common | None = None
) -> AsyncIterator[MonitorGraders]:
    """Bind the scorers, and open the judge with its cache.

    Args:
        monitor: Names them.
        env: The environment, for keys.
        common: Budget and limits that this process shares with others; `None` for its own.

    Raises:
        InputError: reports every scorer that cannot grade logged calls.
    """
    suite = monitor.suite
    reach = JudgeReach([each.base_url for each in judges_of(suite)])
    shared = Shared(monitor.path.parent, monitor.root, monitor.options.concurrency, dict(env), waits=reach)
    problems: list[Problem] = list(unpriced(suite))
    limit = monitor.options.sample.budget_usd_per_day
    budget = None if limit is None else Budget(limit)
    if common is not None:
        budget, shared = common.budget, replace(shared, timetable=common.timetable)
    async with AsyncExitStack() as stack:
        keeps_texts = monitor.options.keep.text != "none"  # a judge's reply may quote the answer
        cache = open_cache(suite, env, stack, "taken") if keeps_texts and judges_of(suite) else None
        services = await open_services(suite, shared, stack, (budget, cache), problems)
        graders = bind_graders(suite, services, problems) if services else []
        problems += metric_name_problems(graders)
        problems += _needs(monitor, graders)
        if services is not None and any(isinstance(each.scorer, Asking) for each in graders):
            problems += _without_keys(services)
        if problems:
            raise InputError(placed_in_suite(suite, problem) for problem in problems)
        judges = tuple(each for each in graders if isinstance(each.scorer, Asking))
        rules = tuple(each for each in graders if each not in judges)
        notices = [each.scorer.notice for each in graders if isinstance(each.scorer, Noted)]
        notices += [cache.problem] if cache is not None else []
        said = tuple(dict.fromkeys(notice for notice in notices if notice))
        yield MonitorGraders(rules, judges, tuple(_facts(monitor, rules, judges)), reach, budget, said)


class MetricColumns:
    """The metrics of some calls, by column: values, pass marks, and whether there is a grade."""

    def __init__(self, graders: MonitorGraders, n: int) -> None:
        """Begin with unknown values.

        Args:
            graders: Their metrics.
            n: Number of calls.
        """
        self.columns = {facts.metric: np.full(n, np.nan) for facts in graders.facts}
        of = self.columns.get
        every = [metric for grader in (*graders.rules, *graders.judges) for metric in grader.metrics]
        self._own = [(each.name, of(each.name + SCORED), of(each.name + PASSED), of(each.name)) for each in every]

    def fill(self, at: int, grades: Mapping[str, Grade]) -> None:
        """Write the grades of one call."""
        for name, scored, passed, values in self._own:
            grade = grades.get(name)
            if grade is None or scored is None:
                continue
            if isinstance(grade, Unscored):
                scored[at] = np.nan if grade.kind in NOTHING_TO_GRADE else 0.0
                continue
            scored[at] = 1.0
            if passed is not None and grade.passed is not None:
                passed[at] = grade.passed
            if values is not None:
                values[at] = grade.value


def cost_of(grades: Mapping[str, Grade]) -> float:
    """Return the US dollars of the judges' replies that were not cached; those of unknown price add nothing."""
    usages = [grade.usage for grade in grades.values() if grade.usage is not None]
    return sum(usage.cost_usd for usage in usages if usage.cost_usd is not None and not usage.cached)


def _facts(monitor: Monitor, rules: Sequence[Grader], judges: Sequence[Grader]) -> Iterator[MetricFacts]:
    for name in (ERROR, THUMB, *((BLOCKED,) if monitor.options.logs.action else ()), *AMOUNTS):
        yield MetricFacts(name, "", name in _RATES, higher_is_better=False)
    if judges:
        yield MetricFacts(JUDGE_COST, "", is_rate=False, higher_is_better=False, is_judged=True)
    for grader in (*rules, *judges):
        is_judged, key = grader in judges, _key(grader)
        for metric in grader.metrics:
            about = {"is_judged": is_judged, "judge": metric.judge or ""}
            yield MetricFacts(metric.name + SCORED, key, **about)  # type: ignore[arg-type]
            if metric.votes:
                yield MetricFacts(metric.name + PASSED, key, **about)  # type: ignore[arg-type]
            if not (metric.votes and metric.binary):
                better = {"is_rate": metric.binary, "higher_is_better": metric.higher_is_better}
                yield MetricFacts(metric.name, key, **better, **about)  # type: ignore[arg-type]


def _key(grader: Grader) -> str:
    """Return 12 hex digits of everything that a score depends on."""
    return digest_of_key(grader.key, None if grader.when is None else asdict(grader.when))


def _without_keys(services: Services) -> Iterator[Problem]:
    """Yield the judges whose key is not set: calls that they cannot grade now would never be judged."""
    clients = (*((services.llm,) if services.llm else ()), *services.panel)
    for variable in dict.fromkeys(each.config.api_key_env for each in clients if each.no_key):
        yield Problem("judge", f"environment variable {variable} is not set", f"export {variable}=... before `take`")


def _needs(monitor: Monitor, graders: Sequence[Grader]) -> Iterator[Problem]:
    """Yield the scorers that need what logs do not hold."""
    options = monitor.options.logs
    for grader in graders:
        place = f"scorers[{grader.index}]"
        if "reference" in grader.scorer.needs:
            what = f"{grader.scorer.name} needs a reference, which logged calls do not have"
            yield Problem(place, what, "remove it")
        reads = isinstance(grader.scorer, ReadsPassages) and grader.scorer.reads_passages
        is_read = reads or "contexts" in grader.scorer.needs
        if is_read and options.format != "otlp" and options.contexts is None:
            what = f"{grader.scorer.name} looks facts up in contexts"
            yield Problem(place, what, "name their column: `logs: {contexts: ...}`")
