"""Show what changed between two texts, word by word."""

from __future__ import annotations

import re
from collections.abc import Iterator
from difflib import SequenceMatcher

from evalkit.text.escaping import on_one_line

_PART = re.compile(r"\s+|\[\w+\]|\w+|.", re.DOTALL)
_AROUND = 30
_MOST_PARTS = 20_000
"""Number of words and signs beyond which a whole text is shown as changed, as comparing takes too long."""


def changes(before: str, after: str) -> Iterator[str]:
    """Yield each change on one line: `...text {-removed-}{+added+} text...`, with control characters in sight."""
    ours, theirs = _PART.findall(before), _PART.findall(after)
    if max(len(ours), len(theirs)) > _MOST_PARTS:
        yield on_one_line(f"{{-{before}-}}{{+{after}+}}")
        return
    matcher = SequenceMatcher(None, ours, theirs, autojunk=False)
    for tag, start, end, from_, to in matcher.get_opcodes():
        if tag == "equal":
            continue
        head, tail = "".join(ours[:start])[-_AROUND:], "".join(ours[end:])[:_AROUND]
        removed, added = "".join(ours[start:end]), "".join(theirs[from_:to])
        yield on_one_line(f"{head}{_marked('-', removed)}{_marked('+', added)}{tail}")


def _marked(sign: str, text: str) -> str:
    return f"{{{sign}{text}{sign}}}" if text else ""
