"""Implement the fake model's second API: Anthropic's Messages API, as strict as the real one."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

KEYS = frozenset({"model", "max_tokens", "messages", "system", "temperature", "tools", "tool_choice", "output_config"})
UNSUPPORTED = frozenset({"minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "minLength", "maxLength"})
"""Keywords of JSON Schema that its strict output rejects."""


def problem_of(body: Mapping[str, Any], headers: Mapping[str, str]) -> str:
    """Explain why the API would answer with status 400; empty if it would not."""
    if "anthropic-version" not in {name.lower() for name in headers}:
        return "anthropic-version: header is required"
    if strange := sorted(body.keys() - KEYS):
        return f"{strange[0]}: Extra inputs are not permitted"
    if "max_tokens" not in body:
        return "max_tokens: Field required"
    if any(turn["role"] not in ("user", "assistant") for turn in body["messages"]):
        return "messages: Unexpected role; the Messages API accepts a top-level `system` parameter"
    if not 0 <= body.get("temperature", 0) <= 1:
        return "temperature: range: 0..1"
    schema = body.get("output_config", {}).get("format", {}).get("schema")
    found = UNSUPPORTED & _keywords(schema)
    return f"output_config.format.schema: property '{min(found)}' is not supported" if found else ""


def _keywords(node: Any) -> set[str]:
    if isinstance(node, list):
        return set().union(*map(_keywords, node))
    if not isinstance(node, dict):
        return set()
    return set(node).union(*map(_keywords, node.values()))


def chat_form(body: Mapping[str, Any]) -> dict[str, Any]:
    """Convert the request to a chat request, for the rules and faults of the fake model."""
    system = [{"role": "system", "content": body["system"]}] if "system" in body else []
    request = {"model": body["model"], "messages": [*system, *body["messages"]]}
    if "output_config" in body:
        schema = body["output_config"]["format"]["schema"]
        request["response_format"] = {"type": "json_schema", "json_schema": {"schema": schema}}
    if "tools" in body:
        tool = body["tools"][0]
        request["tools"] = [{"type": "function", "function": {**tool, "parameters": tool["input_schema"]}}]
        request["tool_choice"] = body.get("tool_choice")
    return request


def message_form(completion: Mapping[str, Any]) -> dict[str, Any]:
    """Convert a chat completion to the message that the API would send."""
    choice, usage = completion["choices"][0], completion["usage"] or {}
    message = choice["message"]
    reason = {"stop": "end_turn", "length": "max_tokens", "tool_calls": "tool_use"}[choice["finish_reason"]]
    if message.get("refusal"):
        reason, blocks = "refusal", []
    elif "tool_calls" in message:
        reason, calls = "tool_use", [call["function"] for call in message["tool_calls"]]
        blocks = [{"type": "tool_use", "name": call["name"], "input": _input(call["arguments"])} for call in calls]
    else:
        blocks = [{"type": "text", "text": message["content"]}]
    counts = {"input_tokens": usage.get("prompt_tokens"), "output_tokens": usage.get("completion_tokens")}
    return {
        "type": "message",
        "role": "assistant",
        "model": completion["model"],
        "content": blocks,
        "stop_reason": reason,
        "usage": counts if usage else None,
    }


def _input(arguments: str) -> Any:
    try:
        return json.loads(arguments)
    except ValueError:
        return {"said": arguments}
