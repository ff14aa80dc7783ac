"""Score the tools that a system called against those it should have called."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import ClassVar, Literal

from evalkit.formats.options import LATER
from evalkit.scorers.agents.acts import Act, ActMatcher, Arguments, ArgumentsOf, check_arguments_of, unmatched
from evalkit.scorers.agents.expected import (
    EXPECTED,
    NO_CALLS,
    acts_of,
    calls_made,
    expected_calls,
    is_named,
    missing,
    refuse_vacuous,
)
from evalkit.scorers.agents.matching import VACUOUS, Match, in_any_order, in_order, is_match
from evalkit.scorers.rules.rule import check_share
from evalkit.types import Case, Metric, Output, Score, ToolCall, Unscored

_SHOWN = 3


@dataclass(frozen=True, kw_only=True)
class ToolCalls:
    """Measure how well the tool calls match the expected ones, by name and arguments.

    Three metrics from 0 to 1: `<name>.precision` (expected calls among those made), `<name>.recall` (calls made among
    those expected) and `<name>.f1`; the answer passes if F1 reaches `min_f1`. The case field `expected_tool_calls` is a
    list of `{name, arguments}`. Each call counts as often as it is made. If neither side has a call, all three are 1;
    if only one side has calls, all three are 0. The text of the answer does not matter, so an empty one is scored too.

    With another `match` than `f1`, a fourth metric, `<name>.match`, is 1 or 0 and decides instead of F1:

    - `exact`: the same calls in the same order
    - `any_order`: the same calls, each as often
    - `in_order`: the expected calls in their order, with others between them
    - `at_least`: all the expected calls, and perhaps others
    - `at_most`: no call that is not expected

    `at_least` and `in_order` are rejected for a case that expects no call, because any calls would satisfy them.

    `only` lists the tools that count, such as those that change something, as names or globs. `count: successful`
    leaves out calls with an error. `arguments` says how arguments are compared: `exact`, `at_least` (extra ones are
    allowed), `at_most` (some may be left out) or `ignore`. `arguments_of` has exceptions by tool: one of these words,
    or a list of the arguments to compare, as in `{search: ignore, refund: [order_id, address.zip]}`.

    Arguments are compared as JSON: `1` equals `1.0` but not `"1"` or `true`. Ids of calls are never compared. A call
    that could match two expectations is matched so that the most calls agree.

    It cannot see that two different calls have the same effect, or that a call made twice did harm only once; `state`
    can.
    """

    name: str = "tool_calls"
    order: Literal["any", "strict"] = "any"
    """Whether calls must come in the expected order to count for F1; `strict` counts the longest sequence of matches in
    order."""
    ignore_extra_arguments: bool = False
    """Earlier name of `arguments: at_least`."""
    only: tuple[str, ...] = ()
    """Tools whose calls count, such as those that write, as names or globs such as `update_*`; all if empty."""
    min_f1: float = 1.0
    """Smallest F1 that passes."""
    match: Literal["f1", "exact", "any_order", "in_order", "at_least", "at_most"] = field(default="f1", metadata=LATER)
    """What passes: F1, or one of the modes above."""
    arguments: Arguments = field(default="exact", metadata=LATER)
    """How arguments are compared: `exact`; `at_least`, which allows extra ones; `at_most`, which allows missing ones;
    or `ignore`."""
    arguments_of: ArgumentsOf = field(default_factory=dict, metadata=LATER)
    """Exceptions by tool: one of these words, or the list of arguments to compare, such as
    `{refund: [order_id], search: ignore}`; a path such as `address.zip` leads into an argument."""
    count: Literal["all", "successful"] = field(default="all", metadata=LATER)
    """Which calls count: `successful` leaves out those with an error, which had no effect; see `tool_error` of the
    system."""

    version: ClassVar[str] = "1"
    without_text: ClassVar[bool] = True
    shorthand: ClassVar[str] = "order"

    def __post_init__(self) -> None:
        check_share("min_f1", self.min_f1)
        check_arguments_of(self.arguments_of)
        if self.ignore_extra_arguments and self.arguments != "exact":
            raise ValueError(f"ignore_extra_arguments: given beside `arguments: {self.arguments}`; keep the latter")
        if self.match != "f1" and self.min_f1 != 1.0:
            raise ValueError(f"min_f1: `match: {self.match}` decides instead; remove one of the two")

    @property
    def metrics(self) -> tuple[Metric, ...]:
        """Precision, recall and F1, and whether the calls match."""
        marks = {"precision": None, "recall": None, "f1": self.min_f1 if self.match == "f1" else None}
        shares = (Metric(f"{self.name}.{part}", pass_at=mark) for part, mark in marks.items())
        return (*shares, *([] if self.match == "f1" else [Metric(f"{self.name}.match", binary=True)]))

    @property
    def needs(self) -> frozenset[str]:
        """The calls that should be made."""
        return frozenset({EXPECTED})

    def check_case(self, case: Case) -> None:
        """Reject a row that any calls would satisfy, or whose expected calls have the wrong form."""
        if EXPECTED in case.fields:
            expected = self._counted(expected_calls(case))
            if self.match != "f1":
                refuse_vacuous(EXPECTED, self.match, len(expected))

    def score(self, case: Case, output: Output) -> tuple[Score | Unscored, ...]:
        """Match the calls made with those expected."""
        names = [metric.name for metric in self.metrics]
        if EXPECTED not in case.fields:
            return missing(names, f"missing_{EXPECTED}", f"the case has no `{EXPECTED}`")
        calls = calls_made(output)
        if calls is None:
            return missing(names, "missing_tool_calls", NO_CALLS)
        expected = self._counted(expected_calls(case))
        made = self._counted(acts_of(self._done(calls)))
        pairs = in_any_order(expected, made, self._comparison)
        matched = in_order(expected, made, self._comparison) if self.order == "strict" else len(pairs)
        precision, recall, f1 = _parts(matched, len(expected), len(made))
        reason = _reason(matched, expected, made)
        details = {
            "expected": [each.name for each in expected],
            "made": [each.name for each in made],
        }
        passed = f1 >= self.min_f1 if self.match == "f1" else None
        grades: list[Score | Unscored] = [
            Score(name, value, mark, reason, details)
            for name, value, mark in zip(names, (precision, recall, f1), (None, None, passed), strict=False)
        ]
        if self.match == "f1":
            return tuple(grades)
        if self.match in VACUOUS and not expected:
            return (*grades, Unscored(names[-1], "nothing_expected", f"{self.match} of nothing passes anything"))
        fits = is_match(self.match, expected, made, self._comparison)
        told = _differences(
            unmatched(expected, [own for own, _ in pairs]), unmatched(made, [at for _, at in pairs]), self.match
        )
        return (*grades, Score(names[-1], float(fits), fits, reason if fits else f"{reason}; {told}", details))

    @property
    def _comparison(self) -> ActMatcher:
        return ActMatcher("at_least" if self.ignore_extra_arguments else self.arguments, self.arguments_of)

    def _done(self, calls: Sequence[ToolCall]) -> Sequence[ToolCall]:
        return calls if self.count == "all" else [call for call in calls if call.error is None]

    def _counted(self, calls: Sequence[Act]) -> list[Act]:
        return [call for call in calls if not self.only or is_named(call.name, self.only)]


def _parts(matched: int, n_expected: int, n_made: int) -> tuple[float, float, float]:
    if not n_expected and not n_made:
        return (1.0, 1.0, 1.0)
    if not n_expected or not n_made:
        return (0.0, 0.0, 0.0)
    return (matched / n_made, matched / n_expected, 2 * matched / (n_made + n_expected))


def _reason(matched: int, expected: Sequence[Act], made: Sequence[Act]) -> str:
    if not expected and not made:
        return "no call expected and none made"
    if not made:
        return f"no call made, {len(expected)} expected"
    if not expected:
        return f"no call expected, {len(made):,} made"
    return f"{matched} of {len(expected)} expected calls among {len(made):,} made"


def _differences(lacking: Sequence[Act], extra: Sequence[Act], match: Match) -> str:
    """Name missing calls and extra calls, if the mode counts them as faults."""
    parts = []
    if lacking and match != "at_most":
        parts.append(f"not made: {_listed(lacking)}")
    if extra and match not in VACUOUS:
        parts.append(f"not expected: {_listed(extra)}")
    return "; ".join(parts) or "the order differs"


def _listed(acts: Sequence[Act]) -> str:
    more = len(acts) - _SHOWN
    return ", ".join([*map(str, acts[:_SHOWN]), *([f"and {more:,} more"] if more > 0 else [])])
