"""Extract the steps of one turn from an answer."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import replace

from evalkit.formats.json_values import json_text
from evalkit.formats.steps import CLAIMED, step_of, steps_of
from evalkit.types import Output, Step


def reported_in(output: Output) -> tuple[Step, ...] | None:
    """Return the steps that an answer reports, `None` if it reports none.

    Only messages after the user's last one count, because an answer may hold the whole conversation so far. Tool calls
    reported separately are added if the messages or steps contain none.
    """
    messages, steps, calls = output.messages, output.trajectory, output.tool_calls
    if messages is not None and (steps is None or steps == steps_of(messages)):
        last_user = max((at for at, message in enumerate(messages) if message.role == "user"), default=-1)
        steps = steps_of(messages[last_user + 1 :])
        if not any(step.kind == "tool" for step in steps) and not any(message.tool_calls for message in messages):
            steps += tuple(map(step_of, calls or ()))
    elif steps is None and calls is not None:
        steps = tuple(map(step_of, calls))
    elif steps is not None and not any(step.kind == "tool" for step in steps):
        steps += tuple(map(step_of, calls or ()))
    return steps


def new_steps(reported: Sequence[Step], turn: int, earlier: Collection[Step]) -> list[Step]:
    """Return the steps of an answer that belong to this turn.

    An agent may report all steps so far with their turns, or restart its turn numbers in each answer. So a step of
    another turn belongs to this one unless an earlier answer has reported it.

    Args:
        reported: the steps of the answer.
        turn: counted from 1.
        earlier: the steps that earlier answers reported.
    """
    known = {_key(step) for step in earlier}
    return [step for step in reported if step.turn in (None, turn) or _key(step) not in known]


def _key(step: Step) -> str:
    return json_text([step.kind, step.name, step.id, step.call_id, step.turn, step.arguments, step.started_s])


def unmatched(reported: Sequence[Step], recorded: Sequence[Step], tools: Collection[str]) -> list[Step]:
    """Return the steps that evalkit has not recorded itself; a call that was only claimed becomes an error.

    Each recorded call stands for one reported call of the same tool, whose arguments the agent may have completed.

    Args:
        reported: steps reported by the system.
        recorded: calls of the environment during the same call of the system.
        tools: names of the environment's tools.
    """
    waiting = [step.name for step in recorded]
    left = []
    for step in reported:
        if step.kind == "tool" and step.name in waiting:
            waiting.remove(step.name)
        elif step.kind == "tool" and step.name in tools and step.error is None:
            left.append(replace(step, error=CLAIMED))
        else:
            left.append(step)
    return left


def in_turn(step: Step, turn: int, began_s: float) -> Step:
    """Return a step with the turn and times of the conversation.

    Args:
        step: step of an answer.
        turn: counted from 1.
        began_s: seconds from the beginning of the conversation to the call; the times of the step are relative to the
            call.
    """
    started_s, ended_s = (None if time is None else time + began_s for time in (step.started_s, step.ended_s))
    # Ids are the system's own, and it may restart them in each turn.
    own_id, parent = (f"{turn}.{each}" if each else each for each in (step.id, step.parent))
    return replace(step, turn=turn, started_s=started_s, ended_s=ended_s, id=own_id or "", parent=parent)
