"""Check one answer within a budget of time: pass, warn or block, and never an exception."""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from types import TracebackType
from typing import Any, Self

from evalkit.formats.contexts import read_contexts
from evalkit.guard.levels import Checked, CheckedClaim, GuardLevel, LevelFailed
from evalkit.guard.settings import ALL_ANSWERS, Action, GuardSettings, LevelName
from evalkit.text.values import one_line
from evalkit.types import Case, Output

JUDGE_BUDGET_MS = 2_000
"""Smallest budget with which a judge is asked."""
CHARS_PER_MS = 100
"""Characters of question, answer and contexts together for each millisecond of the budget.

The rules take 3 microseconds for a character of prose, and up to 10 for one of a text made to be slow. A regular
expression cannot be interrupted, so a text that may take longer than the budget is refused before it is read."""
MAX_CHARS = 200_000
"""Characters that are checked with any budget."""


@dataclass(frozen=True, slots=True, kw_only=True)
class GuardResult:
    """What to do with an answer, and why."""

    action: Action
    score: float | None
    """1 - (unsupported + 2 contradicted) / claims, at least 0; `None` if there is no claim, or no level finished."""
    claims: tuple[CheckedClaim, ...]
    """Claims of the last level that finished."""
    level: LevelName | None
    """The last level that finished."""
    late: bool
    """Whether the time was over before the level that decides had finished."""
    error: str = ""
    """Why a level failed; empty if none did."""
    elapsed_ms: float

    @property
    def wrong(self) -> tuple[CheckedClaim, ...]:
        """Claims that the contexts do not support."""
        return tuple(claim for claim in self.claims if claim.verdict != "supported")


@dataclass(frozen=True, slots=True, kw_only=True)
class GuardCounts:
    """Checks of a guard since it was loaded."""

    passed: int = 0
    warned: int = 0
    blocked: int = 0
    late: int = 0
    """Checks whose time was over; each also counts by its action."""
    failed: int = 0
    """Checks with a level that failed; each also counts by its action."""

    @property
    def checks(self) -> int:
        """All checks."""
        return self.passed + self.warned + self.blocked


class Guard:
    """Checks answers; `load` makes one from `guard.json`.

    `async with` closes the connections to the judge. Without a judge there is nothing to close.
    """

    def __init__(self, settings: GuardSettings, levels: Sequence[GuardLevel]) -> None:
        self.settings = settings
        self.counts = GuardCounts()
        self._levels = tuple(levels)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        for level in self._levels:
            await level.close()

    async def check(
        self,
        question: str,
        answer: str,
        contexts: Sequence[str | Mapping[str, Any]],
        *,
        cohorts: Mapping[str, str] | None = None,
        budget_ms: float = 300,
    ) -> GuardResult:
        """Check one answer; it never raises.

        The levels are asked in turn: rules, the local entailment model, the judge. The judge is asked only if the
        budget is at least 2,000 ms. The last of them decides by its own thresholds. If it does not finish in time, or a
        level fails, the action is `on_timeout`, and `claims` still hold what the levels before it found.

        Args:
            question: the user's input.
            answer: the answer that would be delivered.
            contexts: passages behind it, as texts or as mappings with `text`, `id` and `source`.
            cohorts: cohort -> value; the guard reads the one that it has thresholds for.
            budget_ms: longest time in milliseconds, above 0. Question, answer and contexts may have 100 characters for
                each, at most 200,000; longer ones fail before any level is asked.
        """
        began = time.perf_counter()
        done: list[tuple[LevelName, Checked]] = []
        late, error = False, ""
        action: Action = self.settings.on_timeout
        try:
            async with asyncio.timeout(_seconds(budget_ms)) as limit:
                case, output = _asked(question, answer, contexts, budget_ms)
                for level in self._levels:
                    if level.name != "judge" or budget_ms >= JUDGE_BUDGET_MS:
                        done.append((level.name, await level.check(case, output)))
            if not done:
                raise LevelFailed(f"no level can be asked in {budget_ms:g} ms; the judge needs {JUDGE_BUDGET_MS:,} ms")
            action = self._action(*done[-1], cohorts or {})
        except LevelFailed as failed:
            error = str(failed)
        except Exception as unexpected:  # the answer is delivered or held back, whatever happens here
            late = isinstance(unexpected, TimeoutError) and limit.expired()
            error = "" if late else f"{type(unexpected).__name__}: {one_line(unexpected)}"
        name, found = done[-1] if done else (None, Checked(None, ()))
        result = GuardResult(
            action=action,
            score=found.score,
            claims=found.claims,
            level=name,
            late=late,
            error=error,
            elapsed_ms=(time.perf_counter() - began) * 1_000,
        )
        self._count(result)
        return result

    def _action(self, name: LevelName, found: Checked, cohorts: Mapping[str, str]) -> Action:
        by = self.settings.by
        cohort = ALL_ANSWERS if by is None else str(cohorts.get(by, ALL_ANSWERS))
        return self.settings.levels[name].action(found.compared_score, cohort)

    def _count(self, result: GuardResult) -> None:
        name = {"pass": "passed", "warn": "warned", "block": "blocked"}[result.action]
        now = {name: getattr(self.counts, name) + 1}
        self.counts = replace(
            self.counts,
            **now,
            late=self.counts.late + result.late,
            failed=self.counts.failed + bool(result.error),
        )


def _seconds(budget_ms: float) -> float:
    if not 0 < budget_ms < math.inf:
        raise LevelFailed(f"budget_ms: expected milliseconds above 0, got {budget_ms}")
    return budget_ms / 1_000


def _asked(
    question: str, answer: str, contexts: Sequence[str | Mapping[str, Any]], budget_ms: float
) -> tuple[Case, Output]:
    if not isinstance(question, str) or not isinstance(answer, str):
        raise LevelFailed("question and answer must be texts")
    texts, origins = read_contexts("contexts", contexts)
    n_chars, most = len(question) + len(answer) + sum(map(len, texts)), min(MAX_CHARS, budget_ms * CHARS_PER_MS)
    if n_chars > most:
        raise LevelFailed(f"{n_chars:,} characters, at most {most:,.0f} are checked in {budget_ms:g} ms")
    return Case(id="guard", input=question, contexts=texts), Output(text=answer, contexts=texts, origins=origins)
