"""Encode a conversation for the page of a case, with the parts of the baseline's that differ."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from evalkit.report.steps import SHOWN_STEPS, entries_shown, marks_shown, turn_shown
from evalkit.report.transcript import TurnShown, held, transcript_of
from evalkit.types import Row

SAME = 1
"""Replaces a turn or an end of the baseline that has not changed."""
_PASSING = {"started_s", "ended_s", "latency_s", "usage", "id", "call_id", "parent", "recorded_by"}
"""Keys that may differ between two equal turns."""


def conversation_shown(row: Row) -> dict[str, Any] | None:
    """Return the turns of a conversation, `None` if the row holds none.

    `by` says who recorded the steps if it is the same for all; else each step that evalkit recorded says so.
    """
    found = transcript_of(row, SHOWN_STEPS)
    output = held(row)
    if found is None or output is None:
        return None
    recorders = {step.recorded_by for step in output.trajectory or ()} or {"system"}
    left_out = {"turn", "recorded_by"} if len(recorders) == 1 else {"turn"}
    shown: dict[str, Any] = {"turns": [_turn(turn, left_out) for turn in found.turns]}
    if found.history:
        shown["history"] = [turn_shown(message) for message in found.history]
    if found.loose:
        shown["loose"] = entries_shown(found.loose)
    if len(recorders) == 1 and any(isinstance(entry, dict) for turn in shown["turns"] for entry in turn["entries"]):
        shown["by"] = recorders.pop()
    return shown


def changed_conversation(before: Mapping[str, Any], now: Mapping[str, Any]) -> dict[str, Any]:
    """Return the baseline's output with `SAME` for each turn and each end of its conversation that has not changed.

    The steps of an answer that is not a conversation are left out: the page shows those of the current output.

    Args:
        before: the baseline's output on the page, or the part of its conversation before it failed.
        now: the output of the current run; empty if there is none.
    """
    if "conversation" not in before:
        return {key: value for key, value in before.items() if key != "did"}
    if "conversation" not in now:
        return dict(before)
    conversation, turns = before["conversation"], now["conversation"]["turns"]
    less = [
        SAME if at < len(turns) and _steady(turn) == _steady(turns[at]) else turn
        for at, turn in enumerate(conversation["turns"])
    ]
    did = {key: SAME if now.get("did", {}).get(key) == value else value for key, value in before.get("did", {}).items()}
    return {**before, "conversation": {**conversation, "turns": less}, **({"did": did} if did else {})}


def _turn(turn: TurnShown, left_out: Collection[str]) -> dict[str, Any]:
    entries = [
        {key: value for key, value in entry.items() if key not in left_out} if isinstance(entry, dict) else entry
        for entry in entries_shown(turn.entries)
    ]
    shown: dict[str, Any] = {"entries": entries}
    if turn.marks:
        shown["marks"] = marks_shown(turn.marks)
    if not turn.reached:
        shown["missed"] = True
    return shown


def _steady(value: Any) -> Any:
    """Return a value without the parts that differ in every run: times, tokens and ids."""
    if isinstance(value, dict):
        return {key: _steady(each) for key, each in value.items() if key not in _PASSING}
    return [_steady(each) for each in value] if isinstance(value, list) else value
