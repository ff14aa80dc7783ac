"""Hand-made conversations: turns with tools, an approval, marks of scorers, and one that failed on the way."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from evalkit.types import Case, Failure, Message, Output, Row, Score, Step, ToolCall, Unscored, Usage

SCRIPT: list[dict[str, Any]] = [
    {"user": "Refund A-17", "expected_tool_calls": [{"name": "get_order", "arguments": {"order_id": "A-17"}}]},
    {"user": "Yes.", "required": ["20"]},
    {"user": "When does it arrive?", "required": ["14 days"]},
]
CASE = Case(
    id="r1", digest="d", input="Refund A-17", fields={"turns": SCRIPT, "state": {"orders": {"A-17": {"total": 20}}}}
)
STEPS = (
    Step(
        kind="tool",
        name="get_order",
        turn=1,
        arguments={"order_id": "A-17"},
        result={"status": "returned", "total": 20},
        started_s=0.01,
        ended_s=0.02,
        recorded_by="evalkit",
    ),
    Step(
        kind="approval",
        name="refund",
        turn=2,
        arguments={"order_id": "A-17", "amount": 20},
        decision="approved",
        recorded_by="evalkit",
    ),
    Step(
        kind="tool",
        name="refund",
        turn=2,
        arguments={"order_id": "A-17", "amount": 200},
        error="more than the order",
        recorded_by="evalkit",
    ),
    Step(kind="llm", name="planner", turn=2, usage=Usage(input_tokens=12, output_tokens=3), recorded_by="system"),
)
SAID = (
    Message("user", "Refund A-17"),
    Message("assistant", "Order of 20 EUR. Refund?", details={"latency_s": 0.5, "contexts": ["Terms of refunds."]}),
    Message("user", "Yes."),
    Message("assistant", "That failed: <b>too much</b>."),
    Message("user", "When does it arrive?"),
    Message("assistant", "Soon.", details={"latency_s": 0.25, "usage": {"input_tokens": 40, "output_tokens": 2}}),
)
OUTPUT = Output(
    text="Soon.",
    trajectory=STEPS,
    tool_calls=(),
    messages=SAID,
    state={"orders": {"A-17": {"total": 20}}},
    stop="script_end",
)
KEYWORDS = Score(
    "keywords",
    0.0,
    False,
    "turn 3: missing '14 days'",
    {
        "turns": [
            {"turn": 2, "value": 1.0, "passed": True, "reason": "holds '20'"},
            {"turn": 3, "value": 0.0, "passed": False, "reason": "missing '14 days'"},
        ]
    },
    turns=((2, 1.0), (3, 0.0)),
)
POLICY = Score(
    "policy",
    0.0,
    False,
    "1 violation; approve: refund (step 3, turn 2) was approved with other arguments",
    {
        "violations": [
            {
                "rule": "approve",
                "step": 3,
                "turn": 2,
                "tool": "refund",
                "what": "was approved with other arguments",
                "why": "money leaves",
                "severity": "high",
            }
        ],
        "n_violations": 1,
    },
)
ROW = Row(case=CASE, output=OUTPUT, scores={"keywords": KEYWORDS, "policy": POLICY})


def before() -> Row:
    """The same conversation of the baseline: only its third answer differs."""
    said = (*SAID[:-1], Message("assistant", "Within 14 days.", details={"latency_s": 0.75}))
    good = Score("keywords", 1.0, True, "turn 2: holds '20'")
    output = replace(OUTPUT, text="Within 14 days.", messages=said)
    return Row(case=CASE, output=output, scores={"keywords": good, "policy": POLICY})


def failed(message: str = "turn 2: no answer within 5 s") -> Row:
    """The conversation where the system failed in its second turn."""
    partial = replace(OUTPUT, text="Order of 20 EUR. Refund?", trajectory=STEPS[:2], messages=SAID[:3], stop=None)
    return Row(case=CASE, failure=Failure("timeout", message, partial))


def unread() -> Row:
    """The conversation whose second turn a judge could not grade."""
    grade = Unscored("tone", "judge_error", "turn 2: the reply had no score")
    return Row(case=CASE, output=OUTPUT, scores={"tone": grade})


def long_row(n_steps: int, *, violations: tuple[int, ...] = ()) -> Row:
    """The conversation with so many steps in its second turn."""
    many = tuple(
        Step(kind="tool", name="look", turn=2, arguments={"page": page}, result={"page": page}, recorded_by="evalkit")
        for page in range(n_steps)
    )
    found = [{"rule": "no_blind_retry", "step": at + 2, "turn": 2} for at in violations]
    score = Score("policy", 0.0, False, f"{len(found)} violations", {"violations": found})
    return Row(case=CASE, output=replace(OUTPUT, trajectory=(STEPS[0], *many)), scores={"policy": score})


def chat_row() -> Row:
    """A chat whose messages hold the calls and their results, after a history of two messages."""
    history = (Message("user", "Hello"), Message("assistant", "Hello, how can I help?"))
    asked = (*history, Message("user", "Two orders"))
    said = (
        *asked,
        Message("assistant", "Let me look.", (ToolCall("get", {"id": 1}, "c1"), ToolCall("get", {"id": 2}, "c2"))),
        Message("tool", "one", call_id="c1"),
        Message("tool", "two", call_id="c2"),
        Message("assistant", "", (ToolCall("close", {}, "c3"),)),
        Message("tool", "Error: not allowed", call_id="c3"),
        Message("assistant", "Done."),
    )
    return Row(case=Case(id="chat", digest="e", input=asked), output=Output(text="Done.", messages=said))
