"""Replace personal data and secrets in texts by placeholders such as `[EMAIL_1]`, the same for the same data.

Data are found by form and check digits, as the scorer `leak` does, and names from a list of the user's. Names that are
not in the list, postal addresses and data in words are not found: a person has to look at the result.
"""

from __future__ import annotations

import ipaddress
import re
import unicodedata
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from evalkit.disk.files import Unfit, read_file
from evalkit.errors import InputError, Problem
from evalkit.scorers.rules.normalise import ascii_digits, compatible
from evalkit.scorers.rules.personal_data import DEFAULT_KINDS, find_personal_data
from evalkit.systems.secrets import SECRET_VALUE
from evalkit.text.values import not_utf8

WORD_OF = {
    "email": "EMAIL",
    "phone": "PHONE",
    "iban": "IBAN",
    "card": "CARD",
    "national_id": "ID",
    "ip": "IP",
    "secret": "SECRET",
    "name": "NAME",
}
"""Kind of data -> word of its placeholder."""
MAX_NAMES = 100_000
_MAX_BYTES = 16 << 20
_MAX_WORDS = 10
"""Words of one name."""
_PLACEHOLDER = re.compile(rf"\[({'|'.join(WORD_OF.values())})_([0-9]{{1,6}})\]")
_IPV4 = re.compile(r"(?<![\w.:/-])(?:\d{1,3}\.){3}\d{1,3}(?![\w-]|\.\d)")
_IPV6 = re.compile(r"(?<![\w:.])[0-9a-fA-F]{0,4}(?::[0-9a-fA-F]{0,4}){2,7}(?![\w:])")
_NUMBERED = re.compile(
    r"(?i)(?:\b(?:art(?:icle|ikel)?|sec(?:tion)?|abs(?:atz)?|chapter|kapitel|clause|ziffer|nr|no|n°|ver(?:sion)?|v|"
    r"release|rule|annex|point|paragraph)\.?|§+)\s*\Z"
)
"""A word before a number of four parts that is not an address."""
_BEFORE = 16
_KEY_BLOCK = re.compile(
    r"-----BEGIN [A-Z ]{0,40}PRIVATE KEY-----.*?(?:-----END [A-Z ]{0,40}PRIVATE KEY-----|\Z)", re.DOTALL
)
"""A private key with its body; `SECRET_VALUE` finds the first line alone."""
_ASSIGNED = re.compile(
    r"(?i)\b(?:pass(?:word|wd|wort|phrase)?|mot de passe|secret|token|api[ _-]?key)\b\s{0,3}(?:[:=]|is|ist|est)\s{0,3}"
    r"(?P<data>(?=[^\s,;]{0,60}\d)(?=[^\s,;]{0,60}[a-z])[^\s,;\[\]]{6,200})"
)
"""A word for a secret and its value, which has letters and digits."""
_WORD = re.compile(r"[^\W_]+(?:['’][^\W_]+)*")


@dataclass(frozen=True, slots=True, order=True)
class _Hit:
    start: int
    end: int
    kind: str
    key: str
    """The data in the form in which equal data are equal."""


@dataclass(frozen=True, kw_only=True)
class NameList:
    """Names that are replaced, in any letter case."""

    by_first: Mapping[str, tuple[tuple[str, ...], ...]] = field(default_factory=dict, repr=False)
    """First word -> the words of the names that begin with it, the longest first."""

    @classmethod
    def of(cls, names: Iterable[str]) -> NameList:
        """Return a list of names; a name without a letter is left out."""
        found: dict[str, set[tuple[str, ...]]] = {}
        for name in names:
            words = tuple(_fold(match[0]) for match in _WORD.finditer(unicodedata.normalize("NFKC", name)))
            if words:
                found.setdefault(words[0], set()).add(words)
        return cls(
            by_first={first: tuple(sorted(each, key=lambda one: (-len(one), one))) for first, each in found.items()}
        )


NO_NAMES = NameList()


@dataclass(frozen=True, kw_only=True)
class Deidentified:
    """A value without the personal data that were found in it."""

    value: Any
    """The value, of the same shape."""
    counts: Mapping[str, int]
    """Word of the placeholder -> number of different data."""


def deidentify(value: Any, names: NameList = NO_NAMES) -> Deidentified:
    """Replace personal data and secrets in every text of a value.

    Equal data get the same placeholder in all texts, numbered by kind in the order of their first occurrence. Numbers
    of placeholders that the texts hold already are not given again, so that a second pass changes nothing.

    Args:
        value: a value of JSON; keys of mappings stay.
        names: names that are replaced too.
    """
    numbers: dict[tuple[str, str], int] = {}
    last = dict.fromkeys(WORD_OF.values(), 0)
    for text in texts_in(value):
        for match in _PLACEHOLDER.finditer(text):
            last[match[1]] = max(last[match[1]], int(match[2]))

    def placeholder(hit: _Hit) -> str:
        word = WORD_OF[hit.kind]
        if (word, hit.key) not in numbers:
            last[word] += 1
            numbers[word, hit.key] = last[word]
        return f"[{word}_{numbers[word, hit.key]}]"

    def clean(part: Any) -> Any:
        if isinstance(part, str):
            plain, hits = _found(part, names)
            if not hits:
                return part
            pieces, at = [], 0
            for hit in hits:
                pieces += [plain[at : hit.start], placeholder(hit)]
                at = hit.end
            return "".join([*pieces, plain[at:]])
        if isinstance(part, Mapping):
            return {key: clean(inner) for key, inner in part.items()}
        return [clean(inner) for inner in part] if isinstance(part, list | tuple) else part

    cleaned = clean(value)
    counts: dict[str, int] = {}
    for word, _ in numbers:
        counts[word] = counts.get(word, 0) + 1
    return Deidentified(value=cleaned, counts=counts)


def kinds_left(value: Any, names: NameList = NO_NAMES) -> tuple[str, ...]:
    """Return the words of the kinds of personal data in a value, its keys included, in the order of `WORD_OF`."""
    kinds = {hit.kind for text in texts_in(value, keys=True) for hit in _found(text, names)[1]}
    return tuple(word for kind, word in WORD_OF.items() if kind in kinds)


def read_names(file: Path) -> NameList:
    """Read a list of names: one a line, in UTF-8; blank lines and lines that begin with `#` are skipped.

    Raises:
        InputError: the list cannot be read, has no name, more than 100,000, or a name of more than 10 words.
    """
    shown = str(file)
    try:
        lines = read_file(file, _MAX_BYTES).decode("utf-8-sig").splitlines()
    except UnicodeDecodeError as error:
        raise InputError(Problem(shown, not_utf8(error), "save the file as UTF-8")) from None
    except (Unfit, OSError) as error:
        raise InputError(
            Problem(shown, f"cannot be read: {error.strerror}", "name a file with one name a line")
        ) from None
    named = [
        (at, line.strip()) for at, line in enumerate(lines, 1) if line.strip() and not line.strip().startswith("#")
    ]
    problems = [
        Problem(f"{shown}:{at}", f"a name of {n} words", "write one name a line")
        for at, name in named
        if not 0 < (n := len(_WORD.findall(name))) <= _MAX_WORDS
    ]
    if not 0 < len(named) <= MAX_NAMES:
        problems.append(Problem(shown, f"{len(named):,} names", f"write 1 to {MAX_NAMES:,}, one a line"))
    if problems:
        raise InputError(problems)
    return NameList.of(name for _, name in named)


def texts_in(value: Any, *, keys: bool = False) -> Iterator[str]:
    """Yield every text in a value of JSON, in order."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        for key, inner in value.items():
            if keys:
                yield str(key)
            yield from texts_in(inner, keys=keys)
    elif isinstance(value, list | tuple):
        for inner in value:
            yield from texts_in(inner, keys=keys)


def _found(text: str, names: NameList) -> tuple[str, list[_Hit]]:
    """Return the text in the form whose positions count, and what is in it, without overlaps, in order.

    The form is the text itself, unless characters such as full-width digits or invisible ones disguise data: then it is
    the compatible form (NFKC), in which they are seen.
    """
    plain = ascii_digits(compatible(text))
    hits = [_Hit(each.start, each.end, each.kind, _key(each.text)) for each in find_personal_data(text, DEFAULT_KINDS)]
    hits += _others(plain)
    hits += _names_in(plain, names)
    kept: list[_Hit] = []
    for hit in sorted(hits, key=lambda each: (each.start, -each.end)):
        if not kept or hit.start >= kept[-1].end:
            kept.append(hit)
    held = [match.span() for match in _PLACEHOLDER.finditer(plain)]
    kept = [hit for hit in kept if not any(start < hit.end and hit.start < end for start, end in held)]
    if len(plain) == len(text) and all(len(ascii_digits(compatible(char))) == 1 for char in set(text)):
        return text, kept
    return plain, kept


def _key(text: str) -> str:
    """Return data in the form in which equal data are equal: letter case and separators do not count."""
    return re.sub(r"[\s()/-]", "", text).casefold()


def _others(plain: str) -> Iterator[_Hit]:
    """Yield addresses of the internet protocol, and secrets that only messages look for."""
    for pattern in (_KEY_BLOCK, SECRET_VALUE):
        for match in pattern.finditer(plain):
            yield _Hit(match.start(), match.end(), "secret", match[0])
    for match in _ASSIGNED.finditer(plain):
        yield _Hit(*match.span("data"), "secret", match["data"])
    for pattern in (_IPV4, _IPV6):
        for match in pattern.finditer(plain):
            if _is_address(match[0], plain[max(0, match.start() - _BEFORE) : match.start()]):
                yield _Hit(match.start(), match.end(), "ip", str(ipaddress.ip_address(match[0])))


def _is_address(text: str, before: str) -> bool:
    """Return whether a text is an address, and not the number of a section, a version or a time."""
    try:
        found = ipaddress.ip_address(text)
    except ValueError:
        return False
    if found.version == 4:
        return any(len(part) > 1 for part in text.split(".")) and not _NUMBERED.search(before)
    return sum(1 for part in text.split(":") if part) > 2


def _names_in(plain: str, names: NameList) -> Iterator[_Hit]:
    """Yield the names of the list, the longest at each place."""
    if not names.by_first:
        return
    words = [(match.start(), match.end(), _fold(match[0])) for match in _WORD.finditer(plain)]
    at = 0
    while at < len(words):
        for name in _readings(words[at][2], names):
            found = [word for _, _, word in words[at : at + len(name)]]
            if len(found) == len(name) and _same(found, name):
                end = words[at + len(name) - 1][1]
                tail = len(found[-1]) - len(name[-1])
                yield _Hit(words[at][0], end - tail, "name", " ".join(name))
                at += len(name) - 1
                break
        at += 1


def _readings(word: str, names: NameList) -> Sequence[tuple[str, ...]]:
    """Return the names that may begin with a word, which may have a possessive ending."""
    bare = _bare(word)
    return (*names.by_first.get(word, ()), *(names.by_first.get(bare, ()) if bare != word else ()))


def _same(found: Sequence[str], name: Sequence[str]) -> bool:
    return tuple(found[:-1]) == tuple(name[:-1]) and name[-1] in (found[-1], _bare(found[-1]))


def _bare(word: str) -> str:
    """Return a word without the ending 's or '."""
    return re.sub(r"['’]s?\Z", "", word)


def _fold(word: str) -> str:
    return word.casefold()
