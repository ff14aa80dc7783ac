"""Build frozen dataclasses from plain values, collecting every problem with its position."""

from __future__ import annotations

import dataclasses
import difflib
import functools
import types
import typing
from collections.abc import Iterable, Mapping
from typing import Any

from evalkit.errors import MAX_PROBLEMS, Problem, what_and_fix
from evalkit.formats.yaml_text import Document, Path

_NAMES = {str: "text", int: "a whole number", float: "a number", bool: "true or false"}
_CHOOSE = "choose from "
_MENDS = {str: "write a word", int: "write one such as 1", float: "write one such as 0.5", bool: "write one of them"}


class Builder:
    """Builds dataclasses from one document and collects its problems."""

    def __init__(self, document: Document) -> None:
        self.document = document
        self.problems: list[Problem] = []

    def problem(self, path: Path, what: str, fix: str = "") -> None:
        """Record one problem."""
        self.problems.append(self.document.problem(path, what, fix))

    def build(self, cls: type[Any], value: Any, path: Path, *, named: Mapping[str, Any] | None = None) -> Any:
        """Build an instance of dataclass `cls` from a mapping, or `None` with the problems noted.

        `named` gives fields that do not come from the mapping, such as the default name.
        """
        if not isinstance(value, Mapping):
            self.problem(path, f"expected options (a mapping), got {show(value)}", "write `key: value` lines")
            return None
        before = len(self.problems)
        hints: dict[str, Any] = hints_of(cls)  # type: ignore[arg-type]
        by_key = {key_of(field): field for field in dataclasses.fields(cls) if field.init}
        arguments: dict[str, Any] = dict(named or {})
        for key, item in value.items():
            if key not in by_key or key in (named or {}):
                known = by_key.keys() - (named or {}).keys()
                self.unknown_key(key, known, path, others=getattr(cls, "others", None))
            else:
                field = by_key[key]
                arguments[field.name] = self.value(item, hints[field.name], (*path, key))
        for key, field in by_key.items():
            if field.name not in arguments and is_required(field):
                self.problem((*path, key), "missing", f"add `{key}:`")
        return self._instance(cls, arguments, path) if len(self.problems) == before else None

    def _instance(self, cls: type[Any], arguments: Mapping[str, Any], path: Path) -> Any:
        try:
            return cls(**arguments)
        except ValueError as error:
            head, _, rest = str(error).partition(": ")
            keys = {field.name: key_of(field) for field in dataclasses.fields(cls)}
            self.problem((*path, keys.get(head, head)) if rest else path, *what_and_fix(rest or head))
            return None

    def unknown_key(self, key: str, known: Iterable[str], path: Path, *, others: str | None = None) -> None:
        """Record an unknown key with the nearest known ones.

        Args:
            key: the key.
            known: the keys with a meaning.
            path: where it is.
            others: the key below which any other key may be.
        """
        # Each nearest word takes a search, and nobody reads thousands of problems.
        near = choices(key, known) if len(self.problems) < MAX_PROBLEMS else "remove it"
        if others and key.isidentifier() and near.startswith(_CHOOSE):
            near = f"if the endpoint takes it, write `{others}: {{{key}: ...}}`; else {near}"
        self.problem((*path, key), "unknown key", near)

    def value(self, item: Any, hint: Any, path: Path) -> Any:
        """Check `item` against a type hint; `None`, with the problems noted, if it does not fit."""
        origin, parts = typing.get_origin(hint), typing.get_args(hint)
        if hint is Any:
            return item
        if origin in (typing.Union, types.UnionType):
            return self._union(item, parts, path)
        if origin is typing.Literal:
            return self._literal(item, parts, path)
        if origin is tuple:
            items = item if isinstance(item, list) else [item]
            places = [(*path, i) for i in range(len(items))] if isinstance(item, list) else [path]
            return tuple(self.value(part, parts[0], place) for part, place in zip(items, places, strict=True))
        if origin is not None and issubclass(origin, Mapping):
            return self._mapping(item, parts[1], path)
        if dataclasses.is_dataclass(hint) and isinstance(hint, type):
            return self.build(hint, item, path)
        return self._plain(item, hint, path)

    def _union(self, item: Any, parts: tuple[Any, ...], path: Path) -> Any:
        rest = [part for part in parts if part is not type(None)]
        if item is None and len(rest) < len(parts):
            return None
        for part in rest[:-1]:
            if self._fits(item, part):
                return self.value(item, part, path)
        return self.value(item, rest[-1], path)

    def _fits(self, item: Any, hint: Any) -> bool:
        probe = Builder(self.document)
        probe.value(item, hint, ())
        return not probe.problems

    def _literal(self, item: Any, allowed: tuple[Any, ...], path: Path) -> Any:
        if any(item == one and type(item) is type(one) for one in allowed):
            return item
        self.problem(
            path,
            f"expected one of {', '.join(map(str, allowed))}, got {show(item)}",
            choices(str(item), map(str, allowed)),
        )
        return None

    def _mapping(self, item: Any, hint: Any, path: Path) -> Any:
        if not isinstance(item, Mapping):
            self.problem(path, f"expected options (a mapping), got {show(item)}", "write `key: value` lines")
            return None
        return {key: self.value(part, hint, (*path, key)) for key, part in item.items()}

    def _plain(self, item: Any, hint: type, path: Path) -> Any:
        if hint is float and isinstance(item, int) and not isinstance(item, bool):
            return float(item)
        if isinstance(item, hint) and (hint is bool or not isinstance(item, bool)):
            return item
        fix = "write a value, or remove the key" if item is None else _MENDS.get(hint, "see docs/suites.md")
        if hint is str and isinstance(item, bool | int | float):
            fix = f'put it in quotes: "{show(item)}"'
        elif hint is str and isinstance(item, Mapping):
            fix = "write a text, and options as keys beside it"
        elif hint in (int, float) and isinstance(item, str) and item.replace(",", ".").replace(".", "", 1).isdigit():
            fix = f"write {item.replace(',', '.')}"
        self.problem(path, f"expected {_NAMES.get(hint, hint.__name__)}, got {show(item)}", fix)
        return None


@functools.cache
def hints_of(cls: type) -> dict[str, Any]:
    """Return the resolved type hints of a dataclass."""
    return typing.get_type_hints(cls)


def key_of(field: dataclasses.Field[Any]) -> str:
    """Return the YAML key of a field: its name, unless that is a Python keyword."""
    return str(field.metadata.get("key", field.name))


def is_required(field: dataclasses.Field[Any]) -> bool:
    """Return True if the field has no default."""
    return field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING


def choices(word: str, known: Iterable[str]) -> str:
    """Return a fix that names the nearest choice, or all of them if none is near."""
    known = sorted(known)
    near = difflib.get_close_matches(word, known, n=1, cutoff=0.6)
    return f"did you mean `{near[0]}`?" if near else _CHOOSE + ", ".join(known)


def show(value: Any) -> str:
    """Return a short form of a value for messages."""
    if value is None:
        return "nothing"
    if isinstance(value, Mapping):
        return "a mapping"
    if isinstance(value, list):
        return f"a list of {len(value)}"
    text = repr(value) if not isinstance(value, bool) else str(value).lower()
    return text if len(text) <= 60 else text[:57] + "..."
