"""Change a text by edits that never touch a protected span, and say where the new text differs."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from evalkit.types import Case

Span = tuple[int, int]
"""Start and end of a part of a text, in characters; the end is not part of it."""
_FENCE = re.compile(r"```.*?(?:```|\Z)|`[^`\n]+`", re.DOTALL)
_URL = re.compile(r"(?:https?://|www\.)[^\s<>\"')]*[^\s<>\"').,;:!?]")
_NUMBER = re.compile(r"[\w§$€£%#+-]*\d(?:[\w.,:/%€$£'’-]*[\w%€$£])?")
_QUOTED = re.compile(r"\"([^\"\n]+)\"|“([^”\n]+)”|„([^“”\n]+)[“”]|«([^»\n]+)»|‘([^’\n]+)’|(?<!\w)'([^'\n]+)'(?!\w)")
_TEXT_FIELDS = ("required", "forbidden")
_CALL_FIELDS = ("expected_tool_calls", "reference_tool_calls")
_WORD = re.compile(r"[^\W_]+(?:['’-][^\W_]+)*")
_LEAST_LETTERS = 4
"""Shorter words of a reference, such as `the`, are protected in capitals only: nearly every text holds them."""


@dataclass(frozen=True, slots=True)
class Edit:
    """The replacement of a part of a text; an empty part is an insertion."""

    start: int
    end: int
    new: str


@dataclass(frozen=True, slots=True)
class EditedText:
    """A changed text."""

    text: str
    changed: tuple[Span, ...]
    """The parts of the new text that are new, in order; an empty part is where something was removed."""


@dataclass(frozen=True, slots=True)
class ProtectedWords:
    """The expressions of a case that its variants keep as they are."""

    texts: tuple[str, ...] = ()

    @classmethod
    def of(cls, case: Case) -> ProtectedWords:
        """Return the words of `reference`, `required` and `forbidden`, and the names of tools."""
        found = {word for text in case.reference for word in _WORD.findall(text) if _is_telling(word)}
        for name in _TEXT_FIELDS:
            found.update(word for text in _texts(case.fields.get(name)) for word in _WORD.findall(text))
        calls = [call for name in _CALL_FIELDS for call in _items(case.fields.get(name))]
        found.update(str(call["name"]) for call in calls if isinstance(call, Mapping) and call.get("name"))
        return cls(tuple(sorted(found)))

    def spans(self, text: str) -> Iterator[Span]:
        """Yield where a text holds one of the expressions as a whole word, in any case."""
        if self.texts:
            longest_first = sorted(self.texts, key=len, reverse=True)
            pattern = "|".join(map(re.escape, longest_first))
            for found in re.finditer(rf"(?<!\w)(?:{pattern})(?!\w)", text, re.IGNORECASE):
                yield found.span()


def protected_spans(text: str, words: ProtectedWords) -> tuple[Span, ...]:
    """Return the parts of a text that no transform may touch, in order and without overlaps.

    They are code, URLs, numbers with their units, what is between quotation marks, and the words of the case.
    """
    found = [match.span() for pattern in (_FENCE, _URL, _NUMBER) for match in pattern.finditer(text)]
    found += [match.span(match.lastindex or 0) for match in _QUOTED.finditer(text)]
    found += words.spans(text)
    merged: list[Span] = []
    for start, end in sorted(found):
        if merged and start <= merged[-1][1]:
            merged[-1] = (merged[-1][0], max(end, merged[-1][1]))
        else:
            merged.append((start, end))
    return tuple(merged)


@dataclass(frozen=True)
class EditableText:
    """A text to change."""

    text: str
    protected: tuple[Span, ...] = ()

    def is_free(self, start: int, end: int) -> bool:
        """Return whether no protected part has a character of a span, or is parted by it."""
        if start == end:
            return all(not first < start < last for first, last in self.protected)
        return all(end <= first or last <= start for first, last in self.protected)

    def free_matches(self, pattern: re.Pattern[str]) -> Iterator[re.Match[str]]:
        """Yield the matches of a pattern that no protected part overlaps."""
        for match in pattern.finditer(self.text):
            if self.is_free(*match.span()):
                yield match

    def edited(self, edits: Iterable[Edit]) -> EditedText:
        """Apply edits, which may come in any order.

        Raises:
            ValueError: edits overlap, or touch a protected part.
        """
        parts, changed = list[str](), list[Span]()
        at = length = 0
        for edit in sorted(edits, key=lambda edit: (edit.start, edit.end)):
            if edit.start < at or not self.is_free(edit.start, edit.end):
                raise ValueError(f"an edit at {edit.start}-{edit.end} overlaps another one, or a protected part")
            parts += (self.text[at : edit.start], edit.new)
            length += edit.start - at
            changed.append((length, length + len(edit.new)))
            length += len(edit.new)
            at = edit.end
        return EditedText("".join([*parts, self.text[at:]]), tuple(changed))


def _is_telling(word: str) -> bool:
    """Return whether a word of a reference says something by itself: it is long, or in capitals, such as `EU`."""
    return len(word) >= _LEAST_LETTERS or (len(word) > 1 and word.isupper())


def _texts(value: Any) -> Sequence[str]:
    return [each for each in _items(value) if isinstance(each, str)]


def _items(value: Any) -> Sequence[Any]:
    return value if isinstance(value, list | tuple) else [] if value is None else [value]
