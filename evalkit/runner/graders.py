"""Bind the scorers of a suite to what they share: the embedding, the judges and stored outputs."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import AbstractAsyncContextManager, AsyncExitStack
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from evalkit.baselines.find import find_baseline
from evalkit.errors import InputError, Problem, what_and_fix
from evalkit.runner.chat_clients import Spending, judges_of, open_client
from evalkit.runner.grading import Grader
from evalkit.scorers.base import Bindable, CallsProject, OverConversation, OwnProject, Scorer, Services
from evalkit.scorers.custom.packages import check_scorer
from evalkit.scorers.registry import bind, score_key
from evalkit.store.journal import read_rows
from evalkit.suite.model import Suite
from evalkit.suite.scorer_entry import ScorerEntry
from evalkit.systems.base import Shared
from evalkit.systems.threads import own_code
from evalkit.text.values import one_line
from evalkit.types import Output

LINE_OF_PLACE = re.compile(r":\d+")
"""Separates file and line in a place that has a line."""


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
                problem if LINE_OF_PLACE.search(problem.place) else replace(problem, place=f"{key}.{problem.place}")
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
