"""Score the state that an agent leaves behind: the wanted changes, and no others."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from evalkit.formats.json_paths import MISSING, Path, Pattern, is_within, leaves, path_pattern, shown_path, value_at
from evalkit.formats.json_values import json_text
from evalkit.text.escaping import cut
from evalkit.text.numbers import plural
from evalkit.types import Case, Metric, Output, Score, Unscored

SHOWN_PATHS = 5
KEPT_PATHS = 50
VALUE_CHARS = 60


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

    def check_case(self, case: Case) -> None:
        """Reject a row that any state would pass, or whose fields have the wrong form."""
        if self.field in case.fields and not self._expected(case) and (not self.only or self._before(case) is None):
            what = f"`{self.field}` expects nothing, and any state passes"
            fix = f"add the initial state as `{self.initial}`" if self.only else "remove `only: false`"
            raise ValueError(f"{what}; {fix}")

    def score(self, case: Case, output: Output) -> Score | Unscored:
        """Compare the final state with the expected values and the initial state."""
        if self.field not in case.fields:
            return Unscored(self.name, f"missing_{self.field}", f"the case has no `{self.field}`")
        if output.state is None:
            return Unscored(self.name, "missing_state", "the system does not report its state")
        expected, before = self._expected(case), self._before(case)
        known = self.only and before is not None
        if not expected and not known:
            return Unscored(self.name, "nothing_expected", "nothing is expected, and any state passes")
        missed = [
            _missed(pattern, value, output.state)
            for pattern, value in expected.items()
            if not _is_held(pattern, value, output.state, before)
        ]
        allowed = [*expected, *(path_pattern("ignore", text) for text in self.ignore)]
        changed = [each for each in _changes(before, output.state) if not is_within(each[0], allowed)] if known else []
        collateral = [_collateral(path, was, now) for path, was, now in changed]
        n_held = len(expected) - len(missed)
        total = len(expected) + len(collateral)
        value = n_held / total if total else 1.0
        reason = _reason(n_held, len(expected), missed, collateral)
        if self.only and before is None:
            reason += f"; other changes are not known, as the case has no `{self.initial}`"
        details = {"missed": missed[:KEPT_PATHS], "collateral": collateral[:KEPT_PATHS] if known else None}
        return Score(self.name, value, n_held == total, reason, details)

    def _expected(self, case: Case) -> Mapping[Pattern, Any]:
        given = case.fields[self.field]
        if not isinstance(given, Mapping):
            raise ValueError(f'`{self.field}` must map paths to values; write {{"orders.A-17.status": "refunded"}}')
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


def _is_held(pattern: Pattern, value: Any, state: Mapping[str, Any], before: Mapping[str, Any] | None) -> bool:
    found = value_at(state, pattern)
    if found is MISSING:
        return value is None and before is not None and value_at(before, pattern) is not MISSING
    return json_text(found) == json_text(value)


def _changes(before: Any, after: Any, path: Path = ()) -> Iterator[tuple[Path, Any, Any]]:
    """Yield (path, value before, value after) of each value that differs; `MISSING` where there is none."""
    if isinstance(before, Mapping) and isinstance(after, Mapping):
        for key in dict.fromkeys((*before, *after)):
            yield from _changes(before.get(key, MISSING), after.get(key, MISSING), (*path, str(key)))
    elif isinstance(before, list | tuple) and isinstance(after, list | tuple):
        for at in range(max(len(before), len(after))):
            was, now = (each[at] if at < len(each) else MISSING for each in (before, after))
            yield from _changes(was, now, (*path, at))
    elif before is MISSING or after is MISSING or json_text(before) != json_text(after):
        was, now = dict(leaves(before, path)), dict(leaves(after, path))
        for place in dict.fromkeys((*was, *now)):
            yield place, was.get(place, MISSING), now.get(place, MISSING)


def _missed(pattern: Pattern, value: Any, state: Mapping[str, Any]) -> str:
    found = value_at(state, pattern)
    place = shown_path(pattern)
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
    return "; ".join([*parts, *([f"and {hidden} more"] if hidden else [])])
