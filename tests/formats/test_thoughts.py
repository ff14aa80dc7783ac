"""Thoughts of reasoning models, in the forms in which servers give them."""

from __future__ import annotations

import pytest

from evalkit.formats.thoughts import without_thoughts


@pytest.mark.parametrize(
    "text",
    [
        "<think>Lyon?</think>Paris",
        "\n<think>\nLyon?\n</think>\n\nParis",
        "<thinking>Lyon?</thinking> Paris",
        "<THINK>Lyon?</THINK>\nParis",
        "<thought>Lyon?</thought>Paris",
        "[THINK]Lyon?[/THINK]Paris",
        "<think></think>\n\nParis",
        "<think>one</think>\n<think>two</think>\nParis",
        "<think>a <think>b</think> c</think>Paris",
        "<think>The tag <think> opens thoughts.</think>Paris",
        "Lyon? No.</think>Paris",
        "</think>\n\nParis",
        'Maybe {"city": "Lyon"}, no.\n</think>\nParis',
        "Lyon? No.[/THINK]Paris",
    ],
)
def test_the_answer_is_what_follows_the_thoughts(text: str) -> None:
    """Tags of any spelling, repeated or nested blocks, and a draft that the chat template opened."""
    assert without_thoughts(text) == "Paris"


@pytest.mark.parametrize(
    "text",
    [
        "Paris",
        "  Paris \n",
        "Write <think>your plan</think> first.",
        "The tag `</think>` ends the thoughts.",
        'It prints "</think>" at the end.',
        '{"reason": "it repeats </think> twice", "score": 2}',
        '```json\n{"reason": "a </think> b"}\n```',
        "<thinker>Rodin</thinker>",
        "",
    ],
)
def test_tags_elsewhere_belong_to_the_answer(text: str) -> None:
    """An answer about tags, in JSON or code, is not cut."""
    assert without_thoughts(text) == text


def test_json_after_thoughts_keeps_a_tag_in_a_string() -> None:
    """A closing tag inside a string of the verdict is data."""
    assert without_thoughts('<think>x</think>{"reason": "a </think> b"}') == '{"reason": "a </think> b"}'


@pytest.mark.parametrize("text", ["<think>Lyon, or", "<think>" * 200_000, "<think>x</think>" * 100_000, "[THINK]hm"])
def test_thoughts_that_do_not_end_leave_no_answer(text: str) -> None:
    """A flood of tags costs no time either."""
    assert without_thoughts(text) == ""
