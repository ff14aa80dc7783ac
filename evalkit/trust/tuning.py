"""Choose between versions of a judge by people's labels, with nested cross-validation over questions."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from evalkit.aggregate.frozen import FrozenFrame
from evalkit.aggregate.statuses import SCORED
from evalkit.results import Estimate
from evalkit.stats.agreement import LabelDesign, cohen_kappa, kappa_difference
from evalkit.trust.agreement import answer_of, rows_by_answer
from evalkit.trust.labels import Label
from evalkit.trust.next_labels import pooled_chances
from evalkit.trust.pass_marks import mark_of
from evalkit.types import Metric

CURRENT = "current"
OUTER, INNER = 5, 3
"""Folds of the evaluation, and of the choice within each."""
MIN_QUESTIONS = 20
"""Minimum number of labelled questions."""
ALPHA = 0.05
CATEGORIES = ("fail", "pass")
Verdict = str | None
"""`pass`, `fail`, or `None` if the judge gave no usable reply."""
Places = tuple[int, ...]
"""Positions of labelled answers, ascending."""
Verdicts = Callable[[str, Places, Places], Sequence[Verdict]]
"""(version, answers that may be learned from, answers to grade) -> a verdict for each of the latter."""


@dataclass(frozen=True)
class JudgedAnswer:
    """An answer that the judge has graded and people have labelled."""

    case_id: str
    repeat: int
    question: int
    """Number of the cluster of its case; answers to one question are never on both sides of a split."""
    level: float
    """The judge's grade."""
    people: tuple[str, ...]
    """`pass` or `fail` of each person."""
    probability: float | None
    """Probability with which it was drawn for labelling; `None` if that is not known of all answers."""


@dataclass(frozen=True)
class Split:
    """Answers to learn from and answers to grade; no question is in both."""

    train: Places
    test: Places


@dataclass(frozen=True)
class OuterSplit(Split):
    """A split of the evaluation, with the splits of its own `train` by which a version is chosen."""

    inner: tuple[Split, ...]


@dataclass(frozen=True)
class Plan:
    """Every split of a nested cross-validation."""

    outer: tuple[OuterSplit, ...]
    final: tuple[Split, ...]
    """Splits of all answers, by which the proposed version is chosen."""

    @property
    def splits(self) -> Iterator[Split]:
        """Each split once."""
        for outer in self.outer:
            yield outer
            yield from outer.inner
        yield from self.final


@dataclass(frozen=True)
class Tuned:
    """The chosen version, and how well the procedure that chose it agrees with people on held-out answers."""

    chosen: str
    """A version, or `current`."""
    before: Estimate
    """Kappa of the current judge."""
    after: Estimate
    """Kappa of the versions chosen without the answers that they are measured on."""
    difference: float | None
    p_value: float | None
    """Two-sided, of equal kappas: swaps of whole questions."""
    n_missing: int
    """Answers that are left out because a chosen version gave no usable reply."""

    @property
    def is_better(self) -> bool:
        """Whether the chosen version beats the current one beyond noise."""
        known = self.difference is not None and self.p_value is not None
        return self.chosen != CURRENT and known and (self.difference or 0) > 0 and (self.p_value or 0) <= ALPHA


def labelled_answers(frame: FrozenFrame, metric: Metric, labels: Sequence[Label]) -> tuple[JudgedAnswer, ...]:
    """Collect the answers with labels of pass or fail by people; levels are read by the current pass mark.

    Args:
        frame: the run.
        metric: metric of the judge.
        labels: labels of any kind; only those with `rater_kind: person` count.

    Returns:
        In the order of case id and repeat.
    """
    rows, mark = rows_by_answer(frame), mark_of(frame, metric)
    status = frame.rows[metric.name].status
    said: dict[int, list[str]] = {}
    chances: dict[int, float | None] = {}
    for label in labels:
        row = rows.get(answer_of(label))
        if label.metric != metric.name or label.rater_kind != "person" or row is None or status[row] != SCORED:
            continue
        verdict = mark.verdict(label.label) if mark else label.label
        if isinstance(verdict, str):
            said.setdefault(row, []).append(verdict)
            chances[row] = label.inclusion_probability
    known = {row: chance for row, chance in chances.items() if chance is not None}
    drawn = pooled_chances(frame, metric, known) if len(known) == len(chances) else {}
    return tuple(
        JudgedAnswer(
            case_id=frame.case_ids[frame.row_case[row]],
            repeat=int(frame.repeats[row]),
            question=int(frame.clusters[frame.row_case[row]]),
            level=float(frame.rows[metric.name].at(row)),
            people=tuple(sorted(said[row])),
            probability=drawn.get(row),
        )
        for row in sorted(said)
    )


def plan_of(answers: Sequence[JudgedAnswer], seed: int) -> Plan:
    """Split labelled answers by question, twice over.

    Args:
        answers: answers to at least `MIN_QUESTIONS` questions.
        seed: seed of the splits.
    """
    everything = tuple(range(len(answers)))
    rng = np.random.default_rng(seed)
    return Plan(
        outer=tuple(
            OuterSplit(each.train, each.test, tuple(_splits(answers, each.train, INNER, rng)))
            for each in _splits(answers, everything, OUTER, rng)
        ),
        final=tuple(_splits(answers, everything, INNER, rng)),
    )


def _splits(answers: Sequence[JudgedAnswer], places: Places, n: int, rng: np.random.Generator) -> Iterator[Split]:
    from sklearn.model_selection import GroupKFold

    questions, numbers = np.unique([answers[at].question for at in places], return_inverse=True)
    groups = rng.permutation(len(questions))[numbers]
    for train, test in GroupKFold(n_splits=n).split(np.zeros(len(places)), groups=groups):
        yield Split(tuple(places[at] for at in train.tolist()), tuple(places[at] for at in test.tolist()))


def tuned(
    answers: Sequence[JudgedAnswer], versions: Sequence[str], plan: Plan, verdicts: Verdicts, *, seed: int
) -> Tuned:
    """Choose a version on each outer split without its held-out answers, and compare with the current judge on these.

    Args:
        answers: the labelled answers.
        versions: names of the versions besides `current`.
        plan: the splits.
        verdicts: gives the verdicts of a version, which may have learned from other answers.
        seed: seed of the test.
    """
    held_out: dict[int, Verdict] = {}
    for outer in plan.outer:
        chosen = _chosen(answers, versions, outer.inner, verdicts)
        held_out.update(zip(outer.test, verdicts(chosen, outer.train, outer.test), strict=True))
    everything = tuple(range(len(answers)))
    before = dict(zip(everything, verdicts(CURRENT, (), everything), strict=True))
    whole = [at for at in everything if held_out[at] is not None and before[at] is not None]
    people, design = _labels([answers[at] for at in whole])
    judges = tuple([str(said[at]) for at in whole for _ in answers[at].people] for said in (before, held_out))
    found = kappa_difference(
        people, (judges[0], judges[1]), categories=CATEGORIES, design=design, rng=np.random.default_rng(seed)
    )
    return Tuned(
        chosen=_chosen(answers, versions, plan.final, verdicts),
        before=found.first,
        after=found.second,
        difference=found.difference,
        p_value=found.p_value,
        n_missing=len(answers) - len(whole),
    )


def _chosen(
    answers: Sequence[JudgedAnswer], versions: Sequence[str], splits: Sequence[Split], verdicts: Verdicts
) -> str:
    """Return the version with the highest kappa on the test sides; the current one if none is higher."""
    best, most = CURRENT, _kappa(answers, CURRENT, splits, verdicts)
    for version in versions:
        kappa = _kappa(answers, version, splits, verdicts)
        if kappa is not None and (most is None or kappa > most + 1e-9):
            best, most = version, kappa
    return best


def _kappa(answers: Sequence[JudgedAnswer], version: str, splits: Sequence[Split], verdicts: Verdicts) -> float | None:
    """Return the kappa over the test sides; `None` if a verdict is missing or kappa is undefined."""
    graded = [
        (answers[at], said)
        for split in splits
        for at, said in zip(split.test, verdicts(version, split.train, split.test), strict=True)
    ]
    if any(said is None for _, said in graded):
        return None
    people, design = _labels([answer for answer, _ in graded])
    judge = [said for answer, said in graded for _ in answer.people]
    return cohen_kappa(people, judge, categories=CATEGORIES, design=design).value


def _labels(answers: Sequence[JudgedAnswer]) -> tuple[list[str], LabelDesign]:
    """Return each person's label, with its design."""
    every = [(place, each, said) for place, each in enumerate(answers) for said in each.people]
    chances = [each.probability for _, each, _ in every if each.probability is not None]
    design = LabelDesign(
        probabilities=chances if len(chances) == len(every) else None,
        answers=[place for place, _, _ in every],
        clusters=[each.question for _, each, _ in every],
    )
    return [said for _, _, said in every], design
