"""Estimate the calls, cost and duration of a run from its plan and an earlier run."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from evalkit.llm.ladder import MAX_REPAIRS
from evalkit.llm.prices import BATCH_SHARE, cost_usd
from evalkit.operations.conversation_calls import conversation_calls
from evalkit.operations.span import Span, add
from evalkit.runner.conversation_key import conversation_key
from evalkit.scorers.base import Asking, Resampling
from evalkit.systems.chat import ChatSystem
from evalkit.types import Case, Row, Usage

if TYPE_CHECKING:
    from evalkit.llm.client import ChatClient
    from evalkit.runner.grading import Grader
    from evalkit.runner.prepare import Prepared

UNKNOWN, UNPRICED = "unknown", "price unknown"
_CHEAP, _DEAR = 0.1, 0.9
"""Quantiles of an earlier run's costs used as the low and the high figure."""


@dataclass(frozen=True)
class Typical:
    """Rows of an earlier run, whose usage predicts that of the next run."""

    source: str
    """Name of the run in messages."""
    rows: Sequence[Row]
    score_keys: Mapping[str, Mapping[str, str]]
    """Its score keys; grades of other judges are not used."""
    conversation_key: Mapping[str, str]
    """Its conversation key; the cost of other simulated users is not used."""
    seconds_a_row: float | None = None
    """Wall time of the run, computed from its rows, at its own concurrency; `None` if unknown."""


@dataclass(frozen=True)
class Work:
    """The remaining work of a run."""

    open: Sequence[tuple[Case, int]]
    """Cases and variants, with the number of repeats to run."""
    n_variants: int = 0
    """Number of variants among them."""
    regraded: Sequence[tuple[Case, Sequence[Grader]]] = ()
    """Stored answers, with the scorers that have yet to grade them."""
    n_cases: int = 0
    """Number of chosen cases, already run or not."""
    n_done: int = 0
    """Number of existing rows."""
    spent_usd: float = 0.0
    """Cost of the existing rows, if it is charged to a budget."""


@dataclass(frozen=True, kw_only=True)
class RunEstimate:
    """The estimate of a run; every figure has a low, a likely and a high value."""

    suite: str
    n_golden: int
    n_cases: int
    repeats: int
    n_scorers: int
    n_rows: int
    """Cases and repeats still to run, with the variants."""
    n_variants: int = 0
    n_done: int
    n_regraded: int
    n_grades: int
    """Number of grades over all these rows."""
    concurrency: int
    calls: Mapping[str, Span]
    """Calls of the system, of the simulated user, and of each judge by model."""
    tokens: Mapping[str, Span]
    """Input and output tokens of the system, of the simulated user, and of all judges."""
    cost_usd: Mapping[str, Span]
    seconds: Span
    budget_usd: float | None
    """Remaining budget, `None` if there is none."""
    typical: str | None
    """The earlier run from which tokens, cost and time are taken, with its number of answers."""
    notes: tuple[str, ...] = field(default=())
    """Costs that the figures do not include."""

    @property
    def total_usd(self) -> Span:
        """Total cost."""
        return _sum_of(self.cost_usd.values())

    @property
    def budget_word(self) -> str:
        """Return how the budget compares with the cost; calls above the likely number are not included."""
        left, cost = self.budget_usd, self.total_usd
        if left is None:
            return "none set"
        counted = all(calls.high is not None and calls.high == calls.likely for calls in self.calls.values())
        if counted and cost.high is not None and cost.high <= left:
            return "enough"
        if cost.low is not None and cost.low > left:
            return "not enough"
        return "cannot be told" if cost.likely is None else "probably enough" if cost.likely <= left else "too tight"


def estimate(prepared: Prepared, work: Work, typical: Typical | None, notes: Iterable[str] = ()) -> RunEstimate:
    """Count the calls, and price them from an earlier run."""
    suite, budget = prepared.suite, prepared.budget
    judges = _judges(prepared)
    counted = _counted(prepared, work, judges)
    n_rows = sum(repeats for _, repeats in work.open)
    n_again = _asked_again(prepared, counted) if suite.conversation is None else 0
    called = 0 if suite.system_kind == "replay" else n_rows + n_again
    rows = typical.rows if typical is not None else ()
    conversations = conversation_calls(suite, work.open, rows)
    spent = {"system": _system(prepared, called, typical)}
    if prepared.user is not None:
        spent["user"] = _user(prepared.user, conversation_key(suite), conversations.n_simulated, typical)
    if judges:
        parts = [_judged(each, counted.grades[id(each)], judges, typical) for each in counted.asking(prepared.graders)]
        spent["judges"] = (_sum_of(tokens for tokens, _ in parts), _sum_of(cost for _, cost in parts))
    return RunEstimate(
        suite=suite.name,
        n_golden=prepared.golden.n_cases,
        n_cases=work.n_cases,
        repeats=suite.options.repeat,
        n_scorers=len(prepared.graders),
        n_rows=n_rows,
        n_variants=work.n_variants,
        n_done=work.n_done,
        n_regraded=len(work.regraded),
        n_grades=counted.grades.total(),
        concurrency=suite.options.concurrency,
        calls={
            "system": conversations.system + Span.exactly(n_again) if called else Span.exactly(0),
            **({} if prepared.user is None else {"user": conversations.user}),
            **dict(zip(_names(judges), counted.calls, strict=True)),
        },
        tokens={name: tokens for name, (tokens, _) in spent.items()},
        cost_usd={name: cost for name, (_, cost) in spent.items()},
        seconds=_seconds(
            judges if prepared.user is None else (*judges, prepared.user),
            counted.calls if prepared.user is None else [*counted.calls, conversations.user],
            n_rows,
            typical,
        ),
        budget_usd=None if budget is None else max(0.0, budget.limit_usd - work.spent_usd),
        typical=None if typical is None else f"{typical.source} ({len(typical.rows)} answers)",
        notes=tuple(notes),
    )


def _asked_again(prepared: Prepared, counted: _Counted) -> int:
    """Count the further answers that scorers ask the system for."""
    asking = ((counted.grades[id(each)], each.scorer) for each in prepared.graders)
    return sum(n * scorer.more_answers for n, scorer in asking if isinstance(scorer, Resampling))


@dataclass
class _Counted:
    """Number of grades of each scorer, and of calls of each judge."""

    calls: list[Span]
    grades: Counter[int] = field(default_factory=Counter)
    asked: set[int] = field(default_factory=set)

    def asking(self, graders: Iterable[Grader]) -> Iterator[Grader]:
        """Return the scorers that call a judge."""
        return (each for each in graders if id(each) in self.asked)


def _counted(prepared: Prepared, work: Work, judges: Sequence[ChatClient]) -> _Counted:
    counted = _Counted([Span.exactly(0) for _ in judges])
    for case, graders, repeats in (
        *((case, prepared.graders, repeats) for case, repeats in work.open),
        *((case, graders, 1) for case, graders in work.regraded),
    ):
        for grader in (each for each in graders if each.applies(case)):
            counted.grades[id(grader)] += repeats
            for asked in grader.scorer.questions(case) if isinstance(grader.scorer, Asking) else ():
                counted.asked.add(id(grader))
                at = next(at for at, judge in enumerate(judges) if judge is asked.judge)
                most = None if asked.most is None else asked.most * (1 + MAX_REPAIRS)
                counted.calls[at] += Span(asked.least, asked.likely, most).times(repeats)
    return counted


def _judges(prepared: Prepared) -> tuple[ChatClient, ...]:
    llm, panel = prepared.services.llm, prepared.services.panel
    return () if llm is None else (llm, *panel)


def _names(judges: Sequence[ChatClient]) -> Iterator[str]:
    """Yield the models, numbered if two members of a panel are equal or share the name of another line."""
    seen: Counter[str] = Counter(["system", "user"])
    for judge in judges:
        seen[judge.model] += 1
        yield judge.model if seen[judge.model] == 1 else f"{judge.model} ({seen[judge.model]})"


def _system(prepared: Prepared, count: int, typical: Typical | None) -> tuple[Span, Span]:
    """Estimate tokens and US dollars of the system: by a chat system's prices, else by its reported usage."""
    system = prepared.suite.system
    used = [row.output.usage for row in typical.rows if row.output and row.output.usage] if typical else []
    if not isinstance(system, ChatSystem):
        return _taken(used, [usage.cost_usd for usage in used], count)
    if system.prices is None:
        return _taken(used, None, count)
    prices = system.prices
    known = [(usage.input_tokens, usage.output_tokens) for usage in used]
    costs = [None if tokens_in is None or out is None else prices.cost_usd(tokens_in, out) for tokens_in, out in known]
    return _taken(used, costs, count)


def _user(client: ChatClient, key: Mapping[str, str], count: int, typical: Typical | None) -> tuple[Span, Span]:
    """Estimate tokens and US dollars of simulated users, if the earlier run has the same conversation key."""
    rows = typical.rows if typical is not None and dict(typical.conversation_key) == dict(key) else ()
    used = [row.output.user_usage for row in rows if row.output and row.output.user_usage]
    if cost_usd(client.config, input_tokens=1, output_tokens=1) is None:
        return _taken(used, None, count)
    costs = [cost_usd(client.config, input_tokens=each.input_tokens, output_tokens=each.output_tokens) for each in used]
    return _taken(used, costs, count)


def _judged(grader: Grader, count: int, judges: Sequence[ChatClient], typical: Typical | None) -> tuple[Span, Span]:
    """Estimate tokens and US dollars of one scorer's grades, if the earlier run has the same score key."""
    names = [metric.name for metric in grader.scorer.metrics]
    same = typical is not None and all(typical.score_keys.get(name) == grader.key for name in names)
    given = [row.scores[name].usage for row in typical.rows for name in names if name in row.scores] if typical else []
    used = [usage for usage in given if usage is not None] if same else []
    if any(cost_usd(judge.config, input_tokens=1, output_tokens=1) is None for judge in judges):
        return _taken(used, None, count)
    if len(judges) > 1:  # a grade does not say which member of the panel took how much: what was paid then
        paid = None if any(judge.config.batch for judge in judges) else [usage.cost_usd for usage in used]
        return _taken(used, paid, count)
    config = judges[0].config
    share = BATCH_SHARE if config.batch else 1.0
    costs = [
        cost_usd(config, input_tokens=each.input_tokens, output_tokens=each.output_tokens, share=share) for each in used
    ]
    return _taken(used, costs, count)


def _taken(used: Sequence[Usage], costs: Sequence[float | None] | None, count: int) -> tuple[Span, Span]:
    """Estimate tokens and US dollars of `count` calls like those in `used`; `costs` is `None` if no price is known."""
    tokens = _scaled([add(usage.input_tokens, usage.output_tokens) for usage in used], count, UNKNOWN)
    if costs is None:
        return tokens, _scaled([], count, UNPRICED)
    return tokens, _scaled(costs, count, UNKNOWN if tokens.likely is None else UNPRICED)


def _scaled(found: Sequence[float | None], count: int, why: str) -> Span:
    """Scale by `count`: the lowest and highest tenth give the ends, the mean gives the likely value."""
    known = sorted(value for value in found if value is not None)
    if count == 0:
        return Span.exactly(0)
    if not known:
        return Span(why=why)
    last, mean = len(known) - 1, math.fsum(known) / len(known)
    low, high = known[math.floor(_CHEAP * last)], known[math.ceil(_DEAR * last)]
    return Span(min(low, mean), mean, max(high, mean)).times(count)


def _seconds(judges: Sequence[ChatClient], calls: Sequence[Span], n_rows: int, typical: Typical | None) -> Span:
    """Estimate seconds: at least the time that rate limits require, likely that of an earlier run if it is longer."""
    limits = [
        asked.times(60 / judge.config.requests_per_minute)
        for judge, asked in zip(judges, calls, strict=True)
        if judge.config.requests_per_minute
    ]
    low = max((each.low for each in limits if each.low is not None), default=None)
    paced = [each.likely for each in limits]
    wall = None if typical is None or typical.seconds_a_row is None else typical.seconds_a_row * n_rows
    likely = None if wall is None or None in paced else max([wall, *(each for each in paced if each is not None)])
    return Span(low, likely, None, why=UNKNOWN)


def _sum_of(spans: Iterable[Span]) -> Span:
    return sum(spans, Span.exactly(0))
