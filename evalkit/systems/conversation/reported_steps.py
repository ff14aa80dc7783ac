"""Take the steps of one turn from what a system reports."""

from __future__ import annotations

from dataclasses import replace

from evalkit.formats.steps import step_of, steps_of
from evalkit.types import Output, Step


def steps_of_turn(output: Output, turn: int, began_s: float) -> list[Step] | None:
    """Return the steps of one turn from an answer, which may report the whole conversation so far.

    Args:
        output: the answer.
        turn: counted from 1.
        began_s: seconds from the beginning of the conversation to this call, which its times are counted from.
    """
    messages, steps = output.messages, output.trajectory
    if messages is not None:
        last_user = max((at for at, message in enumerate(messages) if message.role == "user"), default=-1)
        steps = steps_of(messages[last_user + 1 :])
    elif steps is not None:
        steps = tuple(step for step in steps if step.turn in (None, turn))
    elif output.tool_calls is not None:
        steps = tuple(map(step_of, output.tool_calls))
    return None if steps is None else [_in_turn(step, turn, began_s) for step in steps]


def _in_turn(step: Step, turn: int, began_s: float) -> Step:
    started_s, ended_s = (None if time is None else time + began_s for time in (step.started_s, step.ended_s))
    # Ids are the system's own, and it may count anew in each turn.
    own_id, parent = (f"{turn}.{each}" if each else each for each in (step.id, step.parent))
    return replace(step, turn=turn, started_s=started_s, ended_s=ended_s, id=own_id or "", parent=parent)
