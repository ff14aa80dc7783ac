"""Define the settings of conversations in a suite."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from evalkit.formats.conversation import MOST_TURNS
from evalkit.formats.json_paths import single_path
from evalkit.systems.base import check_seconds
from evalkit.text.patterns import compile_pattern

MOST_STEPS_OF_TURN = 1_000


@dataclass(frozen=True, kw_only=True)
class StopRule:
    """A rule that ends a conversation after an answer; exactly one field is set."""

    state: Literal["expected"] | Mapping[str, Any] | None = None
    """`expected` if everything in the case's `expected_state` must hold, or path -> value, which must all hold."""
    tool: str | None = None
    """A tool that the agent has called; `*` stands for any text."""
    says: str | None = None
    """A regular expression (RE2) that the answer matches."""

    def __post_init__(self) -> None:
        given = [name for name in ("state", "tool", "says") if getattr(self, name) is not None]
        if len(given) != 1:
            raise ValueError("state: give exactly one of `state`, `tool` and `says`; write {tool: transfer_to_human}")
        if self.says is not None and compile_pattern("says", self.says).search(""):
            raise ValueError(f"says: {self.says!r} matches any answer; write what ends the conversation")
        if self.tool == "" or self.state == {}:
            raise ValueError(f"{given[0]}: empty, so it never holds; name a tool, or write {{state: expected}}")
        for path in self.state if isinstance(self.state, Mapping) else ():
            single_path("state", path)


@dataclass(frozen=True, kw_only=True)
class ConversationSettings:
    """Settings of conversations; with them, rows with `turns` or `user` are run as whole conversations."""

    max_turns: int = 10
    """User turns of one conversation."""
    max_steps: int = 30
    """Maximum number of tool calls and approvals within one turn, if evalkit runs the tools or answers for a person."""
    timeout_s: float = 300.0
    """Seconds that a whole conversation may take, without the time of a simulated user; the system's own `timeout_s` is
    for each turn."""
    user: Mapping[str, Any] | None = None
    """The model that plays the user of rows with `user`: `{chat: MODEL}`, or `{chat: {...}}` as for a judge."""
    environment: str | Mapping[str, str] | None = None
    """The tools and their state: a file of mocks, or `{python: module:Class}`."""
    stop_when: tuple[StopRule, ...] = ()
    """Rules that end a conversation early, checked after each answer."""
    unanswered_interrupt: Literal["reject", "end"] = "reject"
    """How to handle an approval request that no entry of the row's `approvals` answers."""
    ended: bool = True
    """Whether to add the metric `ended`, which fails a conversation that was cut off."""

    def __post_init__(self) -> None:
        """Reject values out of range."""
        if not 1 <= self.max_turns <= MOST_TURNS:
            raise ValueError(f"max_turns: expected 1 to {MOST_TURNS}, got {self.max_turns}; try 10")
        if not 1 <= self.max_steps <= MOST_STEPS_OF_TURN:
            raise ValueError(f"max_steps: expected 1 to {MOST_STEPS_OF_TURN}, got {self.max_steps}; try 30")
        check_seconds("timeout_s", self.timeout_s)
        if self.user is not None and set(self.user) != {"chat"}:
            raise ValueError("user: no model given; write {chat: MODEL} or {chat: {model: ..., base_url: ...}}")
        if isinstance(self.environment, Mapping) and set(self.environment) != {"python"}:
            raise ValueError("environment: expected a file of mocks or a class; write {python: envs.shop:Shop}")
