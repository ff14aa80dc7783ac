"""Open the clients of a suite's models: its judges, and the model that plays the user."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Literal

from evalkit.errors import InputError, Problem
from evalkit.llm.budget import Budget
from evalkit.suite.model import Suite
from evalkit.systems import CALLED
from evalkit.systems.base import NewTimetable, Shared
from evalkit.systems.chat import ChatSystem
from evalkit.systems.secrets import secrets_of, without_secrets

if TYPE_CHECKING:
    from evalkit.llm.cache import ReplyCache
    from evalkit.llm.client import ChatClient
    from evalkit.llm.config import ChatConfig
    from evalkit.runner.prepare import Prepared

Replies = Literal["taken", "renewed", "none"]
"""Use of cached model replies: reuse them, ask again and store, or neither reuse nor store."""
CACHE_FILE = ".evalkit/cache.sqlite"
"""Path of the cache below the project's root."""
Spending = tuple["Budget | None", "ReplyCache | None"]


@dataclass(frozen=True)
class Common:
    """What several processes that work on one run have in common."""

    budget: Budget | None
    timetable: NewTimetable


def open_client(config: ChatConfig, shared: Shared, spending: Spending, who: str = "judge 1") -> ChatClient:
    """Return a client of a model, not yet entered, with the budget and the cache of the run; `who` has its limits."""
    from evalkit.llm.client import ChatClient

    budget, cache = spending
    return ChatClient(
        config,
        env=shared.env,
        concurrency=shared.concurrency,
        budget=budget,
        cache=cache,
        waits=shared.waits,
        timetable=shared.timetable(who),
    )


async def open_user(
    suite: Suite, shared: Shared, stack: AsyncExitStack, spending: Spending, problems: list[Problem]
) -> ChatClient | None:
    """Open the client of the model that plays the user; `None` if there is none, or after noting its problems."""
    config = user_of(suite)
    if config is None:
        return None
    try:
        return await stack.enter_async_context(open_client(config, shared, spending, "user"))
    except InputError as error:
        problems += error.problems
        return None


def open_cache(suite: Suite, env: Mapping[str, str], stack: AsyncExitStack, replies: Replies) -> ReplyCache:
    """Open the cache of model replies; it closes with `stack`."""
    from evalkit.llm.cache import ReplyCache

    secrets = secrets_of(env, suite.variables)
    clean = partial(without_secrets, secrets=secrets)
    key, problem = signing_key(suite, env)
    cache = ReplyCache(suite.root / CACHE_FILE, clean, taken=replies == "taken", key=key, problem=problem)
    return stack.enter_context(cache)


def signing_key(suite: Suite, env: Mapping[str, str]) -> tuple[bytes, str]:
    """Return the key that stored replies are signed with, and why there is none."""
    from evalkit.llm.cache_key import KEY_VARIABLE, cache_key

    try:
        return cache_key(env, suite.root), ""
    except ValueError as error:
        why = f"no key outside the project to sign them with: {error}"
        return b"", f"judges' replies are neither read nor stored; {why}; set {KEY_VARIABLE} to a long random value"


def given_up_note(who: str, client: ChatClient) -> str:
    """Name the sampling fields that an endpoint refused; empty if there are none."""
    fields, them = " or ".join(client.given_up), "it" if len(client.given_up) == 1 else "them"
    return f"the endpoint of the {who} {client.model} does not accept {fields}; asked without {them}" if fields else ""


def client_notes(prepared: Prepared) -> Iterator[str]:
    """Yield how many cached replies were not signed with this key, and which fields the endpoints refused."""
    n_foreign = prepared.cache.n_foreign if prepared.cache is not None else 0
    if n_foreign:
        told = "1 reply in the cache was" if n_foreign == 1 else f"{n_foreign:,} replies in the cache were"
        yield f"{told} not written with this machine's key; asked again"
    services, user = prepared.services, prepared.user
    judges = (*((services.llm,) if services.llm else ()), *services.panel)
    for who, client in (*(("judge", each) for each in judges), *((("user", user),) if user else ())):
        if note := given_up_note(who, client):
            yield note


def judges_of(suite: Suite) -> tuple[ChatConfig, ...]:
    """Return the settings of the judge and its panel."""
    return (suite.judge.chat, *suite.judge.panel) if suite.judge and suite.judge.chat else ()


def judge_needed_by(suite: Suite, who: str) -> ChatConfig:
    """Return the settings of the judge.

    Args:
        suite: the suite.
        who: `a tournament needs` and the like.

    Raises:
        InputError: the suite has no chat judge.
    """
    judges = judges_of(suite)
    if not judges:
        fix = "add the line `judge: {chat: gpt-4o-mini}`, or another model's name"
        raise InputError(Problem(suite.place("judge"), f"no chat judge, but {who} one", fix))
    return judges[0]


def user_of(suite: Suite) -> ChatConfig | None:
    """Return the settings of the model that plays the user; `None` if the suite has none, or calls no system."""
    conversation = suite.conversation
    called = any(isinstance(config, CALLED) for config in suite.configs)
    return conversation.user if conversation is not None and called else None


def unpriced(suite: Suite) -> Iterator[Problem]:
    """Yield the models whose calls would never be charged to a budget."""
    from evalkit.llm.prices import cost_usd

    fix = "write `prices: {input_usd_per_million: ..., output_usd_per_million: ...}`, or remove the budget"
    whole, old = suite.options.budget_usd is not None, suite.baseline_system
    named = [(each.place, each.config, whole or each.budget_usd is not None) for each in suite.systems]
    for place, system, limited in (*(named or [("system", suite.system, whole)]), ("system", old, whole)):
        if limited and isinstance(system, ChatSystem) and system.price_at(system.base_url) is None:
            yield Problem(place, f"a budget is set, and the price of {system.chat} is unknown", fix)
    if not whole:
        return
    for config in judges_of(suite):
        if cost_usd(config, input_tokens=1, output_tokens=1) is None:
            yield Problem("judge", f"a budget is set, and the price of {config.model} is unknown", fix)
    user = user_of(suite)
    if user is not None and cost_usd(user, input_tokens=1, output_tokens=1) is None:
        what = f"a budget is set, and the price of {user.model} is unknown"
        yield Problem("conversation.user.chat", what, fix)
