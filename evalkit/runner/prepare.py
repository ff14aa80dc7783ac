"""Prepare a suite for a run: check the golden set, bind the scorers, report every problem before the first call."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack
from dataclasses import dataclass, fields, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from evalkit.baselines.find import find_baseline
from evalkit.disk.project_code import note_loaded
from evalkit.errors import InputError, Problem, what_and_fix
from evalkit.formats.manifest import GoldenFacts
from evalkit.gate.policy import NoRegression, policy_problems
from evalkit.golden.read import GoldenSet, known_golden, open_golden
from evalkit.llm.budget import Budget
from evalkit.runner.addresses import addresses_of
from evalkit.runner.case_checks import METRIC, checks_grader
from evalkit.runner.chat_clients import (
    Common,
    Replies,
    Spending,
    judges_of,
    open_cache,
    open_client,
    open_user,
    unpriced,
    user_of,
)
from evalkit.runner.conversations import adds_ended, ended_grader, environment_problems
from evalkit.runner.data_card import card_gaps
from evalkit.runner.grading import Grader
from evalkit.runner.leak_search import search_leaks
from evalkit.runner.names import foreign_cohorts, foreign_values, metric_name_problems, metrics_of_unbound
from evalkit.runner.needs import missing, need_of
from evalkit.runner.unreachable_gates import CaseCounts, case_counts, reach_doubts, reach_problems
from evalkit.scorers.base import Bindable, CallsProject, Noted, OverConversation, OwnProject, Scorer, Services
from evalkit.scorers.custom.packages import check_scorer
from evalkit.scorers.registry import bind, score_key
from evalkit.store.journal import read_rows
from evalkit.suite.model import ScorerEntry, Suite, SuiteOptions, has_field
from evalkit.suite.named_system import NamedSystem
from evalkit.systems.base import Shared
from evalkit.systems.fingerprint import with_version
from evalkit.systems.process import Process
from evalkit.systems.secrets import secrets_of
from evalkit.systems.threads import own_code
from evalkit.text.values import one_line
from evalkit.types import Case, Metric, Output

if TYPE_CHECKING:
    from evalkit.llm.cache import ReplyCache
    from evalkit.llm.client import ChatClient

SUITE_KEYS = frozenset(field.name for field in fields(SuiteOptions))
_LINE = re.compile(r":\d+")
"""Separates file and line in a place that has a line."""


@dataclass(frozen=True)
class Prepared:
    """A suite with every part checked."""

    suite: Suite
    golden: GoldenSet
    graders: tuple[Grader, ...]
    shared: Shared
    fingerprint: str | None
    process: Process
    """State of the process to restore after the system's code has run."""
    services: Services
    """Services that the scorers were bound to."""
    budget: Budget | None = None
    """The budget of the run."""
    cache: ReplyCache | None = None
    """Cache of the replies of judges and of the simulated user."""
    user: ChatClient | None = None
    """Asks the model that plays the user."""
    doubts: tuple[Problem, ...] = ()
    """Warnings about checks that cover fewer cases than they seem to."""
    warnings: tuple[Problem, ...] = ()
    """Warnings about what is allowed but probably not intended."""

    @property
    def metrics(self) -> tuple[Metric, ...]:
        """All metrics of the scorers."""
        return tuple(metric for grader in self.graders for metric in grader.metrics)

    @property
    def secrets(self) -> tuple[str, ...]:
        """Secrets that are redacted from everything that is stored or shown."""
        return secrets_of(self.shared.env, self.suite.variables)

    def with_checks(self, former: Collection[Case] | None) -> Prepared:
        """Return the suite with a grader for the checks that former cases carried.

        Args:
            former: removed or edited cases, which are run in their old form.
        """
        return self.with_case_checks() if any(has_field(case, METRIC) for case in former or ()) else self

    def with_case_checks(self) -> Prepared:
        """Return the suite with a grader for checks of cases."""
        if self.golden.checks:
            return self
        return replace(self, graders=(*self.graders, checks_grader(len(self.suite.scorers))))

    @property
    def advisory(self) -> frozenset[str]:
        """Names of metrics that are shown but do not affect the decision."""
        return frozenset(
            m.name for grader in self.graders for m in grader.scorer.metrics if grader.advisory or m.diagnostic
        )

    @property
    def score_keys(self) -> Mapping[str, Mapping[str, str]]:
        """Metric -> score key; scores are comparable if their keys are equal."""
        return {metric.name: grader.key for grader in self.graders for metric in grader.scorer.metrics}

    @property
    def addresses(self) -> tuple[str, ...]:
        """Every address that a run sends requests to, with the variable of the key."""
        return tuple(dict.fromkeys(addresses_of(self.suite, self.services.embedder, self.shared.env)))

    @property
    def notices(self) -> tuple[str, ...]:
        """Notes shown with the figures: of scorers, of the cache, and of cases in training data and prompts."""
        found = [grader.scorer.notice for grader in self.graders if isinstance(grader.scorer, Noted)]
        found += [self.cache.problem] if self.cache else []
        found += [problem.what for problem in self.golden.learnt]
        return tuple(dict.fromkeys(notice for notice in found if notice))


async def prepare(
    suite: Suite,
    env: Mapping[str, str],
    stack: AsyncExitStack,
    *,
    replies: Replies = "none",
    checked: GoldenFacts | None = None,
    common: Common | None = None,
) -> Prepared:
    """Check and bind everything; sessions are entered on `stack`.

    Args:
        suite: the suite to prepare.
        env: the environment, for secrets.
        stack: stack of everything to close.
        replies: how to use judge replies of earlier runs.
        checked: the golden set of an earlier run of the same suite; if unchanged, it is not checked again.
        common: what is shared with other processes that work on the same run.

    Raises:
        InputError: reports the problems of the golden set, the system, the scorers and the gate together.
    """
    env = dict(env)  # a system may empty the process's own
    process = Process()
    stack.enter_context(process.shared())
    stack.callback(note_loaded, suite.root)
    inputs = (*suite.inputs, *own_scorers(suite))
    converses = suite.conversation is not None
    shared = Shared(suite.path.parent, suite.root, suite.options.concurrency, env, inputs, converses)
    shared = shared if common is None else replace(shared, timetable=common.timetable)
    problems: list[Problem] = [*_system_problems(suite, shared), *_old_problems(suite, shared)]
    unsound_environment = environment_problems(suite, shared)
    problems += unsound_environment
    suite = _with_versions(suite, env, problems)
    budget = None if common is None else common.budget
    if (limit_usd := suite.options.budget_usd) is not None and common is None:
        budget = Budget(limit_usd)
    problems += unpriced(suite)
    asks_models = bool(judges_of(suite)) or user_of(suite) is not None
    cache = open_cache(suite, env, stack, replies) if replies != "none" and asks_models else None
    services = await open_services(suite, shared, stack, (budget, cache), problems)
    if services is not None and any(entry.kind == "state" for entry in suite.scorers):
        from evalkit.runner.expected_states import open_replays  # few suites need it

        services = replace(services, replays=await open_replays(suite, shared, stack))
    user = await open_user(suite, shared, stack, (budget, cache), problems)
    graders = bind_graders(suite, services, problems) if services else []
    checks = checks_grader(len(suite.scorers))
    golden, counts = None, case_counts(suite, [*graders, checks] if graders else [])
    try:
        source = (suite.golden, suite.golden_file, suite.golden_shown)
        golden = known_golden(*source, checked, reading=suite.reading) if checked else None
        golden = golden or open_golden(
            *source,
            need=counts.counting(need_of(suite, [*graders, checks], shared, problems.append)),
            reading=suite.reading,
            cohorts=suite.options.cohorts,
        )
        problems += [*missing(suite, graders, golden), *foreign_cohorts(suite, golden), *foreign_values(suite, golden)]
        golden = replace(search_leaks(suite, golden), card_gaps=card_gaps(suite))
        problems += metric_name_problems(graders)
        if not unsound_environment and services is not None and services.replays is not None:
            from evalkit.runner.expected_states import with_expected_states

            graders = await with_expected_states(suite, graders, golden, problems.append)
        graders += [checks] if golden.checks else []
        graders += [ended_grader(len(suite.scorers) + 1)] if adds_ended(suite) else []
    except InputError as error:
        problems += [*error.problems, *metric_name_problems(graders)]
    counts.graders = graders
    problems += (_policy(suite, graders, problems) if services is not None else []) or _reach(
        suite, counts if golden else case_counts(suite, graders), problems
    )
    if problems or golden is None or services is None:
        raise InputError(placed_in_suite(suite, problem) for problem in problems)
    fingerprint = suite.system.fingerprint(shared)
    doubts = (*reach_doubts(suite, counts, has_judge=bool(judges_of(suite))), *_misspelt_tools(suite, graders))
    return Prepared(suite, golden, tuple(graders), shared, fingerprint, process, services, budget, cache, user, doubts)


def _misspelt_tools(suite: Suite, graders: Sequence[Grader]) -> Iterator[Problem]:
    if suite.conversation is not None:
        from evalkit.runner.policy_tools import misspelt_tools  # with the rules of policies, which few suites need

        yield from misspelt_tools(suite, graders)


def _with_versions(suite: Suite, env: Mapping[str, str], problems: list[Problem]) -> Suite:
    """Fill the versions of the systems from the environment, and note the variables that are not set."""
    system, unset = with_version(suite.system, env)
    problems += unset if not suite.systems else []
    named = []
    for each in suite.systems:
        config, unset = with_version(each.config, env)
        problems += [of_system(each, problem) for problem in unset]
        named.append(replace(each, config=config))
    suite = replace(suite, systems=tuple(named))
    if suite.baseline_system is None:
        return replace(suite, system=system)
    old, unset = with_version(suite.baseline_system, env)
    problems += [_of_baseline(suite, problem) for problem in unset]
    return replace(suite, system=system, baseline_system=old)


def _system_problems(suite: Suite, shared: Shared) -> Iterator[Problem]:
    """Yield the problems of the system, or of each of several; those of their common template once."""
    if not suite.systems:
        yield from suite.system.problems(shared)
    found = [of_system(each, problem) for each in suite.systems for problem in each.config.problems(shared)]
    yield from dict.fromkeys(found)


def of_system(system: NamedSystem, problem: Problem) -> Problem:
    """Return a problem of `system` at the place of one of several systems."""
    return replace(problem, place=system.place + problem.place.removeprefix("system"))


def _old_problems(suite: Suite, shared: Shared) -> Iterator[Problem]:
    """Yield problems of the baseline's system, if it is to be called."""
    for problem in suite.baseline_system.problems(shared) if suite.baseline_system is not None else ():
        yield _of_baseline(suite, problem)


def _of_baseline(suite: Suite, problem: Problem) -> Problem:
    where = next((i for i, check in enumerate(suite.policy.checks) if isinstance(check, NoRegression)), 0)
    return replace(problem, place=f"gate[{where}].no_regression.baseline.{problem.place}")


def own_scorers(suite: Suite) -> Iterator[Path]:
    """Yield the project's modules with scorers; editing one changes scores, not answers."""
    for entry in suite.scorers:
        if isinstance(entry.options, CallsProject) and (file := entry.options.own_file(suite.root)):
            yield file


def bind_graders(suite: Suite, services: Services, problems: list[Problem]) -> list[Grader]:
    """Bind the scorers of a suite; the problems of those that cannot be bound are noted."""
    graders = []
    for entry in suite.scorers:
        try:
            graders += [_grader(suite, entry, scorer) for scorer in bind(_options(entry), services)]
        except ValueError as error:
            problems.append(Problem(f"scorers[{entry.index}]", *what_and_fix(error)))
        except InputError as error:
            key = f"scorers[{entry.index}].{entry.written}"
            problems += [
                problem if _LINE.search(problem.place) else replace(problem, place=f"{key}.{problem.place}")
                for problem in error.problems
            ]
        except Exception as error:
            if not entry.package:
                raise
            what = f"{entry.package} raised {type(error).__name__}: {one_line(error)}"
            problems.append(Problem(f"scorers[{entry.index}].{entry.written}", what, "repair or remove the package"))
    return graders


def _options(entry: ScorerEntry) -> Any:
    """Return the options of a scorer, as they are for what it sees of a conversation.

    Raises:
        ValueError: `over: what; fix`.
    """
    if entry.over != "conversation":
        return entry.options
    if not isinstance(entry.options, OverConversation):
        fix = "remove it, or name {{conversation}} in the rubric of a `judge`"
        raise ValueError(f"over: only `pairwise` has `over: conversation`; {fix}")
    return entry.options.over_conversation()


def _grader(suite: Suite, entry: ScorerEntry, scorer: Scorer) -> Grader:
    if entry.package:
        check_scorer(scorer, entry.package)
    key = score_key(entry.kind, entry.options, scorer, entry.package, negated=entry.negated)
    over = entry.over if suite.conversation is None else entry.over or "last"
    if over == "turn":
        key = {**key, "over": f"turn {entry.fold or 'as by default'}"}
    elif over in ("all", "conversation"):
        key = {**key, "over": over}
    return Grader(
        scorer=scorer,
        when=entry.when,
        advisory=entry.advisory,
        key=key,
        index=entry.index,
        concern=entry.concern,
        package=entry.package,
        negated=entry.negated,
        over=over,
        fold=entry.fold,
    )


async def open_services(
    suite: Suite, shared: Shared, stack: AsyncExitStack, spending: Spending, problems: list[Problem]
) -> Services | None:
    """Open the services that scorers share; `None`, with the problems noted, if that fails."""
    try:
        return await _open_services(suite, shared, stack, spending)
    except InputError as error:
        problems += error.problems
        return None


async def _open_services(suite: Suite, shared: Shared, stack: AsyncExitStack, spending: Spending) -> Services:
    """Open the embedding and the judge endpoints, if a scorer may use them."""
    embedder = None
    if any(isinstance(entry.options, Bindable) and entry.kind != "state" for entry in suite.scorers):
        from evalkit.scorers.embedding.embedders import build_embedder

        embedder = build_embedder(suite.options.embedding, shared.env, shared.waits)
        if isinstance(embedder, AbstractAsyncContextManager):
            await stack.enter_async_context(embedder)
    clients = [
        await stack.enter_async_context(open_client(config, shared, spending, f"judge {number}"))
        for number, config in enumerate(judges_of(suite), 1)
    ]
    llm, panel = (clients[0], tuple(clients[1:])) if clients else (None, ())
    own = any(isinstance(entry.options, CallsProject) and entry.options.calls_project for entry in suite.scorers)
    project = None
    if own:
        code = await stack.enter_async_context(own_code(suite.options.concurrency))
        project = OwnProject(suite.root, code, suite.inputs)
    return Services(suite.path.parent, embedder, llm, panel, partial(_outputs_of, suite), project)


def _outputs_of(suite: Suite, name: str) -> Iterator[tuple[str, Output]]:
    """Return the outputs of a baseline or run folder with their case digests, first repeats only.

    Raises:
        ValueError: There is no such run.
    """
    folder = find_baseline(name, suite.root)
    if folder is None:
        fix = f"save one with `evalkit baseline save RUN --name {name}`"
        raise ValueError(f"against: no baseline or run folder called {name!r}; {fix}")
    rows = (row for row in read_rows(folder.rows_file) if row.repeat == 0)
    return ((row.case.digest, row.output) for row in rows if row.output is not None)


def _policy(suite: Suite, graders: Sequence[Grader], problems: Sequence[Problem]) -> list[Problem]:
    metrics = [metric for grader in graders for metric in grader.scorer.metrics]
    metrics += metrics_of_unbound(suite, problems)
    return [
        Problem(f"gate[{index}]", what, fix)
        for index, what, fix in policy_problems(suite.policy, metrics, suite.options.cohorts, suite.options.nodes)
    ]


def _reach(suite: Suite, counts: CaseCounts, problems: Sequence[Problem]) -> list[Problem]:
    """Check for gates that can never decide, if every scorer is known."""
    if any(problem.place.startswith("scorers") for problem in problems):
        return []
    return list(reach_problems(suite, counts, has_judge=bool(judges_of(suite))))


def placed_in_suite(suite: Suite, problem: Problem) -> Problem:
    """Add file and line to a problem whose place is a suite key such as `system.python`."""
    key = re.match(r"[a-z_]+", problem.place)
    known = problem.place.startswith(suite.golden_shown) or _LINE.search(problem.place)
    if known or key is None or key[0] not in SUITE_KEYS:
        return problem
    return replace(problem, place=suite.place(problem.place))
