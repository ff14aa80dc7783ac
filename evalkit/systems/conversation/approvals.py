"""Answer an agent's requests for a person's approval."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from fnmatch import fnmatchcase
from typing import Any

from evalkit.formats.conversation import PlannedApproval
from evalkit.formats.json_values import equal_json
from evalkit.formats.tool_calls import read_arguments
from evalkit.types import Approval, Output, Step

_RECORDED: Mapping[str, Approval] = {
    "approve": "approved",
    "reject": "rejected",
    "edit": "edited",
    "expire": "expired",
}


@dataclass
class Person:
    """Planned answers, each given once, to the first question that it fits."""

    planned: tuple[PlannedApproval, ...]
    used: set[int] = field(default_factory=set)

    def answer(self, interrupt: Mapping[str, Any]) -> PlannedApproval | None:
        """Return the answer to a question, `None` if no planned one fits."""
        tool, arguments = str(interrupt.get("tool", "")), interrupt.get("arguments") or {}
        for at, each in enumerate(self.planned):
            fits = fnmatchcase(tool, each.tool) and all(
                key in arguments and equal_json(arguments[key], value) for key, value in each.arguments.items()
            )
            if fits and at not in self.used:
                self.used.add(at)
                return each
        return None


REJECTED = PlannedApproval("*", "reject")
"""The answer to a question for which none was planned."""


def resume_of(interrupt: Mapping[str, Any], answer: PlannedApproval) -> dict[str, Any]:
    """Return the `resume` argument for the next call of the system."""
    arguments = dict(answer.edited) if answer.decision == "edit" else interrupt.get("arguments")
    return {"id": interrupt.get("id"), "decision": answer.decision, "arguments": arguments}


def approval_step(interrupt: Mapping[str, Any], answer: PlannedApproval, turn: int, at_s: float) -> Step:
    """Return the step of an answered question."""
    resume = resume_of(interrupt, answer)
    identity = interrupt.get("id")
    return Step(
        kind="approval",
        name=str(interrupt.get("tool", "")),
        call_id="" if identity is None else str(identity),
        turn=turn,
        arguments=resume["arguments"],
        started_s=at_s,
        ended_s=at_s,
        decision=_RECORDED[answer.decision],
        recorded_by="evalkit",
        details={"unanswered": True} if answer is REJECTED else {},
    )


def with_question(output: Output) -> Output:
    """Return an answer with the arguments of its interrupt as a mapping, which may have come as JSON text.

    Raises:
        ValueError: they are neither.
    """
    if output.interrupt is None:
        return output
    arguments = read_arguments("interrupt.arguments", output.interrupt.get("arguments"))
    return replace(output, interrupt={**output.interrupt, "arguments": arguments})
