"""Draft golden cases from passages with the suite's judge, and check every reply."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from evalkit.errors import InputError, Problem, what_and_fix
from evalkit.golden.near_duplicates import NearText, near_text, nearest
from evalkit.llm.budget import Budget, BudgetReached
from evalkit.llm.errors import JudgeError
from evalkit.monitor.deidentify import kinds_left
from evalkit.operations.draft_plan import DraftPlan, DraftQuestion
from evalkit.operations.draft_replies import DraftReply, draft_faults, draft_messages, draft_schema, reply_of
from evalkit.report.draft_page import DraftedCase, DraftQueue
from evalkit.runner.chat_clients import given_up_note, open_cache, open_client
from evalkit.scorers.judges.asking import total_usage
from evalkit.systems.base import Shared
from evalkit.types import Case, Usage

if TYPE_CHECKING:
    from evalkit.llm.client import ChatClient

Progress = Callable[[int, int], None]
"""Called with the number of passages that were asked about and the number of all."""


@dataclass(frozen=True, kw_only=True)
class RejectedDraft:
    """A reply that is not shown to a person."""

    place: str
    """File and lines of the passage."""
    reasons: tuple[str, ...]
    detail: str = ""
    """What a failed call said, or which case the draft repeats."""


@dataclass(frozen=True, kw_only=True)
class DraftedCases:
    """What a judge's endpoint wrote."""

    queue: DraftQueue
    rejected: tuple[RejectedDraft, ...]
    n_unasked: int
    """Passages that were not asked about, because the budget was reached."""
    usage: Usage | None
    """Usage of the replies that were not cached; `None` if there are none."""
    n_cached: int
    """Replies of an earlier command."""
    notes: tuple[str, ...]

    @property
    def reasons(self) -> Mapping[str, int]:
        """Reason -> number of rejected drafts, the most frequent first."""
        return dict(Counter(each.reasons[0] for each in self.rejected).most_common())


@dataclass(frozen=True)
class _Replied:
    """What came back about one passage."""

    question: DraftQuestion
    reply: DraftReply | None = None
    model: str = ""
    reasons: tuple[str, ...] = ()
    detail: str = ""
    usage: Usage | None = None
    is_unasked: bool = False


async def write_drafts(plan: DraftPlan, env: Mapping[str, str], *, progress: Progress) -> DraftedCases:
    """Ask for a draft of each passage, and reject those that are unsound or repeat a case.

    Each reply goes to the cache as soon as it is read, so that a command that is interrupted loses none.

    Args:
        plan: the passages.
        env: holds the key of the judge.
        progress: called after each reply.

    Raises:
        InputError: the key is missing, or replies cannot be kept.
    """
    suite = plan.suite
    async with AsyncExitStack() as stack:
        cache = open_cache(suite, env, stack, "taken")
        if cache.problem:
            what = f"paid drafts could be lost: {cache.problem}"
            raise InputError(Problem(suite.place("judge"), *what_and_fix(what)))
        budget = None if plan.budget_usd is None else Budget(plan.budget_usd)
        shared = Shared(suite.path.parent, suite.root, suite.options.concurrency, env)
        client = await stack.enter_async_context(open_client(plan.judge, shared, (budget, cache)))
        if client.no_key:
            raise InputError(Problem(suite.place("judge"), *what_and_fix(client.no_key.removeprefix("no key: "))))
        n_done = 0

        async def ask(each: DraftQuestion) -> _Replied:
            nonlocal n_done
            found = await _replied(client, each)
            n_done += 1
            progress(n_done, len(plan.questions))
            return found

        replies = await asyncio.gather(*map(ask, plan.questions))
        note = given_up_note("judge", client)
    drafts, rejected = _judged(plan, [each for each in replies if not each.is_unasked])
    fresh = [each.usage for each in replies if each.usage is not None and not each.usage.cached]
    return DraftedCases(
        queue=DraftQueue(set=suite.golden_shown, room=plan.room, items=tuple(drafts)),
        rejected=tuple(rejected),
        n_unasked=sum(each.is_unasked for each in replies),
        usage=total_usage(fresh),
        n_cached=sum(each.usage is not None and each.usage.cached for each in replies),
        notes=(note,) if note else (),
    )


async def _replied(client: ChatClient, question: DraftQuestion) -> _Replied:
    messages, mark = draft_messages(question.passage, question.kinds)
    try:
        parsed = await client.structured(messages, draft_schema(question.kinds))
    except BudgetReached:
        return _Replied(question, is_unasked=True)
    except JudgeError as error:
        return _Replied(question, reasons=("no usable reply",), detail=str(error), usage=error.usage)
    reply = reply_of(parsed.value)
    faults: tuple[str, ...] = tuple(draft_faults(reply, question.passage, mark, messages[0]["content"]))
    if kinds := kinds_left([reply.question, reply.reference, reply.quote]):
        return _Replied(question, reasons=(*faults, "personal data"), detail=", ".join(kinds), usage=parsed.usage)
    return _Replied(question, reply, parsed.model, faults, usage=parsed.usage)


def _judged(plan: DraftPlan, replies: Sequence[_Replied]) -> tuple[list[DraftedCase], list[RejectedDraft]]:
    """Return the drafts that a person reviews, and the rejected ones, in the order of the draw."""
    known = [bare_text(case) for case in plan.known]
    left = dict(plan.lacking)
    drafts: list[DraftedCase] = []
    rejected: list[RejectedDraft] = []
    for each in replies:
        place, reply = each.question.passage.place, each.reply
        if each.reasons or reply is None:
            rejected.append(RejectedDraft(place=place, reasons=each.reasons, detail=each.detail))
            continue
        own = NearText("", place, reply.question)
        pairs = list(nearest(own, known))
        same = next((pair.first for pair in pairs if pair.kind == "same"), None)
        if same is not None:
            detail = f"nearly the same as {_named(same)}"
            rejected.append(RejectedDraft(place=place, reasons=("duplicate",), detail=detail))
        elif not left[reply.kind]:
            rejected.append(RejectedDraft(place=place, reasons=("kind has enough cases",), detail=reply.kind))
        else:
            left[reply.kind] -= 1
            known.append(own)
            drafts.append(_draft(plan, each, reply, tuple(_named(pair.first) for pair in pairs)))
    return drafts, rejected


def _draft(plan: DraftPlan, each: _Replied, reply: DraftReply, alike: tuple[str, ...]) -> DraftedCase:
    passage = each.question.passage
    cell = plan.cells.get(reply.kind, ())
    return DraftedCase(
        of=each.question.digest,
        file=passage.file,
        lines=passage.lines,
        passage=passage.text,
        asked=passage.question,
        question=reply.question,
        reference=reply.reference,
        quote=reply.quote,
        cohorts=dict(zip(plan.names, cell, strict=True)),
        by=each.model,
        alike=alike,
    )


def _named(text: NearText) -> str:
    """Name a case, or a draft by its passage."""
    return f"{text.place} {text.id}".strip()


def bare_text(case: Case) -> NearText:
    """Return what is compared of a case: the question without its contexts, which a draft does not have."""
    return replace(near_text(case), contexts=())
