"""Escape control and bidirectional characters in untrusted text."""

from __future__ import annotations

import re

_UNSEEN = re.compile(
    r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200f"
    r"\u202a-\u202e\u2060-\u206f\u3164\ufeff\uffa0\ufff0-\ufffb\ud800-\udfff"
    r"\U0001bca0-\U0001bca3\U0001d173-\U0001d17a\U000e0000-\U000e0fff]"
)
"""Unicode's default ignorable characters except emoji selectors; `visible.js` holds the same set."""
_BREAKS = re.compile(r"[\t\n\r\u2028\u2029]")


def visible(text: str) -> str:
    """Show control, direction and surrogate characters as `<U+XXXX>`, so that nothing is hidden; newlines stay."""
    return _UNSEEN.sub(_named, text)


def on_one_line(text: str) -> str:
    """Apply `visible`, and show line breaks and tabs in the same way."""
    return _BREAKS.sub(_named, visible(text))


def cut(text: str, limit: int) -> str:
    """Cut text to `limit` characters; the last one is an ellipsis if text is left out.

    The ellipsis also marks where half of a secret may be left; see `systems.secrets.redact`.
    """
    return text if len(text) <= limit else text[: limit - 1] + "…"


def _named(found: re.Match[str]) -> str:
    return f"<U+{ord(found[0]):04X}>"
