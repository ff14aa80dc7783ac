"""Estimate the calls, cost and duration of a run from its plan and an earlier run."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from evalkit.llm.ladder import MAX_REPAIRS
from evalkit.llm.prices import cost_usd
from evalkit.scorers.registry import questions_of
from evalkit.systems.chat import ChatSystem
from evalkit.types import Case, Row, Usage

if TYPE_CHECKING:
    from evalkit.llm.client import ChatClient
    from evalkit.runner.grading import Grader
    from evalkit.runner.prepare import Prepared

UNKNOWN, UNPRICED = "unknown", "price unknown"
_CHEAP, _DEAR = 0.1, 0.9
"""Shares of an earlier run's answers that were cheaper than the low, and than the high figure."""


@dataclass(frozen=True)
class Span:
    """Low, likely and high; `None` is unknown, and `why` says so in words where all three are."""

    low: float | None = None
    likely: float | None = None
    high: float | None = None
    why: str = ""

    @classmethod
    def exactly(cls, value: float) -> Span:
        """A figure that is known."""
        return cls(value, value, value)

    def __add__(self, other: Span) -> Span:
        """Sum end by end; what is unknown in one is unknown in the sum."""
        low, likely, high = _sum(self.low, other.low), _sum(self.likely, other.likely), _sum(self.high, other.high)
        return Span(low, likely, high, self.why or other.why)

    def times(self, factor: float) -> Span:
        """Every end so often."""
        low, likely, high = (None if end is None else end * factor for end in (self.low, self.likely, self.high))
        return Span(low, likely, high, self.why)


@dataclass(frozen=True)
class Typical:
    """Rows of an earlier run, whose usage stands for what the next one will take."""

    source: str
    """The run, as people see it."""
    rows: Sequence[Row]
    score_keys: Mapping[str, Mapping[str, str]]
    """What its grades were made by; those of another judge say nothing."""
    seconds_a_row: float | None = None
    """Wall time of the run by its rows, at its own concurrency; `None` if unknown."""


@dataclass(frozen=True)
class Work:
    """What a run has yet to do."""

    open: Sequence[tuple[Case, int]]
    """Case and number of its repeats that are to be asked."""
    regraded: Sequence[tuple[Case, Sequence[Grader]]] = ()
    """Stored answers, and the scorers that have yet to grade them."""
    n_cases: int = 0
    """Cases that were chosen, asked or not."""
    n_done: int = 0
    """Rows that are there already."""
    spent_usd: float = 0.0
    """What they have cost, where it is charged to a budget."""


@dataclass(frozen=True, kw_only=True)
class RunEstimate:
    """What a run would do; every figure is a low, a likely and a high one."""

    suite: str
    n_golden: int
    n_cases: int
    repeats: int
    n_scorers: int
    n_rows: int
    """Case x repeat that are still to be asked."""
    n_done: int
    n_regraded: int
    n_grades: int
    """Scorers that grade, over all these rows."""
    concurrency: int
    calls: Mapping[str, Span]
    """Of the system, and of each judge by its model."""
    tokens: Mapping[str, Span]
    """Input and output together: of the system, and of all judges."""
    cost_usd: Mapping[str, Span]
    seconds: Span
    budget_usd: float | None
    """What is left of it, `None` if there is none."""
    typical: str | None
    """The earlier run that tokens, cost and time are taken from, with its answers."""
    notes: tuple[str, ...] = field(default=())
    """What the figures do not hold."""

    @property
    def total_usd(self) -> Span:
        """Cost of everything."""
        return _sum_of(self.cost_usd.values())

    @property
    def budget_word(self) -> str:
        """Whether the budget covers it; what calls above the likely number cost is in no figure."""
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
    """Count what is to be asked, and price it by what an earlier run took."""
    suite, budget = prepared.suite, prepared.budget
    judges = _judges(prepared)
    counted = _counted(prepared, work, judges)
    n_rows = sum(repeats for _, repeats in work.open)
    called = 0 if suite.system_kind == "replay" else n_rows
    spent = {"system": _system(prepared, called, typical)}
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
        n_done=work.n_done,
        n_regraded=len(work.regraded),
        n_grades=counted.grades.total(),
        concurrency=suite.options.concurrency,
        calls={"system": Span.exactly(called), **dict(zip(_names(judges), counted.calls, strict=True))},
        tokens={name: tokens for name, (tokens, _) in spent.items()},
        cost_usd={name: cost for name, (_, cost) in spent.items()},
        seconds=_seconds(judges, counted.calls, n_rows, typical),
        budget_usd=None if budget is None else max(0.0, budget.limit_usd - work.spent_usd),
        typical=None if typical is None else f"{typical.source} ({len(typical.rows)} answers)",
        notes=tuple(notes),
    )


@dataclass
class _Counted:
    """Grades of each scorer, by its identity, and calls of each judge."""

    calls: list[Span]
    grades: Counter[int] = field(default_factory=Counter)
    asked: set[int] = field(default_factory=set)

    def asking(self, graders: Iterable[Grader]) -> Iterator[Grader]:
        """Those that ask a judge."""
        return (each for each in graders if id(each) in self.asked)


def _counted(prepared: Prepared, work: Work, judges: Sequence[ChatClient]) -> _Counted:
    counted = _Counted([Span.exactly(0) for _ in judges])
    for case, graders, repeats in (
        *((case, prepared.graders, repeats) for case, repeats in work.open),
        *((case, graders, 1) for case, graders in work.regraded),
    ):
        for grader in (each for each in graders if each.applies(case)):
            counted.grades[id(grader)] += repeats
            for asked in questions_of(grader.scorer, case):
                counted.asked.add(id(grader))
                at = next(at for at, judge in enumerate(judges) if judge is asked.judge)
                most = None if asked.most is None else asked.most * (1 + MAX_REPAIRS)
                counted.calls[at] += Span(asked.least, asked.likely, most).times(repeats)
    return counted


def _judges(prepared: Prepared) -> tuple[ChatClient, ...]:
    llm, panel = prepared.services.llm, prepared.services.panel
    return () if llm is None else (llm, *panel)


def _names(judges: Sequence[ChatClient]) -> Iterator[str]:
    """Models, numbered where two members of a panel are the same one."""
    seen: Counter[str] = Counter()
    for judge in judges:
        seen[judge.model] += 1
        yield judge.model if seen[judge.model] == 1 else f"{judge.model} ({seen[judge.model]})"


def _system(prepared: Prepared, count: int, typical: Typical | None) -> tuple[Span, Span]:
    """Tokens and US dollars of the system: by a chat system's prices, else by what it said of itself."""
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


def _judged(grader: Grader, count: int, judges: Sequence[ChatClient], typical: Typical | None) -> tuple[Span, Span]:
    """Tokens and US dollars of one scorer's grades, where those of the earlier run were made alike."""
    names = [metric.name for metric in grader.scorer.metrics]
    same = typical is not None and all(typical.score_keys.get(name) == grader.key for name in names)
    given = [row.scores[name].usage for row in typical.rows for name in names if name in row.scores] if typical else []
    used = [usage for usage in given if usage is not None] if same else []
    if any(cost_usd(judge.config, input_tokens=1, output_tokens=1) is None for judge in judges):
        return _taken(used, None, count)
    if len(judges) > 1:  # a grade does not say which member of the panel took how much: what was paid then
        return _taken(used, [usage.cost_usd for usage in used], count)
    config = judges[0].config
    costs = [cost_usd(config, input_tokens=each.input_tokens, output_tokens=each.output_tokens) for each in used]
    return _taken(used, costs, count)


def _taken(used: Sequence[Usage], costs: Sequence[float | None] | None, count: int) -> tuple[Span, Span]:
    """Tokens and US dollars of `count` calls like those in `used`; `costs` is `None` if no price is known."""
    tokens = _scaled([_sum(usage.input_tokens, usage.output_tokens) for usage in used], count, UNKNOWN)
    if costs is None:
        return tokens, _scaled([], count, UNPRICED)
    return tokens, _scaled(costs, count, UNKNOWN if tokens.likely is None else UNPRICED)


def _scaled(found: Sequence[float | None], count: int, why: str) -> Span:
    """`count` times what one was: the cheapest and the dearest tenth are the ends, the mean is likely."""
    known = sorted(value for value in found if value is not None)
    if count == 0:
        return Span.exactly(0)
    if not known:
        return Span(why=why)
    last, mean = len(known) - 1, math.fsum(known) / len(known)
    low, high = known[math.floor(_CHEAP * last)], known[math.ceil(_DEAR * last)]
    return Span(min(low, mean), mean, max(high, mean)).times(count)


def _seconds(judges: Sequence[ChatClient], calls: Sequence[Span], n_rows: int, typical: Typical | None) -> Span:
    """At least what the stated limits of requests take; likely what an earlier run took, if that is longer."""
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


def _sum(first: float | None, second: float | None) -> float | None:
    return None if first is None or second is None else first + second
