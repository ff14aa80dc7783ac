"""Escape control and bidirectional characters in untrusted text."""

from __future__ import annotations

import re

_UNSEEN = re.compile(
    r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200f"
    r"\u202a-\u202e\u2060-\u206f\u3164\ufeff\uffa0\ufff0-\ufffb\ud800-\udfff"
    r"\U0001bca0-\U0001bca3\U0001d173-\U0001d17a\U000e0000-\U000e0fff]"
)
"""Unicode's default ignorable characters except emoji selectors; `visible.js` holds the same set."""
_LETTER = "\u0600-\u061a\u061d-\u109f\u1780-\u17b3\u17b6-\u180a\u1810-\u18af\u1b00-\u1bff\ufb50-\ufdff\ufe70-\ufefc"
_VIRAMA = "\u094d\u09cd\u0a4d\u0acd\u0b4d\u0bcd\u0c4d\u0ccd\u0d4d\u0dca\u1039\u17d2"
_PICTURE = "\u2190-\u21ff\u2600-\u27bf\u2b00-\u2bff\U0001f000-\U0001faff"
_JOINS = re.compile(
    rf"[{_LETTER}][\u200c\u200d][{_LETTER}]|[{_VIRAMA}][\u200c\u200d]|[{_PICTURE}\ufe0f]\u200d[{_PICTURE}]"
)
"""A joiner inside a word of a script that uses them, or inside a composed emoji; `visible.js` has the same pattern."""
_BREAKS = re.compile(r"[\t\n\r\u2028\u2029]")


def visible(text: str) -> str:
    """Show control, direction and surrogate characters as `<U+XXXX>`, so that nothing is hidden; newlines stay.

    A joiner inside a word (Persian, Hindi) or an emoji (a family) is part of it and stays.
    """
    return _UNSEEN.sub(_unless_it_joins, text)


def on_one_line(text: str) -> str:
    """Apply `visible`, and show line breaks and tabs in the same way."""
    return _BREAKS.sub(_named, visible(text))


def cut(text: str, limit: int) -> str:
    """Cut text to `limit` characters; the last one is an ellipsis if text is left out.

    The ellipsis also marks where half of a secret may be left; see `systems.secrets.redact`.
    """
    return text if len(text) <= limit else text[: limit - 1] + "…"


def _unless_it_joins(found: re.Match[str]) -> str:
    joins = found[0] in "\u200c\u200d" and found.start() and _JOINS.match(found.string, found.start() - 1)
    return found[0] if joins else _named(found)


def _named(found: re.Match[str]) -> str:
    return f"<U+{ord(found[0]):04X}>"
