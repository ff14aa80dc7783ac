"""Prepare untrusted text for printing: one line, no control characters, no active markup."""

from __future__ import annotations

import re

from evalkit.text.escaping import visible

_BREAKS = re.compile(r"[\s\x1c-\x1f\x85\u2028\u2029]+")
_MARKDOWN = re.compile(r"([\\`*_|~!]|^>|^[+-](?= |$)|^-+$|^=+$|\[(?![−\d., $]+\](?:[^(\[:]|$))|\](?=[(\[:]))")
_NUMBERED = re.compile(r"^(\d{1,9})([.)])(?= |$)")
_LINKS = re.compile(r"(@|#|://|\bwww\.|\bGH-)", re.IGNORECASE)
_FORMULA = re.compile(r"\$(?!\d)")
_PICTURE = re.compile(r":(?=(?:[a-z][\w+-]*|[+-]1|100):)", re.IGNORECASE)
_JOINER = "\u2060"
MODEL_TEXT_CHARS = 140


def one_line(text: str, limit: int = MODEL_TEXT_CHARS) -> str:
    """Fold `text` into one line of at most `limit` characters, with an ellipsis if it was cut."""
    line = visible(_BREAKS.sub(" ", text[: 4 * limit]).strip())
    return line if len(line) <= limit and len(text) <= 4 * limit else line[: limit - 1].rstrip() + "…"


def clipped(text: str, limit: int) -> str:
    """Cut a long text of several lines at `limit` characters and say how many are hidden."""
    text = visible(text)
    return text if len(text) <= limit else f"{text[:limit]} … ({len(text) - limit} more characters)"


def code(text: str, limit: int = MODEL_TEXT_CHARS, *, in_table: bool = False) -> str:
    """Put `text` in a Markdown code span longer than any run of backticks in it; a table gets `¦` for `|`."""
    line = one_line(text, limit)
    if not line:
        return "(empty)"
    fence = "`" * (1 + max((len(run) for run in re.findall("`+", line)), default=0))
    if in_table:
        line = line.replace("|", "¦")
    pad = " " if line[0] in "` " or line[-1] in "` " else ""
    return f"{fence}{pad}{line}{pad}{fence}"


def plain(text: str, limit: int = 400) -> str:
    """Escape `text` for Markdown prose: no emphasis, link, image, mention, reference, formula, table cell or HTML."""
    line = one_line(text, limit).replace("&", "&amp;").replace("<", "&lt;")
    line = _NUMBERED.sub(r"\1\\\2", _MARKDOWN.sub(r"\\\1", line))
    line = _PICTURE.sub(":" + _JOINER, _LINKS.sub(lambda match: _broken(match[0]), line))
    # The only documented way on the code host to write a dollar sign that does not begin or end a formula.
    return _FORMULA.sub("<span>$</span>", line)


def _broken(mark: str) -> str:
    """Insert an invisible joiner where GitHub would make a link."""
    return (
        f":{_JOINER}//" if mark == "://" else f"{mark[:-1]}{_JOINER}{mark[-1]}" if mark[-1] in ".-" else mark + _JOINER
    )
