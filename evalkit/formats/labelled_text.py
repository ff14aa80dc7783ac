"""Find the text that a label is about, and the one that people see."""

from __future__ import annotations

import json

from evalkit.formats.turns import has_several_turns
from evalkit.types import Case, Output


def labelled_text(case: Case, output: Output) -> str:
    """Return the text whose hash binds a label: the answer, or all of a conversation.

    For a conversation of several turns, or of one turn with tool calls, the text holds the messages and the arguments
    of tool calls, so that a label never matches another conversation that ends with the same words. The answer to a
    chat is one text, whatever calls led to it.
    """
    did = [[step.name, step.arguments, step.error] for step in output.trajectory or () if step.kind == "tool"]
    scripted = bool(case.fields.get("turns") or case.fields.get("user"))
    if not has_several_turns(case, output) and not (scripted and did):
        return output.text
    messages = [each for each in output.messages or () if each.role in ("user", "assistant")]
    said = [[message.role, message.content] for message in messages]
    return json.dumps([said, did], ensure_ascii=False, sort_keys=True)


def shown_text(output: Output) -> str:
    """Return the text of an answer as reports show it."""
    return output.text if output.text_known else "(the text of the answer is unknown)"
