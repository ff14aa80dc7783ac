"""Score the tools that a system called against those it should have called."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

from evalkit.scorers.rules.rule import check_share
from evalkit.types import Case, Metric, Output, Score, ToolCall, Unscored

EXPECTED = "expected_tool_calls"


@dataclass(frozen=True, kw_only=True)
class ToolCalls:
    """Measure how well the tool calls match the expected ones, by name and arguments.

    Three metrics from 0 to 1: `<name>.precision` (expected calls among those made), `<name>.recall` (calls made among
    those expected) and `<name>.f1`; the answer passes if F1 reaches `min_f1`. The case field `expected_tool_calls` is a
    list of `{name, arguments}`. Each call counts as often as it is made. If neither side has a call, all three are 1;
    if only one side has calls, all three are 0. The text of the answer does not matter, so an empty one is scored too.

    Arguments are compared as JSON: `1` equals `1.0` but not `"1"` or `true`.

    It cannot see that two different calls have the same effect, or that a call made twice did harm only once.
    """

    name: str = "tool_calls"
    order: Literal["any", "strict"] = "any"
    """Whether calls must come in the expected order; `strict` counts the longest sequence of matches in order."""
    ignore_extra_arguments: bool = False
    """Accept a call that has the expected arguments and more."""
    only: tuple[str, ...] = ()
    """Tools whose calls count, such as those that write; all if empty."""
    min_f1: float = 1.0
    """Smallest F1 that passes."""

    version: ClassVar[str] = "1"
    shorthand: ClassVar[str] = "order"

    def __post_init__(self) -> None:
        check_share("min_f1", self.min_f1)

    @property
    def metrics(self) -> tuple[Metric, ...]:
        """Precision, recall and F1."""
        marks = {"precision": None, "recall": None, "f1": self.min_f1}
        return tuple(Metric(f"{self.name}.{part}", pass_at=mark) for part, mark in marks.items())

    @property
    def needs(self) -> frozenset[str]:
        """The calls that should be made."""
        return frozenset({EXPECTED})

    def check_case(self, case: Case) -> None:
        """Reject a row whose expected calls have another form."""
        _read(case) if EXPECTED in case.fields else None

    def score(self, case: Case, output: Output) -> tuple[Score | Unscored, ...]:
        """Match the calls made with those expected."""
        if EXPECTED not in case.fields:
            return self._unscored(f"missing_{EXPECTED}", f"the case has no `{EXPECTED}`")
        if output.tool_calls is None:
            return self._unscored("missing_tool_calls", "the system does not say which tools it called")
        expected = self._counted(_read(case))
        made = self._counted(output.tool_calls)
        matched = self._matched(expected, made)
        parts = _parts(matched, len(expected), len(made))
        reason = _reason(matched, expected, made)
        details = {"expected": [call.name for call in expected], "made": [call.name for call in made]}
        passed = (None, None, parts[2] >= self.min_f1)
        return tuple(
            Score(metric.name, value, mark, reason, details)
            for metric, value, mark in zip(self.metrics, parts, passed, strict=True)
        )

    def _unscored(self, kind: str, message: str) -> tuple[Unscored, ...]:
        return tuple(Unscored(metric.name, kind, message) for metric in self.metrics)

    def _counted(self, calls: Sequence[ToolCall]) -> list[ToolCall]:
        return [call for call in calls if not self.only or call.name in self.only]

    def _matched(self, expected: Sequence[ToolCall], made: Sequence[ToolCall]) -> int:
        """Return how many calls agree, each used once."""
        if not expected or not made:
            return 0
        if not self.ignore_extra_arguments:
            wanted, done = [_canonical(call) for call in expected], [_canonical(call) for call in made]
            return _in_order(wanted, done) if self.order == "strict" else (Counter(wanted) & Counter(done)).total()
        agree = [[_agrees(want, call) for call in made] for want in expected]
        return _most_in_order(agree) if self.order == "strict" else _most(agree)


def _read(case: Case) -> tuple[ToolCall, ...]:
    """Read the expected calls.

    Raises:
        ValueError: the field has another form.
    """
    calls = case.fields[EXPECTED]
    if not isinstance(calls, list | tuple) or not all(map(_is_call, calls)):
        raise ValueError(f"`{EXPECTED}` must be a list of {{name, arguments}}; write [] where no call is expected")
    return tuple(ToolCall(call["name"], call.get("arguments") or {}) for call in calls)


def _is_call(value: Any) -> bool:
    named = isinstance(value, Mapping) and isinstance(value.get("name"), str)
    return named and isinstance(value.get("arguments") or {}, Mapping)


def _plain(value: Any) -> Any:
    """Make equal JSON values equal as text: a whole float is an integer, a tuple a list."""
    if isinstance(value, float) and value.is_integer():
        return int(value)
    if isinstance(value, Mapping):
        return {str(key): _plain(part) for key, part in value.items()}
    return [_plain(part) for part in value] if isinstance(value, list | tuple) else value


def _text(value: Any) -> str:
    return json.dumps(_plain(value), sort_keys=True, default=str)


def _canonical(call: ToolCall) -> tuple[str, str]:
    return call.name, _text(call.arguments)


def _agrees(want: ToolCall, call: ToolCall) -> bool:
    """Tell whether a call has the expected name and at least the expected arguments."""
    given = call.arguments
    return want.name == call.name and all(
        key in given and _text(given[key]) == _text(value) for key, value in want.arguments.items()
    )


def _in_order(wanted: Sequence[tuple[str, str]], done: Sequence[tuple[str, str]]) -> int:
    from rapidfuzz.distance import LCSseq

    return int(LCSseq.similarity(wanted, done))


def _most_in_order(agree: Sequence[Sequence[bool]]) -> int:
    """Return the longest common subsequence, for a relation that is not an equality."""
    best = [0] * (len(agree[0]) + 1)
    for row in agree:
        before = best
        best = [0]
        for place, match in enumerate(row):
            best.append(before[place] + 1 if match else max(best[place], before[place + 1]))
    return best[-1]


def _most(agree: Sequence[Sequence[bool]]) -> int:
    """Return the size of the largest one-to-one matching; a greedy one may be smaller."""
    import numpy as np
    from scipy.sparse import csr_array
    from scipy.sparse.csgraph import maximum_bipartite_matching

    return int((maximum_bipartite_matching(csr_array(np.array(agree, dtype=np.int8))) >= 0).sum())


def _parts(matched: int, n_expected: int, n_made: int) -> tuple[float, float, float]:
    if not n_expected and not n_made:
        return (1.0, 1.0, 1.0)
    if not n_expected or not n_made:
        return (0.0, 0.0, 0.0)
    return (matched / n_made, matched / n_expected, 2 * matched / (n_made + n_expected))


def _reason(matched: int, expected: Sequence[ToolCall], made: Sequence[ToolCall]) -> str:
    if not expected and not made:
        return "no call expected and none made"
    if not made:
        return f"no call made, {len(expected)} expected"
    if not expected:
        return f"no call expected, {len(made)} made"
    return f"{matched} of {len(expected)} expected calls among {len(made)} made"
