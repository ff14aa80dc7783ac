"""Generate the JSON Schema (draft 2020-12) of a suite from its dataclasses."""

from __future__ import annotations

import dataclasses
import types
import typing
from collections.abc import Mapping
from typing import Any

from evalkit.formats.build import hints_of, is_required, key_of
from evalkit.gate.policy import CHECKS, Threshold
from evalkit.golden.variants.transforms import TRANSFORMS
from evalkit.net.vendors import Vendor
from evalkit.scorers.base import Abbreviated, OverConversation
from evalkit.scorers.registry import LOCAL_JUDGE, NEGATION, SCORERS, scorer_class
from evalkit.suite.model import SuiteOptions
from evalkit.suite.scorer_entry import Fold, Over
from evalkit.systems import SYSTEMS
from evalkit.types import SEVERITIES, Concern

Schema = dict[str, Any]
_PLAIN = {str: "string", int: "integer", float: "number", bool: "boolean"}
PACKAGED = r"^[\w-]+\.[\w.-]+$"
"""Pattern of the scorer names that packages may use."""
_COMMON: Schema = {
    "when": {"type": "object"},
    "advisory": {"type": "boolean"},
    "over": {"enum": list(typing.get_args(Over))},
    "fold": {"enum": list(typing.get_args(Fold))},
    "concern": {"enum": list(typing.get_args(Concern))},
}

_OVER_ANSWERS: Schema = {"enum": [each for each in typing.get_args(Over) if each != "conversation"]}
"""Schema of `over` for scorers that cannot grade a conversation as a whole."""


def suite_schema() -> Schema:
    """Build the schema of a suite file, for editors. `evalkit check` rejects every file that the schema rejects."""
    schema = object_schema(SuiteOptions)
    properties = schema["properties"]
    own: Schema = {"concurrency": _typed(int), "budget_usd": _typed(float)}
    properties["systems"] = {
        "type": "object",
        "additionalProperties": {"oneOf": [_options(cls, own) for cls in SYSTEMS.values()]},
    }
    properties["system"] = {"type": "object"}
    properties["reference_system"] = {"oneOf": [object_schema(cls) for cls in SYSTEMS.values()]}
    properties["matrix"] = _matrix()
    properties |= grading_schemas()
    properties["scorers"] = {"type": "array", "minItems": 1, **properties["scorers"]}
    properties["gate"] = {"type": "array", "items": _check()}
    properties["variants"] = {"type": "array", "items": _variant()}
    # In a matrix, a placeholder may stand for a number.
    schema["if"] = {"required": ["matrix"]}
    schema["then"] = {"required": ["system"]}
    schema["else"] = {
        "properties": {"system": {"oneOf": [object_schema(cls) for cls in SYSTEMS.values()]}},
        "anyOf": [{"required": ["system"]}, {"required": ["systems"]}],
    }
    return with_title("evalkit suite", schema)


def grading_schemas() -> dict[str, Schema]:
    """Return the schemas of the keys that say how answers are graded: `scorers`, `vendors` and `judge`."""
    from evalkit.llm.config import ChatConfig

    vendor = {key: value for key, value in object_schema(Vendor).items() if key != "required"}
    return {
        "scorers": {"type": "array", "items": _scorer()},
        "vendors": {"type": "object", "additionalProperties": vendor},
        "judge": {
            "oneOf": [
                _keyed("local", {"const": "correctness"}),
                _chat_judge({"anyOf": [{"type": "string"}, object_schema(ChatConfig)]}),
            ]
        },
    }


def with_title(title: str, schema: Schema) -> Schema:
    """Return the schema of a file, with its dialect and a title."""
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", "title": title, **schema}


def _matrix() -> Schema:
    value: Schema = {"type": ["string", "number", "boolean"]}
    entries: Schema = {"anyOf": [{"type": "object"}, {"type": "array", "items": {"type": "object"}}]}
    return {
        "type": "object",
        "properties": {"exclude": entries, "include": entries},
        "additionalProperties": {"anyOf": [value, {"type": "array", "items": value, "minItems": 1}]},
    }


def _chat_judge(chat: Schema) -> Schema:
    panel: Schema = {"type": "array", "items": chat}
    return {
        "type": "object",
        "properties": {"chat": chat, "panel": panel},
        "required": ["chat"],
        "additionalProperties": False,
    }


def _scorer() -> Schema:
    names = [name for each in SCORERS for name in (each, NEGATION + each)]
    # A dot in the name marks a scorer of a package, which defines its own options.
    named = {"type": "object", "patternProperties": {PACKAGED: {}}, "additionalProperties": False}
    one = {**named, "minProperties": 1, "maxProperties": 1}
    packaged: Schema = {"anyOf": [{"type": "string", "pattern": PACKAGED}, one]}
    return {"oneOf": [{"enum": names}, packaged, *(_named_scorer(name, target) for name, target in SCORERS.items())]}


def _named_scorer(name: str, target: str) -> Schema:
    cls = scorer_class(target)
    options = [_options(cls, _COMMON if issubclass(cls, OverConversation) else {**_COMMON, "over": _OVER_ANSWERS})]
    if name == "judge":
        options.append(_options(scorer_class(LOCAL_JUDGE), {**_COMMON, "over": _OVER_ANSWERS}))
    value: Schema = {"anyOf": [*options, {"not": {"type": "object"}}]}
    return {
        "type": "object",
        "properties": {name: value, NEGATION + name: value},
        "minProperties": 1,
        "maxProperties": 1,
        "additionalProperties": False,
    }


def _check() -> Schema:
    """Return the schema of a named check, or of a threshold under a metric's name."""
    named = {name: {"anyOf": [_options(cls), {"not": {"type": "object"}}]} for name, cls in CHECKS.items()}
    compared = named["no_regression"]["anyOf"][0]["properties"]
    compared["baseline"] = {"anyOf": [compared["baseline"], _callable_baseline()]}
    threshold = _options(Threshold, without=("metric",))
    return {
        "oneOf": [
            {"enum": list(CHECKS)},
            {
                "type": "object",
                "properties": named,
                "additionalProperties": {"anyOf": [threshold, {"type": "number"}]},
                "minProperties": 1,
                "maxProperties": 1,
            },
        ]
    }


def _variant() -> Schema:
    """Return the schema of a transform, by its name or with its options."""
    common: Schema = {"of": {"type": "object"}, "per_case": _typed(int), "n": _typed(int)}
    common["severity"] = {"enum": list(SEVERITIES)}
    named = [
        {
            "type": "object",
            "properties": {name: {"anyOf": [object_schema(cls), _alone(cls)]}, **common},
            "required": [name],
            "additionalProperties": False,
        }
        for name, cls in TRANSFORMS.items()
    ]
    return {"oneOf": [{"enum": list(TRANSFORMS)}, *named]}


def _alone(cls: type[Any]) -> Schema:
    """Return the schema of a transform without options, or with the one that needs no name."""
    return {"type": "string" if isinstance(cls, Abbreviated) else "null"}


def _callable_baseline() -> Schema:
    """Return the schema of a stored run with its system."""
    systems = [object_schema(cls) for cls in SYSTEMS.values()]
    return {
        "type": "object",
        "properties": {"run": {"type": "string"}, "system": {"oneOf": systems}},
        "required": ["run", "system"],
        "additionalProperties": False,
    }


def _options(cls: type[Any], common: Mapping[str, Schema] | None = None, without: tuple[str, ...] = ()) -> Schema:
    schema = object_schema(cls)
    schema["properties"] = {key: value for key, value in schema["properties"].items() if key not in without}
    schema["properties"] |= common or {}
    schema["required"] = [key for key in schema["required"] if key not in without]
    return schema


def object_schema(cls: type[Any]) -> Schema:
    """Return the schema of a mapping with the fields of a dataclass."""
    fields = [field for field in dataclasses.fields(cls) if field.init]
    hints: dict[str, Any] = hints_of(cls)  # type: ignore[arg-type]
    return {
        "type": "object",
        "properties": {key_of(field): _typed(hints[field.name]) for field in fields},
        "required": [key_of(field) for field in fields if is_required(field)],
        "additionalProperties": False,
    }


def _keyed(key: str, value: Schema) -> Schema:
    return {"type": "object", "properties": {key: value}, "required": [key], "additionalProperties": False}


def _typed(hint: Any) -> Schema:
    origin, parts = typing.get_origin(hint), typing.get_args(hint)
    if hint is Any:
        return {}
    if hint is type(None):
        return {"type": "null"}
    if origin in (typing.Union, types.UnionType):
        return {"anyOf": [_typed(part) for part in parts]}
    if origin is typing.Literal:
        return {"enum": list(parts)}
    if origin is tuple:
        return {"anyOf": [{"type": "array", "items": _typed(parts[0])}, _typed(parts[0])]}
    if origin is not None and issubclass(origin, Mapping):
        return {"type": "object", "additionalProperties": _typed(parts[1])}
    if dataclasses.is_dataclass(hint) and isinstance(hint, type):
        return object_schema(hint)
    return {"type": _PLAIN[hint]}
