"""Read a text as a person sees it: without Markdown emphasis, numbers and their signs written one way."""

from __future__ import annotations

import re

_HIDDEN = str.maketrans({"*": "\ufdd0", "_": "\ufdd1", "\\": "\ufdd2"})
_SHOWN = str.maketrans({"\ufdd0": "*", "\ufdd1": "_", "\ufdd2": "\\"})
"""Code points that no text may contain, which replace the literal marks inside code."""
_ESCAPED = re.compile(r"\\([!-/:-@\[-`{-~])")
_CODE = re.compile(r"(?<!`)(`{1,2})(?!`)([^`\n]+)(?<!`)\1(?!`)")
_EMPHASIS = re.compile(
    r"(?<![A-Za-z0-9*])(\*{2,3})(?![\s*])[^*]+(?<!\s)\1(?!\*)"
    r"|(?<![A-Za-z0-9*])(\*)(?![\s*])[^*]+(?<!\s)\*(?![A-Za-z0-9*])"
    r"|(?<![A-Za-z0-9_])(_{1,3})(?![\s_])[^_]+(?:(?<=[^\W_])_(?=[^\W_])[^_]+){0,10}(?<!\s)\3(?![A-Za-z0-9_])"
    r"|(?<![0-9*])(\*{1,3})[A-Za-z]+\4(?![0-9*])"
)
"""An underscore inside an ASCII word (`snake_case`) and an asterisk between numbers (`2*3*4`) are not emphasis.

Asterisks around letters are, also inside a word (`pass**word**`). Other scripts attach particles to a mark. Emphasis
by underscores has at most 10 underscores inside words, so that a text full of them takes no quadratic time."""
_MOST_NESTED = 4
_CURRENCY = "$\u00a2-\u00a5\u0e3f\u20a0-\u20cf"
_NUMBER_SIGN = re.compile(
    rf"(?<=\d) (?=[%\u2030\u00b0{_CURRENCY}])|(?<=[{_CURRENCY}]) (?=\d)|(?<=\d\u00b0) (?=[CFcf]\b)"
)
_UNITS = "(?:mm|cm|m|km)[23]?|mg|g|kg|ml|cl|l|ms|s|min|h|kb|mb|gb|tb|hz|khz|mhz|ghz|kw|mw|kwh|mwh|eur|usd|gbp|chf"
_NUMBER_UNIT = re.compile(rf"(?<![\w.,])(\d+(?:[.,]\d+)*)({_UNITS})(?!\w)", re.IGNORECASE)


def without_marks(text: str) -> str:
    """Drop the marks of Markdown emphasis and code around words, but keep the words."""
    if not any(mark in text for mark in "*_`\\"):
        return text
    text = _CODE.sub(lambda found: found[2].translate(_HIDDEN), text)
    text = _ESCAPED.sub(lambda found: found[1].translate(_HIDDEN), text)
    for _ in range(_MOST_NESTED):
        plain = _EMPHASIS.sub(_content, text)
        if plain == text:
            break
        text = plain
    return text.translate(_SHOWN)


def signs_joined(text: str) -> str:
    """Write `5 %` as `5%`, `$ 5` as `$5` and `5kg` as `5 kg` in a text with single spaces."""
    return _NUMBER_UNIT.sub(r"\1 \2", _NUMBER_SIGN.sub("", text))


def _content(found: re.Match[str]) -> str:
    width = len(found[1] or found[2] or found[3] or found[4])
    return found[0][width:-width]
