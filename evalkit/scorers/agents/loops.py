"""Score calls that an agent makes again and again."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from evalkit.formats.json_values import json_text
from evalkit.scorers.agents.acts import Act
from evalkit.scorers.agents.expected import NO_CALLS, acts_of, calls_made, is_named, missing
from evalkit.text.numbers import plural
from evalkit.types import Case, Metric, Output, Score, ToolCall, Unscored

MOST_CALLS = 100
"""Upper limit of `longest`, which keeps the work linear in the number of calls."""


@dataclass(frozen=True, kw_only=True)
class Loops:
    """Find calls that repeat: the same name with the same arguments.

    Two metrics, of which less is better:

    - `<name>.cycle`: the most times that a block of 1 to `longest` calls occurs in a row; 1 if no block repeats, 0
      without a call. `a b a b a b` has the block `a b` three times. The answer passes up to `max_cycle`.
    - `<name>.redundant`: share of the calls that repeat an earlier one with no successful call of a tool in `writes` in
      between, so that they could return nothing new; 0 without a call. It has no pass mark.

    It cannot see a loop whose arguments change each time, such as a page number; `steps` can.
    """

    name: str = "loops"
    max_cycle: int = 2
    """Most times that a block may occur in a row."""
    longest: int = 4
    """Longest block to look for, in calls."""
    writes: tuple[str, ...] = ()
    """Tools that change something, as globs such as `update_*`; a call repeated after one of them is not redundant."""

    version: ClassVar[str] = "1"
    without_text: ClassVar[bool] = True
    shorthand: ClassVar[str] = "max_cycle"

    def __post_init__(self) -> None:
        if self.max_cycle < 1:
            raise ValueError(f"max_cycle: expected 1 or more, got {self.max_cycle}; 1 forbids any repetition")
        if not 1 <= self.longest <= MOST_CALLS:
            raise ValueError(f"longest: expected 1 to {MOST_CALLS}, got {self.longest}; 4 finds most loops")

    @property
    def metrics(self) -> tuple[Metric, ...]:
        """The longest cycle, and the share of redundant calls."""
        return (
            Metric(f"{self.name}.cycle", high=math.inf, higher_is_better=False, pass_at=self.max_cycle),
            Metric(f"{self.name}.redundant", higher_is_better=False),
        )

    @property
    def needs(self) -> frozenset[str]:
        """No case field."""
        return frozenset()

    def score(self, case: Case, output: Output) -> tuple[Score | Unscored, ...]:
        """Compare each call with those before it."""
        cycle, redundant = (metric.name for metric in self.metrics)
        calls = calls_made(output)
        if calls is None:
            return missing((cycle, redundant), "missing_tool_calls", NO_CALLS)
        acts = acts_of(calls)
        keys = [(call.name, json_text(call.arguments)) for call in calls]
        n, start, length = longest_cycle(keys, self.longest)
        again = self._redundant(calls, keys)
        share = again / len(calls) if calls else 0.0
        return (
            Score(cycle, float(n), n <= self.max_cycle, _told(acts[start : start + length], n, start)),
            Score(redundant, share, None, f"{again} of {plural(len(calls), 'call')} equal an earlier one"),
        )

    def _redundant(self, calls: Sequence[ToolCall], keys: Sequence[object]) -> int:
        seen: set[object] = set()
        n = 0
        for call, key in zip(calls, keys, strict=True):
            n += key in seen
            if call.error is None and is_named(call.name, self.writes):
                seen.clear()
            seen.add(key)
        return n


def longest_cycle(keys: Sequence[object], longest: int) -> tuple[int, int, int]:
    """Find the block that occurs most often in a row, in time linear in the keys for each length.

    Args:
        keys: equal for equal calls.
        longest: number of keys in the longest block.

    Returns:
        (times, index of its first key, its number of keys); of blocks that occur equally often, the shortest, then the
        first; (0, 0, 0) without a key.
    """
    best = (1, 0, 1) if keys else (0, 0, 0)
    for length in range(1, min(longest, len(keys) // 2) + 1):
        run = 0
        """Keys in a row that equal the one `length` before."""
        for at in range(length, len(keys)):
            run = run + 1 if keys[at] == keys[at - length] else 0
            times = run // length + 1
            if times > best[0]:
                best = (times, at + 1 - times * length, length)
    return best


def _told(block: Sequence[Act], n: int, start: int) -> str:
    if not n:
        return "no call"
    if n == 1:
        return "no call is repeated back to back"
    return f"{', '.join(map(str, block))} {n} times in a row, from call {start + 1}"
