"""Refuse a run without a budget whose many calls cost money, or may do so."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from evalkit.errors import InputError, Problem
from evalkit.llm.prices import cost_usd
from evalkit.net.addresses import is_local
from evalkit.operations.conversation_calls import conversation_calls
from evalkit.scorers.base import Asking, Resampling
from evalkit.systems.chat import ChatSystem
from evalkit.systems.http import HttpSystem
from evalkit.systems.secrets import filled

if TYPE_CHECKING:
    from evalkit.llm.config import ChatConfig
    from evalkit.operations.run import Planned
    from evalkit.runner.prepare import Prepared
    from evalkit.systems.base import SystemConfig

MOST_CALLS = 100_000
"""Calls that a run may make without a budget, if they cost money or their price is unknown."""
_TOKENS = 1_000
_SYSTEM, _USER, _JUDGE = "the system", "the simulated user", "the judge"


def refuse_unlimited(planned: Iterable[Planned]) -> None:
    """Reject runs that together make many calls which may cost money, without a budget.

    Raises:
        InputError: they do.
    """
    if (problem := unlimited(planned)) is not None:
        raise InputError(problem)


def unlimited(planned: Iterable[Planned]) -> Problem | None:
    """Return the problem of runs that together make many calls which may cost money, without a budget.

    Counted are the calls that are certain to be made, for all cases that are chosen. Free are those with a price of 0,
    those of the user's own code, and those to this machine without a known price. Embeddings and cached replies are
    not looked at.
    """
    n_calls: Counter[str] = Counter()
    for each in planned:
        if each.prepared.budget is not None:
            continue
        for who, n in _calls(each.prepared, each.chosen):
            n_calls[who] += n
            if n_calls.total() > MOST_CALLS:
                return _problem(each.prepared, list(_who_may_cost(each.prepared)))
    return None


def _problem(prepared: Prepared, who: list[str]) -> Problem:
    whose = f"{', '.join(who[:-1])} and {who[-1]}" if len(who) > 1 else who[0]
    what = f"no budget for more than {MOST_CALLS:,} calls of {whose}, which cost money or have no known price"
    fix = "add `budget_usd: 50`; of a model that costs nothing, write the `prices` (0); --dry-run estimates the cost"
    return Problem(prepared.suite.place("budget_usd"), what, fix)


def _who_may_cost(prepared: Prepared) -> Iterator[str]:
    """Yield who makes calls that may cost money."""
    if _system_costs(prepared.suite.system, prepared.shared.env):
        yield _SYSTEM
    if prepared.user is not None and _model_costs(prepared.user.config):
        yield _USER
    services = prepared.services
    if any(_model_costs(judge.config) for judge in (services.llm, *services.panel) if judge is not None):
        yield _JUDGE


def _calls(prepared: Prepared, chosen: frozenset[str] | None) -> Iterator[tuple[str, int]]:
    """Yield who makes calls that may cost money, and how many; cases are read only if the number depends on them."""
    who, suite = set(_who_may_cost(prepared)), prepared.suite
    repeats, graders = suite.options.repeat, prepared.graders
    if suite.conversation is None and _SYSTEM in who:
        n_cases = prepared.golden.n_cases if chosen is None else len(chosen)
        more = sum(each.scorer.more_answers for each in graders if isinstance(each.scorer, Resampling))
        yield _SYSTEM, n_cases * repeats * (1 + more)
        who -= {_SYSTEM}
    for case in prepared.golden.open(chosen) if who else ():
        if suite.conversation is not None:
            calls = conversation_calls(suite, [(case, repeats)])
            least = {_SYSTEM: calls.system.low, _USER: calls.user.low}
            yield from ((each, int(least[each] or 0)) for each in who & least.keys())
        for grader in graders if _JUDGE in who else ():
            if isinstance(grader.scorer, Asking) and grader.applies(case):
                asked = (each for each in grader.scorer.questions(case) if _model_costs(each.judge.config))
                yield _JUDGE, repeats * sum(each.least for each in asked)


def _system_costs(system: SystemConfig, env: Mapping[str, str]) -> bool:
    """Return whether calls of a system cost money, or may do so."""
    if isinstance(system, HttpSystem):
        return not _is_here(filled(system.http, env))
    if not isinstance(system, ChatSystem):
        return False  # the user's own code, or stored answers
    address = filled(system.base_url, env)
    price = system.price_at(address)
    return _costs(None if price is None else price(_TOKENS, _TOKENS, 0), address)


def _model_costs(config: ChatConfig) -> bool:
    return _costs(cost_usd(config, input_tokens=_TOKENS, output_tokens=_TOKENS), config.base_url)


def _costs(price: float | None, address: str) -> bool:
    return not _is_here(address) if price is None else price > 0


def _is_here(address: str) -> bool:
    return is_local(urlsplit(address).hostname or "")
