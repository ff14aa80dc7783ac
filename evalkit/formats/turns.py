"""Cut a conversation into its turns."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any, TypeVar

from evalkit.formats.contexts import read_contexts
from evalkit.formats.conversation import Turn, conversation_of
from evalkit.formats.fields import read_amount, read_usage
from evalkit.formats.steps import calls_of, steps_of
from evalkit.types import Case, Message, Origin, Output, Step, ToolCall, Usage

_Made = TypeVar("_Made", Step, ToolCall)


@dataclass(frozen=True, slots=True)
class AnsweredTurn:
    """One user turn, with the expectations for its answer."""

    number: int
    """Counted from 1."""
    case: Case
    """The input is the messages up to this turn. The fields are the expectations of the turn."""
    output: Output | None
    """The answer to this turn; `None` if the conversation ended before it."""


def turns_of(case: Case, output: Output) -> list[AnsweredTurn]:
    """Return the turns of a conversation: those that took place, then the scripted ones that were not reached."""
    scripted = conversation_of(case).turns
    messages = output.messages or ()
    starts = turn_starts(case, messages)
    ends = [*starts[1:], len(messages)]
    turns = []
    for at, (start, end) in enumerate(zip(starts, ends, strict=True)):
        turn = scripted[at] if at < len(scripted) else Turn(messages[start].content)
        asked = _expecting(case, turn, messages[: start + 1])
        turns.append(AnsweredTurn(at + 1, asked, _output_of(output, at + 1, messages[:end], start, len(starts))))
    for at in range(len(starts), len(scripted)):
        turns.append(AnsweredTurn(at + 1, _expecting(case, scripted[at], ()), None))
    return turns


def turn_cases(case: Case) -> list[Case]:
    """Return a case for each scripted turn, as known before the conversation."""
    return [_expecting(case, turn, ()) for turn in conversation_of(case).turns]


def with_last_input(case: Case, output: Output) -> Case:
    """Return the case with the messages up to the last turn as its input."""
    starts = turn_starts(case, output.messages or ())
    return replace(case, input=(output.messages or ())[: starts[-1] + 1]) if starts else case


def with_all_answers(output: Output, case: Case) -> Output:
    """Return the output with the texts of all answers joined by blank lines, and the contexts of all of them."""
    held = [turn.output for turn in turns_of(case, output) if turn.output is not None]
    if not held:
        return output
    text = "\n\n".join(turn.text for turn in held if turn.text)
    output = replace(output, text=text, text_known=all(turn.text_known for turn in held))
    if all(turn.contexts is None for turn in held):
        return replace(output, contexts=None, origins=())
    found: dict[str, Origin | None] = {}
    for turn in held:
        origins = turn.origins or (None,) * len(turn.contexts or ())
        for context, origin in zip(turn.contexts or (), origins, strict=True):
            found.setdefault(context, origin)
    known = tuple(origin for origin in found.values() if origin is not None)
    return replace(output, contexts=tuple(found), origins=known if len(known) == len(found) else ())


def turn_starts(case: Case, messages: Sequence[Message]) -> list[int]:
    """Return the indices at which the turns begin: the user's messages after the history in the case.

    A system may report its messages with the history, with a prompt before the history, with the user's part of it, or
    without it. The user's messages show which.
    """
    given = () if isinstance(case.input, str) else case.input
    history = [message.content for message in given[:-1] if message.role == "user"]
    users = [at for at, message in enumerate(messages) if message.role == "user"]
    asks = bool(given) and given[-1].role == "user"
    begun = [messages[at].content for at in users[: len(history)]]
    return users[len(history) :] if begun == history and len(users) >= len(history) + asks else users


def n_turns(case: Case, output: Output) -> int | None:
    """Return how many turns of the user were played, `None` if the output does not tell; see `turn_starts`.

    Without messages it is the last turn that a step or a call belongs to.
    """
    if output.messages is not None:
        return len(turn_starts(case, output.messages))
    turns = [step.turn for step in output.trajectory or ()] + [call.turn for call in output.tool_calls or ()]
    return max((turn for turn in turns if turn is not None), default=None)


def lacks_texts(output: Output) -> bool:
    """Return True if a message of the output has a text that nobody recorded."""
    if not output.messages:
        return False
    return any(message.details.get("text_known") is False for message in output.messages)


def without_history(case: Case, output: Output) -> Output:
    """Drop the steps and calls of the history in the case from an answer that reports the whole chat.

    Only steps that were read from the messages are dropped. Turns are counted from the first one after the history.
    """
    steps, messages = output.trajectory, output.messages
    if isinstance(case.input, str) or not steps or messages is None:
        return output
    starts = turn_starts(case, messages)
    if not starts or not any(message.role == "assistant" for message in case.input[:-1]):
        return output
    before = steps_of(messages[: starts[0]])
    if not before or [_asked_for(step) for step in steps] != [_asked_for(step) for step in steps_of(messages)]:
        return output
    n_calls = sum(step.kind == "tool" for step in before)
    n_before = sum(message.role == "user" for message in messages[: starts[0]])
    calls = output.tool_calls
    return replace(
        output,
        trajectory=_renumbered(steps[len(before) :], n_before),
        tool_calls=None if calls is None else _renumbered(calls[n_calls:], n_before),
    )


def _asked_for(step: Step) -> tuple[object, ...]:
    return step.kind, step.name, step.call_id, step.turn, step.arguments


def _renumbered(made: tuple[_Made, ...], n_before: int) -> tuple[_Made, ...]:
    return tuple(each if each.turn is None else replace(each, turn=each.turn - n_before) for each in made)


def has_several_turns(case: Case, output: Output) -> bool:
    """Return True for a conversation of several turns whose messages are known."""
    return len(turn_starts(case, output.messages or ())) > 1


def _expecting(case: Case, turn: Turn, messages: Sequence[Message]) -> Case:
    fields = dict(turn.expect)
    reference, contexts = fields.pop("reference", None) or (), fields.pop("contexts", None)
    found, origins = ((), ()) if contexts is None else read_contexts("contexts", contexts)
    texts = (reference,) if isinstance(reference, str) else tuple(reference)
    given = tuple(messages) or turn.user
    return replace(case, input=given, reference=texts, contexts=found, origins=origins, fields=fields)


def _output_of(output: Output, number: int, messages: Sequence[Message], start: int, n_turns: int) -> Output:
    said = [message for message in messages[start:] if message.role == "assistant"]
    # Text beside a tool call is the answer only if the turn has no other.
    answers = [message for message in said if not message.tool_calls] or [each for each in said if each.content.strip()]
    last = answers[-1] if answers else Message("assistant")
    known = read_details(last.details)
    steps, calls = _in_turn(output.trajectory, number, n_turns), _in_turn(output.tool_calls, number, n_turns)
    is_last = number == n_turns
    return Output(
        text=last.content,
        text_known=last.details.get("text_known") is not False,
        contexts=known.contexts,
        origins=known.origins,
        usage=known.usage,
        tool_calls=calls if steps is None or calls is None else calls_of(steps) or (),
        trajectory=steps,
        messages=tuple(messages),
        state=output.state if is_last else None,
        stop=output.stop if is_last else None,
        user_why=output.user_why if is_last else None,
        fault=output.fault if is_last else None,
        interrupt=output.interrupt if is_last else None,
        latency_s=known.latency_s,
        replayed=output.replayed,
    )


def _in_turn(made: tuple[_Made, ...] | None, number: int, n_turns: int) -> tuple[_Made, ...] | None:
    """Return the steps or calls of one turn; `None` if there are several turns and an item has no turn number."""
    if made is None or n_turns == 1:
        return made
    return None if any(each.turn is None for each in made) else tuple(each for each in made if each.turn == number)


@dataclass(frozen=True, slots=True)
class AnswerDetails:
    """Contexts, latency and usage of one answer of a conversation; `None` for unreadable values."""

    contexts: tuple[str, ...] | None
    origins: tuple[Origin, ...]
    """Of the contexts; empty if unknown."""
    latency_s: float | None
    usage: Usage | None


def read_details(details: Mapping[str, Any]) -> AnswerDetails:
    """Read the details of an answer; unreadable values are unknown."""
    contexts: tuple[str, ...] | None = None
    origins: tuple[Origin, ...] = ()
    latency_s = usage = None
    with suppress(ValueError):
        if details.get("contexts") is not None:
            contexts, origins = read_contexts("contexts", details["contexts"])
    with suppress(ValueError):
        latency_s = read_amount("latency_s", details.get("latency_s"))
    with suppress(ValueError):
        usage = read_usage("usage", details.get("usage"))
    return AnswerDetails(contexts, origins, latency_s, usage)
