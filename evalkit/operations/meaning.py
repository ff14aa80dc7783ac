"""Count the meanings of the answers to each case: semantic entropy, with the suite's judge as the reader."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from itertools import combinations
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from evalkit.aggregate.cells import mean
from evalkit.errors import InputError, Problem, what_and_fix
from evalkit.formats.conversation import conversation_of
from evalkit.llm.budget import Budget, BudgetReached
from evalkit.llm.prices import cost_usd
from evalkit.net.rate_limits import CHARS_PER_TOKEN
from evalkit.results import Estimate
from evalkit.runner.chat_clients import given_up_note, judge_needed_by, open_cache, open_client
from evalkit.scorers.judges.asking import total_usage
from evalkit.scorers.judges.entailment import entailment_question, entails, prompt_chars
from evalkit.scorers.judges.identity import judge_name
from evalkit.stats.clusters import cluster_codes
from evalkit.stats.meanings import meanings, semantic_entropy
from evalkit.store.folder import RunFolder
from evalkit.store.stored_run import find_suite
from evalkit.suite.model import Suite
from evalkit.suite.parse import load_suite
from evalkit.systems.base import Shared
from evalkit.types import Case, Metric, Row, Unscored, Usage

if TYPE_CHECKING:
    from evalkit.llm.client import ChatClient
    from evalkit.llm.config import ChatConfig

NAME = "semantic_entropy"
TRUST = "untrusted: no labels; a diagnosis, not a gate"
"""The answers have no labels that say which entail each other, so no judge has been tested on them."""
Progress = Callable[[int, int], None]
"""Called with the number of compared pairs of answers and the number of all pairs."""


@dataclass(frozen=True, kw_only=True)
class Meaning:
    """Answers to one case that mean the same."""

    n: int
    wordings: tuple[str, ...]
    """Different texts among the answers."""


@dataclass(frozen=True, kw_only=True)
class CaseMeanings:
    """The meanings of the answers to one case."""

    case_id: str
    n_answers: int
    n_missing: int
    """Repeats without an answer."""
    entropy: float
    """0 if all answers mean the same, 1 if each means something else."""
    meanings: tuple[Meaning, ...]
    """The most frequent first."""


@dataclass(frozen=True, kw_only=True)
class Unmeasured:
    """A case for which the meanings are unknown."""

    case_id: str
    kind: str
    """`no_answer`, `one_answer`, `conversation`, `budget`, or why a judge's reply could not be used."""
    message: str


@dataclass(frozen=True, kw_only=True)
class Meanings:
    """The meanings of a run's answers."""

    judge: str
    trust: str
    entropy: Estimate
    """Mean over the measured cases."""
    n_several: int
    """Measured cases that answer with more than one meaning."""
    cases: tuple[CaseMeanings, ...]
    """The highest entropy first."""
    unmeasured: tuple[Unmeasured, ...]
    n_questions: int
    """Questions to the judge, including those with a cached reply."""
    usage: Usage | None
    """Usage of the replies that were not cached; `None` if there are none."""
    notes: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class AnsweredCase:
    """The answers to one case that can be compared."""

    case: Case
    answers: tuple[str, ...]
    """Two or more answers; those that differ only in white space have the same text."""
    n_missing: int

    @property
    def pairs(self) -> Iterator[tuple[str, str]]:
        """Pairs of different texts that a judge is asked about, in the order of the texts."""
        return combinations(sorted({text for text in self.answers if text.strip()}), 2)


@dataclass(frozen=True, kw_only=True)
class MeaningPlan:
    """What a judge will be asked about the answers of a run."""

    suite: Suite
    judge: ChatConfig
    cases: tuple[AnsweredCase, ...]
    unmeasured: tuple[Unmeasured, ...]
    n_pairs: int
    at_most_usd: float | None
    """Cost if every pair is asked in both directions and every reply has `max_tokens`; `None` if the price is unknown.
    Repairs of replies come on top."""

    @property
    def n_questions(self) -> int:
        """Number of questions at most."""
        return 2 * self.n_pairs


def suite_of_run(folder: RunFolder) -> Path:
    """Return the path of the suite that a run was made with.

    Raises:
        InputError: The suite does not exist.
    """
    manifest = folder.manifest()
    found = find_suite(manifest, folder)
    if found is None:
        what = f"its suite {manifest.suite_file} does not exist, so the judge to ask is unknown"
        raise InputError(Problem(str(folder.path), what, "run the command in the project of the suite"))
    return found


def refuse_missing_judge(suite_file: Path, env: Mapping[str, str]) -> None:
    """Reject a suite with a judge that cannot be asked, before its system is called.

    Raises:
        InputError: The suite has no chat judge, or its key is missing.
    """
    suite = load_suite(suite_file)
    judge = judge_needed_by(suite, "`--meaning` needs")
    missing = open_client(judge, _shared(suite, env), (None, None)).no_key
    if missing:
        raise InputError(Problem(suite.place("judge"), *what_and_fix(missing.removeprefix("no key: "))))


def _shared(suite: Suite, env: Mapping[str, str]) -> Shared:
    return Shared(suite.path.parent, suite.root, suite.options.concurrency, env)


def plan_meanings(folder: RunFolder, suite_file: Path) -> MeaningPlan:
    """Collect the answers of a run, and count what the suite's judge will be asked about them; nothing is sent.

    Raises:
        InputError: The folder or the suite cannot be read, or the suite has no chat judge.
    """
    suite = load_suite(suite_file)
    judge = judge_needed_by(suite, "`--meaning` needs")
    found = list(_cases_of(folder.rows(), suite, folder.manifest().repeats))
    cases = tuple(each for each in found if isinstance(each, AnsweredCase))
    sizes = [prompt_chars(entailment_question(NAME, each.case, *pair)) for each in cases for pair in each.pairs]
    tokens = math.ceil(max(sizes, default=0) / CHARS_PER_TOKEN)
    dearest = cost_usd(judge, input_tokens=tokens, output_tokens=judge.max_tokens)
    return MeaningPlan(
        suite=suite,
        judge=judge,
        cases=cases,
        unmeasured=tuple(each for each in found if isinstance(each, Unmeasured)),
        n_pairs=len(sizes),
        at_most_usd=None if dearest is None else 2 * len(sizes) * dearest,
    )


def _cases_of(rows: Iterable[Row], suite: Suite, repeats: int) -> Iterator[AnsweredCase | Unmeasured]:
    latest = {(row.case.digest, row.repeat): row for row in rows}
    by_case: dict[str, list[Row]] = {}
    for row in latest.values():
        by_case.setdefault(row.case.digest, []).append(row)
    for runs in by_case.values():
        case = runs[0].case
        answers = [
            row.output.text
            for row in runs
            if row.output is not None and row.output.fault is None and row.output.text_known
        ]
        missing = max(len(runs), repeats) - len(answers)
        if suite.conversation is not None and _is_conversation(case):
            why = "a later answer depends on what was said before; only answers to one input can be compared"
            yield Unmeasured(case_id=case.id, kind="conversation", message=why)
        elif len(answers) < 2:
            kind = "one_answer" if answers else "no_answer"
            why = f"{len(answers)} of {max(len(runs), repeats)} repeats answered; two answers are needed"
            yield Unmeasured(case_id=case.id, kind=kind, message=why)
        else:
            yield AnsweredCase(case=case, answers=_without_other_spaces(answers), n_missing=missing)


def _is_conversation(case: Case) -> bool:
    return "turns" in case.fields or conversation_of(case).user is not None


def _without_other_spaces(answers: Iterable[str]) -> tuple[str, ...]:
    """Give answers that differ only in white space the same text: the first of them in the order of texts."""
    chosen: dict[str, str] = {}
    ordered = sorted(answers)
    return tuple(chosen.setdefault(" ".join(text.split()), text) for text in ordered)


@dataclass
class _Asking:
    """The client of the judge, and the questions asked so far."""

    client: ChatClient
    progress: Progress
    n_pairs: int
    n_compared: int = 0
    n_questions: int = 0
    spent: list[Usage | None] = field(default_factory=list)

    async def alike(self, case: Case, first: str, second: str) -> bool | Unscored:
        """Return whether two answers entail each other; the second direction is asked if the first holds."""
        found = await self._both_ways(case, first, second)
        self.n_compared += 1
        self.progress(self.n_compared, self.n_pairs)
        return found

    async def _both_ways(self, case: Case, first: str, second: str) -> bool | Unscored:
        for pair in ((first, second), (second, first)):
            self.n_questions += 1
            try:
                found = await entails(self.client, entailment_question(NAME, case, *pair))
            except BudgetReached:
                why = "`budget_usd` of the suite is reached; raise it and repeat the command, which reuses the replies"
                return Unscored(NAME, "budget", why)
            self.spent.append(found.usage)
            if isinstance(found, Unscored):
                return found
            if not found.holds:
                return False
        return True


async def measure_meanings(plan: MeaningPlan, env: Mapping[str, str], *, progress: Progress) -> Meanings:
    """Ask the judge which answers entail each other, and compute the semantic entropy of each case.

    Args:
        plan: of a run.
        env: holds the key of the judge.
        progress: called after each pair of answers.
    """
    suite = plan.suite
    async with AsyncExitStack() as stack:
        cache = open_cache(suite, env, stack, "taken")
        budget = None if suite.options.budget_usd is None else Budget(suite.options.budget_usd)
        client = await stack.enter_async_context(open_client(plan.judge, _shared(suite, env), (budget, cache)))
        asking = _Asking(client, progress, plan.n_pairs)
        found = await asyncio.gather(*(_meanings_of(each, asking) for each in plan.cases))
        notes = tuple(filter(None, [cache.problem, given_up_note("judge", client)]))
    measured = [(one, each.case) for one, each in zip(found, plan.cases, strict=True) if isinstance(one, CaseMeanings)]
    fresh = [usage for usage in asking.spent if usage is not None and not usage.cached]
    return Meanings(
        judge=judge_name(client),
        trust=TRUST,
        entropy=_mean_of(measured),
        n_several=sum(len(one.meanings) > 1 for one, _ in measured),
        cases=tuple(sorted((one for one, _ in measured), key=lambda one: (-one.entropy, one.case_id))),
        unmeasured=(*plan.unmeasured, *(one for one in found if isinstance(one, Unmeasured))),
        n_questions=asking.n_questions,
        usage=total_usage(fresh),
        notes=notes,
    )


async def _meanings_of(answered: AnsweredCase, asking: _Asking) -> CaseMeanings | Unmeasured:
    case, pairs = answered.case, list(answered.pairs)
    verdicts = await asyncio.gather(*(asking.alike(case, *pair) for pair in pairs))
    unread = next((each for each in verdicts if isinstance(each, Unscored)), None)
    if unread is not None:
        return Unmeasured(case_id=case.id, kind=unread.kind, message=unread.message)
    alike = {frozenset(pair) for pair, same in zip(pairs, verdicts, strict=True) if same}
    groups = sorted(meanings(answered.answers, alike), key=len, reverse=True)
    return CaseMeanings(
        case_id=case.id,
        n_answers=len(answered.answers),
        n_missing=answered.n_missing,
        entropy=semantic_entropy([len(group) for group in groups]),
        meanings=tuple(Meaning(n=len(group), wordings=tuple(dict.fromkeys(group))) for group in groups),
    )


def _mean_of(measured: Sequence[tuple[CaseMeanings, Case]]) -> Estimate:
    if not measured:
        return Estimate(value=None, reason="no case could be measured")
    values = np.array([one.entropy for one, _ in measured])
    return mean(values, cluster_codes([case.cluster for _, case in measured]), Metric(NAME))
