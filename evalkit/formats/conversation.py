"""Read the user's side of a conversation from the fields of a golden row."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from evalkit.errors import what_and_fix
from evalkit.formats.contexts import read_contexts
from evalkit.formats.fields import check_keys, read_mapping, read_text
from evalkit.text.values import shown
from evalkit.types import Case

MOST_TURNS = 100
"""Maximum number of user turns in one conversation."""
DURING = ("session", "message", "turn", "environment", "resume")
"""Names of the arguments that a system gets in a conversation; no field of a row may have one of them."""
_OF_A_ROW = ("input", "turns", "id", "checks", "kind", "severity", "cohorts", "cluster", "state", "approvals")
"""Fields that only a whole row can have, not a turn."""
_NOT_OF_A_TURN = frozenset((*DURING, *_OF_A_ROW))
_DECISIONS = ("approve", "reject", "edit", "expire")
Complain = Callable[[str, str], None]
"""Function that is called with a problem and its fix."""


@dataclass(frozen=True, slots=True)
class Turn:
    """A message of a scripted user, with the expectations for its answer."""

    user: str
    expect: Mapping[str, Any] = field(default_factory=dict)
    """Case fields of this turn alone: `reference`, `required`, `expected_tool_calls` ..."""


@dataclass(frozen=True, slots=True)
class SimulatedUser:
    """Instructions for the model that plays the user."""

    goal: str
    persona: str = ""
    facts: Mapping[str, str] = field(default_factory=dict)
    """Facts that the user knows and may mention if asked."""
    opening: str | None = None
    """The first message; `None` if the model writes it."""


@dataclass(frozen=True, slots=True)
class PlannedApproval:
    """A person's planned answer to an approval request; used once, for the first request that it fits."""

    tool: str
    """Name of the tool, or a pattern such as `refund*`."""
    decision: Literal["approve", "reject", "edit", "expire"]
    arguments: Mapping[str, Any] = field(default_factory=dict)
    """Arguments that the call has at least."""
    edited: Mapping[str, Any] = field(default_factory=dict)
    """Arguments that replace the requested ones if the decision is `edit`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Conversation:
    """The user's side of a case: scripted turns, or a simulated user."""

    turns: tuple[Turn, ...] = ()
    user: SimulatedUser | None = None
    state: Mapping[str, Any] | None = None
    """The state that the environment starts with."""
    approvals: tuple[PlannedApproval, ...] = ()

    @property
    def opening(self) -> str:
        """The user's first message, or the goal of a simulated user whose model writes that message."""
        if self.turns:
            return self.turns[0].user
        return "" if self.user is None else self.user.opening or self.user.goal


def read_conversation(row: Mapping[str, Any], complain: Complain) -> Conversation:
    """Return the user's side of a row, calling `complain` for each field that cannot be read.

    Args:
        row: a golden row, or the fields of a case.
        complain: called with a problem and its fix.
    """

    def tried(read: Callable[[Any], Any], name: str, fix: str) -> Any:
        if row.get(name) in (None, ""):
            return None
        try:
            return read(row[name])
        except ValueError as error:
            complain(*what_and_fix(error, fix))
            return None

    return Conversation(
        turns=tried(_turns, "turns", 'write [{"user": "..."}]') or (),
        user=tried(_user, "user", 'write {"goal": "..."}'),
        state=tried(lambda value: read_mapping("`state`", value), "state", "write an object"),
        approvals=tried(_approvals, "approvals", 'write [{"tool": "...", "decision": "approve"}]') or (),
    )


def conversation_of(case: Case) -> Conversation:
    """Return the user's side of a validated case; a plain input is a conversation of one turn."""
    found = read_conversation(case.fields, lambda what, fix: None)
    return (
        found
        if found.turns or found.user
        else Conversation(turns=(Turn(case.question),), state=found.state, approvals=found.approvals)
    )


def _turns(value: Any) -> tuple[Turn, ...]:
    if not isinstance(value, list) or not value:
        raise ValueError(f"`turns`: expected a list of turns, got {shown(value)}")
    if len(value) > MOST_TURNS:
        raise ValueError(f"`turns`: {len(value)} turns, at most {MOST_TURNS} are read; split the case")
    return tuple(_turn(f"`turns[{at}]`", each) for at, each in enumerate(value))


def _turn(place: str, value: Any) -> Turn:
    if not isinstance(value, Mapping) or not isinstance(value.get("user"), str):
        raise ValueError(f"{place}: expected {{user: text}} with what is expected, got {shown(value)}")
    if not value["user"].strip():
        raise ValueError(f"{place}: the user says nothing; write the message")
    taken = [key for key in value if key in _NOT_OF_A_TURN]
    if taken:
        raise ValueError(f"{place}: `{taken[0]}` cannot be set for a single turn; move it beside `turns`, or remove it")
    _check_texts(place, value)
    return Turn(value["user"], {key: each for key, each in value.items() if key != "user"})


def _check_texts(place: str, turn: Mapping[str, Any]) -> None:
    reference = turn.get("reference")
    texts = [reference] if isinstance(reference, str) else reference
    if reference is not None and not (isinstance(texts, list) and all(isinstance(text, str) for text in texts)):
        what = f"{place}.reference: expected a text or a list of texts, got {shown(reference)}"
        raise ValueError(f"{what}; quote each text")
    if turn.get("contexts") is not None:
        try:
            read_contexts("contexts", turn["contexts"])
        except ValueError as error:
            raise ValueError(f'{place}.{error}; write ["..."]') from None


def _user(value: Any) -> SimulatedUser:
    found = read_mapping("`user`", value) or {}
    check_keys("`user`: ", found, ("goal", "persona", "facts", "opening"))
    goal = read_text("`user.goal`", found.get("goal"))
    if not goal.strip():
        raise ValueError("`user.goal`: empty; write what the user wants")
    facts = read_mapping("`user.facts`", found.get("facts")) or {}
    opening = found.get("opening")
    if isinstance(opening, str) and not opening.strip():
        raise ValueError("`user.opening`: empty; write the first message, or leave it out")
    return SimulatedUser(
        goal,
        read_text("`user.persona`", found.get("persona", "")),
        {str(name): read_text(f"`user.facts.{name}`", each) for name, each in facts.items()},
        None if opening is None else read_text("`user.opening`", opening),
    )


def _approvals(value: Any) -> tuple[PlannedApproval, ...]:
    if not isinstance(value, list):
        raise ValueError(f"`approvals`: expected a list, got {shown(value)}")
    return tuple(_approval(f"`approvals[{at}]`", each) for at, each in enumerate(value))


def _approval(place: str, value: Any) -> PlannedApproval:
    found = read_mapping(place, value) or {}
    check_keys(f"{place}: ", found, ("tool", "decision", "arguments", "edited"))
    decision = found.get("decision")
    if decision not in _DECISIONS:
        raise ValueError(f"{place}: `decision` is {shown(decision)}; choose from {', '.join(_DECISIONS)}")
    edited = read_mapping(f"{place}.edited", found.get("edited"))
    if (decision == "edit") != (edited is not None):
        raise ValueError(f"{place}: `edited` goes with the decision `edit`; write the new arguments there")
    return PlannedApproval(
        read_text(f"{place}.tool", found.get("tool")),
        decision,
        read_mapping(f"{place}.arguments", found.get("arguments")) or {},
        edited or {},
    )
