"""The metric `ended` says why a conversation was cut off."""

from __future__ import annotations

from typing import Any

import pytest

from evalkit.scorers.agents.ended import ConversationEnded
from evalkit.types import Case, Output


@pytest.mark.parametrize(
    ("interrupt", "reason"),
    [
        (
            {"id": "1", "tool": "refund"},
            "the conversation ended with interrupt: nobody answered the request for refund",
        ),
        (
            {"id": "1", "name": "refund"},
            "the conversation ended with interrupt: nobody answered a request that names no `tool`; it has id, name",
        ),
        (None, "the conversation ended with interrupt"),
    ],
)
def test_an_open_request_is_named(interrupt: dict[str, Any] | None, reason: str) -> None:
    """A request without `tool` fits no approval of a row, so the keys that it has are shown."""
    ended = ConversationEnded().score(Case(id="c", input="x"), Output(text="", stop="interrupt", interrupt=interrupt))
    assert (getattr(ended, "value", None), ended.reason) == (0.0, reason)
