"""Translate between the chat API and Anthropic's Messages API.

Source: https://docs.claude.com/en/api/messages (version 2023-06-01).
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

PATH = "messages"
VERSION_HEADER = {"anthropic-version": "2023-06-01"}
MOST_TEMPERATURE = 1.0
FINISH_REASONS = {
    "end_turn": "stop",
    "stop_sequence": "stop",
    "tool_use": "stop",
    "max_tokens": "length",
    "model_context_window_exceeded": "length",
    "refusal": "content_filter",
}


def speaks(request: Mapping[str, Any]) -> bool:
    """Return whether this request can be expressed; JSON without a schema cannot."""
    wanted = request.get("response_format")
    return wanted is None or "json_schema" in wanted


def to_request(request: Mapping[str, Any], max_tokens: int) -> dict[str, Any]:
    """Convert a chat request to a message request, without seed and log probabilities."""
    turns = request["messages"]
    body: dict[str, Any] = {
        "model": request["model"],
        "max_tokens": max_tokens,
        "messages": [turn for turn in turns if turn["role"] != "system"],
    }
    system = "\n\n".join(turn["content"] for turn in turns if turn["role"] == "system")
    if system:
        body["system"] = system
    if "temperature" in request:
        body["temperature"] = min(request["temperature"], MOST_TEMPERATURE)
    if "response_format" in request:
        schema = request["response_format"]["json_schema"]["schema"]
        body["output_config"] = {"format": {"type": "json_schema", "schema": schema}}
    if "tools" in request:
        tool = request["tools"][0]["function"]
        body["tools"] = [{**{key: tool[key] for key in ("name", "description")}, "input_schema": tool["parameters"]}]
        body["tool_choice"] = {"type": "tool", "name": tool["name"]}
    return body


def from_reply(body: Mapping[str, Any]) -> dict[str, Any]:
    """Convert a message to a chat completion; one of another shape is returned unchanged for the reader to reject."""
    blocks = body.get("content")
    if body.get("type") != "message" or not isinstance(blocks, list):
        return dict(body)
    used = [block.get("input") for block in blocks if _is(block, "tool_use")]
    text = "".join(str(block.get("text", "")) for block in blocks if _is(block, "text"))
    reason = body.get("stop_reason")
    choice = {
        "message": {"role": "assistant", "content": json.dumps(used[0]) if used else text},
        "finish_reason": FINISH_REASONS.get(str(reason), reason),
    }
    return {"model": body.get("model"), "choices": [choice], "usage": _usage(body.get("usage"))}


def _is(block: Any, kind: str) -> bool:
    return isinstance(block, dict) and block.get("type") == kind


def _usage(usage: Any) -> dict[str, Any] | None:
    """Convert token counts to the chat API's, which counts cached input as input."""
    if not isinstance(usage, dict):
        return None
    fresh, read, written = (
        value if isinstance(value := usage.get(name), int) else None
        for name in ("input_tokens", "cache_read_input_tokens", "cache_creation_input_tokens")
    )
    return {
        "prompt_tokens": None if fresh is None else fresh + (read or 0) + (written or 0),
        "completion_tokens": usage.get("output_tokens"),
        "prompt_tokens_details": {"cached_tokens": read},
    }
