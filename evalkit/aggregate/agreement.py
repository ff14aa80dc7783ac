"""How judges agree with raters on the very answers that both have read."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import combinations

from evalkit.aggregate.frozen import FrozenFrame
from evalkit.aggregate.labels import Floors, Label
from evalkit.aggregate.next_labels import pooled_chances
from evalkit.aggregate.raters import PASS_FAIL, Opinion, alpha_of, compare, majority
from evalkit.aggregate.statuses import KEY_BYTES, SCORED
from evalkit.figures import plural
from evalkit.results import KAPPA_FLOOR, OVERALL, Agreement, Estimate, Trust
from evalkit.types import Metric

MIN_SHARED = 10
"""Answers that two raters must share before their agreement is shown."""
MIN_COHORT_LABELS = 40
"""Labels below which a cohort borrows the judge's overall trust."""


AnswerKey = tuple[str, bytes]
"""Id of the case, and the first bytes of the answer's digest."""


@dataclass(frozen=True)
class _Scale:
    """Labels of one metric, one kind of rater and one kind of value, by row."""

    metric: Metric
    kind: str
    numbers: bool
    labels: tuple[tuple[int, Label], ...]
    floors: Floors

    def blank(self, judge: str | None = None, cohort: str = OVERALL) -> Agreement:
        """An entry that only says who is compared."""
        return Agreement(
            metric=self.metric.name,
            judge=judge or self.metric.judge or "",
            rater_kind=self.kind,
            cohort=cohort,
            floor=self.floors.get(cohort, self.floors.get(OVERALL, KAPPA_FLOOR)),
            kappa=Estimate(value=None, reason="no labels"),
        )


def agreement(frame: FrozenFrame, labels: Sequence[Label], floors: Floors | None = None) -> tuple[Agreement, ...]:
    """Compare every judge with each kind of rater, overall and by cohort, and raters of one kind with each other.

    Raters of one kind that disagree about an answer count by majority; ties are left out and counted in the note, as
    are labels of answers that this run does not hold. Pass/fail labels give plain kappa, numbers quadratic weights.
    Where raters are compared, `judge` reads `rater <a> / <b>`; it never feeds trust.

    Args:
        frame: the run whose judges are compared.
        labels: of any metric; those of metrics without a judge are ignored.
        floors: kappa to be reached, .6 where nothing else is given.

    Returns:
        For every judge metric at least one entry of `rater_kind` `person`: without labels it is untrusted and says so.
    """
    rows = _rows_by_answer(frame) if labels else {}
    by_metric: dict[str, list[Label]] = defaultdict(list)
    for label in labels:
        by_metric[label.metric].append(label)
    judged = [metric for metric in frame.metrics if metric.judge is not None and not metric.diagnostic]
    return tuple(
        found for metric in judged for found in _of_metric(frame, metric, by_metric[metric.name], rows, floors or {})
    )


def trust_in(found: Sequence[Agreement], metric: Metric, cohort: str = OVERALL) -> Trust:
    """Say what a judge may do in a cohort: its trust there, else the overall one; the worst where there are several.

    Args:
        found: from `agreement`.
        metric: of the judge, or its `<name>.passed`.
        cohort: `overall` or `name=value`.
    """
    name = metric.name.removesuffix(".passed")
    own = [each for each in found if (each.metric, each.judge, each.rater_kind) == (name, metric.judge, "person")]
    here = [each for each in own if each.cohort == cohort] or [each for each in own if each.cohort == OVERALL]
    order: tuple[Trust, ...] = ("untrusted", "provisional", "trusted")
    return min((each.trust for each in here), key=order.index, default="untrusted")


def answer_of(label: Label) -> AnswerKey:
    """Which answer a label is about."""
    return label.case_id, _answer(label)


def labelled_rows(frame: FrozenFrame, labels: Sequence[Label], metric: str) -> frozenset[int]:
    """Rows whose answer a person has labelled for a metric."""
    rows = _rows_by_answer(frame)
    mine = (each for each in labels if each.metric == metric and each.rater_kind == "person")
    return frozenset(rows[key] for each in mine if (key := (each.case_id, _answer(each))) in rows)


def person_labels(labels: Sequence[Label], metric: str) -> dict[tuple[str, bytes], Opinion]:
    """(case, answer) -> what most people say of it for a metric; ties are left out."""
    found: dict[tuple[str, bytes], list[Opinion]] = defaultdict(list)
    for label in labels:
        if label.metric == metric and label.rater_kind == "person":
            found[label.case_id, _answer(label)].append(label.label)
    agreed = {key: majority(opinions) for key, opinions in found.items()}
    return {key: opinion for key, opinion in agreed.items() if opinion is not None}


def _rows_by_answer(frame: FrozenFrame) -> dict[tuple[str, bytes], int]:
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
    scales = [scale for scale in _scales(metric, bound, floors) if _opinions(frame, scale)[0]]
    for scale in scales:
        yield from _of_scale(frame, scale, left_out)
    if all(scale.kind != "person" for scale in scales):
        note = "; ".join(filter(None, ["no labels by a person" if labels else "no labels", left_out]))
        yield replace(_Scale(metric, "person", False, (), floors).blank(), note=note)


def _bind(
    frame: FrozenFrame, metric: Metric, labels: Sequence[Label], rows: dict[tuple[str, bytes], int]
) -> tuple[list[tuple[int, Label]], str]:
    """Find the row whose answer each label is about, and say how many labels have none."""
    ids = set(frame.case_ids)
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
        else:
            bound.append((row, label))
    return bound, "; ".join(f"{plural(count, 'label')} left out ({why})" for why, count in sorted(left_out.items()))


def _answer(label: Label) -> bytes:
    try:
        return bytes.fromhex(label.answer_sha256)[:KEY_BYTES]
    except ValueError:
        return b""


def _scales(metric: Metric, bound: Sequence[tuple[int, Label]], floors: Floors) -> Iterator[_Scale]:
    for kind in ("person", "author", "program"):
        for numbers in (False, True):
            mine = [
                (row, label)
                for row, label in bound
                if label.rater_kind == kind and isinstance(label.label, str) is not numbers
            ]
            yield _Scale(metric, kind, numbers, tuple(mine), floors)


def _of_scale(frame: FrozenFrame, scale: _Scale, left_out: str) -> Iterator[Agreement]:
    pairs, ties = _opinions(frame, scale)
    mark = _pass_mark(frame, scale.metric)
    pooled = _compared(scale.blank(), pairs, mark)
    notes = [
        left_out,
        f"{plural(ties, 'answer')} left out (raters tie)" if ties else "",
        "" if scale.kind == "person" else f"labels of kind `{scale.kind}` never feed trust",
        pooled.note,
    ]
    yield replace(pooled, note="; ".join(filter(None, notes)))
    for cohort, where in frame.cohorts.items():
        inside = set(where.tolist())
        part = [pair for pair in pairs if int(frame.row_case[pair.row]) in inside]
        if cohort != OVERALL and part:
            found = _compared(scale.blank(cohort=cohort), part, mark)
            yield _in_cohort(found, pooled.trust, len(part))
    yield from _between_raters(scale, mark)


def _in_cohort(found: Agreement, pooled: Trust, labels: int) -> Agreement:
    if labels >= MIN_COHORT_LABELS:
        return found
    note = f"not verified here: {plural(labels, 'label')}, {MIN_COHORT_LABELS} are needed; the overall trust stands in"
    return replace(found, trust=pooled, note="; ".join(filter(None, [note, found.note])))


@dataclass(frozen=True, slots=True)
class _Pair:
    """One answer, as raters and judge see it."""

    row: int
    rater: Opinion
    judge: Opinion
    probability: float | None


def _compared(blank: Agreement, pairs: Sequence[_Pair], mark: float | None) -> Agreement:
    chances = [pair.probability for pair in pairs if pair.probability is not None]
    probabilities = chances if len(chances) == len(pairs) else None
    return compare(blank, [pair.rater for pair in pairs], [pair.judge for pair in pairs], mark, probabilities)


def _opinions(frame: FrozenFrame, scale: _Scale) -> tuple[list[_Pair], int]:
    """Every answer on which the raters have a majority, and the number of ties."""
    by_row: dict[int, list[Label]] = defaultdict(list)
    for row, label in scale.labels:
        by_row[row].append(label)
    pairs, ties = [], 0
    for row in sorted(by_row):
        rater = majority([label.label for label in by_row[row]])
        judge = _judge_opinion(frame, scale, row)
        if rater is None:
            ties += 1
        elif judge is not None:
            pairs.append(_Pair(row, rater, judge, by_row[row][0].inclusion_probability))
    chances = {pair.row: pair.probability for pair in pairs if pair.probability is not None}
    if len(chances) == len(pairs):
        pooled = pooled_chances(frame, scale.metric, chances)
        pairs = [replace(pair, probability=pooled[pair.row]) for pair in pairs]
    return pairs, ties


def _judge_opinion(frame: FrozenFrame, scale: _Scale, row: int) -> Opinion | None:
    metric = scale.metric
    if scale.numbers:
        return float(frame.rows[metric.name].values[row])
    if metric.binary:
        return PASS_FAIL[int((frame.rows[metric.name].values[row] == 1) == metric.higher_is_better)]
    passed = frame.rows.get(f"{metric.name}.passed")
    if passed is None or passed.status[row] != SCORED:
        return None
    return PASS_FAIL[int(passed.values[row])]


def _pass_mark(frame: FrozenFrame, metric: Metric) -> float | None:
    """Middle between the greatest failing and the least passing score, as the run shows them."""
    passed = frame.rows.get(f"{metric.name}.passed")
    if passed is None:
        return None
    values = frame.rows[metric.name].values
    high, low = values[passed.values == 1], values[passed.values == 0]
    if not len(high) or not len(low):
        return None
    if not metric.higher_is_better:
        high, low = low, high
    return float((high.min() + low.max()) / 2) if high.min() > low.max() else None


def _between_raters(scale: _Scale, mark: float | None) -> Iterator[Agreement]:
    by_rater: dict[str, dict[int, Opinion]] = defaultdict(dict)
    for row, label in scale.labels:
        by_rater[label.rater][row] = label.label
    raters = sorted(by_rater)
    for first, second in combinations(raters, 2):
        shared = sorted(by_rater[first].keys() & by_rater[second].keys())
        if len(shared) >= MIN_SHARED:
            ours, theirs = ([by_rater[rater][row] for row in shared] for rater in (first, second))
            found = compare(scale.blank(f"rater {first} / {second}"), ours, theirs, mark)
            note = f"{len(shared)} answers that both raters read: how far raters agree with each other"
            yield replace(found, trust="untrusted", labels_needed=None, note=note)
    if len(raters) > 2:
        answers = sorted({row for row, _ in scale.labels})
        alpha = alpha_of([[by_rater[rater].get(row) for rater in raters] for row in answers])
        if alpha.n >= MIN_SHARED:
            note = f"{len(raters)} raters, with gaps: how far they agree with each other"
            yield replace(scale.blank(f"{len(raters)} raters"), kappa=alpha, note=note)
