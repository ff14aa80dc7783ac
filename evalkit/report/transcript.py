"""Lay out a conversation turn by turn: the messages, the steps in between, and the marks of scorers."""

from __future__ import annotations

from bisect import bisect_left
from collections import defaultdict
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace

from evalkit.formats.conversation import conversation_of
from evalkit.formats.labelled_text import shown_text
from evalkit.formats.steps import step_of, steps_of
from evalkit.formats.turns import turn_starts
from evalkit.report.marks import Mark, marks_of
from evalkit.types import Message, Output, Row, Score, Step, ToolCall, Unscored

_MOST_NAMED = 50
"""Maximum number of steps of one turn that are kept because a scorer names them."""


@dataclass(frozen=True, slots=True)
class Acted:
    """A step with its marks."""

    step: Step
    marks: tuple[Mark, ...] = ()


@dataclass(frozen=True, slots=True)
class Hidden:
    """A number of omitted steps."""

    n_steps: int


Entry = Message | Acted | Hidden


@dataclass(frozen=True, slots=True)
class TurnShown:
    """One user turn: the message of the user, then steps and messages in their order."""

    number: int
    """Counted from 1."""
    entries: tuple[Entry, ...]
    marks: tuple[Mark, ...] = ()
    reached: bool = True
    """False for a scripted turn that was not reached."""


@dataclass(frozen=True, slots=True)
class Transcript:
    """A conversation in the order in which people read it."""

    history: tuple[Message, ...]
    """Messages before the first turn."""
    turns: tuple[TurnShown, ...]
    loose: tuple[Entry, ...] = ()
    """Steps whose turn is unknown."""

    @property
    def last(self) -> int:
        """Number of the last turn that took place."""
        return max((turn.number for turn in self.turns if turn.reached), default=0)


def exchange(row: Row, number: int | None) -> tuple[str, str] | None:
    """Return the user's message and the answer of a turn (empty if there is none), `None` if there is no such turn."""
    output, scripted = held(row), conversation_of(row.case).turns
    if number is None or (output is not None and not output.messages):
        return None
    messages = (output.messages or ()) if output is not None else ()
    starts = turn_starts(row.case, messages)
    if not 1 <= number <= len(starts):
        return (scripted[number - 1].user, "") if 1 <= number <= len(scripted) else None
    start, *after = messages[starts[number - 1] : (*starts, len(messages))[number]]
    said = [message.content for message in after if message.role == "assistant" and message.content.strip()]
    return start.content, said[-1] if said else ""


def answered(row: Row, number: int | None) -> str:
    """Return the answer of a row or of one turn of a conversation; empty if there is none."""
    found = exchange(row, number)
    return found[1] if found is not None else shown_text(row.output) if row.output is not None else ""


def held(row: Row) -> Output | None:
    """Return the output of a row, or the part of a conversation before it failed."""
    return row.output or (row.failure.partial if row.failure is not None else None)


def transcript_of(row: Row, most_steps: int) -> Transcript | None:
    """Return the conversation of a row, `None` if its messages are unknown.

    Args:
        row: a conversation that ended, or that failed on the way.
        most_steps: steps that are kept. Each turn keeps a fair share, and every step that a scorer names.
    """
    output = held(row)
    messages = (output.messages or ()) if output is not None else ()
    starts = turn_starts(row.case, messages)
    if output is None or not starts:
        return None
    steps = _steps(output, messages[starts[0] :])
    marks = marks_of(row.scores.values())
    spans = zip(starts, [*starts[1:], len(messages)], strict=True)
    said = [messages[start:end] for start, end in spans]
    by_turn, loose = _by_turn(_acted(steps, marks), said)
    held_turns = [_in_order(turn, by_turn[number]) for number, turn in enumerate(said, 1)]
    turns = _cut([*held_turns, loose], most_steps)
    rest = turns.pop()
    missed: list[list[Entry]] = [[Message("user", turn.user)] for turn in conversation_of(row.case).turns[len(turns) :]]
    at_turn: dict[int | None, list[Mark]] = defaultdict(list)
    for mark in marks:
        if mark.step is None or not 0 <= mark.step < len(steps):
            at_turn[mark.turn].append(mark)
    shown = [
        TurnShown(number, tuple(entries), tuple(at_turn[number]), reached=number <= len(turns))
        for number, entries in enumerate([*turns, *missed], 1)
    ]
    return Transcript(tuple(messages[: starts[0]]), tuple(shown), tuple(rest))


def acted_in(steps: Sequence[Step], grades: Iterable[Score | Unscored], most_steps: int) -> list[Entry]:
    """Return the steps of an answer with their marks: at most `most_steps`, and those that a scorer names."""
    return _cut([_acted(steps, marks_of(grades))], most_steps)[0]


def _steps(output: Output, messages: Sequence[Message]) -> Sequence[Step]:
    """Return the steps; calls that are not among them come first, because scorers count from the first call."""
    steps, calls = output.trajectory or (), output.tool_calls or ()
    if any(step.kind == "tool" for step in steps):
        return steps
    if any(message.tool_calls for message in messages):
        with suppress(ValueError):  # a message answers a call that nobody made
            return [*(step for step in steps_of(messages) if step.kind == "tool"), *steps]
    return [*map(step_of, calls), *steps]


def _acted(steps: Sequence[Step], marks: Iterable[Mark]) -> list[Acted]:
    at_step: dict[int | None, list[Mark]] = defaultdict(list)
    for mark in marks:
        at_step[mark.step].append(mark)
    return [Acted(step, tuple(at_step.get(at, ()))) for at, step in enumerate(steps)]


def _by_turn(acted: Iterable[Acted], said: Sequence[Sequence[Message]]) -> tuple[dict[int, list[Acted]], list[Entry]]:
    """Return the steps of each turn, and those whose turn is unknown."""
    calls = {
        call.id: number
        for number, turn in enumerate(said, 1)
        for message in turn
        for call in message.tool_calls
        if call.id
    }
    by_turn: dict[int, list[Acted]] = defaultdict(list)
    loose: list[Entry] = []
    for each in acted:
        turn = each.step.turn or (1 if len(said) == 1 else calls.get(each.step.call_id, 0))
        if 1 <= turn <= len(said):
            by_turn[turn].append(each)
        else:
            loose.append(each)
    return by_turn, loose


def _in_order(messages: Sequence[Message], steps: Sequence[Acted]) -> list[Entry]:
    """Insert the steps of a turn at the message that asks for them, else before the answer."""
    order = _Order(steps)
    answer = max((at for at, message in enumerate(messages) if message.role == "assistant"), default=-1)
    open_calls: set[str] = set()
    for at, message in enumerate(messages):
        if message.role == "assistant":
            order.say(message, is_answer=at == answer)
            open_calls |= {call.id for call in message.tool_calls if not order.call(call)}
        elif message.role != "tool" or message.call_id in open_calls:  # the others are results of steps
            order.entries.append(message)
    order.take(len(steps))
    return order.entries


class _Order:
    """Steps of a turn that are not placed yet."""

    def __init__(self, steps: Sequence[Acted]) -> None:
        self.entries: list[Entry] = []
        self._steps, self._next = steps, 0
        self._places: dict[tuple[str, str], list[int]] = defaultdict(list)
        for at, step in enumerate(each.step for each in steps):
            if step.kind == "tool":
                self._places["name", step.name].append(at)
                self._places["call", step.call_id].append(at)
            elif step.kind == "llm" and isinstance(step.result, str | None):
                self._places["said", step.result or ""].append(at)

    def take(self, end: int) -> None:
        """Add the waiting steps before `end`."""
        self.entries += self._steps[self._next : end]
        self._next = max(self._next, end)

    def say(self, message: Message, *, is_answer: bool) -> None:
        """Add the assistant's message; a model step with the same text is shown without it."""
        at = self._find("said", message.content)
        if at is not None and (message.content or at == self._next):
            self.take(at)
            self._next += 1
            quiet = replace(self._steps[at].step, result=None)
            if self._steps[at].marks or quiet != Step(kind="llm", name=quiet.name, turn=quiet.turn):
                self.entries.append(Acted(quiet, self._steps[at].marks))
        elif is_answer and not message.tool_calls:
            self.take(len(self._steps))
        if message.content or (is_answer and not message.tool_calls):
            self.entries.append(replace(message, tool_calls=()))

    def call(self, call: ToolCall) -> bool:
        """Add the step of a call and those before it, or the call alone; return whether it has a step."""
        if call.id and any(at < self._next for at in self._places.get(("call", call.id), ())):
            return True  # shown already, before a message with the text of a later step
        at = self._find("call", call.id) if call.id else None
        if at is None:
            at = self._find("name", call.name)
        if at is None:
            self.entries.append(Acted(step_of(call)))
            return False
        self.take(at + 1)
        return True

    def _find(self, what: str, value: str) -> int | None:
        places = self._places.get((what, value), [])
        at = bisect_left(places, self._next)
        return places[at] if at < len(places) else None


def _cut(turns: Sequence[Sequence[Entry]], most: int) -> list[list[Entry]]:
    """Leave out steps beyond `most`; room that turns with few steps do not use goes to those with many."""
    counts = [sum(isinstance(entry, Acted) for entry in turn) for turn in turns]
    share = most // max(1, len(turns))
    spare = most - sum(min(count, share) for count in counts)
    cut: list[list[Entry]] = []
    for turn, count in zip(turns, counts, strict=True):
        more = min(spare, max(0, count - share))
        spare -= more
        cut.append(_first(turn, share + more))
    return cut


def _first(entries: Sequence[Entry], most: int) -> list[Entry]:
    """Keep the first `most` steps and those with marks, and count omitted steps at their position."""
    kept: list[Entry] = []
    named = _MOST_NAMED
    for entry in entries:
        most -= isinstance(entry, Acted)
        if not isinstance(entry, Acted) or most >= 0:
            kept.append(entry)
        elif entry.marks and named:
            named -= 1
            kept.append(entry)
        elif kept and isinstance(kept[-1], Hidden):
            kept[-1] = Hidden(kept[-1].n_steps + 1)
        else:
            kept.append(Hidden(1))
    return kept
