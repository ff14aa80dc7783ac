"""Compare expected calls and steps with those made, by kind, name and arguments."""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Literal, get_args

from evalkit.formats.json_paths import MISSING, path_pattern, single_path, value_at
from evalkit.formats.json_values import json_text
from evalkit.text.escaping import cut

Arguments = Literal["exact", "at_least", "at_most", "ignore"]
ARGUMENTS: tuple[Arguments, ...] = get_args(Arguments)
ArgumentsOf = Mapping[str, Arguments | tuple[str, ...]]
"""Tool -> how its arguments are compared, or the paths to compare."""
_ARGUMENT_CHARS = 80


@dataclass(frozen=True)
class Act:
    """A call or a step, expected or made."""

    name: str
    arguments: Mapping[str, Any] | None = None
    """`None` in an expectation accepts any arguments."""
    kind: str | None = None
    """`None` in an expectation accepts any kind."""

    @cached_property
    def texts(self) -> Mapping[str, str]:
        """The arguments as texts; equal values give equal texts."""
        return {key: json_text(value) for key, value in (self.arguments or {}).items()}

    def __str__(self) -> str:
        """Format as a call, for messages."""
        given = ", ".join(f"{key}={text}" for key, text in self.texts.items())
        return f"{self.name}({cut(given, _ARGUMENT_CHARS)})"


@dataclass(frozen=True)
class ActMatcher:
    """Decides whether a call or a step is the expected one."""

    arguments: Arguments = "exact"
    of: ArgumentsOf = field(default_factory=dict)

    def shape(self, want: Act) -> tuple[Any, ...]:
        """Return the compared parts of a call as one value; calls that compare alike have equal values."""
        mode = "ignore" if want.arguments is None else self.of.get(want.name, self.arguments)
        return want.kind is not None, mode

    def key(self, act: Act, shape: tuple[Any, ...]) -> tuple[Any, ...] | None:
        """Return the value that is equal for calls of one shape that agree; `None` if equality does not decide."""
        has_kind, mode = shape
        if mode in ("at_least", "at_most"):
            return None
        return (act.kind if has_kind else None, act.name, _compared(act, mode))

    def agrees(self, want: Act, act: Act) -> bool:
        """Return True if a call is as expected."""
        has_kind, mode = self.shape(want)
        if want.name != act.name or (has_kind and want.kind != act.kind):
            return False
        expected, given = want.texts, act.texts
        if mode == "at_least":
            return all(given.get(key) == text for key, text in expected.items())
        if mode == "at_most":
            return all(expected.get(key) == text for key, text in given.items())
        return bool(_compared(want, mode) == _compared(act, mode))


def _compared(act: Act, mode: Any) -> Any:
    """Return the part of the arguments that is compared."""
    if mode == "exact":
        return tuple(sorted(act.texts.items()))
    if mode == "ignore":
        return ()
    found = (value_at(act.arguments or {}, path_pattern("arguments_of", path)) for path in mode)
    return tuple(None if value is MISSING else json_text(value) for value in found)


def check_arguments_of(given: ArgumentsOf) -> None:
    """Check the ways to compare the arguments of single tools.

    Raises:
        ValueError: `arguments_of: what; fix`.
    """
    for tool, mode in given.items():
        paths = mode if isinstance(mode, tuple) else ()
        near = difflib.get_close_matches(paths[0], ARGUMENTS, n=1, cutoff=0.8) if len(paths) == 1 else []
        if near and not paths[0].startswith("$"):
            fix = f"did you mean `{near[0]}`? write `$.{paths[0]}` for an argument of this name"
            raise ValueError(f"arguments_of: {paths[0]!r} of {tool} is not a mode; {fix}")
        for path in paths:
            single_path("arguments_of", path)


def unmatched(acts: Sequence[Act], matched: Sequence[int]) -> list[Act]:
    """Return the items that are in no match."""
    used = frozenset(matched)
    return [act for at, act in enumerate(acts) if at not in used]
