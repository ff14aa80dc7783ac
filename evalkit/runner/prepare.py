"""Prepare a suite for a run: check the golden set, bind the scorers, report every problem before the first call."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, fields, replace
from typing import TYPE_CHECKING

from evalkit.disk.project_code import note_loaded
from evalkit.errors import InputError, Problem
from evalkit.formats.manifest import GoldenFacts
from evalkit.gate.policy import NoRegression
from evalkit.gate.policy_problems import policy_problems
from evalkit.golden.read import GoldenSet
from evalkit.golden.variants.attacks import InjectTool
from evalkit.llm.budget import Budget
from evalkit.runner.addresses import addresses_of
from evalkit.runner.batch_rounds import batch_notice, batch_problems
from evalkit.runner.case_checks import METRIC, checks_grader
from evalkit.runner.chat_clients import (
    Common,
    Replies,
    judges_of,
    open_cache,
    open_user,
    unpriced,
    user_of,
)
from evalkit.runner.conversations import adds_ended, ended_grader, environment_problems
from evalkit.runner.data_card import card_gaps
from evalkit.runner.golden_index import read_golden
from evalkit.runner.graders import LINE_OF_PLACE, bind_graders, open_services, own_scorers
from evalkit.runner.grading import Grader
from evalkit.runner.leak_search import search_leaks
from evalkit.runner.names import foreign_cohorts, foreign_values, metric_name_problems, metrics_of_unbound
from evalkit.runner.needs import missing
from evalkit.runner.unreachable_gates import CaseCounts, case_counts, reach_doubts, reach_problems
from evalkit.runner.variants import canary_problems, written_problems
from evalkit.scorers.base import Noted, Services
from evalkit.suite.model import Suite, SuiteOptions
from evalkit.suite.named_system import NamedSystem
from evalkit.suite.scorer_entry import has_field
from evalkit.systems.base import Shared
from evalkit.systems.fingerprint import with_version
from evalkit.systems.process import Process
from evalkit.systems.secrets import secrets_of
from evalkit.types import Case, Metric

if TYPE_CHECKING:
    from evalkit.llm.cache import ReplyCache
    from evalkit.llm.client import ChatClient

SUITE_KEYS = frozenset(field.name for field in fields(SuiteOptions))


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
    held_back: str = ""
    """Why the held-out cases of the set are not run; empty if they are, or if it has none."""

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
        found += [batch_notice(self.suite), self.held_back]
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
    seed = suite.options.seed
    shared = Shared(suite.path.parent, suite.root, suite.options.concurrency, env, inputs, converses, seed=seed)
    shared = shared if common is None else replace(shared, timetable=common.timetable)
    problems: list[Problem] = [
        *_system_problems(suite, shared),
        *_old_problems(suite, shared),
        *_reference_problems(suite, shared),
        *canary_problems(suite, shared),
    ]
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
    if services is not None and any(isinstance(entry.transform, InjectTool) for entry in suite.variants):
        from evalkit.runner.policy_tools import allowed_tools  # with the rules of policies, which few suites need

        problems += allowed_tools(suite, graders)
    checks = checks_grader(len(suite.scorers))
    golden, counts = None, case_counts(suite, [*graders, checks] if graders else [])
    at, unread = len(problems), list[Problem]()
    try:
        stores = services is not None
        golden = read_golden(suite, [*graders, checks], shared, counts, unread, checked=checked, stores=stores)
        problems += written_problems(suite, golden, graders)
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
    problems[at:at] = unread
    problems += batch_problems(suite, graders, env)
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


def _reference_problems(suite: Suite, shared: Shared) -> Iterator[Problem]:
    for problem in suite.reference_system.problems(shared) if suite.reference_system is not None else ():
        yield replace(problem, place=f"reference_{problem.place}")


def _of_baseline(suite: Suite, problem: Problem) -> Problem:
    where = next((i for i, check in enumerate(suite.policy.checks) if isinstance(check, NoRegression)), 0)
    return replace(problem, place=f"gate[{where}].no_regression.baseline.{problem.place}")


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
    known = problem.place.startswith(suite.golden_shown) or LINE_OF_PLACE.search(problem.place)
    if known or key is None or key[0] not in SUITE_KEYS:
        return problem
    return replace(problem, place=suite.place(problem.place))
