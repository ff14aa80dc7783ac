"""Score the results of a retriever: recall, precision, hit, reciprocal rank and nDCG."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from evalkit.scorers.rules.normalise import words
from evalkit.scorers.rules.rule import case_texts, check_share, no_contexts, shown
from evalkit.scorers.rules.text_metrics import rouge_l
from evalkit.types import Case, Metric, Output, Score, Unscored

REFERENCES = "reference_contexts"


@dataclass(frozen=True)
class Ranking:
    """The relevant items in each context, in the order of the contexts."""

    places: tuple[frozenset[str], ...]
    """For each context its relevant items; empty if it is not relevant."""
    grades: Mapping[str, float]
    """Relevant item -> its grade, above 0."""
    basis: str
    """The compared part: `id`, `source` or `overlap`."""


@dataclass(frozen=True, kw_only=True)
class Retrieval:
    """Measure the results of a retriever without a model: recall, precision, hit, MRR and nDCG.

    Five metrics from 0 to 1, over the first `k` contexts, or over all without `k`: `<name>.recall`, the share of the
    relevant items that were found; `<name>.precision`, the share of the `k` places (without `k`, of the contexts) that
    are relevant; `<name>.hit`, 1 if any is, which is also its pass mark; `<name>.mrr`, 1 / rank of the first relevant
    one; `<name>.ndcg`, with linear gain. With `min_recall`, recall has a pass mark too. The contexts are those that the
    system returned, else those of the case; their order is the ranking, and `score` sorts nothing.

    What is relevant is read from the first of these that fits, and the reason says which: `relevant_ids`, a list of ids
    or a mapping of ids to grades (0 is not relevant), compared with the `id` of each context; `expected_source`, one or
    several, compared with its `source`; `reference_contexts`, texts compared by overlap. An id that is returned again
    is not relevant a second time; several contexts of one source all are, and count once for recall and nDCG. No
    contexts score 0. A case that has none of these fields, or an empty one, is an error before the first call.

    It cannot see that an unlisted document is relevant too, or that the answer used none of them. Source of nDCG:
    Järvelin and Kekäläinen 2002, doi 10.1145/582415.582418.
    """

    name: str = "retrieval"
    k: int | None = None
    """Number of contexts that count, from the first; by default all."""
    relevant_field: str = "relevant_ids"
    """Case field with the ids."""
    source_field: str = "expected_source"
    """Case field with the sources."""
    overlap: float = 0.8
    """Share of the shorter text's words that the other text must have, in order, for a context to be a reference."""
    min_recall: float | None = None
    """Smallest recall that passes."""

    version: ClassVar[str] = "1"
    without_text: ClassVar[bool] = True
    shorthand: ClassVar[str] = "k"

    def __post_init__(self) -> None:
        check_share("overlap", self.overlap)
        check_share("min_recall", self.min_recall)
        if self.k is not None and self.k < 1:
            raise ValueError(f"k: expected 1 or more, got {self.k}; leave it out for all contexts")

    @property
    def metrics(self) -> tuple[Metric, ...]:
        """Recall, precision, hit, MRR and nDCG."""
        return (
            Metric(f"{self.name}.recall", pass_at=self.min_recall),
            Metric(f"{self.name}.precision"),
            Metric(f"{self.name}.hit", binary=True),
            Metric(f"{self.name}.mrr"),
            Metric(f"{self.name}.ndcg"),
        )

    @property
    def needs(self) -> frozenset[str]:
        """No single field: any of three can list the relevant items."""
        return frozenset()

    def check_case(self, case: Case) -> None:
        """Reject a case that does not list relevant items."""
        fields = [field for field in self._fields if field in case.fields]
        when = f"give the scorer `when: {{has: {fields[0] if fields else self.relevant_field}}}`"
        if not fields:
            raise ValueError(f"the case has none of {', '.join(self._fields)}; add one, or {when}")
        for field in fields:
            if not self._wanted(case, field):
                what = f"`{field}` names nothing relevant, so no share of it can be found"
                raise ValueError(f"{what}; remove it, and {when}")

    def score(self, case: Case, output: Output) -> tuple[Score | Unscored, ...]:
        """Compare the contexts with the relevant items."""
        ranking = self._ranking(case, output)
        if isinstance(ranking, Unscored):
            return tuple(Unscored(metric.name, ranking.kind, ranking.message) for metric in self.metrics)
        values = figures(ranking, self.k)
        details, reason = self._told(ranking)
        passed = {
            "recall": None if self.min_recall is None else values["recall"] >= self.min_recall,
            "hit": values["hit"] == 1,
        }
        return tuple(
            Score(f"{self.name}.{part}", value, passed.get(part), reason, details) for part, value in values.items()
        )

    @property
    def _fields(self) -> tuple[str, ...]:
        return (self.relevant_field, self.source_field, REFERENCES)

    def _wanted(self, case: Case, field: str) -> dict[str, float]:
        """Return the relevant items that a field names, with their grades."""
        if field == self.relevant_field:
            return _graded(field, case.fields.get(field, ()))
        return dict.fromkeys(case_texts(case, field), 1.0)

    def _ranking(self, case: Case, output: Output) -> Ranking | Unscored:
        texts, origins = (
            (case.contexts or None, case.origins) if output.contexts is None else (output.contexts, output.origins)
        )
        if texts is None:
            return no_contexts(self.name)
        ids, sources, references = (self._wanted(case, field) for field in self._fields)
        if not (ids or sources or references):
            return Unscored(self.name, "nothing_relevant", f"the case has none of {', '.join(self._fields)}")
        if ids and (not texts or any(origin.id for origin in origins)):
            return Ranking(_once([origin.id for origin in origins], ids), ids, "id")
        if sources and (not texts or any(origin.source for origin in origins)):
            places = tuple(frozenset({origin.source} & sources.keys()) for origin in origins)
            return Ranking(places, sources, "source")
        if references:
            return Ranking(_overlapping(texts, tuple(references), self.overlap), references, "overlap")
        key = "id" if ids else "source"
        return Unscored(self.name, f"missing_{key}", f"no context has the key `{key}`; return [{{id, text, source}}]")

    def _told(self, ranking: Ranking) -> tuple[Mapping[str, Any], str]:
        top = ranking.places[: self.k]
        ranks = [rank for rank, items in enumerate(top, 1) if items]
        found = frozenset().union(*top)
        missing = [item for item in ranking.grades if item not in found]
        at = f"relevant at rank {', '.join(map(str, ranks[:10]))}" if ranks else "none relevant"
        reason = f"by {ranking.basis}: {at} of {len(top)}"
        details = {"basis": ranking.basis, "ranks": ranks, "missing": missing[:50]}
        return details, f"{reason}; missing {shown(missing)}" if missing else reason


def figures(ranking: Ranking, k: int | None = None) -> dict[str, float]:
    """Return recall, precision, hit, reciprocal rank and nDCG of the first `k` places.

    Precision divides by `k` even if fewer contexts were returned, as trec_eval does. The ideal ranking of nDCG has one
    relevant item at each place, best first.
    """
    top = ranking.places[:k]
    ranks = [rank for rank, items in enumerate(top, 1) if items]
    seen: set[str] = set()
    gained = 0.0
    for rank, items in enumerate(top, 1):
        gained += max((ranking.grades[item] for item in items - seen), default=0.0) / math.log2(rank + 1)
        seen |= items
    best = sorted(ranking.grades.values(), reverse=True)[:k]
    ideal = sum(grade / math.log2(rank + 1) for rank, grade in enumerate(best, 1))
    places = len(top) if k is None else k
    return {
        "recall": len(seen) / len(ranking.grades),
        "precision": len(ranks) / places if places else 0.0,
        "hit": float(bool(ranks)),
        "mrr": 1 / ranks[0] if ranks else 0.0,
        "ndcg": min(gained / ideal, 1.0),
    }


def _graded(field: str, value: Any) -> dict[str, float]:
    """Read ids, or ids with grades; those of grade 0 are left out."""
    if isinstance(value, Mapping):
        for name, grade in value.items():
            if isinstance(grade, bool) or not isinstance(grade, int | float) or not 0 <= grade < math.inf:
                raise ValueError(f'`{field}.{name}` must be a grade of 0 or more; write {{"{name}": 1}}')
        return {str(name): float(grade) for name, grade in value.items() if grade}
    ids = [value] if isinstance(value, str | int) and not isinstance(value, bool) else value
    if not isinstance(ids, list | tuple) or not all(
        isinstance(one, str | int) and not isinstance(one, bool) and str(one).strip() for one in ids
    ):
        raise ValueError(f'`{field}` must be a list of ids, or a mapping of ids to grades; write ["..."]')
    return dict.fromkeys(map(str, ids), 1.0)


def _once(ids: Sequence[str], wanted: Mapping[str, float]) -> tuple[frozenset[str], ...]:
    """Return the relevant id at each place; a repeated id does not count again."""
    return tuple(
        frozenset({name}) if name in wanted and name not in ids[:place] else frozenset()
        for place, name in enumerate(ids)
    )


def _overlapping(texts: Sequence[str], references: Sequence[str], least: float) -> tuple[frozenset[str], ...]:
    """Return the references that each text contains or is part of."""
    wanted = {text: words(text) for text in references}
    return tuple(
        frozenset(text for text, parts in wanted.items() if _shared(found, parts) >= least)
        for found in map(words, texts)
    )


def _shared(found: list[str], wanted: list[str]) -> float:
    """Return the share of the shorter text's words that the other has in the same order; 0 for a text without words."""
    if not (found and wanted):
        return 0.0
    both = rouge_l(found, wanted)
    return max(both.precision, both.recall)
