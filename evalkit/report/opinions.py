"""List labels beside the judge's verdicts, case by case."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

from evalkit.aggregate.frame import answer_key
from evalkit.formats.labelled_text import labelled_text
from evalkit.trust.agreement import AnswerKey, answer_of
from evalkit.trust.labels import Label
from evalkit.trust.pass_marks import Opinion, declared_mark
from evalkit.types import Metric, Row, Score

Place = tuple[str, str, str, str]
"""Metric, kind of rater, the rater's verdict, and the judge's verdict (empty if it gave no grade)."""


class Opinions:
    """Labels by answer; each answer counts once, with its first repeat."""

    def __init__(self, labels: Sequence[Label]) -> None:
        self._by_answer: dict[AnswerKey, list[Label]] = defaultdict(list)
        for label in labels:
            self._by_answer[answer_of(label)].append(label)
        self._case_ids = {case_id for case_id, _ in self._by_answer}

    def of(self, row: Row, metrics: dict[str, Metric]) -> list[Place]:
        """Pair each rater's label of a row's answer with the judge's grade, without duplicates."""
        if row.output is None or row.case.id not in self._case_ids:
            return []
        labels = self._by_answer.pop((row.case.id, answer_key(labelled_text(row.case, row.output))), [])
        found: dict[Place, None] = {}
        for label in labels:
            metric = metrics.get(label.metric)
            for said in _readings(label.label, metric):
                judge = _judge(row, metric, in_words=isinstance(said, str))
                found[label.metric, label.rater_kind, _written(said), judge] = None
        return list(found)


def _readings(said: Opinion, metric: Metric | None) -> tuple[Opinion, ...]:
    """Return the readings of a label: itself, and for a level also pass or fail by the pass mark."""
    mark = declared_mark(metric) if metric and not isinstance(said, str) else None
    verdict = mark.verdict(said) if mark else None
    return (said,) if verdict is None else (said, verdict)


def _judge(row: Row, metric: Metric | None, *, in_words: bool) -> str:
    """Return the judge's opinion in the words of the confusion matrix."""
    score = row.scores.get(metric.name) if metric else None
    if metric is None or not isinstance(score, Score):
        return ""
    if not in_words:
        return _written(score.value)
    passed = (score.value == 1) == metric.higher_is_better if metric.binary else score.passed
    return "" if passed is None else "pass" if passed else "fail"


def _written(opinion: Opinion) -> str:
    return opinion if isinstance(opinion, str) else f"{opinion:g}"
