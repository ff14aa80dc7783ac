"""Fill a request with a case: literal, single-pass substitution of `{{name}}`."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from typing import Any

from evalkit.formats.messages import input_of
from evalkit.systems.base import CallFailed
from evalkit.types import Case

BRACES = re.compile(r"\{\{(.*?)\}\}", re.DOTALL)
"""Pattern of a placeholder."""
_NAME = re.compile(r"\s*([\w-]+(?:\.[\w-]+)*)\s*")

Fill = Callable[[Case], Any]
"""Returns the filled template of one case."""


_FROM_CASE: Mapping[str, Fill] = {
    "input": input_of,
    "id": lambda case: case.id,
    "kind": lambda case: case.kind,
    "contexts": lambda case: list(case.contexts),
    "cohorts": lambda case: dict(case.cohorts),
}


def compile_template(template: Any) -> Fill:
    """Compile a template.

    The names are `input`, `id`, `kind`, `contexts`, `cohorts`, `cohorts.<name>` and the row's own fields. A string that
    is exactly one `{{name}}` becomes the value with its type; inside a longer string the value becomes text. The
    content of a case is never read as a template.

    Args:
        template: Any JSON value; keys of mappings are not filled.

    Returns:
        A function from a case to the filled value; it raises `CallFailed("missing_field")` if the case has no such
        field.

    Raises:
        ValueError: A placeholder is not a name, or asks for the reference.
    """
    if isinstance(template, str):
        return _compile_text(template)
    if isinstance(template, Mapping):
        items = [(key, compile_template(value)) for key, value in template.items()]
        return lambda case: {key: fill(case) for key, fill in items}
    if isinstance(template, list | tuple):
        fills = [compile_template(value) for value in template]
        return lambda case: [fill(case) for fill in fills]
    return lambda case: template


def fields_in(template: Any) -> frozenset[str]:
    """Return the placeholders of a template that a row must fill: fields that not every case has."""
    if isinstance(template, str):
        named = {_name(piece) for piece in BRACES.split(template)[1::2]}
        return frozenset(named - _FROM_CASE.keys())
    items = template.values() if isinstance(template, Mapping) else template
    if isinstance(items, str) or not isinstance(template, Mapping | list | tuple):
        return frozenset()
    return frozenset[str]().union(*(fields_in(item) for item in items))


def has_placeholder(case: Case, name: str) -> bool:
    """Return True if a row can fill a placeholder."""
    try:
        _getter(name)(case)
    except CallFailed:
        return False
    return True


def _compile_text(template: str) -> Fill:
    pieces = BRACES.split(template)
    if len(pieces) == 1:
        return lambda case: template
    if len(pieces) == 3 and not pieces[0] and not pieces[2]:
        return _getter(pieces[1])
    literals = pieces[::2]
    getters = [_getter(piece) for piece in pieces[1::2]]

    def fill(case: Case) -> str:
        parts = [literals[0]]
        for getter, literal in zip(getters, literals[1:], strict=True):
            parts += (as_text(getter(case)), literal)
        return "".join(parts)

    return fill


def _name(piece: str) -> str:
    found = _NAME.fullmatch(piece)
    if not found:
        raise ValueError(f"`{{{{{piece}}}}}` is not a field name; write a name such as {{{{input}}}}")
    if found.group(1).split(".")[0] == "reference":
        raise ValueError("a system is never shown the `reference`; remove that placeholder")
    return found.group(1)


def _getter(piece: str) -> Fill:
    name = _name(piece)
    if name in _FROM_CASE:
        return _FROM_CASE[name]
    first, *rest = name.split(".")
    if first == "cohorts":
        return lambda case: _found(case.cohorts, rest, name)
    return lambda case: _found(case.fields, [first, *rest], name)


def _found(value: Any, keys: list[str], name: str) -> Any:
    for key in keys:
        if not isinstance(value, Mapping) or key not in value:
            raise CallFailed("missing_field", f"the request needs {{{{{name}}}}}, which this row does not have")
        value = value[key]
    return value


def _is_plain_turn(value: Any) -> bool:
    return isinstance(value, dict) and value.keys() == {"role", "content"} and isinstance(value["content"], str)


def as_text(value: Any) -> str:
    """Write a value inside a longer text: passages separated by a blank line, one chat turn per line, else JSON."""
    if isinstance(value, str):
        return value
    if isinstance(value, list) and all(isinstance(item, str) for item in value):
        return "\n\n".join(value)
    if isinstance(value, list) and all(map(_is_plain_turn, value)):
        return "\n".join(f"{turn['role']}: {turn['content']}" for turn in value)
    return json.dumps(value, ensure_ascii=False)
