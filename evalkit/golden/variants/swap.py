"""Swap words that stand for an attribute, such as names and pronouns, in all of a case."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

from evalkit.golden.slots import filled, slots_in
from evalkit.types import Case

_WORDED = ("required", "forbidden")
"""Fields of a case whose texts change too."""


@dataclass(frozen=True, kw_only=True)
class Swap:
    """Every value of an attribute in turn, in question, contexts, reference, `required` and `forbidden`.

    The words of each value are in a file that people review. Cases with words of exactly one value have variants.
    """

    attribute: str
    """Name of the attribute in the file, such as `gender`."""
    file: str
    """YAML file: attribute -> `irrelevant: true`, as the answer must not depend on it, and `values`: value -> words, or
    value -> slot -> word for cases with slots such as `{{person}}`."""

    def __post_init__(self) -> None:
        """Reject a name that cannot be part of an id."""
        if not re.fullmatch(r"[a-z][a-z0-9_]*", self.attribute):
            raise ValueError(f"attribute: {self.attribute!r} is not a name; write small letters, such as gender")


@dataclass(frozen=True)
class SwapWords:
    """The words of each value of an attribute: the first of one value takes the place of the first of another."""

    attribute: str
    values: Mapping[str, tuple[str, ...]]

    @property
    def most(self) -> int:
        """The largest number of variants of one case, with that of its own value."""
        return len(self.values)

    def problem(self) -> tuple[str, str] | None:
        """Return what is wrong with the words, and the fix; `None` if they can be swapped."""
        if len(self.values) < 2:
            return "fewer than two values", "list the words of each value, such as `woman: [Anna, she]`"
        if len({len(words) for words in self.values.values()}) > 1 or not all(self.values.values()):
            return "the values have different numbers of words", "list the words of each value in the same order"
        folded = [word.casefold() for words in self.values.values() for word in words]
        twice = sorted({word for word in folded if folded.count(word) > 1})
        if twice:
            what = f"{', '.join(twice)} is listed twice, so what takes its place is not clear"
            return what, "remove it, or write the cases so that they do without it"
        return None

    @cached_property
    def _places(self) -> Mapping[str, tuple[str, int]]:
        return {word.casefold(): (value, at) for value, words in self.values.items() for at, word in enumerate(words)}

    @cached_property
    def _pattern(self) -> re.Pattern[str]:
        longest_first = sorted(self._places, key=len, reverse=True)
        return re.compile(rf"(?<!\w)(?:{'|'.join(map(re.escape, longest_first))})(?!\w)", re.IGNORECASE)

    def values_in(self, case: Case) -> set[str]:
        """Return the values whose words the question or a context holds."""
        texts = (case.question, *case.contexts)
        return {self._places[match[0].casefold()][0] for text in texts for match in self._pattern.finditer(text)}

    def swapped(self, text: str, value: str) -> tuple[str, list[list[int]]]:
        """Return a text with the words of a value in place of those of others, and the spans that are new."""
        parts, spans, at, length = list[str](), list[list[int]](), 0, 0
        for match in self._pattern.finditer(text):
            new = _cased(self.values[value][self._places[match[0].casefold()][1]], match[0])
            parts += (text[at : match.start()], new)
            length += match.start() - at
            if new != match[0]:
                spans.append([length, length + len(new)])
            length += len(new)
            at = match.end()
        return "".join([*parts, text[at:]]), spans

    def in_case(self, case: Case, value: str) -> Case:
        """Return a case with the words of a value in its contexts, reference and expectations; its question stays."""
        fields = {name: self._in_field(case.fields[name], value) for name in _WORDED if name in case.fields}
        return replace(
            case,
            contexts=tuple(self.swapped(text, value)[0] for text in case.contexts),
            reference=tuple(self.swapped(text, value)[0] for text in case.reference),
            fields={**case.fields, **fields},
        )

    def _in_field(self, given: Any, value: str) -> Any:
        if isinstance(given, str):
            return self.swapped(given, value)[0]
        return [self._in_field(each, value) for each in given] if isinstance(given, list | tuple) else given


@dataclass(frozen=True)
class SlotWords:
    """The words of each value of an attribute for the slots of a case, such as `{{person}}`."""

    attribute: str
    values: Mapping[str, Mapping[str, str]]
    """Value -> slot -> word; a case itself has the words of the first value."""
    others: Mapping[str, str]
    """Slots of other attributes -> the words of their first values."""

    @property
    def most(self) -> int:
        """The largest number of variants of one case, with that of its own value."""
        return len(self.values)

    def problem(self) -> tuple[str, str] | None:
        """Return what is wrong with the words, and the fix; `None` if they can be filled in."""
        if len(self.values) < 2:
            return "fewer than two values", "list the words of each value, such as `woman: {person: Anna}`"
        if len({frozenset(words) for words in self.values.values()}) > 1 or not all(self.values.values()):
            return "the values fill different slots", "write the same slots under each value"
        return None

    @property
    def first(self) -> str:
        """The value that cases themselves have."""
        return next(iter(self.values))

    def has_slots(self, texts: Mapping[str, Any]) -> bool:
        """Return whether one of the texts of a case has a slot of the attribute."""
        return not self.values[self.first].keys().isdisjoint(slots_in(texts))

    def filled(self, text: str, value: str) -> tuple[str, list[list[int]]]:
        """Return a text with the words of a value, and the spans that differ from the first value."""
        return filled(text, {**self.others, **self.values[value]}, {**self.others, **self.values[self.first]})


def _cased(word: str, like: str) -> str:
    """Return a word with the capitals of the one whose place it takes."""
    if len(like) > 1 and like.isupper():
        return word.upper()
    return word[:1].upper() + word[1:] if like[:1].isupper() else word
