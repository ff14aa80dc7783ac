"""Parse how a suite names metrics of a library: `name`, or `{name: {option: value}}`."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from typing import Any

Entry = tuple[str, Mapping[str, Any]]
Known = Mapping[str, Mapping[str, Any]]
"""Metric -> option -> its type, or its allowed texts."""

MARKS = ("min", "max")
"""Pass marks that every metric takes."""


def read_entries(items: tuple[str | Mapping[str, Any], ...], known: Known) -> list[Entry]:
    """Check the value of `use` in a suite.

    Raises:
        ValueError: `use: what; fix`.
    """
    if not items:
        raise ValueError(f"use: no metric is named; choose from {', '.join(sorted(known))}")
    return [_entry(item, known) for item in items]


def refuse_repeats(names: list[str]) -> None:
    """Reject two metrics with the same name.

    Raises:
        ValueError: `use: what; fix`.
    """
    for name in names:
        if names.count(name) > 1:
            raise ValueError(f"use: {name} is named twice; remove one, or give it another name")


def _entry(item: str | Mapping[str, Any], known: Known) -> Entry:
    if isinstance(item, str):
        item = {item: None}
    if len(item) != 1:
        raise ValueError("use: an entry with several names; start each with its own `- name:`")
    name, given = next(iter(item.items()))
    if name not in known:
        near = difflib.get_close_matches(name, known, n=1)
        hint = f"did you mean {near[0]}? " if near else ""
        raise ValueError(f"use: no metric {name!r}; {hint}choose from {', '.join(sorted(known))}")
    options = {} if given is None else given
    if not isinstance(options, Mapping):
        raise ValueError(f"use: {name} takes options as a mapping; write {{{name}: {{min: 0.8}}}}")
    for key, value in options.items():
        _check(name, key, value, {**dict.fromkeys(MARKS, float), **known[name]})
    return name, options


def _check(name: str, key: str, value: Any, known: Mapping[str, Any]) -> None:
    if key not in known:
        raise ValueError(f"use: {name} takes no option {key!r}; choose from {', '.join(sorted(known))}")
    wanted = known[key]
    if isinstance(wanted, tuple):
        if value not in wanted:
            raise ValueError(f"use: {name}.{key} is {value!r}; choose from {', '.join(wanted)}")
        return
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    if not (is_number if wanted is float else type(value) is wanted):
        raise ValueError(f"use: {name}.{key} is {value!r}; write a value of type {wanted.__name__}")
