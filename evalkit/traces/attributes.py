"""Read the attributes of a span: texts, counts, JSON in texts, and lists whose items have numbered keys."""

from __future__ import annotations

import ast
import json
import warnings
from collections.abc import Iterator, Mapping
from typing import Any

from evalkit.formats.plain import MAX_DEPTH
from evalkit.golden.json_lines import STRICT
from evalkit.types import MOST, ROLES, Message, ToolCall

ROLE_OF = {
    "human": "user",
    "ai": "assistant",
    "model": "assistant",
    "function": "tool",
    **{role: role for role in ROLES},
}
"""Role of a message in a trace -> ours."""
_MOST_LITERAL = 1 << 20
"""Characters of a Python literal that is read."""
_MOST_REPR = 20_000
"""Characters of a Python expression that is read."""


def text(attributes: Mapping[str, Any], *names: str) -> str | None:
    """Return the first of some attributes that is a text and not blank."""
    found = (attributes.get(name) for name in names)
    return next((value for value in found if isinstance(value, str) and value.strip()), None)


def whole(value: object) -> int | None:
    """Return a whole number of at least 0; `None` for any other value."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < MOST:
        return None
    return int(value) if value == int(value) else None


def count(attributes: Mapping[str, Any], *names: str) -> int | None:
    """Return the first of some attributes that is a whole number of at least 0."""
    found = (whole(attributes.get(name)) for name in names)
    return next((value for value in found if value is not None), None)


def amount(attributes: Mapping[str, Any], name: str) -> float | None:
    """Return an attribute that is a number of at least 0."""
    value = attributes.get(name)
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < MOST:
        return None
    return float(value)


def decoded(value: Any) -> Any:
    """Return the value of a JSON text that holds an object or a list; another text, and another value, unchanged."""
    if not isinstance(value, str) or not value.lstrip().startswith(("{", "[")):
        return value
    try:
        found = STRICT.decode(value)
    except (ValueError, RecursionError):
        return value
    return value if _is_deep(found) else found


def _is_deep(value: Any) -> bool:
    """Tell whether a value is nested deeper than an answer may be."""
    levels = [value]
    for _ in range(MAX_DEPTH):
        inner = [
            each
            for item in levels
            if isinstance(item, dict | list)
            for each in (item.values() if isinstance(item, dict) else item)
        ]
        levels = [each for each in inner if isinstance(each, dict | list)]
        if not levels:
            return False
    return True


def numbered(attributes: Mapping[str, Any], prefix: str) -> list[dict[str, Any]]:
    """Return a list that is written as `PREFIX.0.name`, `PREFIX.1.name` ..., in the order of its numbers."""
    items: dict[int, dict[str, Any]] = {}
    start = f"{prefix}."
    for key, value in attributes.items():
        if key.startswith(start):
            number, _, rest = key[len(start) :].partition(".")
            if number.isascii() and number.isdecimal() and len(number) < 7:
                items.setdefault(int(number), {})[rest] = value
    return [items[number] for number in sorted(items)]


def arguments_of(value: Any) -> dict[str, Any]:
    """Return the arguments of a call; those that are not a mapping are under `input`."""
    given = decoded(value)
    if isinstance(given, Mapping):
        return dict(given)
    return {} if given in (None, "") else {"input": given}


def call_of(name: Any, arguments: Any, call_id: Any) -> ToolCall | None:
    """Return the call that a model asks for; `None` if it has no name."""
    if not isinstance(name, str) or not name:
        return None
    return ToolCall(name, arguments_of(arguments), call_id if isinstance(call_id, str) else "")


def message_of(role: Any, content: Any, calls: tuple[ToolCall | None, ...] = (), call_id: Any = None) -> Message | None:
    """Return a message; `None` if its role is unknown."""
    known = ROLE_OF.get(role) if isinstance(role, str) else None
    if known is None:
        return None
    kept = tuple(call for call in calls if call is not None) if known == "assistant" else ()
    return Message(known, words_of(content), kept, call_id if isinstance(call_id, str) else "")


def words_of(content: Any) -> str:
    """Return the text of a message whose content is a text or a list of parts."""
    if isinstance(content, str):
        return content
    parts = content if isinstance(content, list) else [content]
    texts = [
        part if isinstance(part, str) else part.get("text", part.get("content")) if isinstance(part, Mapping) else None
        for part in parts
    ]
    return "\n".join(each for each in texts if isinstance(each, str))


def python_literal(value: str) -> Any:
    """Return the list, mapping or other literal that a text spells in Python; `None` if JSON has no such value.

    Nothing is run: the text is only parsed.
    """
    try:
        with warnings.catch_warnings(action="ignore"):  # of odd escapes
            found = ast.literal_eval(value) if len(value) <= _MOST_LITERAL else None
        return None if _is_deep(found) else json.loads(json.dumps(found, allow_nan=False))
    except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError):
        return None


def python_calls(value: str) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield the calls in the text of a Python expression, such as `Interrupt(value={'a': 1})`, with literal arguments.

    Nothing is run: the text is only parsed.
    """
    if len(value) > _MOST_REPR:
        return
    try:
        with warnings.catch_warnings(action="ignore"):  # of odd escapes, which are the graph's own
            tree = ast.parse(value.strip(), mode="eval").body
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return
    for node in tree.elts if isinstance(tree, ast.Tuple | ast.List) else [tree]:
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
            try:
                yield node.func.id, {word.arg: ast.literal_eval(word.value) for word in node.keywords if word.arg}
            except (ValueError, TypeError, RecursionError, MemoryError):
                return
