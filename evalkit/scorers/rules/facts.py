"""Score whether the numbers, dates, quotes and cited sources of an answer are in its contexts."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import ClassVar, Literal

from evalkit.scorers.rules.citation import bracketed_ids
from evalkit.scorers.rules.claim_types import ClaimType
from evalkit.scorers.rules.dates import find_dates, stated_readings
from evalkit.scorers.rules.normalise import DecimalMark, collapse, compatible, find_numbers, fold, has_words, words
from evalkit.scorers.rules.numbers import NO_CLAIM, absent_numbers
from evalkit.scorers.rules.reading import without_marks
from evalkit.scorers.rules.rule import no_contexts, passages, shown
from evalkit.text.numbers import plural
from evalkit.types import Case, Concern, Metric, Origin, Output, Score, Unscored

_QUOTED = re.compile(
    r"\u201c([^\u201c\u201d\n]+)\u201d|\u201e([^\u201e\u201c\u201d\n]+)[\u201c\u201d]|[«»]([^«»\n]+)[«»]"
    r'|(?<![\w"])"(?=\S)([^"\n]+)(?<=\S)"(?!\w)'
)
_GAP = re.compile(r"\[?(?:\.{3}|\u2026)\]?")
_INSERTED = re.compile(r"\[(\w)\]")
_CITED = re.compile(r"\[([^\[\]\n]{1,200})\](?!\()")
_URL = re.compile(r"https?://[^\s<>\"'\])}\u201d»]+")
_ENDS = ".,;:!?\u2026 "
TYPES: tuple[ClaimType, ...] = ("citation", "numerical", "faithfulness")
"""Types of facts that a rule can look up."""


@dataclass(frozen=True, slots=True)
class Fact:
    """A part of an answer that can be looked up without a model."""

    text: str
    type: ClaimType
    kind: Literal["number", "date", "quote", "source"]
    supported: bool


@dataclass(frozen=True, slots=True)
class Sources:
    """What an answer may rely on."""

    contexts: Sequence[str]
    origins: Sequence[Origin] = ()
    question: str = ""
    """The user's input: its numbers, dates and words may be repeated."""


def find_facts(answer: str, sources: Sources, *, decimal: DecimalMark = ".", min_words: int = 3) -> tuple[Fact, ...]:
    """Look up every distinct number, date, quote and cited source of an answer.

    Args:
        answer: text of the answer.
        sources: what it may rely on.
        decimal: the decimal mark, for an ambiguous number (`1,234`).
        min_words: fewest words of a quote; shorter ones are names and emphasis.
    """
    plain = without_marks(answer)
    found = [*_cited(plain, sources), *_quotes(plain, sources, min_words), *_amounts(plain, sources, decimal)]
    return tuple({(fact.kind, fact.text): fact for fact in found}.values())


def facts_score(facts: Sequence[Fact]) -> float | None:
    """Return 1 - unsupported / facts, `None` without a fact."""
    return sum(fact.supported for fact in facts) / len(facts) if facts else None


def _amounts(answer: str, sources: Sources, decimal: DecimalMark) -> Iterator[Fact]:
    texts = (*sources.contexts, sources.question)
    dates, rest = find_dates(_URL.sub(" ; ", answer))
    known = stated_readings(date for text in texts for date in find_dates(text)[0]) if dates else frozenset()
    for date in dates:
        yield Fact(date.text, "numerical", "date", date.is_among(known))
    numbers = list(find_numbers(NO_CLAIM.sub("; ", _CITED.sub("; ", rest)), decimal))
    given = (number for text in texts for number in find_numbers(text, decimal))
    absent = {number.text for number in absent_numbers(numbers, given)} if numbers else set()
    for number in numbers:
        yield Fact(number.text, "numerical", "number", number.text not in absent)


def _quotes(answer: str, sources: Sources, min_words: int) -> Iterator[Fact]:
    found = dict.fromkeys(next(filter(None, match.groups())) for match in _QUOTED.finditer(answer))
    quotes = [quote for quote in found if len(words(quote)) >= min_words]
    given = (*sources.contexts, sources.question) if quotes else ()
    texts = [collapse(compatible(without_marks(text))) for text in given]
    for quote in quotes:
        yield Fact(quote, "faithfulness", "quote", any(_contains(text, quote) for text in texts))


def _contains(text: str, quote: str) -> bool:
    """Return whether a text has the pieces of a quote in their order, letter by letter but for its first."""
    at = 0
    for piece in _GAP.split(quote):
        wanted = collapse(compatible(_INSERTED.sub(r"\1", piece))).strip(_ENDS)
        if not wanted:
            continue
        places = [text.find(form, at) for form in {wanted, wanted[0].swapcase() + wanted[1:]}]
        at = min((place for place in places if place >= 0), default=-1)
        if at < 0:
            return False
        at += len(wanted)
    return True


def _cited(answer: str, sources: Sources) -> Iterator[Fact]:
    ids = {fold(name) for origin in sources.origins for name in (origin.id, origin.source) if name}
    groups = dict.fromkeys(_CITED.findall(answer))
    addresses = dict.fromkeys(found.rstrip(_ENDS) for found in _URL.findall(answer))
    folded = [fold(text) for text in sources.contexts] if groups or addresses else []
    positions = {str(number) for number in range(1, len(sources.contexts) + 1)}
    for name in dict.fromkeys(name for group in groups for name in bracketed_ids(group)):
        plain = fold(name)
        if plain in ids:
            yield Fact(name, "citation", "source", True)
        elif any(map(str.isdigit, plain)):
            known = plain in positions or any(has_words(text, plain) for text in folded)
            yield Fact(name, "citation", "source", known)
    for address in addresses:
        plain = fold(address)
        yield Fact(address, "citation", "source", plain in ids or any(plain in text for text in folded))


@dataclass(frozen=True, kw_only=True)
class KnownFacts:
    """Pass an answer whose numbers, dates, quotes and cited sources are all in its contexts.

    Every metric is 1 or 0. `<name>` passes if each of them is found. `<name>.citation` (ids such as [doc-3] or [2], and
    URLs), `<name>.numerical` (numbers and dates) and `<name>.faithfulness` (quotes) do so for one type; an answer
    without any passes, because then none is invented. `details` hold the facts, and the share that is supported as
    `share`, which is null without a fact.

    Numbers and dates are compared by value: `1,000` is 1000, `12.03.2024` is `12 March 2024`, and `March 2024` follows
    from it. A quote must be in one context letter by letter, except for white space and the kind of quotation marks;
    `...` leaves words out. An id is known if the retriever reported it, if a context contains it, or if it is the
    number of a context. What the question contains may be repeated. It needs no model and takes a few milliseconds.

    It cannot see a right number attached to the wrong thing, number words, or a claim in plain words; `claims` can. It
    counts a result that was correctly computed from the contexts as unsupported.
    """

    name: str = "facts"
    decimal: DecimalMark = "."
    """The decimal mark, for an ambiguous number (`1,234`)."""
    min_words: int = field(default=3)
    """Fewest words of a quote that is looked up; shorter ones are often names."""

    version: ClassVar[str] = "1"
    reads_passages: ClassVar[bool] = True
    concern: ClassVar[Concern] = "safety"

    def __post_init__(self) -> None:
        if self.min_words < 1:
            raise ValueError(f"min_words: expected 1 or more, got {self.min_words}; write 3")

    @property
    def metrics(self) -> tuple[Metric, ...]:
        """One for all facts, and one for each type."""
        names = (self.name, *(f"{self.name}.{kind}" for kind in TYPES))
        return tuple(Metric(name, binary=True, concern=self.concern) for name in names)

    @property
    def needs(self) -> frozenset[str]:
        """No case fields."""
        return frozenset()

    def score(self, case: Case, output: Output) -> tuple[Score | Unscored, ...]:
        """Look up each fact of the answer."""
        contexts = passages(case, output)
        if contexts is None:
            return tuple(no_contexts(metric.name) for metric in self.metrics)
        origins = case.origins if output.contexts is None else output.origins
        sources = Sources(contexts, origins, case.question)
        facts = find_facts(output.text, sources, decimal=self.decimal, min_words=self.min_words)
        details = {
            "share": facts_score(facts),
            "facts": [
                {"text": fact.text, "type": fact.type, "kind": fact.kind, "supported": fact.supported} for fact in facts
            ],
        }
        whole = self._grade(self.name, facts)
        parts = (self._grade(f"{self.name}.{kind}", [fact for fact in facts if fact.type == kind]) for kind in TYPES)
        return (Score(whole.metric, whole.value, whole.passed, whole.reason, details), *parts)

    def _grade(self, metric: str, facts: Sequence[Fact]) -> Score:
        wrong = [fact.text for fact in facts if not fact.supported]
        reason = f"{len(facts) - len(wrong)} of {plural(len(facts), 'fact')} in the contexts" if facts else "no fact"
        return Score(metric, float(not wrong), not wrong, f"{reason}; not {shown(wrong)}" if wrong else reason)
