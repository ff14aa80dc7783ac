"""Measure the agreement of judges with raters on the answers that both graded."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import combinations

from evalkit.aggregate.frozen import FrozenFrame
from evalkit.aggregate.statuses import KEY_BYTES, SCORED
from evalkit.results import KAPPA_FLOOR, OVERALL, Agreement, Estimate, Trust
from evalkit.text.numbers import plural
from evalkit.trust.labels import Floors, Label
from evalkit.trust.next_labels import pooled_chances
from evalkit.trust.pass_marks import Opinion, PassMark, mark_of
from evalkit.trust.raters import PASS_FAIL, Rated, alpha_of, compare
from evalkit.types import Metric

MIN_SHARED = 10
"""Minimum number of shared answers for the agreement of two raters to be shown."""
MIN_COHORT_LABELS = 40
"""Minimum number of labels in a cohort; with fewer, the judge's overall trust applies."""


AnswerKey = tuple[str, bytes]
"""(id of the case, first bytes of the answer's SHA-256)."""


@dataclass(frozen=True)
class _Scale:
    """Labels of one metric, one kind of rater and one kind of value, by row."""

    metric: Metric
    kind: str
    passes: bool
    """Whether labels are read as pass or fail, or levels are compared."""
    mark: PassMark | None
    labels: tuple[tuple[int, Label], ...]
    floors: Floors
    note: str = ""

    def blank(self, judge: str | None = None, cohort: str = OVERALL) -> Agreement:
        """Build an entry that only names the comparison."""
        return Agreement(
            metric=self.metric.name,
            judge=judge or self.metric.judge or "",
            rater_kind=self.kind,
            cohort=cohort,
            figure=f"{self.metric.name}.passed" if self.passes and not self.metric.binary else self.metric.name,
            floor=self.floors.get(cohort, self.floors.get(OVERALL, KAPPA_FLOOR)),
            kappa=Estimate(value=None, reason="no labels"),
            weights=None if self.passes else "quadratic",
        )


def agreement(frame: FrozenFrame, labels: Sequence[Label], floors: Floors | None = None) -> tuple[Agreement, ...]:
    """Compare every judge with each kind of rater, overall and by cohort, and raters of one kind with each other.

    A judge of levels with a pass mark has two figures, and an entry for each that has labels: `<name>.passed`, for
    which labels on levels are read as pass or fail by the mark, with plain kappa; and the mean of its levels, with
    quadratic weights. An answer whose raters disagree counts with all of them, see `raters.compare`. Labels of answers
    that this run does not hold are left out and counted in the note. Answers of one cluster, or of one case, depend on
    each other. If raters are compared, `judge` reads `rater <a> / <b>`; it never feeds trust.

    Args:
        frame: the run whose judges are compared.
        labels: labels of any metric; those of metrics without a judge are ignored.
        floors: kappa to be reached, 0.6 by default.

    Returns:
        For every judge metric at least one entry of `rater_kind` `person`: without labels it is untrusted and says so.
    """
    rows = rows_by_answer(frame) if labels else {}
    by_metric: dict[str, list[Label]] = defaultdict(list)
    for label in labels:
        by_metric[label.metric].append(label)
    judged = [metric for metric in frame.metrics if metric.is_opinion]
    return tuple(
        found for metric in judged for found in _of_metric(frame, metric, by_metric[metric.name], rows, floors or {})
    )


def answer_of(label: Label) -> AnswerKey:
    """Return the key of the answer that a label is about."""
    return label.case_id, _answer(label)


def labelled_rows(frame: FrozenFrame, labels: Sequence[Label], metric: str) -> frozenset[int]:
    """Return the rows whose answer a person has labelled for a metric."""
    rows = rows_by_answer(frame)
    mine = (each for each in labels if each.metric == metric and each.rater_kind == "person")
    return frozenset(rows[key] for each in mine if (key := (each.case_id, _answer(each))) in rows)


def person_ratings(labels: Sequence[Label], metric: str) -> dict[AnswerKey, tuple[Opinion, ...]]:
    """Map (case, answer) to each person's rating of it for a metric."""
    found: dict[AnswerKey, list[Opinion]] = defaultdict(list)
    for label in labels:
        if label.metric == metric and label.rater_kind == "person":
            found[answer_of(label)].append(label.label)
    return {key: tuple(opinions) for key, opinions in found.items()}


def rows_by_answer(frame: FrozenFrame) -> dict[AnswerKey, int]:
    """Map each answer to its first row."""
    rows: dict[tuple[str, bytes], int] = {}
    for row, (case, answer) in enumerate(zip(frame.row_case.tolist(), frame.answers, strict=True)):
        rows.setdefault((frame.case_ids[case], answer), row)
    return rows


def _of_metric(
    frame: FrozenFrame,
    metric: Metric,
    labels: Sequence[Label],
    rows: dict[tuple[str, bytes], int],
    floors: Floors,
) -> Iterator[Agreement]:
    bound, left_out = _bind(frame, metric, labels, rows)
    scales = [scale for scale in _scales(frame, metric, bound, floors) if _rated(frame, scale)]
    for scale in scales:
        yield from _of_scale(frame, scale, left_out)
    if all(scale.kind != "person" for scale in scales):
        passes = metric.binary or mark_of(frame, metric) is not None
        note = "; ".join(filter(None, ["no labels by a person" if labels else "no labels", left_out]))
        yield replace(_Scale(metric, "person", passes, None, (), floors).blank(), note=note)


def _bind(
    frame: FrozenFrame, metric: Metric, labels: Sequence[Label], rows: dict[tuple[str, bytes], int]
) -> tuple[list[tuple[int, Label]], str]:
    """Find the row whose answer each label is about, and say how many labels cannot be compared."""
    ids, unmarked = set(frame.case_ids), not metric.binary and mark_of(frame, metric) is None
    status = frame.rows[metric.name].status
    bound: list[tuple[int, Label]] = []
    left_out: Counter[str] = Counter()
    for label in labels:
        row = rows.get((label.case_id, _answer(label)))
        if label.case_id not in ids:
            left_out["of a case outside this run"] += 1
        elif row is None:
            left_out["stale, of another answer"] += 1
        elif status[row] != SCORED:
            left_out["of an answer that the judge did not grade"] += 1
        elif isinstance(label.label, str) and unmarked:
            left_out["pass or fail of a judge without a known pass mark"] += 1
        elif not isinstance(label.label, str) and metric.binary:
            left_out["a level, of a judge of pass or fail"] += 1
        else:
            bound.append((row, label))
    return bound, "; ".join(f"{plural(count, 'label')} left out ({why})" for why, count in sorted(left_out.items()))


def _answer(label: Label) -> bytes:
    try:
        return bytes.fromhex(label.answer_sha256)[:KEY_BYTES]
    except ValueError:
        return b""


def _scales(frame: FrozenFrame, metric: Metric, bound: Sequence[tuple[int, Label]], floors: Floors) -> Iterator[_Scale]:
    """Yield the values of a judge that each kind of rater has labelled: passes, levels, or both."""
    mark = mark_of(frame, metric)
    for kind in ("person", "author", "program"):
        mine = [(row, label) for row, label in bound if label.rater_kind == kind]
        if metric.binary or mark is not None:
            read = [(row, label, mark.verdict(label.label) if mark else label.label) for row, label in mine]
            words = tuple((row, replace(label, label=said)) for row, label, said in read if said is not None)
            unclear = len(mine) - len(words)
            note = f"{plural(unclear, 'label')} left out (a level that this run shows neither to pass nor to fail)"
            yield _Scale(metric, kind, True, mark, words, floors, note if unclear else "")
        levels = tuple((row, label) for row, label in mine if not isinstance(label.label, str))
        yield _Scale(metric, kind, False, mark, levels, floors)


def _of_scale(frame: FrozenFrame, scale: _Scale, left_out: str) -> Iterator[Agreement]:
    rated = _rated(frame, scale)
    pooled = compare(scale.blank(), list(rated.values()), scale.mark)
    split = sum(len(set(each.ratings)) > 1 for each in rated.values())
    notes = [
        left_out,
        scale.note,
        f"raters disagree on {plural(split, 'answer')}: each counts with all its raters" if split else "",
        "" if scale.kind == "person" else f"labels of kind `{scale.kind}` never feed trust",
        pooled.note,
    ]
    yield replace(pooled, note="; ".join(filter(None, notes)))
    for cohort, where in frame.cohorts.items():
        inside = set(where.tolist())
        part = [each for row, each in rated.items() if int(frame.row_case[row]) in inside]
        if cohort != OVERALL and part:
            found = compare(scale.blank(cohort=cohort), part, scale.mark)
            yield _in_cohort(found, pooled.trust, len(part))
    yield from _between_raters(frame, scale)


def _in_cohort(found: Agreement, pooled: Trust, labels: int) -> Agreement:
    if labels >= MIN_COHORT_LABELS:
        return found
    note = f"not verified here: {plural(labels, 'label')}, {MIN_COHORT_LABELS} are needed; the overall trust applies"
    return replace(found, trust=pooled, note="; ".join(filter(None, [note, found.note])))


def _rated(frame: FrozenFrame, scale: _Scale) -> dict[int, Rated]:
    """Map each row, in ascending order, to its answer with its labels."""
    by_row: dict[int, list[Label]] = defaultdict(list)
    for row, label in scale.labels:
        by_row[row].append(label)
    chances = {row: labels[0].inclusion_probability for row, labels in by_row.items()}
    known = {row: chance for row, chance in chances.items() if chance is not None}
    drawn = pooled_chances(frame, scale.metric, known) if len(known) == len(chances) else {}
    opinions = {row: _judge_opinion(frame, scale, row) for row in sorted(by_row)}
    return {
        row: Rated(tuple(label.label for label in by_row[row]), judge, _question(frame, row), drawn.get(row))
        for row, judge in opinions.items()
        if judge is not None
    }


def _question(frame: FrozenFrame, row: int) -> int:
    """Return the cluster of a row: its case's declared cluster, else its case, shared by all its repeats."""
    return int(frame.clusters[frame.row_case[row]])


def _judge_opinion(frame: FrozenFrame, scale: _Scale, row: int) -> Opinion | None:
    metric = scale.metric
    if not scale.passes:
        return float(frame.rows[metric.name].at(row))
    if metric.binary:
        return PASS_FAIL[int((frame.rows[metric.name].at(row) == 1) == metric.higher_is_better)]
    passed = frame.rows[f"{metric.name}.passed"]
    return PASS_FAIL[int(passed.at(row))] if passed.status[row] == SCORED else None


def _between_raters(frame: FrozenFrame, scale: _Scale) -> Iterator[Agreement]:
    by_rater: dict[str, dict[int, Opinion]] = defaultdict(dict)
    for row, label in scale.labels:
        by_rater[label.rater][row] = label.label
    raters = sorted(by_rater)
    for first, second in combinations(raters, 2):
        shared = sorted(by_rater[first].keys() & by_rater[second].keys())
        if len(shared) >= MIN_SHARED:
            ours, theirs = by_rater[first], by_rater[second]
            rated = [Rated((ours[row],), theirs[row], _question(frame, row)) for row in shared]
            found = compare(scale.blank(f"rater {first} / {second}"), rated, scale.mark)
            note = f"{len(shared)} answers that both raters read: how far raters agree with each other"
            yield replace(found, trust="untrusted", labels_needed=None, questions_needed=None, note=note)
    if len(raters) > 2:
        answers = sorted({row for row, _ in scale.labels})
        ratings = [[by_rater[rater].get(row) for rater in raters] for row in answers]
        alpha = alpha_of(ratings, [_question(frame, row) for row in answers])
        if alpha.n >= MIN_SHARED:
            note = f"{len(raters)} raters, with gaps: how far they agree with each other"
            blank = scale.blank(f"{len(raters)} raters")
            yield replace(blank, kappa=alpha, note=note)
