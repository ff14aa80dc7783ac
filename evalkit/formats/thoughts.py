"""Separate the answer of a reasoning model from its thoughts."""

from __future__ import annotations

import re

_OPENING = re.compile(r"\s*(?:<(?P<tag>think|thinking|thought)>|\[(?P<mark>think)\])", re.IGNORECASE)
_ANY_OPENING = re.compile(r"<(think|thinking|thought)>|\[think\]", re.IGNORECASE)
_LONE_CLOSING = re.compile(r"(?<![`'\"])(?:</(?:think|thinking|thought)>|\[/think\])(?![`'\"])\s*", re.IGNORECASE)
_DATA = re.compile(r"\s*(\{|\[(?!/think\])|```)", re.IGNORECASE)
"""Beginning of JSON or of code: a closing tag inside is part of a string, not the end of a draft."""
_SPACES = re.compile(r"\s*")


def without_thoughts(text: str) -> str:
    """Return the answer without the thoughts before it; an empty text if the thoughts do not end.

    Thoughts are in `<think>`, `<thinking>`, `<thought>` or `[THINK]` at the start, or before a closing tag alone,
    because the chat templates of many models write the opening tag into the prompt. Tags anywhere else, and tags in
    quotation marks, belong to the answer.
    """
    at = 0
    while opened := _OPENING.match(text, at):
        end = _end_of_thoughts(text, opened)
        if end is None:
            return ""
        at = _after_spaces(text, end)
    if _DATA.match(text, at):
        return text[at:]
    lone = _LONE_CLOSING.search(text, at)
    is_draft = lone is not None and _ANY_OPENING.search(text, at, lone.start()) is None
    return text[lone.end() :] if lone is not None and is_draft else text[at:]


def _end_of_thoughts(text: str, opened: re.Match[str]) -> int | None:
    """Find the end of the tag that closes the opening one; if there is none, the end of the last closing tag."""
    name = opened["tag"] or opened["mark"]
    tags = rf"<{name}>|(</{name}>)" if opened["tag"] else rf"\[{name}\]|(\[/{name}\])"
    depth, end = 1, None
    for found in re.compile(tags, re.IGNORECASE).finditer(text, opened.end()):
        depth += -1 if found[1] else 1
        if found[1]:
            end = found.end()
        if depth == 0:
            break
    return end


def _after_spaces(text: str, at: int) -> int:
    found = _SPACES.match(text, at)
    return found.end() if found else at
