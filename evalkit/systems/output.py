"""Read a system's answer as an `Output`, or explain why it cannot be read."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import fields, replace
from typing import Any

from evalkit.formats.contexts import read_contexts
from evalkit.formats.fields import TooLarge, check_keys, read_amount, read_list, read_mapping, read_text, read_usage
from evalkit.formats.messages import read_messages
from evalkit.formats.plain import plain
from evalkit.formats.rows import output_record
from evalkit.formats.steps import calls_of, read_trajectory, steps_of, stored_steps
from evalkit.formats.tool_calls import read_calls
from evalkit.text.numbers import plural
from evalkit.text.values import key_names, one_line, shown
from evalkit.types import Failure, Message, Output, Step, ToolCall

OUTPUT_KEYS = (
    *(
        "text",
        "text_known",
        "contexts",
        "usage",
        "tool_calls",
        "trajectory",
        "messages",
        "state",
        "stop",
        "interrupt",
        "fault",
    ),
    *("latency_s", "ttft_s", "done"),
)


def to_output(value: object, *, stored: bool = False) -> Output | Failure:
    """Read an answer: a string, or a mapping with `OUTPUT_KEYS`, of which only `text` or `messages` is required.

    Strings are not changed, not even lone surrogates.

    Args:
        value: the value that the system returned.
        stored: whether the answer comes from a run, whose steps may have the form of an earlier version.

    Returns:
        The output; `Failure("bad_output")`, which names the expected and the given value; or `Failure("too_large")`.
    """
    if type(value) is str:
        return Output(text=value)
    try:
        return _read(value, stored)
    except TooLarge as error:
        return Failure("too_large", one_line(error))
    except (ValueError, OverflowError) as error:
        return Failure("bad_output", one_line(error))


def n_bytes(output: Output) -> int:
    """Return the bytes of the text, plus those of everything else that a row stores of it as JSON."""
    size = len(output.text.encode("utf-8", "surrogatepass"))
    rest = replace(output, text="")
    return size + (0 if rest == Output(text="") else len(json.dumps(output_record(rest))))


def _read(value: object, stored: bool) -> Output:
    if isinstance(value, str):
        return Output(text=str.__str__(value))
    if not isinstance(value, Mapping):
        raise ValueError(f"expected a string or {{text, contexts, usage, tool_calls, trajectory}}, got {shown(value)}")
    check_keys("", value, OUTPUT_KEYS)
    messages = read_messages("messages", value.get("messages"))
    steps, traced = _trajectory(value.get("trajectory"), stored)
    if steps is None and messages is not None and not stored:
        steps = steps_of(messages)
    messages = traced if messages is None else messages
    calls = _tool_calls(read_calls("tool_calls", value.get("tool_calls")), steps, stored)
    given = value.get("contexts")
    contexts, origins = (None, ()) if given is None else read_contexts("contexts", given)
    known = _flag("text_known", value.get("text_known", True))
    return Output(
        text=_text(value, messages) if known else _no_text(value),
        text_known=known,
        contexts=contexts,
        origins=origins,
        usage=read_usage("usage", value.get("usage")),
        tool_calls=calls,
        trajectory=steps if steps is None or stored else _completed_steps(steps, calls or ()),
        messages=messages,
        state=_record("state", value.get("state")),
        stop=None if value.get("stop") is None else read_text("stop", value["stop"]),
        interrupt=_record("interrupt", value.get("interrupt")),
        fault=None if value.get("fault") is None else read_text("fault", value["fault"]),
        latency_s=read_amount("latency_s", value.get("latency_s")),
        ttft_s=read_amount("ttft_s", value.get("ttft_s")),
        done=_flag("done", value.get("done")),
    )


def _text(value: Mapping[Any, Any], messages: tuple[Message, ...] | None) -> str:
    """Return the text; without one, the last text of the assistant in the chat."""
    said = [message.content for message in messages or () if message.role == "assistant"]
    if "text" not in value and said:
        return next((text for text in reversed(said) if text.strip()), "")
    if "text" not in value:
        raise ValueError(f"text: missing; the answer has {key_names(value)}")
    return read_text("text", value["text"])


def _record(place: str, value: object) -> Mapping[str, Any] | None:
    found = read_mapping(place, value)
    return None if found is None else plain(place, found)


def _no_text(value: Mapping[Any, Any]) -> str:
    """Return the empty text of an answer whose text is unknown."""
    if value.get("text"):
        raise ValueError("text_known: false beside a text; leave one of the two out")
    return ""


def _flag(name: str, value: object) -> bool:
    if value is not None and not isinstance(value, bool):
        raise ValueError(f"{name}: expected true or false, got {shown(value)}")
    return bool(value)


def _trajectory(value: object, stored: bool) -> tuple[tuple[Step, ...] | None, tuple[Message, ...] | None]:
    if value is None or not stored:
        return read_trajectory("trajectory", value)
    return stored_steps(plain("trajectory", read_list("trajectory", value))), None


def _tool_calls(
    given: tuple[ToolCall, ...] | None, steps: tuple[Step, ...] | None, stored: bool
) -> tuple[ToolCall, ...] | None:
    """Return the calls that the system reports, completed from its steps, or the calls among its steps.

    Raises:
        ValueError: It reports both, and they differ in number or in names.
    """
    found = None if steps is None or stored else calls_of(steps)
    if given is not None and found and len(given) != len(found):
        what = f"tool_calls: {len(given)} given, and {plural(len(found), 'step')} of kind tool in the trajectory"
        raise ValueError(f"{what}; leave `tool_calls` out, or report the same calls in both")
    if given is not None and found and sorted(call.name for call in given) != sorted(call.name for call in found):
        what = "tool_calls: other tools than those of the steps of kind tool in the trajectory"
        raise ValueError(f"{what}; leave `tool_calls` out, or report the same calls in both")
    return found if given is None else tuple(map(_completed, given, found)) if found else given


def _completed(given: ToolCall, step: ToolCall) -> ToolCall:
    """Add the result, error and times that only the call's step has."""
    if given.name != step.name or given.arguments != step.arguments:
        return given
    known = {each.name: getattr(given, each.name) for each in fields(given)}
    return replace(step, **{name: value for name, value in known.items() if value not in (None, "")})


def _completed_steps(steps: tuple[Step, ...], calls: Sequence[ToolCall]) -> tuple[Step, ...]:
    """Add the result and error that only the step's call has."""
    rest = iter(calls)
    found = []
    for step in steps:
        call = next(rest, None) if step.kind == "tool" else None
        if call is not None and call.name == step.name and call.arguments == (step.arguments or {}):
            result = call.result if step.result is None else step.result
            step = replace(step, result=result, error=step.error or call.error)
        found.append(step)
    return tuple(found)
