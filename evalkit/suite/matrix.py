"""Read the matrix of a suite: every combination of its factors' values is a system."""

from __future__ import annotations

import itertools
import math
import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any

from evalkit.formats.build import Builder, choices, show
from evalkit.suite.model import SuiteOptions
from evalkit.suite.scorers import Steps
from evalkit.systems.template import BRACES

MOST_COMBINATIONS = 10_000
"""Combinations of a matrix before `exclude`."""
_LISTS = ("exclude", "include")
"""Keys of a matrix that are not factors."""
_FILES = ("prompt_file", "system_prompt_file", "replay")
"""Keys of a system that name a file."""
_FACTOR = re.compile(r"\s*matrix\.([\w-]+)\s*")


@dataclass(frozen=True)
class SystemDraft:
    """A system before it is read."""

    name: str
    options: Mapping[str, Any]
    path: Steps
    factors: Mapping[str, Any]


@dataclass(frozen=True)
class Matrix:
    """The matrix of a suite."""

    builder: Builder
    options: SuiteOptions

    def drafts(self) -> Iterator[SystemDraft]:
        """Yield a system for each combination that is not excluded, and for each that is included."""
        matrix, template = self.options.matrix, self.options.system
        if not matrix:
            return
        if not isinstance(template, Mapping):
            fix = 'write the system with a placeholder: `system: {chat: "{{matrix.model}}"}`'
            return self.builder.problem(("system",), "a matrix needs one", fix)
        factors = {name: self._values(name, given) for name, given in matrix.items() if name not in _LISTS}
        lists = {key: self._entries(key, factors) for key in _LISTS}
        self._check_use(factors, template)
        n = math.prod(len(values) for values in factors.values()) if factors else 0
        if n > MOST_COMBINATIONS:
            what = f"{n:,} combinations, at most {MOST_COMBINATIONS:,} are read"
            return self.builder.problem(("matrix",), what, "name fewer values")
        combinations = [dict(zip(factors, values, strict=True)) for values in itertools.product(*factors.values())]
        combinations = [] if not factors else combinations
        short = _names(factors, lists["include"], _of_files(template))
        for each in self._left(combinations, lists["exclude"]):
            yield SystemDraft(_name(each, short), _filled(template, each), ("system",), each)
        for at, given in enumerate(lists["include"]):
            further = {key: value for key, value in given.items() if key not in factors and key != "name"}
            own = {name: given[name] for name in factors if name in given}
            if lacking := [name for name in factors if not _is_scalar(given.get(name))]:
                what, fix = f"has no value of {lacking[0]}", f"give it one, such as `{lacking[0]}: ...`"
                self.builder.problem(("matrix", "include", at), what, fix)
                continue
            name = given.get("name", _name(own, short))
            path = ("matrix", "include", at)
            yield SystemDraft(name, {**_filled(template, own), **further}, path, own)

    def _values(self, name: str, given: Any) -> list[Any]:
        path, values = ("matrix", name), given if isinstance(given, list) else [given]
        if not re.fullmatch(r"[\w-]+", name):
            self.builder.problem(path, "not the name of a factor", "use letters, digits, `_` and `-`")
        if not values:
            self.builder.problem(path, "no value", "name one, or remove the factor")
        for at, value in enumerate(values):
            if not _is_scalar(value):
                self.builder.problem((*path, at), f"expected a text or a number, got {show(value)}", "write one value")
            elif (same := next((other for other in values[:at] if value == other), None)) is not None:
                twice = show(value) == show(same)
                what = f"{show(value)} is named twice" if twice else f"{show(value)} is the same as {show(same)}"
                self.builder.problem((*path, at), what, "remove one")
        return [value for value in values if _is_scalar(value)]

    def _entries(self, key: str, factors: Mapping[str, Sequence[Any]]) -> list[Mapping[str, Any]]:
        given = self.options.matrix.get(key, [])
        kept = []
        for at, each in enumerate(given if isinstance(given, list) else [given]):
            path = ("matrix", key, at)
            if not isinstance(each, Mapping) or not each:
                self.builder.problem(path, f"expected factors and values, got {show(each)}", "write `{model: gpt-5}`")
                continue
            unknown = [name for name in each if name not in factors] if key == "exclude" else []
            for name in unknown:
                self.builder.unknown_key(name, factors, path)
            if not unknown:
                kept.append(each)
        return kept

    def _check_use(self, factors: Mapping[str, Sequence[Any]], template: Mapping[str, Any]) -> None:
        """Report factors without a placeholder, and placeholders without a factor."""
        used = dict(_placeholders(template, ("system",)))
        for name, path in used.items():
            if name not in factors:
                fix = choices(name, factors) if factors else f"add `{name}:` to the matrix"
                self.builder.problem(path, f"the matrix has no factor `{name}`", fix)
        for name in factors:
            if name not in used:
                fix = f'write "{{{{matrix.{name}}}}}" where its value belongs'
                self.builder.problem(("matrix", name), "no key of `system` uses it", fix)

    def _left(
        self, combinations: Sequence[Mapping[str, Any]], exclude: Sequence[Mapping[str, Any]]
    ) -> Iterator[Mapping[str, Any]]:
        hits = [0] * len(exclude)
        for each in combinations:
            found = [at for at, out in enumerate(exclude) if all(_is_same(each[name], out[name]) for name in out)]
            for at in found:
                hits[at] += 1
            if not found:
                yield each
        for at, n in enumerate(hits):
            if not n:
                self.builder.problem(("matrix", "exclude", at), "matches no combination", "fix a value, or remove it")


def _is_same(value: Any, other: Any) -> bool:
    """Return True for equal values of one type: `true` is not 1."""
    return bool(value == other) and type(value) is type(other)


def _names(
    factors: Mapping[str, Sequence[Any]], include: Sequence[Mapping[str, Any]], of_files: Collection[str]
) -> dict[tuple[str, Any], str]:
    """Return (factor, value) -> its part of a name: the stem of a file, if no other value of the factor has it."""
    short: dict[tuple[str, Any], str] = {}
    for name, values in factors.items():
        every = [*values, *(each[name] for each in include if _is_scalar(each.get(name)))]
        parts = {value: PurePosixPath(text_of(value)).stem if name in of_files else text_of(value) for value in every}
        clear = len(set(parts.values())) == len(parts)
        short |= {(name, value): part if clear else text_of(value) for value, part in parts.items()}
    return short


def _name(values: Mapping[str, Any], short: Mapping[tuple[str, Any], str]) -> str:
    return "/".join(short[name, value] for name, value in values.items())


def _of_files(template: Mapping[str, Any]) -> frozenset[str]:
    """Return the factors whose values are files."""
    return frozenset(name for name, path in _placeholders(template, ("system",)) if path[-1] in _FILES)


def _is_scalar(value: Any) -> bool:
    return isinstance(value, str | int | float | bool)


def text_of(value: Any) -> str:
    """Write a value of a factor, as YAML does."""
    return str(value).lower() if isinstance(value, bool) else str(value)


def _placeholders(value: Any, path: Steps) -> Iterator[tuple[str, Steps]]:
    """Yield the factors that a template names, with the place."""
    if isinstance(value, str):
        for piece in BRACES.findall(value):
            if match := _FACTOR.fullmatch(piece):
                yield match[1], path
    elif isinstance(value, Mapping):
        for key, item in value.items():
            yield from _placeholders(item, (*path, key))
    elif isinstance(value, list):
        for at, item in enumerate(value):
            yield from _placeholders(item, (*path, at))


def _filled(value: Any, factors: Mapping[str, Any]) -> Any:
    """Fill `{{matrix.NAME}}`; a string that is one placeholder becomes the value with its type."""
    if isinstance(value, Mapping):
        return {key: _filled(item, factors) for key, item in value.items()}
    if isinstance(value, list):
        return [_filled(item, factors) for item in value]
    if not isinstance(value, str):
        return value
    whole = BRACES.fullmatch(value)
    alone = _FACTOR.fullmatch(whole[1]) if whole else None
    if alone and alone[1] in factors:
        return factors[alone[1]]

    def one(found: re.Match[str]) -> str:
        name = _FACTOR.fullmatch(found[1])
        return text_of(factors[name[1]]) if name and name[1] in factors else found[0]

    return BRACES.sub(one, value)
