"""Choose cases whose answers of two runs are to be labelled, with known drawing probabilities."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from evalkit.aggregate.columns import Ints
from evalkit.aggregate.frozen import FrozenFrame
from evalkit.trust.agreement import answer_of
from evalkit.trust.corrected_drops import rows_by_case
from evalkit.trust.labels import Label
from evalkit.trust.next_labels import Draw, Stratum, spread


@dataclass(frozen=True)
class PairedDraws:
    """The answers to label, of the later and the earlier run; an answer that both gave is in the first alone."""

    candidate: tuple[Draw, ...]
    baseline: tuple[Draw, ...]


@dataclass(frozen=True, eq=False)
class _Pair:
    """The graded answers of both runs to one case."""

    ids: tuple[str, str]
    rows: tuple[Ints, Ints]
    """Rows of the later and the earlier run."""
    answers: tuple[tuple[bytes, ...], tuple[bytes, ...]]
    cohort: str

    def chance(self, answer: bytes) -> float:
        """Return the probability that an answer is chosen, if the case is, on either side."""
        missed = 1.0
        for side in self.answers:
            missed *= 1 - Counter(side)[answer] / len(side)
        return 1 - missed


def paired_labels(  # noqa: PLR0913 - what a draw depends on
    candidate: FrozenFrame,
    baseline: FrozenFrame,
    metric: str,
    n: int,
    *,
    labels: Sequence[Label] = (),
    by: str | None = None,
    rng: np.random.Generator,
) -> PairedDraws:
    """Draw cases at random, and one answer of each run to them.

    Cases that have a label, but not of both runs, come first: their answers changed since, and without them the sample
    would hold more unchanged answers than the run. The others are drawn in proportion to the values of a cohort, each
    of which has at least one case if there is room.

    Args:
        candidate: the later run.
        baseline: the earlier one.
        metric: metric of the judge, which graded both.
        n: cases to draw; fewer are returned if there are no more.
        labels: existing labels of the metric by people, each with its drawing probability.
        by: name of a cohort of the later run to spread over.
        rng: source of the draw.

    Returns:
        In the order of case id and repeat.
    """
    pairs = _pairs(candidate, baseline, metric, by)
    place = {each.ids[0]: at for at, each in enumerate(pairs)}
    known: dict[int, list[Label]] = {}
    for label in labels:
        if label.case_id in place:
            known.setdefault(place[label.case_id], []).append(label)
    drawn: list[tuple[int, float]] = [
        (at, _chance_of(pairs[at], known[at])) for at in sorted(known) if _lacks(pairs[at], known[at])
    ]
    rest = [at for at in range(len(pairs)) if at not in known]
    drawn = drawn[:n] + _at_random(pairs, rest, n - len(drawn[:n]), rng)
    found: tuple[list[Draw], list[Draw]] = ([], [])
    for at, chance in drawn:
        pair, seen = pairs[at], {answer_of(label)[1] for label in known.get(at, ())}
        for side, frame in enumerate((candidate, baseline)):
            if not seen.isdisjoint(pair.answers[side]):
                continue  # this run's answer is labelled
            chosen = int(rng.integers(len(pair.rows[side])))
            answer, row = pair.answers[side][chosen], int(pair.rows[side][chosen])
            seen.add(answer)
            drawing = min(1.0, chance * pair.chance(answer))
            found[side].append(Draw(pair.ids[side], int(frame.repeats[row]), drawing))
    return PairedDraws(*(tuple(sorted(side, key=lambda each: (each.case_id, each.repeat))) for side in found))


def _pairs(candidate: FrozenFrame, baseline: FrozenFrame, metric: str, by: str | None) -> list[_Pair]:
    ours, theirs = (rows_by_case(frame, frame.rows[metric]) for frame in (candidate, baseline))
    value_of: dict[int, str] = {}
    for cohort, cases in candidate.cohorts.items():
        name, _, value = cohort.partition("=")
        if name == by:
            value_of.update(dict.fromkeys(cases.tolist(), value))
    found = []
    for key, rows in ours.items():
        if key in theirs:
            case, other = (int(f.row_case[r[0]]) for f, r in ((candidate, rows), (baseline, theirs[key])))
            answers = tuple(
                tuple(frame.answers[row] for row in each.tolist())
                for frame, each in ((candidate, rows), (baseline, theirs[key]))
            )
            ids = candidate.case_ids[case], baseline.case_ids[other]
            found.append(_Pair(ids, (rows, theirs[key]), (answers[0], answers[1]), value_of.get(case, "")))
    return found


def _lacks(pair: _Pair, labels: Sequence[Label]) -> bool:
    """Return whether a run's answer to a labelled case has no label."""
    labelled = {answer_of(each)[1] for each in labels}
    return any(labelled.isdisjoint(side) for side in pair.answers)


def _chance_of(pair: _Pair, labels: Sequence[Label]) -> float:
    """Return the probability with which a labelled case was drawn."""
    label = labels[0]
    share = pair.chance(answer_of(label)[1]) or 1.0  # 0 for an answer that neither run gave
    return min(1.0, (label.inclusion_probability or 1.0) / share)


def _at_random(
    pairs: Sequence[_Pair], places: Sequence[int], n: int, rng: np.random.Generator
) -> list[tuple[int, float]]:
    strata: dict[Stratum, list[int]] = {}
    for at in places:
        strata.setdefault((True, pairs[at].cohort), []).append(at)
    taken = spread({stratum: len(there) for stratum, there in strata.items()}, min(n, len(places)))
    drawn: list[tuple[int, float]] = []
    for stratum in sorted(strata):
        there, count = strata[stratum], taken[stratum]
        drawn += [(int(at), count / len(there)) for at in rng.choice(there, size=count, replace=False)]
    return drawn
