"""Grade how a conversation ended."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from evalkit.formats.conversation import conversation_of
from evalkit.formats.turns import turn_starts
from evalkit.text.numbers import plural
from evalkit.text.values import key_names, one_line
from evalkit.types import Case, Metric, Output, Score, Unscored

CUT_OFF = ("max_turns", "max_steps", "interrupt")
"""Values of `stop` for a conversation that was cut off; the metric `ended` is then 0."""


@dataclass(frozen=True)
class ConversationEnded:
    """Fail a conversation that was cut off, left a request open, or was ended early by the agent."""

    version: ClassVar[str] = "1"
    without_text: ClassVar[bool] = True
    name: ClassVar[str] = "ended"
    metrics: ClassVar[tuple[Metric, ...]] = (Metric("ended", binary=True),)
    needs: ClassVar[frozenset[str]] = frozenset()

    def score(self, case: Case, output: Output) -> Score | Unscored:
        """Grade by why the conversation ended."""
        if output.stop is None:
            return Unscored(self.name, "missing_stop", "the answer does not say why the conversation ended")
        if output.stop == "agent_done":
            left = len(conversation_of(case).turns) - len(turn_starts(case, output.messages or ()))
            if left > 0:
                return Score(self.name, 0.0, False, f"the agent ended it with {plural(left, 'scripted turn')} left")
        passed = output.stop not in CUT_OFF
        reason = f"the conversation ended with {output.stop}{_open_request(output)}"
        return Score(self.name, float(passed), passed, reason)


def _open_request(output: Output) -> str:
    """Return what the agent asked for, if nobody answered it."""
    if output.stop != "interrupt" or output.interrupt is None:
        return ""
    tool = output.interrupt.get("tool")
    if tool:
        return f": nobody answered the request for {one_line(tool, 60)}"
    return f": nobody answered a request that names no `tool`; it has {key_names(output.interrupt)}"
