"""Read values that are clear although their form differs from the schema."""

from __future__ import annotations

import functools
import re
from collections import Counter
from typing import Any

from pydantic import BaseModel

from evalkit.llm.second_verdicts import Node, holds_rival, rival_in_prose

_WHOLE = re.compile(r"\s*[+-]?\d{1,15}(\.0*)?\s*")
_NUMBER = re.compile(r"\s*[+-]?\d{1,15}(\.\d{1,15})?\s*")
_OF_TOP = re.compile(r"\s*(\d{1,15})\s*(?:/|out of|of)\s*(\d{1,15})\s*")
"""A level, and the top of its scale."""
_TRUTHS = {"true": True, "false": False}


def in_clear_form(value: Any, schema: type[BaseModel]) -> Any:
    """Return a decoded reply in the form that the schema asks for, if only one value can be meant.

    `5.0`, `"5"` and, on a scale up to 5, `"5/5"` are the whole number 5, `"true"` is true, `"Pass"` is the choice
    `pass`, keys are read in any case, a single object around the reply is opened, and keys that the schema does not
    have are left out. Anything else is returned unchanged for the strict check to reject: `"5/10"`, true as a number,
    or an additional key such as `final_score` or `verdict` with another value.
    """
    node = _json_schema(schema)
    return _clear(_opened(value, node.get("properties", {})), node, node.get("$defs", {}))


def _opened(value: Any, known: Node) -> Any:
    """Return the object that is the only value of another, if it has a key of the schema and the outer one does not.

    Models write `{"verdict": {...}}`, with the name of the form as the key.
    """
    if not isinstance(value, dict) or len(value) != 1:
        return value
    ((key, inner),) = value.items()
    names = {name.casefold() for name in known}
    if key.casefold() in names or not isinstance(inner, dict):
        return value
    return inner if names & {each.casefold() for each in inner} else value


def second_verdict(before: str, after: str, value: BaseModel) -> str:
    """Return the words around an object that state a different verdict; empty if there are none."""
    known = _json_schema(type(value)).get("properties", {})
    return rival_in_prose(before, after, value.model_dump(), known)


@functools.lru_cache(maxsize=64)
def _json_schema(schema: type[BaseModel]) -> dict[str, Any]:
    return schema.model_json_schema()


def _clear(value: Any, node: Node, defs: Node) -> Any:
    if "$ref" in node:
        return _clear(value, defs.get(str(node["$ref"]).rpartition("/")[2], {}), defs)
    options = [each for each in node.get("anyOf", ()) if each.get("type") != "null"]
    if len(options) == 1 and value is not None:
        return _clear(value, options[0], defs)
    if isinstance(value, dict):
        return _clear_object(value, node, defs)
    if isinstance(value, list):
        items = node.get("items")
        return [_clear(each, items, defs) for each in value] if isinstance(items, dict) else value
    return _clear_scalar(value, node)


def _clear_object(value: dict[str, Any], node: Node, defs: Node) -> dict[str, Any]:
    known = node.get("properties")
    if not isinstance(known, dict):
        return value
    value = _with_own_names(value, known)
    found = {key: _clear(each, known[key], defs) if key in known else each for key, each in value.items()}
    if all("$ref" in each for each in known.values()):
        return found  # every key is a criterion: a further one is a verdict on something else
    return {key: each for key, each in found.items() if key in known or holds_rival(key, each, found, known)}


def _with_own_names(value: dict[str, Any], known: Node) -> dict[str, Any]:
    """Write keys as the schema does, if only case differs and no other key has that name."""
    own = {name.casefold(): name for name in known}
    times = Counter(map(str.casefold, value))
    return {own.get(key.casefold(), key) if times[key.casefold()] == 1 else key: each for key, each in value.items()}


def _clear_scalar(value: Any, node: Node) -> Any:
    kind, named = node.get("type"), node.get("enum") or ([node["const"]] if "const" in node else [])
    choices = [each for each in named if isinstance(each, str)]
    if isinstance(value, bool):
        return value
    if isinstance(value, float) and kind == "integer" and value.is_integer():
        return int(value)
    if not isinstance(value, str):
        return value
    if choices:
        same = [each for each in choices if each.casefold() == value.strip().casefold()]
        return same[0] if len(same) == 1 and value not in choices else value
    if kind == "integer" and _WHOLE.fullmatch(value):
        return int(float(value))
    if kind == "integer" and (share := _OF_TOP.fullmatch(value)) and int(share[2]) == node.get("maximum"):
        return int(share[1])
    if kind == "number" and _NUMBER.fullmatch(value):
        return float(value)
    return _TRUTHS.get(value.strip().lower(), value) if kind == "boolean" else value
