"""Group failing cases by the scorer or the model's fault that failed them, then by words in common."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from evalkit.aggregate.columns import Floats, Ints
from evalkit.types import NO_INPUT, Row, Score, Unscored, Verdict, verdict_of

Bools = NDArray[np.bool_]
KindState = Literal["failed", "system_error", "unscored"]
MOST_TEXTS = 400
"""Maximum number of cases of one scorer whose texts are clustered; the others join the nearest cluster."""
MOST_KEPT = 5_000
"""Maximum number of texts in memory; later cases are counted without words."""
MOST_CLUSTERS = 4
SHOWN_WORDS = 4
SHOWN_CASES = 5
_TEXT_CHARS = 400
_APART = 0.85
"""Cosine distance from which two groups of texts are not joined; 1 means no word in common."""
_SMALLEST = 2
_WORD = re.compile(r"[^\W\d_]{4,}")
_COMMON = frozenset(
    "about after also because been before being between could does each every expected false found from have into "
    "missing more must need needs none only other over required returned said same should some such than that their "
    "them then there these they this those through true under until were what when where which while will with within "
    "without would your".split()
)


@dataclass(frozen=True, slots=True)
class FailureKind:
    """Cases that fail alike."""

    state: KindState
    name: str
    """The scorer that failed the cases, the model's fault that failed every scorer, or the kind of error."""
    words: tuple[str, ...]
    """Words that are typical of the cases' texts; empty if the cases share only the scorer."""
    n: int
    n_new: int
    """Ids of the cases that did not fail in the baseline."""
    case_ids: tuple[str, ...]
    """Ids of a few cases, the most typical one first."""


@dataclass(slots=True)
class _Failing:
    """Failing cases of one scorer, or of one kind of error."""

    ids: list[str] = field(default_factory=list)
    new: list[bool] = field(default_factory=list)
    texts: list[str] = field(default_factory=list)
    """Texts of the first `MOST_KEPT` cases."""


class FailureGroups:
    """Collects cases one by one, and keeps the beginning of the texts of failing ones."""

    def __init__(self, advisory: frozenset[str] = frozenset(), new_ids: Iterable[str] = ()) -> None:
        """Set the advisory metrics, and the cases that newly fail."""
        self._advisory, self._new_ids = advisory, frozenset(new_ids)
        self._found: dict[tuple[KindState, str], _Failing] = {}

    def add(self, verdict: Verdict, runs: Sequence[Row]) -> None:
        """Add a case with its verdict; passing cases are ignored."""
        if verdict not in ("failed", "system_error", "unscored"):
            return
        row = next((row for row in runs if verdict_of(row, self._advisory) == verdict), runs[0])
        state, name, text = self._reading(row)
        group = self._found.setdefault((state, name), _Failing())
        group.ids.append(row.case.id)
        group.new.append(row.case.id in self._new_ids)
        if len(group.texts) < MOST_KEPT and state == "failed":
            group.texts.append(text)

    def kinds(self) -> tuple[FailureKind, ...]:
        """Return the kinds by scorer, the largest first; the same cases give the same kinds in the same order."""
        groups = sorted(self._found.items(), key=lambda item: (-sum(item[1].new), -len(item[1].ids), item[0]))
        return tuple(kind for (state, name), group in groups for kind in _split(state, name, group))

    def _reading(self, row: Row) -> tuple[KindState, str, str]:
        """Return the name of what failed the row, and the text to compare: question, answer and reasons."""
        if row.failure is not None:
            return "unscored" if row.state == "unscored" else "system_error", row.failure.kind, ""
        grades = [grade for name, grade in row.scores.items() if name not in self._advisory]
        failed = [grade for grade in grades if isinstance(grade, Score) and grade.passed is False]
        if failed:
            said = row.output.text if row.output else ""
            parts = ("" if row.case.input == NO_INPUT else row.case.question, said, *(grade.reason for grade in failed))
            fault = row.output.fault if row.output else None
            name = fault.partition(":")[0] if fault else failed[0].metric
            return "failed", name, " ".join(part[:_TEXT_CHARS] for part in parts)
        unknown = next((grade for grade in grades if isinstance(grade, Unscored)), None)
        return "unscored", unknown.kind if unknown else row.state, ""


def _split(state: KindState, name: str, group: _Failing) -> list[FailureKind]:
    """Return the clusters of one scorer's failures, and one kind for the rest."""
    everyone = np.arange(len(group.ids))
    members, words = _clustered(group.texts) if state == "failed" else ([], [])
    rest = np.setdiff1d(everyone, np.concatenate(members)) if members else everyone
    parts = [*zip(members, words, strict=True), *([(rest, ())] if len(rest) else [])]
    kinds = [_kind(state, name, group, places.tolist(), marks) for places, marks in parts]
    return sorted(kinds, key=lambda kind: (not kind.words, -kind.n_new, -kind.n, kind.words))


def _kind(state: KindState, name: str, group: _Failing, places: Sequence[int], words: tuple[str, ...]) -> FailureKind:
    shown = sorted(places, key=lambda place: not group.new[place])[:SHOWN_CASES]
    n_new = sum(group.new[place] for place in places)
    return FailureKind(state, name, words, len(places), n_new, tuple(group.ids[place] for place in shown))


def _clustered(texts: Sequence[str]) -> tuple[list[Ints], list[tuple[str, ...]]]:
    """Return clusters of at least `_SMALLEST` texts as indices, the most typical text first, with the words of each."""
    if len(texts) < 2 * _SMALLEST:
        return [], []
    vectors, vocabulary = _vectors(texts)
    sample = np.linspace(0, len(texts) - 1, min(len(texts), MOST_TEXTS)).astype(np.int64)
    centres = _centres(vectors[sample])
    if not len(centres):
        return [], []
    nearness = vectors @ centres.T
    nearest = np.where(nearness.max(axis=1) > 1 - _APART, nearness.argmax(axis=1), -1)
    members: list[Ints] = []
    words: list[tuple[str, ...]] = []
    for place in range(len(centres)):
        inside = np.flatnonzero(nearest == place)
        if len(inside) < _SMALLEST:
            continue
        inside = inside[np.argsort(-nearness[inside, place].round(9), kind="stable")]
        if marks := _marks(vectors, nearest == place, vocabulary, texts[inside[0]]):
            members.append(inside)
            words.append(marks)
    return members, words


def _vectors(texts: Sequence[str]) -> tuple[Floats, list[str]]:
    """Return a unit row for each text (0 if it shares no word): words that two texts share, rare ones weighted more."""
    bags = [
        dict.fromkeys(word for word in map(str.lower, _WORD.findall(text)) if word not in _COMMON) for text in texts
    ]
    seen = Counter(word for bag in bags for word in bag)
    vocabulary = sorted(sorted(seen), key=lambda word: -seen[word])[:1_500]
    vocabulary = sorted(word for word in vocabulary if seen[word] > 1)
    column = {word: place for place, word in enumerate(vocabulary)}
    weights = np.zeros((len(texts), len(vocabulary)), np.float64)
    for row, bag in enumerate(bags):
        for word in bag:
            if word in column:
                weights[row, column[word]] = 1 + np.log((1 + len(texts)) / (1 + seen[word]))
    lengths = np.linalg.norm(weights, axis=1, keepdims=True)
    return weights / np.where(lengths == 0, 1, lengths), vocabulary


def _centres(vectors: Floats) -> Floats:
    """Return the mean vectors of the largest clusters."""
    labels = _average_linkage(np.clip(1 - vectors @ vectors.T, 0, 1).round(9), _APART)
    counts = Counter(labels.tolist())
    first = {label: int(np.flatnonzero(labels == label)[0]) for label in counts}
    largest = sorted(counts, key=lambda label: (-counts[label], first[label]))[:MOST_CLUSTERS]
    means = [vectors[labels == label].mean(axis=0) for label in largest if counts[label] >= _SMALLEST]
    return np.array([mean / max(float(np.linalg.norm(mean)), 1e-12) for mean in means])


def _average_linkage(distances: Floats, most: float) -> Ints:
    """Join the nearest two clusters until all are farther apart than `most`; return the cluster of each item.

    The distance of two clusters is the mean over their pairs of items (UPGMA; Sokal and Michener 1958), the same as
    `fcluster(linkage(..., "average"), most, "distance")` of scipy, whose import takes longer than all reports of a run.
    """
    apart, labels = distances.copy(), np.arange(len(distances))
    np.fill_diagonal(apart, np.inf)
    sizes = np.ones(len(apart))
    while len(apart):
        kept, joined = sorted(np.unravel_index(int(apart.argmin()), apart.shape))
        if not apart[kept, joined] <= most:
            break
        mean = (sizes[kept] * apart[kept] + sizes[joined] * apart[joined]) / (sizes[kept] + sizes[joined])
        mean[kept] = np.inf
        apart[kept], apart[:, kept] = mean, mean
        apart[joined], apart[:, joined] = np.inf, np.inf
        sizes[kept] += sizes[joined]
        labels[labels == joined] = kept
    return labels


def _marks(vectors: Floats, inside: Bools, vocabulary: Sequence[str], text: str) -> tuple[str, ...]:
    """Return the words that are frequent in the cluster and rare elsewhere, in the order of a typical text."""
    has = vectors > 0
    share = has[inside].mean(axis=0)
    others = has[~inside].mean(axis=0) if (~inside).any() else np.zeros(len(vocabulary))
    score, lowered = (share * (share - others)).round(1), text.lower()
    able = [place for place in range(len(vocabulary)) if share[place] >= 0.5 and score[place] > 0]
    begins = {place: at for place in able if (at := lowered.find(vocabulary[place])) >= 0}
    best = sorted(begins, key=lambda place: (-score[place], begins[place]))[:SHOWN_WORDS]
    return tuple(vocabulary[place] for place in sorted(best, key=begins.__getitem__))
