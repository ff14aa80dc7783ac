"""Find the cases of a golden set in texts that the system knows: prompts, corpora, training data.

No single rule finds every form of a leak. The rule of 13 words in a row (Brown et al. 2020, arXiv 2005.14165, appendix
C) was made for long documents; most questions are shorter. So there are three rules for questions and one for answers.
Of the golden set, 64-bit hashes of sequences of words are held, and of the texts no more than one piece.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal, get_args

from evalkit.golden.source import SourceKind
from evalkit.golden.word_hashes import GramTable, RollingHash, flags_of, pieces_of, words_of
from evalkit.types import Case

if TYPE_CHECKING:
    from evalkit.golden.word_hashes import Hashes, Piece

LeakRule = Literal["whole question", "most of the question", "13 words in a row", "answer in prompt", "canary string"]
RULES: tuple[LeakRule, ...] = get_args(LeakRule)
"""The surest first."""
LEAST_WORDS = 3
"""Words of a question that can be found; a shorter one occurs everywhere."""
GRAM, LONG = 5, 13
SHARE, LEAST_GRAMS = 0.6, 3
"""Part of the 5-word sequences of a question, and number of them, that a text must hold."""
SHORT = 8
"""Words below which a question must occur whole, and from which an answer is searched for."""
MOST_OWNERS = 20
"""Cases above which a sequence of words is a template of the set, and no sign of one of them."""
_NEAR, _RIGHT_BEHIND = 200, 10
"""Words around a question in which its answer is looked for; words behind it in which a short one is."""
_LONGEST = 4_096
"""Words of a question or answer that are read."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LeakedCase:
    """A case that occurs in a text."""

    case_id: str
    case_place: str
    """`file:line` of the case; empty for the canary string of the set."""
    source: SourceKind
    place: str
    """`file:line` of the first word that is shared."""
    rule: LeakRule
    share: float = 1.0
    """Part of the 5-word sequences of the question in the text, from 0.6 to 1; 1 for the other rules."""
    with_answer: bool = False
    """Whether an answer of the reference is beside the question."""


@dataclass(frozen=True, kw_only=True)
class Leaks:
    """The cases of a set that were found, and what was searched."""

    found: tuple[LeakedCase, ...]
    """At most one of a rule for each case and file; of the rules for questions, the surest."""
    n_cases: int
    n_short: int
    """Number of cases whose question has fewer than 3 words, which are not searched for."""
    searched: Mapping[SourceKind, int] = field(default_factory=dict)
    """Kind of source -> number of files."""
    unread: tuple[str, ...] = ()
    """Files of a corpus that cannot be read, with the reason."""

    def cases_in(self, source: SourceKind) -> tuple[str, ...]:
        """Return the ids of the cases found in a kind of source, in the order of the set."""
        return tuple(dict.fromkeys(leak.case_id for leak in self.found if leak.source == source and leak.case_id))


class LeakIndex:
    """The cases of a set, in a form in which texts are searched for all of them at once."""

    def __init__(self, cases: Iterable[Case], canary: str = "") -> None:
        """Hash the questions and answers.

        Args:
            cases: of the set; none is kept.
            canary: string of the set that no text may hold.
        """
        self.ids: list[str] = []
        self.places: list[str] = []
        self.n_short = 0
        self._texts = _Texts()
        self._answers: dict[int, list[tuple[int, int]]] = {}
        for at, case in enumerate(cases):
            self.ids.append(case.id)
            self.places.append(case.place)
            question = words_of(case.question)[:_LONGEST]
            answers = [words_of(each)[:_LONGEST] for each in case.reference]
            self.n_short += len(question) < LEAST_WORDS
            self._texts.add(at, question, answers)
        self.n_cases = len(self.ids)
        self._texts.add_canary(self.n_cases, words_of(canary))
        self.ids.append("")
        self.places.append("")
        self._sizes = self._texts.sizes
        self._build()

    def _build(self) -> None:
        import numpy as np

        texts = self._texts
        hashes = RollingHash(texts.hashes)
        starts, sizes = np.array(texts.starts, np.int64), np.array(texts.lengths, np.int64)
        self._wholes: dict[int, list[int]] = {}
        self._owners, self._roles, self._lengths = texts.owners, texts.roles, texts.lengths
        anchors: dict[int, dict[int, set[int]]] = {}
        for needle, (whole, start, size) in enumerate(
            zip(hashes.spans(starts, sizes).tolist(), texts.starts, texts.lengths, strict=True)
        ):
            if texts.roles[needle] == "short answer":
                self._answers.setdefault(texts.owners[needle], []).append((size, whole))
                continue
            if texts.roles[needle] == "answer":
                self._answers.setdefault(texts.owners[needle], []).append((size, whole))
            self._wholes.setdefault(whole, []).append(needle)
            n = min(GRAM, size)
            anchor = int(hashes.grams(n)[start])
            anchors.setdefault(n, {}).setdefault(anchor, set()).add(size)
        self._anchors = {n: GramTable.of_keys(found) for n, found in anchors.items()}
        self._grams = _grams(hashes, texts, GRAM, with_answers=False)
        self._long = _grams(hashes, texts, LONG, with_answers=True)
        counts = np.bincount(self._grams.owners, minlength=self.n_cases + 1)
        self._n_grams: list[int] = counts.tolist()
        del self._texts

    def search(self, lines: Iterable[tuple[int, str]], source: SourceKind, shown: str) -> Iterator[LeakedCase]:
        """Yield the cases that a file holds.

        Args:
            lines: its lines with their numbers; a sequence of words may go on in the next line.
            source: the kind of source: an answer alone is a leak in prompts only.
            shown: name of the file in messages.
        """
        best: dict[tuple[int, bool], LeakedCase] = {}
        for piece in pieces_of(lines, max(2 * max(self._lengths, default=0), 2 * _NEAR)):
            for owner, rule, at, share, with_answer in self._hits(piece, source):
                key = owner, rule == "answer in prompt"
                known = best.get(key)
                rank = (RULES.index(rule), not with_answer, -share)
                if known is None or rank < (RULES.index(known.rule), not known.with_answer, -known.share):
                    best[key] = LeakedCase(
                        case_id=self.ids[owner],
                        case_place=self.places[owner],
                        source=source,
                        place=f"{shown}:{piece.line_of(at)}",
                        rule=rule,
                        share=round(share, 4),
                        with_answer=with_answer,
                    )
        yield from (best[key] for key in sorted(best))

    def _hits(self, piece: Piece, source: SourceKind) -> Iterator[tuple[int, LeakRule, int, float, bool]]:
        """Yield case, rule, position, share, and whether an answer is near."""
        hashes = RollingHash(piece.hashes)
        for at, needle in self._whole_hits(hashes):
            owner, role, size = self._owners[needle], self._roles[needle], self._lengths[needle]
            if role == "question":
                yield owner, "whole question", at, 1.0, self._answered(hashes, owner, at, size)
            elif role == "canary":
                yield owner, "canary string", at, 1.0, False
            elif source == "prompts":
                yield owner, "answer in prompt", at, 1.0, True
        for owner, at, size, share in self._shared(hashes):
            yield owner, "most of the question", at, share, self._answered(hashes, owner, at, size)
        positions, rows = self._long.hits(hashes.grams(LONG))
        for at, row in zip(positions.tolist(), rows.tolist(), strict=True):
            if source == "prompts" or self._long.inside[row]:
                owner = int(self._long.owners[row])
                yield owner, "13 words in a row", at, 1.0, self._answered(hashes, owner, at, LONG)

    def _whole_hits(self, hashes: RollingHash) -> Iterator[tuple[int, int]]:
        """Yield position and number of each question, answer or canary string that occurs word for word."""
        for n, table in self._anchors.items():
            grams = hashes.grams(n)
            for at in table.positions(grams).tolist():
                for size in table.sizes[int(grams[at])]:
                    for needle in self._wholes.get(hashes.span(at, size), ()) if at + size <= hashes.n else ():
                        yield at, needle

    def _shared(self, hashes: RollingHash) -> Iterator[tuple[int, int, int, float]]:
        """Yield case, position, length and share where most 5-word sequences of a question are close together."""
        import numpy as np

        positions, rows = self._grams.hits(hashes.grams(GRAM))
        if not len(positions):
            return
        owners = self._grams.owners[rows]
        order = np.lexsort((positions, owners))
        owners, positions, rows = owners[order], positions[order], rows[order]
        edges = np.flatnonzero(np.diff(owners)) + 1
        starts, ends = [0, *edges.tolist()], [*edges.tolist(), len(owners)]
        for start, end in zip(starts, ends, strict=True):
            owner = int(owners[start])
            n_grams = self._n_grams[owner]
            need = max(LEAST_GRAMS, -int(-SHARE * n_grams // 1))
            if end - start < need:
                continue
            width = 2 * self._sizes[owner] + SHORT
            found = _closest(positions[start:end].tolist(), rows[start:end].tolist(), width)
            if found is not None and found[2] >= need:
                first, last, n = found
                yield owner, first, last + GRAM - first, min(1.0, n / n_grams)

    def _answered(self, hashes: RollingHash, owner: int, at: int, size: int) -> bool:
        """Return whether an answer is beside a question: a long one around it, a short one right behind it."""
        for length, answer in self._answers.get(owner, ()):
            first, last = (at - _NEAR, at + size + _NEAR) if length >= SHORT else (at + size, at + size + _RIGHT_BEHIND)
            if hashes.holds(answer, length, max(0, first), last):
                return True
        return False


class _Texts:
    """The words of all questions and answers behind each other."""

    def __init__(self) -> None:
        self._words = array("q")
        self.starts: list[int] = []
        self.lengths: list[int] = []
        self.owners: list[int] = []
        self.roles: list[str] = []
        self.sizes: list[int] = []
        """Words of the question of each case."""
        self.pairs: list[tuple[int, int, int]] = []
        """Start, words and owner of each question with its answer behind it."""

    @property
    def hashes(self) -> Hashes:
        import numpy as np

        return np.frombuffer(self._words, np.uint64) if self._words else np.zeros(0, np.uint64)

    def add(self, owner: int, question: list[str], answers: Sequence[list[str]]) -> None:
        self.sizes.append(len(question))
        start = len(self._words)
        if len(question) >= LEAST_WORDS:
            self._add(owner, "question", question)
        for answer in filter(None, answers):
            self._add(owner, "answer" if len(answer) >= SHORT else "short answer", answer)
        if len(question) < LEAST_WORDS:
            return
        size = len(question) + (len(answers[0]) if answers else 0)
        self.pairs.append((start, size, owner))

    def add_canary(self, owner: int, words: list[str]) -> None:
        self.sizes.append(0)
        if words:
            self._add(owner, "canary", words)

    def _add(self, owner: int, role: str, words: list[str]) -> None:
        self.starts.append(len(self._words))
        self.lengths.append(len(words))
        self.owners.append(owner)
        self.roles.append(role)
        self._words.extend(map(hash, words))


def _grams(hashes: RollingHash, texts: _Texts, n: int, *, with_answers: bool) -> GramTable:
    """Return the sequences of `n` words of questions, or of questions with their answers, but those of templates."""
    import numpy as np

    spans = texts.pairs if with_answers else [(start, texts.sizes[owner], owner) for start, _, owner in texts.pairs]
    spans = [span for span in spans if span[1] >= (n if with_answers else SHORT)]
    starts = np.array([start for start, _, _ in spans], np.int64)
    counts = np.array([size - n + 1 for _, size, _ in spans], np.int64)
    total = int(counts.sum())
    within = np.arange(total) - np.repeat(np.cumsum(counts) - counts, counts)
    owners = np.repeat(np.array([owner for *_, owner in spans], np.int64), counts)
    keys = hashes.grams(n)[np.repeat(starts, counts) + within]
    sizes = np.array(texts.sizes, np.int64)
    order = np.lexsort((within, owners, keys))
    keys, owners, within = keys[order], owners[order], within[order]
    first = np.ones(total, bool)
    first[1:] = (keys[1:] != keys[:-1]) | (owners[1:] != owners[:-1])
    keys, owners, within = keys[first], owners[first], within[first]
    _, inverse, shared = np.unique(keys, return_inverse=True, return_counts=True)
    own = shared[inverse] <= MOST_OWNERS
    keys, owners, within = keys[own], owners[own], within[own]
    return GramTable(keys, owners, within < sizes[owners] if len(owners) else np.zeros(0, bool), flags_of(keys))


def _closest(positions: list[int], rows: list[int], width: int) -> tuple[int, int, int] | None:
    """Find the span of at most `width` words with the most different sequences.

    Returns:
        The positions of its first and its last sequence, and the number of different ones.
    """
    counts: dict[int, int] = {}
    best: tuple[int, int, int] | None = None
    begin = 0
    for at, row in zip(positions, rows, strict=True):
        counts[row] = counts.get(row, 0) + 1
        while at - positions[begin] > width:
            gone = rows[begin]
            counts[gone] -= 1
            if not counts[gone]:
                del counts[gone]
            begin += 1
        if best is None or len(counts) > best[2]:
            best = positions[begin], at, len(counts)
    return best
