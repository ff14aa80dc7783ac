"""Read ragas' data sets: single questions and conversations, in JSON Lines, JSON and CSV."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from typing import Any

from evalkit.golden.source_file import SourceFile
from evalkit.imports.collector import Collector
from evalkit.imports.ids_and_fields import is_number, own_field, texts_of
from evalkit.imports.imported import Imported
from evalkit.scorers.libraries.ragas_metrics import RAGAS_METRICS
from evalkit.traces.attributes import python_literal

_LISTS = (
    "retrieved_contexts",
    "reference_contexts",
    "retrieved_context_ids",
    "reference_context_ids",
    "reference_topics",
)
"""Columns that a table holds as Python lists of texts."""
_OF_01 = frozenset({"question", "answer", "contexts"})
_NAMES_OF_01 = {
    **{"question": "user_input", "answer": "response", "contexts": "retrieved_contexts", "ground_truth": "reference"},
}
"""Name of a column in ragas 0.1 -> its name in later versions."""
_ROLES = {"human": "user", "ai": "assistant", "tool": "tool"}
_READ = frozenset(
    {
        *("user_input", "response", "reference", "retrieved_contexts", "reference_contexts", "reference_tool_calls"),
        *("retrieved_context_ids", "reference_context_ids", "synthesizer_name", "rubrics"),
    }
)


def is_samples(source: SourceFile) -> bool:
    """Tell whether a file holds samples."""
    keys = source.first.keys()
    named = "user_input" in keys or (keys >= _OF_01 and bool(keys & {"ground_truth", "ground_truths", *RAGAS_METRICS}))
    return bool(source.rows) and named


def read_samples(source: SourceFile, limit: int | None = None) -> Imported:
    """Read samples: each is a case, with a stored output if it has a response or answers of an agent."""
    found = Collector(source)
    talks = False
    for at, place, given in found.rows(limit, "response", "reference_tool_calls", "retrieved_contexts", *_OF_01):
        raw = given if "user_input" in given else _renamed(given)
        row = {key: _listed(value, found, f"{place} {key}") if key in _LISTS else value for key, value in raw.items()}
        fields = _fields(found, place, row)
        recorded = _recorded(row, fields)
        if isinstance(row.get("user_input"), list):
            talks = _talk(found, at, place, row, fields, recorded) or talks
        else:
            _single(found, place, row, fields, recorded)
    return found.imported("ragas conversations" if talks else "ragas samples")


def _renamed(row: Mapping[str, Any]) -> dict[str, Any]:
    """Return a row of ragas 0.1 under the names of later versions; several ground truths were a list of one."""
    named = {_NAMES_OF_01.get(key, key): value for key, value in row.items()}
    truths = named.get("ground_truths")
    literal = python_literal(truths) if isinstance(truths, str) else truths
    if "reference" not in named and isinstance(literal, list) and all(isinstance(each, str) for each in literal):
        named["reference"] = literal
        del named["ground_truths"]
    return named


def _fields(found: Collector, place: str, row: Mapping[str, Any]) -> dict[str, Any]:
    fields: dict[str, Any] = {
        "input": row.get("user_input"),
        "reference": row.get("reference"),
        "reference_contexts": row.get("reference_contexts"),
        "relevant_ids": row.get("reference_context_ids"),
        "rubrics": row.get("rubrics"),
    }
    if not isinstance(fields["rubrics"], Mapping | None):
        found.lose(f"{place} rubrics", "rubrics that are not a mapping", "write them as a mapping, in JSON Lines")
        del fields["rubrics"]
    if isinstance(name := row.get("synthesizer_name"), str):
        fields["cohorts"] = {"synthesizer": name}
    if row.get("reference_tool_calls") is not None:
        at = f"{place} reference_tool_calls"
        fields["expected_tool_calls"] = found.calls(at, row["reference_tool_calls"], "args")
    found.rest(fields, row, _READ)
    return fields


def _listed(value: Any, found: Collector, place: str) -> Any:
    """Return the list of texts that a cell spells as a Python literal, which is read and not evaluated."""
    if not isinstance(value, str):
        return value
    read = python_literal(value)
    if isinstance(read, list) and all(isinstance(each, str) for each in read):
        return read
    found.lose(place, "not a list of texts", "write ['...', '...']")
    return None


def _recorded(row: Mapping[str, Any], fields: dict[str, Any]) -> dict[str, float]:
    """Move the scores of ragas' metrics from the fields of a case to what was recorded."""
    scores: dict[str, float] = {}
    for name in RAGAS_METRICS:
        value: Any = row.get(name)
        with suppress(ValueError):
            value = float(value) if isinstance(value, str) else value
        if is_number(value):
            scores[name] = value
            del fields[own_field(name)]
    return scores


def _single(
    found: Collector, place: str, row: Mapping[str, Any], fields: dict[str, Any], recorded: Mapping[str, Any]
) -> None:
    passages, ids = row.get("retrieved_contexts"), row.get("retrieved_context_ids")
    contexts: Any = passages
    if isinstance(ids, list) and isinstance(passages, list) and len(ids) == len(passages):
        contexts = [{"id": str(name), "text": text} for name, text in zip(ids, passages, strict=True)]
    elif ids is not None:
        found.lose(f"{place} retrieved_context_ids", "ids without a passage for each", "store both in the same order")
    if row.get("response") is None:
        found.case(place, None, {**fields, "contexts": contexts})
        return
    output = {"text": row["response"], **({} if contexts is None else {"contexts": contexts})}
    found.output(place, found.case(place, None, fields), output=output, recorded=recorded)


def _talk(
    found: Collector, at: int, place: str, row: Mapping[str, Any], fields: dict[str, Any], recorded: Mapping[str, Any]
) -> bool:
    messages = [_message(found, at, number, each) for number, each in enumerate(row["user_input"])]
    kept = [message for message in messages if message is not None]
    said = texts_of([message["content"] for message in kept if message["role"] == "user"])
    if not said:
        found.lose(place, "a conversation in which nobody asks", "begin it with a message of type human", "case")
        return True
    fields["input"] = said[0]
    if len(said) > 1:
        del fields["input"]
        fields["turns"] = [{"user": text} for text in said]
    case_id = found.case(place, None, fields)
    if any(message["role"] == "assistant" for message in kept):
        found.output(place, case_id, output={"messages": kept}, recorded=recorded)
    return True


def _message(found: Collector, at: int, number: int, value: Any) -> dict[str, Any] | None:
    place = found.source.at(at, "user_input", number)
    kind: Any = value.get("type") if isinstance(value, Mapping) else None
    role = _ROLES.get(kind) if isinstance(kind, str) else None
    if role is None:
        found.lose(place, "a message of neither human, ai nor tool", "write its `type`")
        return None
    message: dict[str, Any] = {"role": role, "content": value.get("content")}
    if value.get("tool_calls") and role == "assistant":
        calls = found.calls(place, value["tool_calls"], "args")
        message.update({} if calls is None else {"tool_calls": calls})
    return message
