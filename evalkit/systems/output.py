"""Read what a system gave as an `Output`, or say why it is none."""

from __future__ import annotations

import difflib
import json
import math
import numbers
import operator
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

from evalkit.formats.plain import plain
from evalkit.text.values import key_names, one_line, shown
from evalkit.types import MOST, Failure, Output, ToolCall, Usage

OUTPUT_KEYS = ("text", "contexts", "usage", "tool_calls", "trajectory", "latency_s", "ttft_s")
USAGE_KEYS = ("input_tokens", "output_tokens", "cost_usd", "model")


def to_output(value: object) -> Output | Failure:
    """Read an answer: a string, or a mapping `{text, contexts, usage, tool_calls, trajectory, latency_s, ttft_s}`.

    Only `text` is required. Strings are kept as they are, lone surrogates included.

    Returns:
        The output, or `Failure("bad_output")` that says what was got and what is expected.
    """
    if type(value) is str:
        return Output(text=value)
    try:
        return _read(value)
    except (ValueError, OverflowError) as error:
        return Failure("bad_output", one_line(error))


def _read(value: object) -> Output:
    if isinstance(value, str):
        return Output(text=str.__str__(value))
    if not isinstance(value, Mapping):
        raise ValueError(f"expected a string or {{text, contexts, usage, tool_calls, trajectory}}, got {shown(value)}")
    _check_keys("", value, OUTPUT_KEYS)
    if "text" not in value:
        raise ValueError(f"text: missing; the answer has {key_names(value)}")
    return Output(
        text=_text("text", value["text"]),
        contexts=_contexts(value.get("contexts")),
        usage=_usage(value.get("usage")),
        tool_calls=_tool_calls(value.get("tool_calls")),
        trajectory=_trajectory(value.get("trajectory")),
        latency_s=_amount("latency_s", value.get("latency_s")),
        ttft_s=_amount("ttft_s", value.get("ttft_s")),
    )


def _check_keys(place: str, value: Mapping[Any, Any], known: tuple[str, ...]) -> None:
    for key in value:
        if key not in known:
            near = difflib.get_close_matches(str(key), known, n=1)
            fix = f"did you mean `{near[0]}`?" if near else f"the keys are {', '.join(known)}"
            raise ValueError(f"{place}unknown key {shown(key)}; {fix}")


def _text(place: str, value: object) -> str:
    if not isinstance(value, str):
        raise ValueError(f"{place}: expected a string, got {shown(value)}")
    return str.__str__(value)


def _sequence(place: str, value: object) -> list[Any] | tuple[Any, ...]:
    if not isinstance(value, list | tuple):
        raise ValueError(f"{place}: expected a list, got {shown(value)}")
    return value


def _contexts(value: object) -> tuple[str, ...] | None:
    if value is None:
        return None
    return tuple(_text(f"contexts[{i}]", item) for i, item in enumerate(_sequence("contexts", value)))


def _amount(place: str, value: object) -> float | None:
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, numbers.Real):
        raise ValueError(f"{place}: expected a number, got {shown(value)}")
    amount = _below_most(place, value)
    if not (0 <= amount < math.inf):
        raise ValueError(f"{place}: expected a finite number of at least 0, got {shown(value)}")
    return amount


def _count(place: str, value: object) -> int | None:
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, numbers.Integral) or value < 0:
        raise ValueError(f"{place}: expected a whole number of at least 0, got {shown(value)}")
    _below_most(place, value)
    return operator.index(value)


def _below_most(place: str, value: numbers.Real) -> float:
    with suppress(OverflowError):
        amount = float(value)
        if not MOST <= amount < math.inf:
            return amount
    raise ValueError(f"{place}: {shown(value)} is too large; no call has {MOST:.0e}")


def _usage(value: object) -> Usage | None:
    if value is None:
        return None
    if not isinstance(value, Mapping):
        raise ValueError(f"usage: expected {{{', '.join(USAGE_KEYS)}}}, got {shown(value)}")
    _check_keys("usage: ", value, USAGE_KEYS)
    model = value.get("model")
    return Usage(
        input_tokens=_count("usage.input_tokens", value.get("input_tokens")),
        output_tokens=_count("usage.output_tokens", value.get("output_tokens")),
        cost_usd=_amount("usage.cost_usd", value.get("cost_usd")),
        model=None if model is None else _text("usage.model", model),
    )


def _tool_calls(value: object) -> tuple[ToolCall, ...] | None:
    if value is None:
        return None
    return tuple(_tool_call(f"tool_calls[{i}]", item) for i, item in enumerate(_sequence("tool_calls", value)))


def _tool_call(place: str, value: object) -> ToolCall:
    if not isinstance(value, Mapping):
        raise ValueError(f"{place}: expected {{name, arguments}}, got {shown(value)}")
    call = value.get("function", value)
    # The chat protocol nests name and arguments in `function` and writes the arguments as JSON text.
    if not isinstance(call, Mapping) or "name" not in call:
        raise ValueError(f"{place}: expected {{name, arguments}}, got {shown(value)}")
    arguments = call.get("arguments")
    if isinstance(arguments, str):
        arguments = parse_json(arguments, f"{place}.arguments") if arguments.strip() else None
    if arguments is not None and not isinstance(arguments, Mapping):
        raise ValueError(f"{place}.arguments: expected a mapping, got {shown(arguments)}")
    return ToolCall(_text(f"{place}.name", call["name"]), plain(f"{place}.arguments", arguments or {}))


def _trajectory(value: object) -> tuple[Mapping[str, Any], ...] | None:
    if value is None:
        return None
    steps = _sequence("trajectory", value)
    for i, step in enumerate(steps):
        if not isinstance(step, Mapping):
            raise ValueError(f"trajectory[{i}]: expected a mapping, got {shown(step)}")
    return tuple(plain(f"trajectory[{i}]", step) for i, step in enumerate(steps))


def _refuse_constant(name: str) -> Any:
    raise ValueError(f"{name} is no JSON number")


def _refuse_repeats(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    row = dict(pairs)
    if len(row) < len(pairs):
        raise ValueError("a key stands twice")
    return row


_DECODER = json.JSONDecoder(parse_constant=_refuse_constant)
_STRICT_DECODER = json.JSONDecoder(parse_constant=_refuse_constant, object_pairs_hook=_refuse_repeats)


def parse_json(text: str, place: str = "", *, strict: bool = False) -> Any:
    """Parse JSON text; NaN and Infinity are refused, and where it is to be `strict` a key that stands twice too.

    Raises:
        ValueError: Says what is wrong and shows how the text begins.
    """
    try:
        return (_STRICT_DECODER if strict else _DECODER).decode(text.removeprefix("\ufeff"))
    except (ValueError, RecursionError) as error:
        what = "nested too deeply" if isinstance(error, RecursionError) else one_line(error, 120)
        prefix = f"{place}: " if place else ""
        raise ValueError(f"{prefix}not JSON ({what}): {one_line(text, 120) or 'empty'}") from None
