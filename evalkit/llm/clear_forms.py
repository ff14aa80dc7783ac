"""Read values that are clear although a judge wrote them in another form than the schema's."""

from __future__ import annotations

import functools
import re
from typing import Any

from pydantic import BaseModel

from evalkit.llm.second_verdicts import Node, holds_rival, rival_in_prose

_WHOLE = re.compile(r"\s*[+-]?\d{1,15}(\.0*)?\s*")
_NUMBER = re.compile(r"\s*[+-]?\d{1,15}(\.\d{1,15})?\s*")
_TRUTHS = {"true": True, "false": False}


def in_clear_form(value: Any, schema: type[BaseModel]) -> Any:
    """Return a decoded reply in the form that the schema asks for, if only one value can be meant.

    `5.0` and `"5"` are the whole number 5, `"true"` is true, `"Pass"` is the choice `pass`, and keys that the schema
    does not have are left out. Anything else is returned as it is, for the strict check to refuse: `"5/10"`, true as a
    number, or a further key such as `final_score` or `verdict` with another value.
    """
    node = _json_schema(schema)
    return _clear(value, node, node.get("$defs", {}))


def second_verdict(before: str, after: str, value: BaseModel) -> str:
    """Return the words around an object that state another verdict than it; empty if none do."""
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
    found = {key: _clear(each, known[key], defs) if key in known else each for key, each in value.items()}
    if all("$ref" in each for each in known.values()):
        return found  # every key is a criterion: a further one is a verdict on something else
    return {key: each for key, each in found.items() if key in known or holds_rival(key, each, found, known)}


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
    if kind == "number" and _NUMBER.fullmatch(value):
        return float(value)
    return _TRUTHS.get(value.strip().lower(), value) if kind == "boolean" else value
