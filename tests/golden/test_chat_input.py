"""A chat as the input of a case is carried whole: to the row, to systems and to the chat endpoint."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from evalkit.golden.fields import to_case
from evalkit.golden.read import open_golden
from evalkit.golden.source import GoldenSource
from evalkit.types import Case, Message, ToolCall

IMAGE = {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}}
CALL = {"id": "c1", "type": "function", "function": {"name": "get_order", "arguments": '{"id": "A-17"}'}}
CHAT: list[dict[str, Any]] = [
    {"role": "developer", "content": "Be kind."},
    {
        "role": "user",
        "name": "ann",
        "content": [{"type": "text", "text": "What is"}, {"type": "text", "text": "this?"}, IMAGE],
    },
    {"role": "assistant", "content": None, "tool_calls": [CALL], "refusal": None, "annotations": []},
    {"role": "tool", "tool_call_id": "c1", "content": "20 EUR"},
    {"role": "assistant", "content": "An order.", "reasoning_content": "looked"},
    {"role": "user", "content": "Refund it."},
]


def case_of(row: dict[str, Any]) -> tuple[Case | None, list[str]]:
    """The case of a row, and what is wrong with it."""
    said: list[str] = []
    return to_case({"id": "a", **row}, "cases.jsonl:1", lambda what, fix: said.append(f"{what}; {fix}")), said


@pytest.mark.parametrize("key", ["input", "messages", "prompt"])
def test_a_chat_is_read_whole(key: str) -> None:
    """Roles, names, parts, calls, ids and keys that only some endpoints know are all kept."""
    case, said = case_of({key: CHAT})
    assert not said and case is not None
    assert case.input == (
        Message("developer", "Be kind."),
        Message("user", "What is\nthis?", name="ann", parts=tuple(CHAT[1]["content"])),
        Message("assistant", "", (ToolCall("get_order", {"id": "A-17"}, "c1"),)),
        Message("tool", "20 EUR", call_id="c1"),
        Message("assistant", "An order.", details={"reasoning_content": "looked"}),
        Message("user", "Refund it."),
    )
    assert case.question == "Refund it."


def test_our_own_form_of_a_call_is_read_too() -> None:
    """A call may be written as in `expected_tool_calls`."""
    call = {"name": "get_order", "arguments": {"id": "A-17"}, "id": "c1"}
    case, said = case_of({"input": [{**CHAT[2], "tool_calls": [call]}, CHAT[5]]})
    assert not said and case is not None
    assert case.input[0] == Message("assistant", "", (ToolCall("get_order", {"id": "A-17"}, "c1"),))


@pytest.mark.parametrize(
    ("message", "said"),
    [
        ({"role": "human", "content": "q"}, "`input[0]` is not a chat message (input[0].role: expected one of system"),
        ({"role": "user", "content": None}, "(input[0].content: expected a string, got None)"),
        ({"role": "user"}, "(input[0].content: expected a string, got None)"),
        ({"role": "user", "content": [{"type": "text"}]}, "(input[0].content[0].text: expected a string, got None)"),
        (
            {"role": "assistant", "tool_calls": [{"name": "f", "arguments": "{"}]},
            "(input[0].tool_calls[0].arguments: not",
        ),
        ({"role": "user", "content": "q", "tool_calls": [CALL]}, "only an assistant calls tools"),
        ("q", "(input[0]: expected {role, content}, got str 'q')"),
    ],
)
def test_a_broken_message_is_named(message: Any, said: str) -> None:
    """The place inside the message, and the form to write."""
    case, (problem,) = case_of({"input": [message]})
    assert case is None
    assert said in problem
    assert problem.endswith("; write {role: system|developer|user|assistant|tool, content: text}")


def test_a_chat_without_a_word_is_refused_and_a_picture_is_a_word() -> None:
    """An image alone may be asked about; white space may not."""
    assert case_of({"input": [{"role": "user", "content": [IMAGE]}]})[1] == []
    assert case_of({"input": [{"role": "user", "content": " "}]})[1] == [
        "`input` is a conversation without text; write the question"
    ]


def test_long_chats_of_a_golden_set_are_read() -> None:
    """The limit on messages of an answer is not one on a case."""
    case, said = case_of({"input": [CHAT[5]] * 700})
    assert not said and case is not None and len(case.input) == 700


def test_two_chats_that_ask_the_same_are_compared(tmp_path: Path) -> None:
    """A chat with a reference is a case like any other; the same chat with another reference is a warning."""
    rows = [{"id": each, "input": [{"role": "user", "content": "q"}], "reference": each} for each in ("a", "b")]
    file = tmp_path / "cases.jsonl"
    file.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    golden = open_golden(GoldenSource(path=file.name), file, file.name)
    assert golden.n_cases == 2
    assert "asks what line 1 asks but has another reference" in str(golden.warnings[0])
