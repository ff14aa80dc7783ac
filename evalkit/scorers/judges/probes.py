"""Probe a judge with answers whose right grade, or right difference of grades, is known."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import Callable, Coroutine, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol, TypeVar, runtime_checkable

from evalkit.results import Estimate
from evalkit.scorers.judges.attacks import ATTACKS, Attack
from evalkit.stats.intervals import mean_t, wilson
from evalkit.types import Case, Metric, Output, Score, Unscored

T = TypeVar("T")
Progress = Callable[[int, int], None]
"""Called with the number of answered questions and the number of all questions."""

ASKINGS = 3
"""Number of times that one answer is graded to measure whether the judge agrees with itself."""
TIME_LIMIT = "time_limit"
"""Kind of a grade whose question was not answered in time."""
FILLER = (
    "To put it in other words, what is said above is meant just as it stands and is neither widened nor narrowed here. "
    "It may be read from the beginning to the end, and then once more, without anything being lost. Nothing in the "
    "following lines adds to it. They only make the text longer, as texts sometimes are, and they hold no further "
    "statement about the matter, no figure, no name and no date. Whoever has read this far knows what was known before."
)
"""Text that adds length but no information."""


@runtime_checkable
class Prober(Protocol):
    """A bound judge that can be asked again."""

    name: str
    metrics: tuple[Metric, ...]

    async def opinion(self, case: Case, output: Output, sample: int = 0) -> Score | Unscored:
        """Grade one answer once."""


class Comparer(Protocol):
    """A bound judge of two answers."""

    async def compare(self, case: Case, output: Output, rival: str | None) -> tuple[Score | Unscored, ...]:
        """Return the grades of the win rate and of the position bias."""


@dataclass(frozen=True)
class Pair:
    """A case with a right answer and one that answers another question."""

    case: Case
    right: str
    wrong: str


@dataclass(frozen=True, kw_only=True)
class Health:
    """Results of one judge on probes whose right result is known."""

    metric: str
    judge: str
    n_cases: int
    tells_apart: Estimate
    """Share of pairs in which the right answer has the better grade; 1 is ideal."""
    attack_success: Estimate
    """Share of attacks that give a wrong answer a better grade; 0 is ideal."""
    length_bias: Estimate
    """Mean change of the grade caused by words without content, as a share of the scale; 0 is ideal."""
    self_consistency: Estimate
    """Share of answers with the same grade all three times; 1 is ideal."""
    order_flips: Estimate
    """Share of pairs whose winner changes with the order in which they are shown; 0 is ideal."""
    position_bias: Estimate
    """Advantage of the answer shown first, -1 to 1; 0 is ideal."""
    failures: Estimate
    """Share of questions without a usable reply; replies rejected for copying the case are not counted."""
    failure_kinds: Mapping[str, int] = field(default_factory=dict)
    refused: int = 0
    """Replies rejected because they copied the case."""
    broken_by: Mapping[str, int] = field(default_factory=dict)
    """Kind of attack -> number that succeeded."""


def pairs_of(cases: Iterable[Case], n: int, seed: int) -> list[Pair]:
    """Draw `n` cases that have a reference, each with the reference of another case as its wrong answer.

    Cases with similar references are not paired; fewer than `n` are returned if there are no more.
    """
    usable = [case for case in cases if case.reference and case.reference[0].strip()]
    random.Random(seed).shuffle(usable)  # noqa: S311 - a sample, no secret
    chosen = usable[:n]
    pairs = []
    for place, case in enumerate(chosen):
        known = {text.strip() for text in case.reference}
        others = (other.reference[0] for other in chosen[place + 1 :] + chosen[:place])
        wrong = next((text for text in others if text.strip() not in known), None)
        if wrong is not None:
            pairs.append(Pair(case, case.reference[0], wrong))
    return pairs


@dataclass(kw_only=True)
class _Questions:
    """The questions to one judge, counted, with a deadline on the event loop's clock."""

    total: int
    until_s: float
    progress: Progress
    n_answered: int = 0

    async def answered(self, question: Coroutine[Any, Any, T], otherwise: T) -> T:
        """Wait for a reply; return `otherwise` if the deadline comes first."""
        try:
            async with asyncio.timeout_at(self.until_s):
                found = await question
        except TimeoutError:
            found = otherwise
        self.n_answered += 1
        self.progress(self.n_answered, self.total)
        return found


async def probe(
    judge: Prober,
    comparer: Comparer,
    pairs: Sequence[Pair],
    attacks: Sequence[Attack] = ATTACKS,
    *,
    limit_s: float,
    progress: Progress = lambda answered, total: None,
) -> Health:
    """Ask a judge all probes and compute its health.

    Args:
        judge: asked about 5 answers of each pair and one for each attack.
        comparer: the same endpoint, asked about each pair in both orders.
        pairs: at least one.
        attacks: each is put after the wrong answer of one pair, in turn.
        limit_s: seconds after which replies are no longer awaited; unanswered questions count as failures.
        progress: called after each answer.
    """
    questions = _Questions(
        total=len(pairs) * (ASKINGS + 3) + len(attacks),
        until_s=asyncio.get_running_loop().time() + limit_s,
        progress=progress,
    )
    late = Unscored(judge.name, TIME_LIMIT)

    async def each(asked: Iterable[tuple[Pair, str]], askings: int = 1) -> list[Score | Unscored]:
        opinions = [
            judge.opinion(pair.case, Output(text=text), sample) for pair, text in asked for sample in range(askings)
        ]
        return await asyncio.gather(*(questions.answered(opinion, late) for opinion in opinions))

    async def compare(pair: Pair) -> tuple[Score | Unscored, ...]:
        comparison = comparer.compare(pair.case, Output(text=pair.right), pair.wrong)
        return await questions.answered(comparison, (late, late))

    turns = [pairs[n % len(pairs)] for n in range(len(attacks))]
    right, wrong, longer, attacked, compared = await asyncio.gather(
        each(((pair, pair.right) for pair in pairs), ASKINGS),
        each((pair, pair.wrong) for pair in pairs),
        each((pair, f"{pair.right}\n\n{FILLER}") for pair in pairs),
        each((pair, f"{pair.wrong}\n{attack.text}") for pair, attack in zip(turns, attacks, strict=True)),
        asyncio.gather(*map(compare, pairs)),
    )
    replies = _Replies(right, wrong, longer, attacked, compared)
    return _health(judge, replies, attacks)


@dataclass(frozen=True)
class _Replies:
    """What a judge said of the answers of each pair, in the order of the pairs."""

    right: Sequence[Score | Unscored]
    """`ASKINGS` for each pair."""
    wrong: Sequence[Score | Unscored]
    longer: Sequence[Score | Unscored]
    attacked: Sequence[Score | Unscored]
    """One for each attack."""
    compared: Sequence[tuple[Score | Unscored, ...]]
    """Of each pair in both orders: whether the right answer wins, and the position bias."""


def _health(judge: Prober, replies: _Replies, attacks: Sequence[Attack]) -> Health:
    right, wrong, longer, attacked = replies.right, replies.wrong, replies.longer, replies.attacked
    first, bases = right[::ASKINGS], [wrong[n % len(wrong)] for n in range(len(attacks))]
    wins, biases = [each[0] for each in replies.compared], [each[1] for each in replies.compared]
    metric = judge.metrics[0]
    kinds = Counter(grade.kind for grade in [*right, *wrong, *longer, *attacked, *wins] if isinstance(grade, Unscored))
    refused = sum(kinds.pop(kind, 0) for kind in ("echoed_mark", "echoed_verdict"))
    asked = len(right) + len(wrong) + len(longer) + len(attacked) + len(wins)
    won = [_won(base, grade, metric) for base, grade in zip(bases, attacked, strict=True)]
    return Health(
        metric=judge.name,
        judge=metric.judge or "",
        n_cases=len(wrong),
        tells_apart=_share([_rose(base, grade, metric) for base, grade in zip(wrong, first, strict=True)]),
        attack_success=_share(won),
        length_bias=_mean([_change(base, grade, metric) for base, grade in zip(first, longer, strict=True)]),
        self_consistency=_share([_same(right[at : at + ASKINGS]) for at in range(0, len(right), ASKINGS)]),
        order_flips=_share([_flipped(win) for win in wins]),
        position_bias=_mean([grade.value if isinstance(grade, Score) else None for grade in biases]),
        failures=wilson(kinds.total(), asked),
        failure_kinds=dict(sorted(kinds.items())),
        refused=refused,
        broken_by=dict(Counter(attack.kind for attack, fell in zip(attacks, won, strict=True) if fell)),
    )


def _change(base: Score | Unscored, grade: Score | Unscored, metric: Metric) -> float | None:
    """Return the change of the grade towards better, as a share of the scale; `None` if one of the two is unknown."""
    if isinstance(base, Unscored) or isinstance(grade, Unscored):
        return None
    change = (grade.value - base.value) / (metric.high - metric.low)
    return change if metric.higher_is_better else -change


def _rose(base: Score | Unscored, grade: Score | Unscored, metric: Metric) -> bool | None:
    change = _change(base, grade, metric)
    return None if change is None else change > 0


def _won(base: Score | Unscored, grade: Score | Unscored, metric: Metric) -> bool | None:
    """Return whether an attack raised the grade; a reply rejected as a copy counts as a defence.

    Return `None` if the wrong answer had the best grade already, or one of the two grades is unknown.
    """
    if isinstance(grade, Unscored):
        return False if grade.kind.startswith("echoed") else None
    best = metric.high if metric.higher_is_better else metric.low
    return None if isinstance(base, Score) and base.value == best else _rose(base, grade, metric)


def _same(grades: Sequence[Score | Unscored]) -> bool | None:
    values = {grade.value for grade in grades if isinstance(grade, Score)}
    known = all(isinstance(grade, Score) for grade in grades)
    return len(values) == 1 if known else None


def _flipped(win: Score | Unscored) -> bool | None:
    return bool(win.details.get("flipped")) if isinstance(win, Score) else None


def _share(found: Sequence[bool | None]) -> Estimate:
    known = [each for each in found if each is not None]
    return wilson(sum(known), len(known))


def _mean(found: Sequence[float | None]) -> Estimate:
    return mean_t([each for each in found if each is not None])
