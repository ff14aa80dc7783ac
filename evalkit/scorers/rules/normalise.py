"""Normalise texts for comparison: Unicode forms, case, white space, words and written numbers."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from decimal import Decimal
from typing import Literal

MAX_DIGITS = 1_000
"""Maximum length of a run of digits; longer ones are ignored, because decimal arithmetic would overflow."""
DecimalMark = Literal[".", ","]

_SPACELESS = (
    (0x0E00, 0x0EFF),  # Thai, Lao
    (0x1000, 0x109F),  # Myanmar
    (0x1780, 0x17FF),  # Khmer
    (0x3040, 0x30FF),  # Hiragana, Katakana
    (0x3400, 0x9FFF),  # Han
    (0xF900, 0xFAFF),
    (0x20000, 0x3FFFF),
)
"""Code points of scripts without spaces between words."""


class _Table(dict[int, str]):
    """A translation table that computes each character once."""

    def __init__(self, rule: Callable[[str], str]) -> None:
        super().__init__()
        self._rule = rule

    def __missing__(self, code: int) -> str:
        self[code] = self._rule(chr(code))
        return self[code]


def _plain(char: str) -> str:
    category = unicodedata.category(char)
    if category == "Cf":  # zero-width, soft hyphen, direction marks: invisible to a reader
        return ""
    if category == "Cs":
        return "\ufffd"
    if category == "Pd" or char == "\u2212":
        return "-"
    return {"\u2018": "'", "\u2019": "'", "\u201c": '"', "\u201d": '"'}.get(char, char)


def is_spaceless(char: str) -> bool:
    """Return whether a character belongs to a script without spaces between words."""
    return any(low <= ord(char) <= high for low, high in _SPACELESS)


def is_word_char(char: str) -> bool:
    """Return whether a character is part of a word: letter, digit, underscore or combining mark."""
    return char.isalnum() or char == "_" or unicodedata.category(char)[0] == "M"


def _word_part(char: str) -> str:
    if not is_word_char(char):
        return " "
    return f" {char} " if is_spaceless(char) else char


_PLAIN = _Table(_plain)
_WORDS = _Table(_word_part)
_SPACED = _Table(lambda char: f" {char} " if is_spaceless(char) else char)
_NO_PUNCTUATION = _Table(lambda char: "" if unicodedata.category(char)[0] == "P" else char)


def collapse(text: str) -> str:
    """Trim, and replace each run of white space (line separators too) with one space."""
    return " ".join(text.split())


def compatible(text: str) -> str:
    """Normalise to NFKC without invisible characters, with one kind of dash and quote, lone surrogates as U+FFFD."""
    if text.isascii():
        return text
    return unicodedata.normalize("NFKC", text.translate(_PLAIN))


def fold(text: str) -> str:
    """Make a text comparable: `compatible`, case folded, white space collapsed.

    The Turkish dotted and dotless i become a plain i, since the language of an answer is rarely known.
    """
    if text.isascii():
        return collapse(text.lower())
    folded = unicodedata.normalize("NFKC", compatible(text).casefold())
    undotted = folded.replace("i\u0307", "i").replace("\u0131", "i")
    return collapse(unicodedata.normalize("NFKC", undotted))


def without_punctuation(text: str) -> str:
    """Drop every punctuation character (Unicode category P)."""
    return text.translate(_NO_PUNCTUATION)


def split_spaceless(text: str) -> str:
    """Put spaces around each character of a script that has none between words."""
    return text.translate(_SPACED)


def words(text: str) -> list[str]:
    """Split a text into folded words; a character of a script without spaces is a word of its own."""
    return fold(text).translate(_WORDS).split()


_PARTICLES = re.compile(
    r"(?:은|는|이|가|을|를|의|에|에서|에게|께|한테|로|으로|와|과|도|만|부터|까지|처럼|보다|마다|조차|밖에|하고|랑|이랑|나|이나"
    r"|라고|이라고|라는|이라는|이다|다|입니다|이에요|예요|이며|며|이고|고|요){1,3}(?!\w)"
)
"""Korean particles and forms of "to be", which follow a word without a space."""
_PROCLITICS = re.compile(r"(?<!\w)(?:[והבלמשכ]{1,3}|(?=[وفبلكا])[وفبلك]{0,2}(?:ال)?)\Z")
"""Hebrew and Arabic articles, conjunctions and prepositions, which precede a word without a space."""
_MOST_PROCLITICS = 5


def _cuts_word(before: str, after: str) -> bool:
    return is_word_char(before) and is_word_char(after) and not (is_spaceless(before) or is_spaceless(after))


def _cuts_number(text: str, start: int, end: int) -> bool:
    """Return whether a match that starts or ends with a digit is a part of a longer decimal number."""
    left = text[max(0, start - 2) : start]
    right = text[end : end + 2]
    return bool(
        (text[start].isdigit() and re.fullmatch(r"\d[.,]", left))
        or (text[end - 1].isdigit() and re.fullmatch(r"[.,]\d", right))
    )


def has_words(text: str, wanted: str, *, particles: bool = False) -> bool:
    """Return whether `wanted` occurs in `text` as whole words; both must be folded, `wanted` not empty.

    "art" is not in "part", and "10" is not in "10.5".

    Args:
        text: text to search.
        wanted: text to find.
        particles: whether a Korean particle may follow the last word, and a Hebrew or Arabic one precede the first.
    """
    start = text.find(wanted)
    while start >= 0:
        end = start + len(wanted)
        starts_inside = start > 0 and _cuts_word(text[start - 1], text[start])
        ends_inside = end < len(text) and _cuts_word(text[end - 1], text[end])
        if particles:
            before = text[max(0, start - _MOST_PROCLITICS) : start]
            starts_inside = starts_inside and not _PROCLITICS.search(before)
            ends_inside = ends_inside and not _PARTICLES.match(text, end)
        cut = starts_inside or ends_inside
        if not cut and not _cuts_number(text, start, end):
            return True
        start = text.find(wanted, start + 1)
    return False


_DIGIT_FORMS = _Table(
    lambda char: (
        str(unicodedata.decimal(char))
        if unicodedata.category(char) == "Nd"
        else {"\u066b": ".", "\u066c": "'", "\uff0c": ",", "\uff0e": ".", "\uff05": "%"}.get(char, _plain(char))
    )
)
_SPACES = " \u00a0\u2009\u202f"
_NUMBER = re.compile(
    rf"(?P<sign>(?<![\w.)])[-+])?(?:[{_SPACES}]?[$€£¥₹][{_SPACES}]?)?(?<!\d)"
    rf"(?P<digits>\d{{1,3}}(?:[{_SPACES}]\d{{3}})+(?!\d)(?:[.,]\d+)?"
    r"|\d+(?:[.,]\d+|'\d{3}(?!\d))*|(?<![\w.])\.\d+)"
    rf"(?P<exponent>[eE][-+]?\d{{1,3}}(?!\w))?(?P<percent>[{_SPACES}]?%)?"
)
_GROUPED = re.compile(r"\d{1,3}(?:,\d{2,3})*,\d{3}|\d{1,3}(?:\.\d{3})+")
_THOUSANDS = re.compile(r"(?<![\d.,])\d{1,3}(?:(?: \d{3})+|(?:,\d{3})+|(?:'\d{3})+)(?!\d)")


def ascii_digits(text: str) -> str:
    """Write the decimal digits and number signs of every script in ASCII."""
    return text.translate(_DIGIT_FORMS)


@dataclass(frozen=True, slots=True)
class Number:
    """A number as written in a text."""

    value: Decimal
    text: str
    percent: bool = False

    @property
    def readings(self) -> tuple[Decimal, ...]:
        """Possible values: `50 %` is 50 and 0.5."""
        return (self.value, self.value / 100) if self.percent else (self.value,)


def find_numbers(text: str, decimal: DecimalMark = ".") -> Iterator[Number]:
    """Yield every number in a text: sign, thousands separators, currency signs, per cent, exponent.

    A date, a version or an address (`12.05.2024`) is read as its parts. Superscripts, fractions such as ½ and runs of
    more than 1,000 digits are not read.

    Args:
        text: any text; digits of every script count.
        decimal: the decimal mark for `1.234` and `1,234`, which depends on the country; `1.234,5` and `1,234.5` are
            unambiguous.
    """
    for match in _NUMBER.finditer(ascii_digits(text)):
        parts = _plain_digits(match["digits"], decimal)
        sign, exponent = match["sign"] or "", match["exponent"] or ""
        if len(match["digits"]) > MAX_DIGITS:
            continue
        if len(parts) == 1:
            yield Number(Decimal(sign + parts[0] + exponent), match[0].strip(), match["percent"] is not None)
        else:
            yield from (Number(Decimal(part), part) for part in parts)


def _plain_digits(text: str, decimal: DecimalMark) -> list[str]:
    """Turn digits with separators into digits with at most one point, or several points if they are not one number."""
    if text.isdecimal():
        return [text]
    text = re.sub(rf"[{_SPACES}']", "", text)
    marks = re.findall(r"[.,]", text)
    if not marks:
        return [text]
    whole, _, rest = text.rpartition(marks[-1])
    if len(marks) == 1:
        grouped = marks[0] != decimal and re.fullmatch(r"[1-9]\d{0,2}", whole) and len(rest) == 3
        return [whole + rest] if grouped else [f"{whole or '0'}.{rest}"]
    if marks[-1] != marks[0] and marks.count(marks[-1]) == 1 and _GROUPED.fullmatch(whole):
        return [re.sub(r"[.,]", "", whole) + "." + rest]
    return [re.sub(r"[.,]", "", text)] if _GROUPED.fullmatch(text) else re.split(r"[.,]", text)


def join_thousands(text: str) -> str:
    """Write `10 000`, `10,000` and `10'000` as `10000` in a folded text."""
    return _THOUSANDS.sub(lambda match: re.sub(r"\D", "", match[0]), text)
