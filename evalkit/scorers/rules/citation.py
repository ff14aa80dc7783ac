"""Score whether an answer cites its sources, and only sources it was given."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import ClassVar, Literal

from evalkit.scorers.rules.normalise import fold, has_words
from evalkit.scorers.rules.rule import PassFail, no_contexts, passages, shown
from evalkit.text.numbers import plural
from evalkit.text.patterns import compile_pattern, well_formed
from evalkit.types import Case, Output, Score, Unscored

BRACKETS = r"\[([^\]]*[^\]\s][^\]]*)\]"
_BETWEEN = re.compile(r"[,;&]|\band\b")
_PLACE = re.compile(
    r"(?:pp?|pages?|arts?|articles?|secs?|sections?|paras?|paragraphs?|lines?|ch|chapters?|\W)\.?\d*", re.I
)


@dataclass(frozen=True, kw_only=True)
class Citation(PassFail):
    """Pass an answer with enough citations in the right form, optionally only from its contexts.

    The value is 1 or 0. The pattern's group extracts the id of a source from each citation. The answer passes if at
    least `min` citations are found and, with `in_contexts`, every id is found in the contexts. An empty answer cites
    nothing.

    It cannot see whether the cited passage supports the answer; `groundedness` or a judge can.
    """

    name: str = "citation"
    pattern: str = BRACKETS
    """Pattern of a citation, with one group for the id (RE2 syntax); the default finds every id of `[doc-3]`, `[1, 2]`,
    `[doc-3 and doc-4]` and `[doc-3: p. 4]`."""
    min: int = 1
    """Fewest citations that pass; 0 if an answer need not cite."""
    in_contexts: bool = True
    """Require that every cited id is found in the contexts."""
    ids: Literal["text", "position"] = "text"
    """Where an id is found: as a word in a context, or as the context's number, counted from 1."""
    source_field: str | None = None
    """Case field with the id that must be cited, or with several, one of which must be; [] if none must."""

    version: ClassVar[str] = "2"
    shorthand: ClassVar[str] = "pattern"

    def __post_init__(self) -> None:
        groups = compile_pattern("pattern", self.pattern).groups
        if groups != 1:
            raise ValueError(
                f"pattern: expected one group for the id, got {groups}; write (...) once, (?:...) elsewhere"
            )
        if self.min < 0:
            raise ValueError(f"min: expected 0 or more, got {self.min}; leave it out for 1")

    @property
    def reads_passages(self) -> bool:
        """Whether citations are looked up in contexts."""
        return self.in_contexts

    @property
    def needs(self) -> frozenset[str]:
        """The source that must be cited, if the options name its field."""
        return frozenset(filter(None, (self.source_field,)))

    def check_case(self, case: Case) -> None:
        """Reject a row whose source is not named."""
        if self.source_field in case.fields:
            self._wanted(case)

    def score(self, case: Case, output: Output) -> Score | Unscored:
        """Extract each citation from the answer and look it up."""
        found = compile_pattern("pattern", self.pattern).finditer(well_formed(output.text))
        groups = [match[1] or "" for match in found]
        cited = [id_ for group in groups for id_ in bracketed_ids(group)] if self.pattern == BRACKETS else groups
        contexts = passages(case, output)
        if self.in_contexts and contexts is None:
            return no_contexts(self.name)
        unknown = self._unknown(cited, contexts or ()) if self.in_contexts else []
        wanted = self._wanted(case)
        problems = [
            *([f"{plural(len(cited), 'citation')}, needs {self.min}"] if len(cited) < self.min else []),
            *([f"not in the contexts: {shown(unknown)}"] if unknown else []),
            *([f"does not cite {shown(wanted)}"] if wanted and not _same(wanted, cited) else []),
        ]
        reason = "; ".join(problems) or f"{plural(len(cited), 'citation')}, all accounted for"
        return self.grade(not problems, reason, cited=cited, unknown=unknown)

    def _unknown(self, cited: list[str], contexts: tuple[str, ...]) -> list[str]:
        if self.ids == "position":
            known = {str(number) for number in range(1, len(contexts) + 1)}
            return [id_ for id_ in dict.fromkeys(cited) if id_ not in known]
        folded = [fold(context) for context in contexts]
        return [id_ for id_ in dict.fromkeys(cited) if not _anywhere(fold(id_), folded)]

    def _wanted(self, case: Case) -> list[str]:
        if self.source_field is None:
            return []
        value = case.fields.get(self.source_field)
        if value == []:  # no source is expected
            return []
        ids = [str(id_) for id_ in (value if isinstance(value, list | tuple) else [value]) if id_ is not None]
        if not ids:
            raise ValueError(f"`{self.source_field}` names no source; add the id to the case")
        return ids


def bracketed_ids(text: str) -> list[str]:
    """Return the ids within brackets: the first word, and other words except places such as `p. 4`."""
    pieces = [piece.split() for piece in _BETWEEN.split(text.partition(":")[0]) if piece.strip()]
    first = [piece[0] for piece in pieces[:1]]
    more = [
        piece[0]
        for piece in pieces[1:]
        if not _PLACE.fullmatch(piece[0]) and (len(piece) == 1 or any(map(str.isdigit, piece[0])))
    ]
    return [*first, *more]


def _anywhere(id_: str, contexts: list[str]) -> bool:
    return bool(id_) and any(has_words(context, id_) for context in contexts)


def _same(wanted: list[str], cited: list[str]) -> bool:
    return not {fold(id_) for id_ in wanted}.isdisjoint(map(fold, cited))
