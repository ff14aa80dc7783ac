"""Parse the reply of a chat endpoint."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from pydantic import BaseModel, ValidationError

from evalkit.formats.completion import Completion, ReplyError, cached_tokens
from evalkit.formats.thoughts import without_thoughts
from evalkit.llm.errors import JudgeError
from evalkit.llm.reply_forms import in_clear_form, second_verdict
from evalkit.types import MOST, Usage

T = TypeVar("T", bound=BaseModel)
Messages = str | Sequence[Mapping[str, str]]

SEARCHED_CHARS = 200_000
SEARCHED_STARTS = 200
MOST_LOGPROB = 1e-3
"""Tolerance: rounding can make log probabilities of certain tokens slightly positive."""


@dataclass(frozen=True, kw_only=True)
class ModelReply:
    """A text from a model.

    Attributes:
        text: The reply.
        usage: Tokens and money over all exchanges of the call.
        latency_s: Wall seconds of the call: exchanges, waits between them, and queueing for a slot.
        model: The model that the endpoint says it used.
        rung: `text`, or the rung of the ladder that answered.
    """

    text: str
    usage: Usage
    latency_s: float
    model: str
    rung: str


@dataclass(frozen=True)
class Token:
    """One token of a reply, and its alternatives.

    Attributes:
        text: The token.
        alternatives: Token -> probability, 0 to 1, of the likeliest ones that the endpoint shows, including `text`.
    """

    text: str
    alternatives: Mapping[str, float]


@dataclass(frozen=True, kw_only=True)
class Parsed(Generic[T]):
    """A value from a model; `text` is the reply that it was read from, the other fields are those of `Reply`.

    `tokens` are the reply's tokens if they were requested and the endpoint shows them, else `None`.
    """

    value: T
    text: str
    usage: Usage
    latency_s: float
    model: str
    rung: str
    tokens: tuple[Token, ...] | None = None


@dataclass(frozen=True)
class Spoken:
    """The content of one body: the text, and why it ended."""

    text: str
    finish_reason: str | None
    refusal: str | None


def as_messages(messages: Messages) -> list[dict[str, str]]:
    """Return a prompt as a single user turn, or a copy of a chat."""
    if isinstance(messages, str):
        return [{"role": "user", "content": messages}]
    return [dict(message) for message in messages]


def read_body(body: Any) -> Spoken:
    """Read the first choice of a chat completion; the arguments of a tool call count as its text.

    Raises:
        JudgeError: `bad_reply` if the body has no such choice, or holds an error instead of one.
    """
    completion = Completion()
    try:
        completion.add(body, "message")
    except ReplyError as error:
        raise JudgeError("bad_reply", str(error)) from None
    except ValueError as error:
        raise JudgeError("bad_reply", f"{error}; is base_url the address of a chat endpoint?") from None
    arguments = next((call.arguments for call in completion.tool_calls), "")
    return Spoken(arguments or completion.answer, completion.finish_reason, completion.refusal or None)


def read_tokens(body: Mapping[str, Any]) -> tuple[Token, ...] | None:
    """Read the tokens of the first choice with their probabilities; `None` without valid ones."""
    try:
        content = body["choices"][0]["logprobs"]["content"]
        tokens = tuple(
            Token(one["token"], {each["token"]: _probability(each["logprob"]) for each in [one, *one["top_logprobs"]]})
            for one in content
        )
    except (KeyError, IndexError, TypeError, AttributeError, ValueError):
        return None
    return tokens or None


def _probability(logprob: Any) -> float:
    """Return the exponential of a log probability; a positive number is an error."""
    if isinstance(logprob, bool) or not isinstance(logprob, int | float) or not logprob <= MOST_LOGPROB:
        raise ValueError(f"{logprob!r} is not a log probability")
    return min(math.exp(logprob), 1.0)


def tokens_of(body: Mapping[str, Any]) -> tuple[int | None, int | None, int]:
    """Read (input, output, cached input) tokens; `None` if the endpoint reports none, or an implausible number."""
    usage = body.get("usage")
    if not isinstance(usage, dict):
        return None, None, 0
    return _count(usage.get("prompt_tokens")), _count(usage.get("completion_tokens")), cached_tokens(usage)


def _count(value: Any) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) and 0 <= value < MOST else None


def find_value(text: str, schema: type[T]) -> T:
    """Find the only JSON object in a reply that fits `schema`: bare, in a code fence, or within prose.

    Its form may differ from the schema if only one value can be meant (`in_clear_form`). A boolean is not read as a
    score, and `NaN`, infinities and repeated keys are rejected. A reply with several verdicts is rejected if they
    differ, one of them does not fit, the last one is cut, or the prose around it states another (`Score: 2`), because
    it is unknown which of them is the answer.

    Raises:
        ValueError: No object fits, or more than one does; the message can be sent back to the model.
    """
    said, keys = without_thoughts(text), set(schema.model_fields)
    problem, misfit = "the reply holds no JSON object", ""
    fits: list[T] = []
    rest, last = said, ""
    for found, source in _located(said):
        rest = rest.replace(source, " ", 1)
        try:
            value = schema.model_validate_json(json.dumps(in_clear_form(found, schema)), strict=True)
        except ValidationError as error:
            problem = "; ".join(_problems(error))
            misfit = misfit or (problem if keys & found.keys() else "")
            continue
        last = source
        if value not in fits:
            fits.append(value)
    if len(fits) > 1:
        raise ValueError(f"the reply holds {len(fits)} different JSON objects that fit; give one")
    if not fits:
        raise ValueError(problem)
    if misfit or any(f'"{key}"' in rest for key in keys):
        raise ValueError(f"the reply holds a second JSON object ({misfit or 'it is not whole'}); give one")
    before, _, after = said[:SEARCHED_CHARS].rpartition(last)
    if other := second_verdict(before, after, fits[0]):
        raise ValueError(f"the reply states a second verdict outside of the JSON object ({other!r}); give one")
    return fits[0]


def _problems(error: ValidationError) -> Iterator[str]:
    for problem in error.errors(include_url=False, include_input=False)[:5]:
        yield f"{'.'.join(map(str, problem['loc'])) or 'object'}: {problem['msg']}"


def json_objects(text: str) -> Iterator[Any]:
    """Return each outermost JSON object in the first 200,000 characters of a text, in order."""
    return (found for found, _ in _located(text))


def _located(text: str) -> Iterator[tuple[Any, str]]:
    """Yield the objects, each with the characters that it was read from."""
    text = text[:SEARCHED_CHARS]
    # Not strict about control characters: models, and grammars that hold them to JSON, write line breaks into strings.
    decoder = json.JSONDecoder(strict=False, parse_constant=_refuse, parse_float=_finite, object_pairs_hook=_unique)
    start, tried, read = text.find("{"), 0, text
    while start >= 0 and tried < SEARCHED_STARTS:
        tried += 1
        try:
            found, end = decoder.raw_decode(read, start)
        except json.JSONDecodeError as error:
            comma = _trailing_comma(read, error.pos)
            if comma is not None and comma > start:
                read = f"{read[:comma]} {read[comma + 1 :]}"
                continue
            end = start + 1
        except (ValueError, RecursionError):
            end = start + 1
        else:
            yield found, text[start:end]
        start = text.find("{", end)


def _trailing_comma(text: str, at: int) -> int | None:
    """Find the comma directly before the closing bracket at which decoding stopped."""
    comma = at if text[at : at + 1] == "," else len(text[:at].rstrip()) - 1
    closes = text[comma + 1 : comma + 200].lstrip()[:1] in ("}", "]")
    return comma if text[comma : comma + 1] == "," and closes else None


def _refuse(constant: str) -> float:
    raise ValueError(f"{constant} is not a number")


def _finite(text: str) -> float:
    value = float(text)
    return value if abs(value) < float("inf") else _refuse(text)


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    result = dict(pairs)
    if len(result) < len(pairs):
        raise ValueError("a key is given twice")
    return result
