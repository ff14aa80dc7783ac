"""Write a conversation as a judge reads it: one line of JSON for each message, so that no text can forge another."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from evalkit.formats.steps import step_of, steps_of
from evalkit.formats.turns import turn_starts
from evalkit.types import Case, Message, Output, Step

MAX_CHARS = 200_000
"""Maximum length of a conversation for a judge; a longer one is not graded, because a part would be graded as the
whole."""
RESULT_CHARS = 2_000
"""Maximum length of a tool's result that is shown."""
_LINE_BREAKS = {0x85: "\\u0085", 0x2028: "\\u2028", 0x2029: "\\u2029"}
"""Characters that JSON does not escape and that a reader may take for the end of a line."""


@dataclass(frozen=True)
class Line:
    """One line of a transcript."""

    n: int
    """Counted from 1."""
    turn: int | None
    """The user turn, counted from 1; `None` before the first."""
    role: str
    text: str
    record: Mapping[str, Any]
    """Fields of the line besides `n`, `turn` and `role`."""

    def __str__(self) -> str:
        turn = {} if self.turn is None else {"turn": self.turn}
        return as_json({"n": self.n, **turn, "role": self.role, **self.record})


@dataclass(frozen=True)
class JudgedTranscript:
    """A whole conversation with the actions of the system."""

    lines: tuple[Line, ...]

    def __str__(self) -> str:
        return "\n".join(map(str, self.lines))

    @property
    def tools(self) -> str:
        """The lines of tools and approvals alone."""
        return "\n".join(str(line) for line in self.lines if line.role in ("tool", "approval"))

    def said_by(self, role: str) -> tuple[Line, ...]:
        """Return the lines of a role; for the assistant, the last line of each turn, which the user reads.

        Args:
            role: `user` or `assistant`.
        """
        lines = {line.turn: line for line in self.lines if line.role == role and line.turn is not None}
        return tuple(lines.values())


def transcript_of(case: Case, output: Output) -> JudgedTranscript:
    """Return the conversation that an output is, or the one turn of a plain answer."""
    messages = output.messages
    if messages is None:
        asked = (Message("user", case.input),) if isinstance(case.input, str) else case.input
        messages = (*asked, Message("assistant", output.text))
    steps = _steps_in(messages) if output.trajectory is None else output.trajectory
    led = case.fields.get("turns") or case.fields.get("user")
    # Of a conversation that evalkit led, the input is all that was said before the last answer.
    starts = frozenset(turn_starts(replace(case, input="") if led else case, messages))
    return JudgedTranscript(tuple(_numbered(_lines(messages, steps, starts))))


def chat_lines(messages: Sequence[Message]) -> str:
    """Return the messages of a chat as lines, and its tools with their results."""
    starts = frozenset(at for at, message in enumerate(messages) if message.role == "user")
    return str(JudgedTranscript(tuple(_numbered(_lines(messages, _steps_in(messages), starts)))))


def _steps_in(messages: Sequence[Message]) -> tuple[Step, ...]:
    """Return the calls of tools in messages, in order."""
    try:
        steps = steps_of(messages)
    except ValueError:  # a result without a call
        calls = (step_of(call) for message in messages for call in message.tool_calls)
        results = (Step(kind="tool", name=each.name, result=each.content) for each in messages if each.role == "tool")
        steps = (*calls, *results)
    return tuple(replace(step, turn=None) for step in steps)


_Draft = tuple[int | None, str, str, Mapping[str, Any]]
"""Turn, role, text and record of a line."""


def _numbered(drafts: Iterator[_Draft]) -> Iterator[Line]:
    for n, (turn, role, text, record) in enumerate(drafts, 1):
        yield Line(n, turn, role, text, record)


def _lines(messages: Sequence[Message], steps: Sequence[Step], starts: Collection[int]) -> Iterator[_Draft]:
    """Yield the messages in order, with each step before the answer that followed it.

    Args:
        messages: messages of the whole conversation.
        steps: steps of the conversation; only tools and approvals are shown.
        starts: indices of the messages at which the turns begin.
    """
    left = [step for step in steps if step.kind in ("tool", "approval")]
    if len(starts) == 1:  # the turn may be cut out of a conversation
        left = [replace(step, turn=None if step.turn is None else 1) for step in left]
    turn: int | None = None
    for at, message in enumerate(messages):
        if message.role == "tool":
            continue
        if at in starts:
            yield from _taken(left, [step for step in left if turn is not None and step.turn == turn])
            turn = (turn or 0) + 1
        if message.role == "assistant" and not message.tool_calls:
            yield from _taken(left, [step for step in left if turn is not None and step.turn == turn])
        text = _text(message)
        if text or not message.tool_calls:
            yield turn, message.role, text, {"text": text}
        for _ in message.tool_calls:
            yield from _taken(left, [step for step in left if step.turn in (turn, None)][:1], turn)
    yield from _taken(left, [*left])


def _taken(left: list[Step], steps: Sequence[Step], turn: int | None = None) -> Iterator[_Draft]:
    """Yield lines of some steps, and take these out of those that are left."""
    taken = frozenset(map(id, steps))
    if taken:
        left[:] = [each for each in left if id(each) not in taken]
    for step in steps:
        yield step.turn or turn, "approval" if step.kind == "approval" else "tool", "", _step(step)


def _step(step: Step) -> dict[str, Any]:
    record: dict[str, Any] = {"name": step.name}
    if step.arguments is not None:
        record["arguments"] = step.arguments
    if step.decision is not None:
        record["decision"] = step.decision
    if step.result is not None:
        whole = step.result if isinstance(step.result, str) else as_json(step.result)
        record |= (
            {"result": step.result} if len(whole) <= RESULT_CHARS else {"result": whole[:RESULT_CHARS], "cut": True}
        )
    if step.error is not None:
        record["error"] = step.error
    return record


def _text(message: Message) -> str:
    """Return the text of a message, with the types of its other parts."""
    others = [f"[{part['type']}]" for part in message.parts if part["type"] != "text"]
    return "\n".join(filter(None, [message.content, *others]))


def as_json(value: Any) -> str:
    """Write a value as one line of JSON, also for a reader to whom other characters end a line."""
    return json.dumps(value, ensure_ascii=False).translate(_LINE_BREAKS)
