"""Count the calls that the conversations of a run will make."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from evalkit.formats.conversation import Conversation, conversation_of
from evalkit.formats.turns import n_turns
from evalkit.operations.span import Span
from evalkit.suite.model import Suite
from evalkit.systems import CALLED
from evalkit.systems.chat import ChatSystem
from evalkit.types import Case, Row


@dataclass(frozen=True)
class ConversationCalls:
    """Calls of the system and of the simulated user."""

    system: Span
    """Calls of the system; without conversations, one for each row."""
    user: Span
    """Calls of the simulated user, without repairs of replies."""
    n_simulated: int
    """Rows with a simulated user."""

    def __add__(self, other: ConversationCalls) -> ConversationCalls:
        """Add the calls of another system."""
        n_simulated = self.n_simulated + other.n_simulated
        return ConversationCalls(self.system + other.system, self.user + other.user, n_simulated)


def single_calls(n_rows: int) -> ConversationCalls:
    """Return the calls of rows that are single questions."""
    return ConversationCalls(Span.exactly(n_rows), Span.exactly(0), 0)


def conversation_calls(
    suite: Suite, rows: Iterable[tuple[Case, int]], typical: Sequence[Row] = ()
) -> ConversationCalls:
    """Count calls turn by turn; scripts have a known length, but a simulated user may end at any turn.

    Args:
        suite: suite with the settings of conversations.
        rows: cases, with the number of repeats to run.
        typical: rows of an earlier run; the mean length of their simulated conversations is the likely value.
    """
    conversation = suite.conversation
    if conversation is None or not isinstance(suite.system, CALLED):
        return single_calls(sum(repeats for _, repeats in rows))
    settings, likely = conversation.settings, _mean_turns(typical)
    runs_tools = settings.environment is not None and isinstance(suite.system, ChatSystem)
    system = user = Span.exactly(0)
    n_simulated = 0
    for case, repeats in rows:
        planned = conversation_of(case)
        turns = _turns(planned, settings.max_turns, likely)
        if planned.user is not None:
            n_simulated += repeats
            opening = Span.exactly(-1 if planned.user.opening is not None else 0)
            user += (turns + opening).times(repeats)
        if runs_tools:  # the model is called again after each of its tools
            turns = Span(turns.low, None, None if turns.high is None else turns.high * (1 + settings.max_steps))
        system += turns.times(repeats)
    return ConversationCalls(system, user, n_simulated)


def _turns(planned: Conversation, max_turns: int, likely: float | None) -> Span:
    if planned.user is None:
        return Span.exactly(min(len(planned.turns), max_turns))
    return Span(1, None if likely is None else min(likely, max_turns), max_turns)


def _mean_turns(rows: Sequence[Row]) -> float | None:
    """Return the mean number of turns of conversations with a simulated user; `None` without such conversations."""
    simulated = [(row.case, row.output) for row in rows if row.output is not None and row.output.user_usage]
    counts = [count for count in (n_turns(*each) for each in simulated) if count is not None]
    return sum(counts) / len(counts) if counts else None
