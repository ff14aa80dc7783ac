"""An agent at the desk of a library: it renews loans, and waives fees if a librarian agrees. Put your agent here."""

import re
from collections.abc import Mapping, Sequence
from typing import Any

import evalkit

NEEDS_APPROVAL = {"waive_fee"}
"""Tools that a librarian has to agree to."""


def answer(
    input: Sequence[Mapping[str, str]], environment: Any, resume: Mapping[str, Any] | None = None
) -> str | dict[str, Any]:
    """Answer the last message of a conversation.

    Args:
        input: the messages so far.
        environment: runs the tools, here those of `mocks.yaml`.
        resume: decision of a person, if the previous answer asked for one.
    """
    said = " ".join(message["content"] for message in input if message["role"] == "user").lower()
    found = re.search(r"\bl-\d+\b", said)
    if found is None:
        return "Which loan is it, please? Its number begins with L-."
    loan_id = found[0].upper()
    if "fee" in said:
        return waive(loan_id, environment, resume)
    try:
        loan = environment.call("get_loan", {"loan_id": loan_id})
    except evalkit.ToolError:
        return f"I cannot find a loan {loan_id}."
    if loan["renewed"]:
        return f"{loan_id} was renewed before and cannot be renewed again."
    due = environment.call("renew", {"loan_id": loan_id})["due"]
    return f"{loan_id} is due on {due}."


def waive(loan_id: str, environment: Any, resume: Mapping[str, Any] | None) -> str | dict[str, Any]:
    """Waive the fee of a loan."""
    arguments = {"loan_id": loan_id}
    if resume is None:
        environment.call("get_loan", arguments)
        if "waive_fee" in NEEDS_APPROVAL:
            return {"text": "", "interrupt": {"id": loan_id, "tool": "waive_fee", "arguments": arguments}}
    elif resume["decision"] != "approve":
        return f"The librarian did not agree, so the fee of {loan_id} stays."
    environment.call("waive_fee", arguments, call_id=loan_id)
    return f"The fee of {loan_id} is waived."
