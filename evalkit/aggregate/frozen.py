"""Sort the columns of a run and fold repeats into cases."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from evalkit.aggregate.amounts import Amounts, measurements, read_amounts
from evalkit.aggregate.columns import Codes, Column, Ints, Sampled, least_index, sampled
from evalkit.aggregate.frame import Frame
from evalkit.aggregate.measured import CASE_AMOUNTS
from evalkit.aggregate.node_table import NodeCalls
from evalkit.aggregate.outcome_groups import Outcomes
from evalkit.aggregate.outcomes import OUTCOMES
from evalkit.aggregate.repeats import by_rule, fold, of_repeats
from evalkit.aggregate.row_codes import MISSING
from evalkit.aggregate.row_ids import ChosenKeys, ChosenNames, ChosenTexts
from evalkit.aggregate.row_verdicts import counted, verdict_column
from evalkit.aggregate.statuses import (
    ABSENT,
    FAILED_BIT,
    KEY_BYTES,
    PASSED_BIT,
    REPLAYED_BIT,
    SCORED,
    STATES,
    STATUS_MASK,
    UNSCORED,
    node_amount,
)
from evalkit.aggregate.turn_columns import TurnColumns
from evalkit.results import OVERALL
from evalkit.types import Metric, fails

PASS_RATE = Metric(name="pass_rate", binary=True)
_Words = NDArray[np.uint64]


@dataclass(frozen=True, eq=False)
class FrozenFrame:
    """The columns of a run, sorted by case id and repeat."""

    metrics: tuple[Metric, ...]
    """Metrics that the scorers declare."""
    advisory: frozenset[str]
    case_ids: Sequence[str]
    keys: ChosenKeys
    """Per case: 16 bytes that identify the content of each case."""
    kinds: Sequence[str]
    severities: Sequence[str]
    clusters: Ints
    """Per case, the number of its cluster, whose cases depend on each other; a case without a cluster has its own
    number."""
    cohorts: Mapping[str, Ints]
    """Cohort (`overall` first, then each `name=value`) -> positions of its cases."""
    cohort_gaps: Mapping[str, int]
    """Cohort name -> cases that have no value for it."""
    row_case: Ints
    """Position of the case of each row."""
    repeats: Ints
    covered: NDArray[np.bool_]
    """Per row: whether the system answered and no metric that counts is unscored."""
    answers: Sequence[bytes]
    """Per row: 16 bytes of the SHA-256 of the answer; zeros if no judge asks for it."""
    rows: Mapping[str, Column]
    """Quality metrics per row: `pass_rate`, every scorer's, and `<name>.passed` of a graded one with a pass mark."""
    cases: Mapping[str, Column]
    """The same per case: the mean over its scored repeats, `pass_rate` by the suite's rule; with repeats also
    `pass_any`, `pass_all` and `pass_spread`."""
    verdicts: Column
    """Per row: Per row: 0 if any pass mark was missed, even if another grade is missing; 1 if all were met."""
    n_passed: Ints
    """Per case: number of repeats whose verdict is `passed`."""
    n_failed: Ints
    """Per case: number of repeats whose verdict is `failed`."""
    repeat_rule: str
    """The suite's rule for a case with repeats, see `types.fails`."""
    amounts: Amounts
    """Seconds, money, tokens and calls, per row and per case."""
    nodes: NodeCalls
    """All calls of an agent's nodes."""
    outcomes: Outcomes
    turns: TurnColumns
    """Outcomes of each row."""
    voters: tuple[str, ...]
    """Metrics whose pass marks make up `pass_rate`."""
    states: Mapping[str, int]
    unscored_kinds: Mapping[str, int]
    error_kinds: Mapping[str, int]
    skipped_reasons: Mapping[str, int]
    n_replayed: int
    sample: Sampled | None = None
    """Sampling weights; `None` if every case was run."""
    planned_repeats: int | None = None
    """Planned repeats of each case; `None` if the plan is not known, so that every row counts."""
    quarantined: Mapping[str, str] = field(default_factory=dict)
    """Id of each case that was run and is in none of the columns -> the reason."""

    def compared(self, metric: str) -> Column | None:
        """Find the column per row of a metric that can be compared with a baseline; `None` if the run lacks it."""
        if node_amount(metric):
            return self.nodes.column(metric, self._answered)
        found = self.rows.get(metric)
        return self.amounts.rows.get(CASE_AMOUNTS.get(metric, "")) if found is None else found

    @property
    def _answered(self) -> Ints:
        """Per row `SCORED` if the system answered, else `ERRORED` or `ABSENT`."""
        status = self.amounts.rows["cost_usd"].status
        return np.where(status == UNSCORED, SCORED, status)

    @property
    def is_planned(self) -> NDArray[np.bool_]:
        """Per row, whether it was planned, and does not come from running a suspect case again."""
        planned: NDArray[np.bool_] = self.repeats < (np.inf if self.planned_repeats is None else self.planned_repeats)
        return planned

    @property
    def n_cases(self) -> int:
        """Number of cases with at least one row."""
        return len(self.case_ids)

    @property
    def fails(self) -> NDArray[np.bool_]:
        """Whether each case fails by the suite's `repeat_rule`."""
        return self.fails_by(self.repeat_rule)

    def fails_by(self, repeat_rule: str) -> NDArray[np.bool_]:
        """Return whether each case fails by a given rule, such as that of the baseline."""
        failing: NDArray[np.bool_] = fails(self.n_passed, self.n_failed, repeat_rule)
        return failing

    @property
    def has_answers(self) -> bool:
        """Whether the system gave any answer."""
        return self.states["scored"] + self.states["unscored"] > 0

    @property
    def n_repeats(self) -> int:
        """Largest number of rows of any case."""
        return int(np.bincount(self.row_case).max()) if len(self.row_case) else 0

    @property
    def planned_or_all(self) -> int:
        """Planned repeats, or the largest number of rows of any case if the plan is not known."""
        return self.n_repeats if self.planned_repeats is None else self.planned_repeats


def freeze(frame: Frame, *, planned: bool = False) -> FrozenFrame:
    """Sort the rows by case id and repeat, keep the last row of each key, and fold repeats into cases.

    Args:
        frame: the rows.
        planned: whether to leave out the rows that come from running suspect cases again.
    """
    order = _sorted_rows(frame, frame.planned_repeats if planned else None)
    count = len(frame.metrics)
    raw = np.frombuffer(frame.status, np.uint8).reshape(len(frame), count)[order]
    row_case, first = _cases_of(frame, order)
    rows, votes = _quality(frame, order, raw)
    verdicts = verdict_column(PASS_RATE, raw[:, votes])
    of_case = order if len(first) == len(order) else order[first]
    cases = {name: fold(column, row_case, len(first)) for name, column in rows.items()}
    if PASS_RATE.name in rows:
        cases[PASS_RATE.name] = by_rule(cases[PASS_RATE.name], frame.repeat_rule)
        cases |= of_repeats(rows[PASS_RATE.name], row_case, len(first))
    states = np.frombuffer(frame.states, np.uint8)[order]
    flags = np.frombuffer(frame.flags, np.uint8)[order]
    every_case = row_case if len(first) == len(order) else np.arange(len(first), dtype=row_case.dtype)
    return FrozenFrame(
        metrics=frame.metrics,
        advisory=frame.advisory,
        case_ids=ChosenTexts(frame.ids, of_case),
        keys=ChosenKeys(frame.content, KEY_BYTES, of_case),
        kinds=ChosenNames(frame.kinds.view()[of_case], frame.kind_names.names),
        severities=ChosenNames(frame.severities.view()[of_case], frame.severity_names.names),
        clusters=_cluster_numbers(frame, of_case, every_case),
        cohorts=_cohort_positions(frame, of_case, every_case),
        cohort_gaps=_cohort_gaps(frame, of_case),
        row_case=row_case,
        repeats=frame.repeats.view()[order],
        covered=_covered(frame, raw, states),
        answers=_answers(frame, order),
        rows=rows,
        cases=cases,
        amounts=read_amounts(
            measurements(frame, order),
            flags,
            states,
            row_case,
        ),
        nodes=_node_calls(frame, order),
        outcomes=_outcomes(frame, order),
        turns=TurnColumns.of(frame.turn_values, _places(frame, order)),
        verdicts=verdicts,
        n_passed=counted(frame.verdicts, "passed", order, row_case, len(first)),
        n_failed=counted(frame.verdicts, "failed", order, row_case, len(first)),
        repeat_rule=frame.repeat_rule,
        voters=tuple(frame.metrics[i].name for i in votes),
        states={state: int((states == code).sum()) for code, state in enumerate(STATES)},
        unscored_kinds=_unscored_kinds(frame, order),
        error_kinds=_ends(frame, order[states == STATES.index("system_error")]),
        skipped_reasons=_ends(frame, order[states == STATES.index("skipped")]),
        n_replayed=int((flags & REPLAYED_BIT).astype(bool).sum()),
        sample=sampled(frame.sample, frame.strata.view()[of_case].astype(np.int64)) if frame.sample else None,
        planned_repeats=frame.planned_repeats,
        quarantined=dict(sorted(frame.quarantined.items())),
    )


def _sorted_rows(frame: Frame, repeats_of_case: int | None) -> Ints:
    """Return the last row of each key, sorted by id, content and repeat."""
    keys, repeats = _words(frame.content), frame.repeats.view()
    order = np.lexsort((repeats, *keys[::-1])).astype(least_index(len(frame)))  # keeps the order of equal rows
    last = np.append(_differ(order, (*keys, repeats)), True) if len(order) else np.ones(0, bool)
    order = order if last.all() else order[last]
    if repeats_of_case is not None:
        order = order[repeats[order] < repeats_of_case]
    return frame.ids.sorted(order)


def _words(keys: bytearray) -> _Words:
    """Return keys of `KEY_BYTES` as columns of big-endian numbers, which sort as the bytes do."""
    return np.frombuffer(keys, ">u8").reshape(-1, KEY_BYTES // 8).T


def _differ(order: Ints, columns: Sequence[NDArray[Any]]) -> NDArray[np.bool_]:
    """Return whether each row after the first differs in any column from the row before it."""
    found = np.zeros(len(order) - 1, bool)
    for column in columns:
        values = column[order]
        found |= values[1:] != values[:-1]
    return found


def _cases_of(frame: Frame, order: Ints) -> tuple[Ints, Ints]:
    """Return the case index of each row, and the position of each case's first row."""
    starts = np.ones(len(order), bool)
    starts[1:] = _differ(order, [*_words(frame.content)]) if len(order) else True
    for i in np.flatnonzero(~starts).tolist():
        starts[i] = frame.ids[int(order[i])] != frame.ids[int(order[i - 1])]
    row_case = np.cumsum(starts, dtype=least_index(len(order)))
    row_case -= 1
    return row_case, np.flatnonzero(starts)


def _quality(frame: Frame, order: Ints, raw: Codes) -> tuple[dict[str, Column], list[int]]:
    """Return the quality metrics per row, and the positions of those that vote in `pass_rate`."""
    status = raw & STATUS_MASK
    marked = raw & (PASSED_BIT | FAILED_BIT) != 0
    has_mark = marked.any(axis=0)
    # A metric that was never scored may have a pass mark, and leaving it out would turn an outage into passes.
    never_scored = (status == UNSCORED).any(axis=0) & ~(status == SCORED).any(axis=0)
    votes = [
        i
        for i, metric in enumerate(frame.metrics)
        if metric.name not in frame.advisory and (has_mark | never_scored)[i]
    ]
    columns = {PASS_RATE.name: _pass_rate(raw[:, votes])} if votes else {}
    for i, metric in enumerate(frame.metrics):
        columns[metric.name] = Column(metric, frame.values[i].view()[order], status[:, i])
        if has_mark[i] and not metric.binary:
            passed = Metric(name=f"{metric.name}.passed", binary=True, judge=metric.judge, concern=metric.concern)
            columns[passed.name] = _passed(passed, raw[:, i], marked[:, i])
    return columns, votes


def _pass_rate(raw: Codes) -> Column:
    """Return passes and fails of complete rows.

    A row without a grade is unscored even if another scorer failed it. If only the failures among such rows counted,
    the rate would fall whenever a scorer breaks.
    """
    found = verdict_column(PASS_RATE, raw)
    incomplete = (raw & STATUS_MASK == UNSCORED).any(axis=1) & (found.status == SCORED)
    if not incomplete.any():
        return found
    return Column(
        PASS_RATE,
        np.where(incomplete, np.uint8(MISSING), found.held),
        np.where(incomplete, np.uint8(UNSCORED), found.status),
    )


def _passed(metric: Metric, raw: Codes, marked: NDArray[np.bool_]) -> Column:
    status = np.where((raw & STATUS_MASK == SCORED) & ~marked, np.uint8(ABSENT), raw & STATUS_MASK)
    values = np.where(status == SCORED, (raw & PASSED_BIT != 0).astype(np.uint8), np.uint8(MISSING))
    return Column(metric, values, status)


def _covered(frame: Frame, raw: Codes, states: NDArray[np.uint8]) -> NDArray[np.bool_]:
    counted = [i for i, metric in enumerate(frame.metrics) if metric.name not in frame.advisory]
    unscored = (raw[:, counted] & STATUS_MASK == UNSCORED).any(axis=1)
    answered = states < STATES.index("system_error")
    covered: NDArray[np.bool_] = answered & ~unscored
    return covered


def _answers(frame: Frame, order: Ints) -> Sequence[bytes]:
    """Return the keys of the answers, zeros if none was hashed."""
    if frame.answers:
        return ChosenKeys(frame.answers, KEY_BYTES, order)
    return ChosenKeys(bytes(KEY_BYTES), KEY_BYTES, np.broadcast_to(np.uint8(0), len(order)))


def _outcomes(frame: Frame, order: Ints) -> Outcomes:
    if not frame.outcome_rows:
        return Outcomes(frame.outcome_names.names, np.broadcast_to(np.int64(0), (len(order), len(OUTCOMES))))
    codes = np.zeros((len(frame), len(OUTCOMES)), np.min_scalar_type(len(frame.outcome_names)))
    codes[np.array(frame.outcome_rows, np.int64)] = np.array(frame.outcome_codes, np.int64).reshape(-1, len(OUTCOMES))
    return Outcomes(frame.outcome_names.names, codes[order])


def _places(frame: Frame, order: Ints) -> Ints:
    """Return, per row in order of arrival, its index among the rows that count; -1 for a replaced row."""
    place = np.full(len(frame), -1, order.dtype)
    place[order] = np.arange(len(order), dtype=order.dtype)
    return place


def _node_calls(frame: Frame, order: Ints) -> NodeCalls:
    """Return the calls of the rows that count, in their order."""
    rows = _places(frame, order)[np.array(frame.node_rows, np.int64)]
    kept = np.flatnonzero(rows >= 0)
    kept = kept[np.argsort(rows[kept], kind="stable")]
    traced = np.zeros(len(frame), bool)
    traced[np.array(frame.traced, np.int64)] = True
    return NodeCalls(
        names=frame.node_names.names,
        codes=np.array(frame.node_codes, np.int64)[kept],
        rows=rows[kept],
        errored=np.frombuffer(bytes(frame.node_errors), np.uint8)[kept].astype(bool),
        amounts=np.array(frame.node_amounts, np.float64).reshape(-1, 3)[kept],
        traced=traced[order],
    )


def _cluster_numbers(frame: Frame, of_case: Ints, every_case: Ints) -> Ints:
    codes = frame.clusters.view()[of_case]
    if not codes.any():
        return every_case
    own = -1 - np.arange(len(codes))
    _, first, numbers = np.unique(np.where(codes > 0, codes, own), return_index=True, return_inverse=True)
    # Number by first appearance, because the codes themselves depend on the order of completion.
    return np.argsort(np.argsort(first)).astype(every_case.dtype)[numbers]


def _cohort_positions(frame: Frame, of_case: Ints, every_case: Ints) -> dict[str, Ints]:
    positions: dict[str, Ints] = {OVERALL: every_case}
    for name, codes, names in zip(frame.cohorts, frame.cohort_codes, frame.cohort_names, strict=True):
        of_value = codes.view()[of_case]
        values = sorted((value, code) for code, value in enumerate(names.names) if code > 0)
        found = {f"{name}={value}": np.flatnonzero(of_value == code) for value, code in values}
        positions.update({label: where.astype(of_case.dtype) for label, where in found.items() if len(where)})
    return positions


def _cohort_gaps(frame: Frame, of_case: Ints) -> dict[str, int]:
    gaps = {
        name: int((codes.view()[of_case] == 0).sum())
        for name, codes in zip(frame.cohorts, frame.cohort_codes, strict=True)
    }
    return {name: gap for name, gap in gaps.items() if gap}


def _unscored_kinds(frame: Frame, order: Ints) -> dict[str, int]:
    codes = frame.unscored.view().reshape(len(frame), len(frame.metrics))[order].ravel()
    return _counts(codes[codes > 0], frame.unscored_names.names)


def _ends(frame: Frame, rows: Ints) -> dict[str, int]:
    return _counts(frame.ends.view()[rows], frame.end_names.names)


def _counts(codes: Ints, names: tuple[str, ...]) -> dict[str, int]:
    return dict(sorted(Counter(names[code] for code in codes.tolist()).items()))
