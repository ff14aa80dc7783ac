"""Choose the cases that report.html holds of a run with more than 50,000."""

from __future__ import annotations

import hashlib
import heapq
from collections.abc import Iterable
from dataclasses import dataclass

from evalkit.types import WRONG, Case, Verdict

MOST_CASES = 50_000
LISTED_CASES = 50
"""Cases that the head of the page lists, which it always holds."""
_FAILED, _WRONG, _CANARY, _CHANGED, _OTHER = range(5)


@dataclass(frozen=True)
class ShownCases:
    """The cases that the page holds."""

    ids: frozenset[str]
    of: int
    """Number of cases that they were chosen from."""

    def __str__(self) -> str:
        """State how many cases the page holds, and where all are."""
        held = f"report.html holds {len(self.ids):,} of {self.of:,} cases"
        return f"{held}: those that failed, canaries and changed cases first, then a sample; all are in rows.jsonl"


class CaseDraw:
    """Draws cases one by one: failures first, then canaries, then changed cases, then a seeded sample."""

    def __init__(self, seed: int) -> None:
        """Start with a seed; equal seeds draw equal samples, in whatever order the cases come."""
        self._seed = seed
        self._heap: list[tuple[int, int, str]] = []
        self._n = 0

    def add(self, case: Case, verdict: Verdict, change: str) -> None:
        """Take a case.

        Args:
            case: the case.
            verdict: of all its repeats.
            change: its change since the baseline; empty for none.
        """
        if verdict in WRONG or verdict == "unscored":
            rank = _FAILED if verdict == "failed" else _WRONG
        elif case.kind == "canary":
            rank = _CANARY
        else:
            rank = _CHANGED if change else _OTHER
        self._take(case.id, rank)

    def add_removed(self, case_id: str) -> None:
        """Take a case that only the baseline has."""
        self._take(case_id, _CHANGED)

    def _take(self, case_id: str, rank: int) -> None:
        self._n += 1
        text = f"{self._seed}:{case_id}".encode("utf-8", "surrogatepass")
        drawn = int.from_bytes(hashlib.blake2b(text, digest_size=8).digest())
        entry = (-rank, -drawn, case_id)
        if len(self._heap) < MOST_CASES - LISTED_CASES:
            heapq.heappush(self._heap, entry)
        else:
            heapq.heappushpop(self._heap, entry)

    def shown(self, listed: Iterable[str]) -> ShownCases:
        """Return the chosen cases, with those that the head of the page lists."""
        return ShownCases(frozenset(case_id for _, _, case_id in self._heap).union(listed), self._n)


def draw_of(n_cases: int, seed: int) -> CaseDraw | None:
    """Return the draw for a run of this many cases; `None` if the page holds all of them."""
    return CaseDraw(seed) if n_cases > MOST_CASES else None
