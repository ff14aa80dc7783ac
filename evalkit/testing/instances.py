"""Build a smallest valid instance of a JSON Schema, and find the schema of a chat request."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any


def requested_schema(request: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """Find the schema that a chat request asks for: `response_format`, a forced tool, or one pasted in the turns."""
    wanted = request.get("response_format") or {}
    if "json_schema" in wanted:
        return _mapping(wanted["json_schema"].get("schema"))
    if "schema" in wanted:
        return _mapping(wanted["schema"])
    if request.get("tools"):
        return _mapping(request["tools"][0]["function"]["parameters"])
    return _pasted_schema(request)


def _mapping(value: Any) -> Mapping[str, Any] | None:
    return value if isinstance(value, Mapping) else None


def _pasted_schema(request: Mapping[str, Any]) -> Mapping[str, Any] | None:
    decoder = json.JSONDecoder()
    for turn in request.get("messages", []):
        text = turn.get("content") or ""
        start = text.find("{")
        while start >= 0:
            try:
                found, _ = decoder.raw_decode(text, start)
            except ValueError:
                found = None
            if isinstance(found, dict) and found.get("type") == "object" and "properties" in found:
                return found
            start = text.find("{", start + 1)
    return None


def instance_of(schema: Mapping[str, Any], root: Mapping[str, Any] | None = None) -> Any:
    """Build a smallest value that fits `schema`: lowest numbers, lists of one item, the text `text`."""
    root = root or schema
    if "$ref" in schema:
        node: Any = root
        for part in schema["$ref"].removeprefix("#/").split("/"):
            node = node[part]
        return instance_of(node, root)
    if "const" in schema:
        return schema["const"]
    if "enum" in schema:
        return schema["enum"][0]
    for key in ("anyOf", "oneOf", "allOf"):
        if key in schema:
            return instance_of(schema[key][0], root)
    return _of_type(schema, root)


def _of_type(schema: Mapping[str, Any], root: Mapping[str, Any]) -> Any:
    kind = schema.get("type")
    if kind == "object":
        return {name: instance_of(part, root) for name, part in schema.get("properties", {}).items()}
    if kind == "array":
        return [instance_of(schema.get("items", {}), root)] * max(1, schema.get("minItems", 0))
    if kind in {"integer", "number"}:
        return schema.get("minimum", schema.get("exclusiveMinimum", 0) + 1)
    if kind == "boolean":
        return True
    return None if kind == "null" else "text"
