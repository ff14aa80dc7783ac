"""Read deepeval's goldens and conversations, as `EvaluationDataset.save_as` writes them in JSON, JSON Lines and CSV."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from evalkit.golden.json_lines import STRICT
from evalkit.golden.source_file import SourceFile
from evalkit.imports.collector import Collector
from evalkit.imports.ids_and_fields import is_number, texts_of
from evalkit.imports.imported import Imported

_OWN = {"actual_output", "expected_output", "retrieval_context", "expected_tools", "custom_column_key_values"}
"""Columns of which other tools have at most one."""
_JSON = ("turns", "tools_called", "expected_tools", "additional_metadata", "custom_column_key_values", "expectations")
"""Columns that hold JSON in a table."""
_ARGUMENTS = ("inputParameters", "input_parameters")
_SEPARATOR = "|"
"""Separates passages in a table and in JSON Lines."""
_READ = frozenset(
    {
        *("input", "actual_output", "expected_output", "context", "retrieval_context", "name", "tools_called"),
        *(
            "expected_tools",
            "token_cost",
            "input_token_count",
            "output_token_count",
            "additional_metadata",
            "completion_time",
        ),
        *("custom_column_key_values", "scenario", "turns", "expected_outcome", "user_description", "persona"),
    }
)
_TELLING = ("actual_output", "expected_tools", "tools_called", "retrieval_context")
"""Columns in which an empty value has a meaning: no text, no call, no passage."""
_MCP = ("mcp_tools_called", "mcp_resources_called", "mcp_prompts_called")


def is_goldens(source: SourceFile) -> bool:
    """Tell whether a file holds goldens or conversations."""
    keys = source.first.keys()
    single = "input" in keys and len(_OWN & keys) >= 2
    talk = "scenario" in keys and bool({"turns", "expected_outcome", "user_description"} & keys)
    return bool(source.rows) and (single or talk)


def read_goldens(source: SourceFile, limit: int | None = None) -> Imported:
    """Read goldens: each is a case, with a stored output if it has an actual one."""
    found = Collector(source)
    talks = "scenario" in source.first
    for at, place, raw in found.rows(limit, *_TELLING):
        row = {key: _parsed(key, value, found, place) for key, value in raw.items()}
        if "scenario" in row:
            _talk(found, at, place, row)
        else:
            read_single(found, place, row)
    kind = "deepeval conversations" if talks else "deepeval goldens"
    return found.imported(
        kind, conversation=any("user" in case.fields or "turns" in case.fields for case in found.cases)
    )


def _parsed(key: str, value: Any, found: Collector, place: str) -> Any:
    """Return the value of a column that holds JSON in a table."""
    if key not in _JSON or not isinstance(value, str):
        return value
    try:
        return STRICT.decode(value)
    except (ValueError, RecursionError):
        found.lose(f"{place} {key}", "not the JSON that this column holds", "save the file again, or write it as JSON")
        return None


def read_single(
    found: Collector, place: str, row: Mapping[str, Any], recorded: Mapping[str, Any] | None = None
) -> None:
    """Read a case with one answer.

    Args:
        found: takes the case and its output.
        place: of the row.
        row: its values under the names of a golden.
        recorded: what deepeval said of the answer.
    """
    fields: dict[str, Any] = {
        "input": row.get("input"),
        "reference": row.get("expected_output"),
        "reference_contexts": _passages(row.get("context")),
    }
    answered = row.get("actual_output")
    passages = _passages(row.get("retrieval_context"))
    if answered is None:
        fields["contexts"] = passages
    if row.get("expected_tools") is not None:
        fields["expected_tool_calls"] = found.calls(f"{place} expected_tools", row["expected_tools"], _ARGUMENTS)
    _others(found, fields, row)
    case_id = found.case(place, row.get("name"), fields)
    if answered is None:
        if row.get("tools_called") is not None:
            found.lose(f"{place} tools_called", "calls without an actual output", "store the output too")
        return
    output: dict[str, Any] = {"text": answered}
    if passages is not None:
        output["contexts"] = passages
    if row.get("tools_called") is not None:
        calls = found.calls(f"{place} tools_called", row["tools_called"], _ARGUMENTS, "output")
        output.update({} if calls is None else {"tool_calls": calls})
    if usage := _usage(row):
        output["usage"] = usage
    if (seconds := _number(row.get("completion_time"))) is not None and seconds >= 0:
        output["latency_s"] = seconds
    found.output(place, case_id, output=output, recorded=recorded or {})


def _others(found: Collector, fields: dict[str, Any], row: Mapping[str, Any]) -> None:
    found.metadata(fields, row.get("additional_metadata"))
    columns = row.get("custom_column_key_values")
    found.rest(fields, columns if isinstance(columns, Mapping) else {}, frozenset())
    found.rest(fields, row, _READ)


def _usage(row: Mapping[str, Any]) -> dict[str, Any]:
    names = {"input_tokens": "input_token_count", "output_tokens": "output_token_count", "cost_usd": "token_cost"}
    numbers = {ours: _number(row.get(theirs)) for ours, theirs in names.items()}
    return {
        ours: value if ours == "cost_usd" else int(value)
        for ours, value in numbers.items()
        if value is not None and value >= 0
    }


def _number(value: Any) -> float | None:
    if isinstance(value, str):
        try:
            value = float(value)
        except ValueError:
            return None
    return float(value) if is_number(value) else None


def _passages(value: Any) -> list[str] | None:
    """Return passages: a list, or one text in which bars separate them."""
    texts = value.split(_SEPARATOR) if isinstance(value, str) else value
    kept = texts_of(texts)
    return [] if value == [] else kept or None


def _talk(found: Collector, at: int, place: str, row: Mapping[str, Any]) -> None:
    turns: Any = row.get("turns") if isinstance(row.get("turns"), list) else []
    persona: Any = row.get("persona") if isinstance(row.get("persona"), Mapping) else {}
    described = row.get("user_description") or persona.get("characteristics")
    for key in sorted(persona):
        if key != "characteristics" and persona[key] is not None:
            found.lose(f"{place} persona.{key}", "a simulated user has words alone", "describe it in `persona`")
    scenario, outcome = row["scenario"], row.get("expected_outcome")
    goal = f"{scenario}\nIt is reached when: {outcome}" if isinstance(outcome, str) else scenario
    user: dict[str, Any] = {"goal": goal, **({"persona": described} if isinstance(described, str) else {})}
    messages = [message for number, turn in enumerate(turns) if (message := _message(found, at, number, turn))]
    answered = any(message["role"] == "assistant" for message in messages)
    said = [message["content"] for message in messages if message["role"] == "user"]
    if said and not answered:
        user["opening"] = said[0]
    if len(said) > 1 and not answered:
        what = "several openings of the user, of which the first is kept"
        found.lose(f"{place} turns", what, "store the answers between them, or write them as `turns`")
    fields: dict[str, Any] = {"user": user, "expected_outcome": outcome}
    fields["reference_contexts"] = _passages(row.get("context"))
    _others(found, fields, row)
    case_id = found.case(place, row.get("name"), fields)
    if answered:
        found.output(place, case_id, output={"messages": messages})


def _message(found: Collector, at: int, number: int, turn: Any) -> dict[str, Any] | None:
    place = found.source.at(at, "turns", number)
    if not isinstance(turn, Mapping) or turn.get("role") not in ("user", "assistant"):
        found.lose(place, "a turn that is neither the user's nor the assistant's", "write its `role`")
        return None
    message: dict[str, Any] = {"role": turn["role"], "content": turn.get("content")}
    calls = [] if turn.get("tools_called") is None else found.calls(place, turn["tools_called"], _ARGUMENTS, "output")
    for key in _MCP:
        if turn.get(key):
            called = found.calls(place, turn[key], "args", "result") if key == _MCP[0] else None
            calls = [*(calls or []), *(called or [])]
            what = "MCP calls are tool calls here" if called else f"`{key}` has no counterpart"
            found.lose(f"{place}.{key}", what, "name the tools as the system does")
    if calls:
        message["tool_calls"] = calls
    if passages := _passages(turn.get("retrieval_context")):
        message["contexts"] = passages
    return message
