"""Score the state that an agent leaves behind: the wanted changes, and no others."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from typing import Any, ClassVar

from evalkit.formats.expected_state import FROM_CALLS, Replayed, ReplayFailed, calls_to_replay
from evalkit.formats.json_paths import (
    MISSING,
    Path,
    Pattern,
    changes,
    holds_at,
    is_within,
    path_pattern,
    shown_path,
    value_at,
)
from evalkit.scorers.base import Replays, Services
from evalkit.text.escaping import cut
from evalkit.text.numbers import plural
from evalkit.types import Case, Metric, Output, Score, Unscored

SHOWN_PATHS = 5
KEPT_PATHS = 50
VALUE_CHARS = 60
NO_STATE = "the system does not report its state"


@dataclass(frozen=True, kw_only=True)
class FinalState:
    """Measure whether the state after the answer has the wanted changes, and no others.

    The case field `expected_state` maps paths to values, such as `{"orders.A-17.status": "refunded"}`. The value is
    held / (expected + collateral), from 0 to 1; the answer passes only at 1. A path is held if the final state has an
    equal value there. The initial state is the case field `state`. Collateral is every value that differs from it and
    is neither below an expected path nor below one in `ignore`; the reason names it. An empty `expected_state` says
    that nothing may change: 1 without collateral, else 0. An output without a state is unscored.

    Values are equal as JSON: `1` equals `1.0` but not `"1"` or `true`. An expected mapping or list must be equal as a
    whole. An expected null holds for null, and for a path of the initial state that was removed. Without the initial
    state, collateral is unknown, and the reason says so.

    With `expected_state: from_calls`, the whole final state must equal the one that the case's `expected_tool_calls`
    lead to when they are replayed in a fresh environment of the suite (`conversation.environment`).

    A path such as `orders.A-17.items[0].price` goes through keys and list positions; a key with a dot in it is written
    `orders["A.17"].status`. In `ignore`, `*` is any key or position.

    It cannot see a change that was made and undone, or effects outside of the state.
    """

    name: str = "state"
    field: str = "expected_state"
    """The case field with the expected values by path."""
    initial: str = "state"
    """The case field with the state before the answer."""
    only: bool = True
    """Whether every other change is collateral."""
    ignore: tuple[str, ...] = ()
    """Paths that may change, such as `log` or `orders[*].updated_at`."""

    version: ClassVar[str] = "1"
    without_text: ClassVar[bool] = True
    of_whole_conversation: ClassVar[bool] = True
    shorthand: ClassVar[str] = "field"

    def __post_init__(self) -> None:
        for text in self.ignore:
            if not path_pattern("ignore", text):
                raise ValueError("ignore: a path is empty; write one such as orders[*].updated_at")
        if self.ignore and not self.only:
            raise ValueError("ignore: `only: false` ignores every other change already; remove one of the two")

    @property
    def metrics(self) -> tuple[Metric, ...]:
        """The one metric, from 0 to 1."""
        return (Metric(self.name, pass_at=1.0),)

    @property
    def needs(self) -> frozenset[str]:
        """The expected state."""
        return frozenset({self.field})

    def bind(self, services: Services) -> FinalState:
        """Take what replays expected calls, if the suite has an environment."""
        if services.replays is None:
            return self
        options = {each.name: getattr(self, each.name) for each in fields(self)}
        return ReplayingState(**options, replays=services.replays)

    def check_case(self, case: Case) -> None:
        """Reject a row that any state would pass, or whose fields have the wrong form."""
        if case.fields.get(self.field) == FROM_CALLS:
            self._check_calls(case)
        elif self.field in case.fields and not self._expected(case) and (not self.only or self._before(case) is None):
            what = f"`{self.field}` expects nothing, and any state passes"
            fix = f"add the initial state as `{self.initial}`" if self.only else "remove `only: false`"
            raise ValueError(f"{what}; {fix}")

    def score(self, case: Case, output: Output) -> Score | Unscored:
        """Compare the final state with the expected values and the initial state."""
        if self.field not in case.fields:
            return Unscored(self.name, f"missing_{self.field}", f"the case has no `{self.field}`")
        if output.state is None:
            return Unscored(self.name, "missing_state", NO_STATE)
        expected, before = self._expected(case), self._before(case)
        known = self.only and before is not None
        if not expected and not known:
            return Unscored(self.name, "nothing_expected", "nothing is expected, and any state passes")
        missed = [
            _missed(pattern, value, output.state)
            for pattern, value in expected.items()
            if not _is_held(pattern, value, output.state, before)
        ]
        allowed = [*expected, *self._ignored]
        changed = [each for each in changes(before, output.state) if not is_within(each[0], allowed)] if known else []
        unknown = f"other changes are not known, as the case has no `{self.initial}`"
        return self._graded(
            len(expected),
            missed,
            [_collateral(*each) for each in changed] if known else None,
            unknown if self.only and before is None else "",
        )

    @property
    def _ignored(self) -> list[Pattern]:
        return [path_pattern("ignore", text) for text in self.ignore]

    def _graded(
        self, n_expected: int, missed: Sequence[str], collateral: Sequence[str] | None, unknown: str = ""
    ) -> Score:
        n_held, total = n_expected - len(missed), n_expected + len(collateral or ())
        reason = _reason(n_held, n_expected, missed, collateral or ())
        details = {
            "missed": missed[:KEPT_PATHS],
            "collateral": None if collateral is None else collateral[:KEPT_PATHS],
        }
        value = n_held / total if total else 1.0
        return Score(self.name, value, n_held == total, f"{reason}; {unknown}" if unknown else reason, details)

    def _check_calls(self, case: Case) -> None:
        what = f"`{self.field}: {FROM_CALLS}` has no environment to replay the calls in"
        fix = "name one under `conversation.environment` and make `state` a scorer of the suite"
        raise ValueError(f"{what}; {fix}, or write the expected values")

    def _expected(self, case: Case) -> Mapping[Pattern, Any]:
        given = case.fields[self.field]
        if not isinstance(given, Mapping):
            what = f"`{self.field}` must map paths to values, or be {FROM_CALLS}"
            raise ValueError(f'{what}; write {{"orders.A-17.status": "refunded"}}')
        found: dict[Pattern, Any] = {}
        for text, value in given.items():
            pattern = path_pattern(f"`{self.field}`", str(text))
            if not pattern or "*" in pattern:
                what = f"`{self.field}` has {text!r}, which is not the path of one value"
                raise ValueError(f"{what}; write one such as orders.A-17.status")
            found[pattern] = value
        return found

    def _before(self, case: Case) -> Mapping[str, Any] | None:
        given = case.fields.get(self.initial)
        if given is not None and not isinstance(given, Mapping):
            what = f"`{self.initial}` must be a mapping, the state before the answer"
            raise ValueError(f"{what}; name the field that holds it in the scorer's `initial`")
        return given


@dataclass(frozen=True, kw_only=True)
class ReplayingState(FinalState):
    """Compares states also where the expected calls give the expected one."""

    replays: Replays = field(repr=False)

    def is_replayed(self, case: Case) -> bool:
        """Return True if the expected calls of a case give its expected state."""
        return case.fields.get(self.field) == FROM_CALLS

    async def try_calls(self, case: Case) -> None:
        """Replay the expected calls of a case before the first call of a run.

        Raises:
            ReplayFailed: they cannot be replayed, or any state passes.
        """
        if not self._wanted(await self.replays(case)) and not self.only:
            raise ReplayFailed("the calls change nothing, and any state passes", "remove `only: false`")

    async def score(self, case: Case, output: Output) -> Score | Unscored:  # type: ignore[override]
        """Compare the final state with the expected one."""
        if not self.is_replayed(case):
            return super().score(case, output)
        if output.state is None:
            return Unscored(self.name, "missing_state", NO_STATE)
        try:
            replayed = await self.replays(case)
        except ReplayFailed as error:
            return Unscored(self.name, "replay_failed", str(error))
        return self._compared(replayed, output.state)

    def _compared(self, replayed: Replayed, state: Mapping[str, Any]) -> Score | Unscored:
        wanted = self._wanted(replayed)
        if not wanted and not self.only:
            return Unscored(self.name, "nothing_expected", "nothing is expected, and any state passes")
        missed = [
            _missed(path, value, state)
            for path, value in wanted.items()
            if not holds_at(state, tuple(map(str, path)), value)
        ]
        others = [
            each
            for each in (changes(replayed.after, state) if self.only else ())
            if not any(each[0][:length] in wanted for length in range(1, len(each[0]) + 1))
            and not is_within(each[0], self._ignored)
        ]
        graded = self._graded(len(wanted), missed, [_collateral(*each) for each in others])
        expected = [_wanted(path, value) for path, value in wanted.items()]
        return replace(graded, details={**graded.details, "expected": expected[:KEPT_PATHS]})

    def _wanted(self, replayed: Replayed) -> dict[Path, Any]:
        ignored = self._ignored
        return {path: value for path, value in replayed.changes.items() if not is_within(path, ignored)}

    def _check_calls(self, case: Case) -> None:
        calls_to_replay(case)


def _is_held(pattern: Pattern, value: Any, state: Mapping[str, Any], before: Mapping[str, Any] | None) -> bool:
    if value is None and value_at(state, pattern) is MISSING:
        return before is not None and value_at(before, pattern) is not MISSING
    return holds_at(state, pattern, value)


def _wanted(path: Path, value: Any) -> str:
    return f"{shown_path(path)}: {'removed' if value is MISSING else _shown(value)}"


def _missed(path: Path, value: Any, state: Mapping[str, Any]) -> str:
    pattern = tuple(map(str, path))
    found = value_at(state, pattern)
    place = shown_path(path)
    if value is MISSING:
        return f"{place} is {_shown(found)}, expected to be removed"
    if found is not MISSING:
        return f"{place} is {_shown(found)}, expected {_shown(value)}"
    written = shown_path((".".join(pattern),))
    whole = value_at(state, (".".join(pattern),)) is not MISSING
    return f"{place} is missing, expected {_shown(value)}{f' (did you mean {written}?)' if whole else ''}"


def _collateral(path: Path, was: Any, now: Any) -> str:
    place = shown_path(path)
    if was is MISSING:
        return f"{place} was added: {_shown(now)}"
    if now is MISSING:
        return f"{place} was removed: {_shown(was)}"
    return f"{place} changed from {_shown(was)} to {_shown(now)}"


def _shown(value: Any) -> str:
    return cut(json.dumps(value, ensure_ascii=False, default=str), VALUE_CHARS)


def _reason(n_held: int, n_expected: int, missed: Sequence[str], collateral: Sequence[str]) -> str:
    parts = [f"{n_held} of {plural(n_expected, 'expected value')}"] if n_expected else ["nothing was to change"]
    parts += [*missed[:SHOWN_PATHS], *collateral[:SHOWN_PATHS]]
    hidden = len(missed[SHOWN_PATHS:]) + len(collateral[SHOWN_PATHS:])
    return "; ".join([*parts, *([f"and {hidden:,} more"] if hidden else [])])
