"""Grade stored answers with judges that are asked in batches, round by round.

In each round every open answer is graded as far as the replies go. Questions without a reply wait for the next batch,
so that a scorer whose second question depends on the first reply takes two rounds.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from functools import partial
from typing import TYPE_CHECKING

from evalkit.errors import Problem, StoreError
from evalkit.llm.prices import BATCH_SHARE
from evalkit.net.vendors import lacks_batches
from evalkit.runner.chat_clients import judges_of, signing_key, user_of
from evalkit.runner.earlier import EarlierRows
from evalkit.runner.grading import Grader
from evalkit.scorers.base import Asking, CallsProject, Resampling
from evalkit.store.stored_run import empty_frame
from evalkit.suite.model import Suite
from evalkit.systems.secrets import without_secrets
from evalkit.types import Case, Row, Unscored

if TYPE_CHECKING:
    from collections.abc import Mapping

    from evalkit.llm.batch_sending import BatchSender
    from evalkit.llm.client import ChatClient
    from evalkit.runner.prepare import Prepared
    from evalkit.runner.session import Session
    from evalkit.store.journal import Journal

BATCHES = "batches"
"""Folder below a run folder with a folder for each judge that is asked in batches."""
MOST_ROUNDS = 12
_LIBRARIES = frozenset({"ragas", "deepeval"})
_DIRECT = "remove `batch: true`, or grade with this scorer in a suite of its own"


def batched_graders(suite: Suite, graders: Sequence[Grader]) -> list[Grader]:
    """Return the scorers that wait for batches."""
    if not any(config.batch for config in judges_of(suite)):
        return []
    return [grader for grader in graders if isinstance(grader.scorer, Asking)]


def batch_notice(suite: Suite) -> str:
    """Say in the reports which judges are asked in batches; empty if none is."""
    models = ", ".join(dict.fromkeys(config.model for config in judges_of(suite) if config.batch))
    return f"questions to {models} are asked in batches, at half the price of direct calls" if models else ""


def _config_problems(suite: Suite) -> Iterator[Problem]:
    """Yield which endpoints cannot be asked in batches."""
    if (user := user_of(suite)) is not None and user.batch:
        what = "batch: the simulated user answers turn by turn, so it cannot wait for a batch"
        yield Problem("conversation.user.chat", what, "remove `batch: true`")
    for number, config in enumerate(judges_of(suite)):
        if config.batch and (host := lacks_batches(config.base_url)):
            place = "judge.chat" if number == 0 else f"judge.panel[{number - 1}]"
            what = f"batch: evalkit knows no batch endpoint in the format of OpenAI or Anthropic at {host}"
            yield Problem(place, what, "remove `batch: true`, or use a judge of openai or anthropic")
    if len({config.batch for config in judges_of(suite)}) > 1:
        what = "batch: some judges of the panel are asked in batches, and others at once"
        yield Problem("judge.panel", what, "write `batch: true` for each of them, or for none")


def batch_problems(suite: Suite, graders: Sequence[Grader], env: Mapping[str, str]) -> Iterator[Problem]:
    """Yield what cannot be asked in batches, and why."""
    yield from _config_problems(suite)
    open_graders = batched_graders(suite, graders)
    if not open_graders:
        return
    if suite.systems:
        what = "batch: the systems of a suite with several are called in turn, and cannot wait for a batch"
        yield Problem("judge.chat", what, "remove `batch: true`, or score each run again with `evalkit score`")
    if suite.options.early_stop:
        what = "batch: a run that stops early looks at the grades of its cases, and batches give them at its end"
        yield Problem("early_stop", what, "remove it, or `batch: true`")
    _, problem = signing_key(suite, env)
    if problem:
        what = f"batch: the replies of a batch are kept in the run folder, and {problem.partition('; ')[2]}"
        yield Problem("judge.chat", what, "")
    for grader in open_graders:
        entry = suite.scorers[grader.index]
        what = f"{grader.scorer.name} cannot be asked in a batch"
        if entry.kind in _LIBRARIES:
            yield Problem(f"scorers[{grader.index}]", f"{what}: {entry.kind} decides what to ask next", _DIRECT)
        elif isinstance(grader.scorer, Resampling):
            yield Problem(f"scorers[{grader.index}]", f"{what}: it asks the system for more answers", _DIRECT)
        elif isinstance(entry.options, CallsProject) and entry.options.calls_project:
            why = "its questions depend on a function of yours, which may answer differently each time"
            yield Problem(f"scorers[{grader.index}]", f"{what}: {why}", _DIRECT)


async def grade_in_batches(session: Session, journal: Journal) -> None:
    """Grade every answer in the journal that scorers have yet to grade, and wait for its judges.

    Raises:
        Interrupted: The user stopped the run.
        StoreError: The disk fails.
    """
    stored = EarlierRows(
        session.folder, empty_frame(session.manifest), session.earlier.scoring, retry=session.earlier.retry
    )
    stored.read(lambda row: None)
    make_row = stored.graded_again()

    with _senders(session) as senders:

        async def graded(case: Case, repeat: int) -> Row:
            for sender in senders:
                sender.batches.begin_row()
            row = await make_row(case, repeat)
            lacks_grade = any(isinstance(grade, Unscored) for grade in row.scores.values())
            for sender in senders:
                sender.batches.end_row(lacks_grade=lacks_grade)
            stored.close(row)
            return row

        for number in range(MOST_ROUNDS + 1):
            for sender in senders:
                sender.batches.is_closed = number == MOST_ROUNDS
            await session.grade_stored(stored.ungraded(), graded, journal, concurrency=1)
            if not stored.n_open or session.stop.reason is not None:
                return
            await session.stop.bound(_ask(session, senders))


async def _ask(session: Session, senders: Sequence[BatchSender]) -> None:
    from evalkit.llm.batch_sending import beyond_budget

    budget = session.prepared.budget
    if budget is not None and (reason := beyond_budget(budget, [sender.batches for sender in senders])):
        session.stop(reason)
    await asyncio.gather(*(sender.ask() for sender in senders))


@contextmanager
def _senders(session: Session) -> Iterator[Sequence[BatchSender]]:
    """Let the judges wait for batches within the block."""
    with ExitStack() as stack:
        services = session.prepared.services
        clients = [each for each in (services.llm, *services.panel) if each is not None]
        yield [
            _sender(session, number, client, stack) for number, client in enumerate(clients, 1) if client.config.batch
        ]


def _sender(session: Session, number: int, client: ChatClient, stack: ExitStack) -> BatchSender:
    from evalkit.llm.batch_sending import BatchSender, BatchWatch
    from evalkit.llm.batches import Batches
    from evalkit.llm.cache import ReplyCache

    prepared, config = session.prepared, client.config
    folder = session.folder.path / BATCHES / f"judge-{number}"
    key, _ = signing_key(prepared.suite, prepared.shared.env)
    clean = partial(without_secrets, secrets=prepared.secrets)
    replies = stack.enter_context(ReplyCache(folder / "replies.sqlite", clean, key=key))
    if replies.problem:
        raise StoreError(f"{replies.problem}; make the folder writable, then continue with --resume")
    batches = Batches(
        folder,
        replies,
        scope=json.dumps([session.manifest.run_id, config.dialect, config.base_url, sorted(config.headers.items())]),
        dialect=config.dialect,
        most_usd=lambda payload: client.most_usd(payload, BATCH_SHARE),
        again=session.earlier.retry,
    )
    stack.enter_context(client.in_batches(batches))
    stop = session.stop
    watch = BatchWatch(is_stopping=lambda: stop.reason is not None, stop=stop, tell=session.watcher.note)
    return BatchSender(client.batch_endpoint(), batches, watch)


def first_graders(prepared: Prepared) -> list[Grader]:
    """Return the scorers that grade an answer as soon as it is there."""
    later = batched_graders(prepared.suite, prepared.graders)
    return [grader for grader in prepared.graders if grader not in later]
