"""Read JSON values into the types that this version writes, reporting every fault."""

from __future__ import annotations

import functools
import types
import typing
from collections import abc
from collections.abc import Collection, Mapping
from dataclasses import MISSING, Field, dataclass, field, fields, is_dataclass
from typing import Any, TypeVar

T = TypeVar("T")
Required = Mapping[type, Collection[str]]
"""Dataclass -> fields that must be given although they have a default."""


@dataclass
class Faults:
    """Collects keys that do not fit a type, as dotted paths."""

    missing: list[str] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)

    @property
    def n(self) -> int:
        """Number of faults."""
        return len(self.missing) + len(self.wrong)


def read(cls: type[T], value: Any, faults: Faults, required: Required | None = None, at: str = "") -> T | None:
    """Read a mapping into a dataclass; keys that are not its fields are ignored.

    Args:
        cls: the dataclass.
        value: JSON value, or an instance of the class.
        faults: gets each key that is missing or wrong.
        required: see `Required`.
        at: path of the value.

    Returns:
        The value, `None` if it has a fault.
    """
    if isinstance(value, cls):
        return value
    if not isinstance(value, dict):
        faults.wrong.append(at)
        return None
    before, given = faults.n, {}
    for name, hint, own in _fields(cls):  # type: ignore[arg-type]
        place = f"{at}.{name}" if at else name
        if name in value:
            given[name] = _read(value[name], hint, faults, required or {}, place)
        elif name in (required or {}).get(cls, ()) or own.default is own.default_factory is MISSING:
            faults.missing.append(place)
    return cls(**given) if faults.n == before else None


def fits(value: Any, hint: Any) -> bool:
    """Return True if a JSON value has the type; a whole number is a float, a bool is not a number."""
    faults = Faults()
    _read(value, hint, faults, {}, "")
    return not faults.n


@functools.cache
def _fields(cls: Any) -> tuple[tuple[str, Any, Field[Any]], ...]:
    hints = typing.get_type_hints(cls)
    return tuple((each.name, hints[each.name], each) for each in fields(cls))


def _read(value: Any, hint: Any, faults: Faults, required: Required, at: str) -> Any:
    """Return the value as the hint requires, with tuples and dataclasses; add a fault if it does not fit."""
    origin, parts = typing.get_origin(hint), typing.get_args(hint)
    if origin in (types.UnionType, typing.Union):
        given = [part for part in parts if isinstance(part, type) and is_dataclass(part)]
        if value is not None and given:
            return read(given[0], value, faults, required, at)
        if not any(fits(value, part) for part in parts):
            faults.wrong.append(at)
        return value
    if isinstance(hint, type) and is_dataclass(hint):
        return read(hint, value, faults, required, at)
    if origin in (list, tuple, abc.Sequence) and isinstance(value, list | tuple):
        if origin is tuple and parts[-1] is not ...:
            if len(value) != len(parts):
                faults.wrong.append(at)
            return tuple(_read(*pair, faults, required, at) for pair in zip(value, parts, strict=False))
        found = (_read(each, parts[0], faults, required, f"{at}[{place}]") for place, each in enumerate(value))
        return [*found] if origin is list else tuple(found)
    if origin in (dict, abc.Mapping) and isinstance(value, dict):
        return {key: _read(each, parts[1], faults, required, at) for key, each in value.items()}
    if not _is_scalar(value, hint, origin, parts):
        faults.wrong.append(at)
    return value


def _is_scalar(value: Any, hint: Any, origin: Any, parts: tuple[Any, ...]) -> bool:
    if hint is Any:
        return value is not ...
    if origin is typing.Literal:
        return value in parts
    if origin is not None:
        return False
    wanted = (int, float) if hint is float else hint
    return isinstance(value, wanted) and (hint is bool or not isinstance(value, bool))
