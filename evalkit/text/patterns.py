"""Compile regular expressions that run in linear time."""

from __future__ import annotations

import functools
import re
from typing import Any

_SURROGATE = re.compile("[\ud800-\udfff]")
_MENDS = (
    ("(?=", "look-ahead is not supported; match the whole text, or use a second scorer"),
    ("(?!", "negative look-ahead is not supported; use a second scorer with `not_` before its name"),
    ("(?<", "look-behind is not supported; match the text before it too"),
    ("(?>", "atomic groups are not needed here; write (?:...)"),
    ("(?(", "conditional groups are not supported; write two patterns"),
    ("\\Z", r"write \z for the end of the text"),
)


@functools.lru_cache(maxsize=256)
def compile_pattern(field: str, pattern: str, ignore_case: bool = False) -> Any:
    """Compile a pattern with RE2, whose matching time is linear in the text.

    Args:
        field: the option that the pattern comes from, for the message.
        pattern: RE2 syntax, https://github.com/google/re2/wiki/Syntax.
        ignore_case: whether to ignore upper and lower case.

    Raises:
        ValueError: it does not compile; the message has the position and the fix.
    """
    import re2

    options = re2.Options()
    options.log_errors = False
    options.case_sensitive = not ignore_case
    try:
        return re2.compile(well_formed(pattern), options)
    except re2.error as error:
        text = error.args[0].decode("utf-8", "replace") if isinstance(error.args[0], bytes) else str(error)
        raise ValueError(f"{field}: {_explain(pattern, text)}") from None


def _explain(pattern: str, message: str) -> str:
    what, _, fragment = message.partition(": ")
    start = _position(pattern, fragment)
    rest = pattern[start:]
    if fragment[:1] == "\\" and fragment[1:2].isdigit():
        return f"back-reference {fragment} at character {start + 1} is not supported; compare the parts in another way"
    fix = next((fix for opening, fix in _MENDS if rest.startswith(opening)), None)
    if fix is None:
        return f"{what} '{fragment}' at character {start + 1}; fix the pattern, or escape a literal sign with \\"
    return f"'{rest[:3].rstrip()}' at character {start + 1}: {fix}"


def _position(pattern: str, fragment: str) -> int:
    """Return the index of the first unescaped `fragment`; 0 if the engine names the whole pattern."""
    index = 0
    while index < len(pattern):
        if pattern.startswith(fragment, index):
            return index
        index += 2 if pattern[index] == "\\" else 1
    return 0


def well_formed(text: str) -> str:
    """Write U+FFFD for each lone surrogate, which UTF-8 cannot hold."""
    return _SURROGATE.sub("\ufffd", text)
