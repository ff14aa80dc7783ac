"""Collect a run as compact columns, row by row.

Rows are not kept: each costs a few microseconds, and about 50 bytes and its id, regardless of the length of its answer.
Scores other than 0 and 1 take 8 bytes each. `frozen.freeze` sorts the columns, so that any order of completion gives
the same figures.
"""

from __future__ import annotations

import hashlib
import math
from array import array
from collections.abc import Collection, Sequence

from evalkit.aggregate.cohorts import cohort_value, stratum_of
from evalkit.aggregate.measured import MEASURED, USUAL, counted_in, known_or_nan, measured
from evalkit.aggregate.nodes import node_calls
from evalkit.aggregate.outcomes import outcomes_of
from evalkit.aggregate.row_codes import RowCodes, RowScores
from evalkit.aggregate.row_ids import RowIds
from evalkit.aggregate.statuses import (
    ABSENT,
    ERRORED,
    FAILED_BIT,
    JUDGE_USAGE_BIT,
    KEY_BYTES,
    PASSED_BIT,
    REPLAYED_BIT,
    SCORED,
    STATES,
    UNSCORED,
    USER_USAGE_BIT,
    VERDICTS,
    is_derived,
)
from evalkit.aggregate.turn_values import TurnValues
from evalkit.formats.labelled_text import labelled_text
from evalkit.formats.manifest import SampleFacts
from evalkit.types import USER_ERROR, Case, Metric, Output, Row, Score, Step, Usage, verdict_of

_NAN = math.nan


def answer_key(text: str) -> bytes:
    """Return the first 16 bytes of the SHA-256 of a labelled text, which match labels to answers."""
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).digest()[:KEY_BYTES]


def content_key(case: Case) -> bytes:
    """Return 16 bytes that identify the content of a case: the start of its digest, else a hash of its name."""
    try:
        key = bytes.fromhex(case.digest[: 2 * KEY_BYTES])
    except ValueError:
        key = b""
    if len(key) == KEY_BYTES:
        return key
    return hashlib.sha256((case.digest or case.id).encode("utf-8", "surrogatepass")).digest()[:KEY_BYTES]


class Codes(dict[str | None, int]):
    """Small integer codes for repeated strings, assigned in order of appearance; 0 means none."""

    def __init__(self) -> None:
        super().__init__({None: 0})

    def __missing__(self, text: str | None) -> int:
        self[text] = code = len(self)
        return code

    @property
    def names(self) -> tuple[str, ...]:
        """The strings by code; the first is the empty string for none."""
        return tuple("" if name is None else name for name in self)


class Frame:
    """The columns of a run, filled while its rows arrive."""

    def __init__(
        self,
        metrics: Sequence[Metric],
        cohorts: Sequence[str],
        advisory: Collection[str] = (),
        repeat_rule: str = "mean",
        sample: SampleFacts | None = None,
        *,
        planned_repeats: int | None = None,
    ) -> None:
        """Open an empty frame.

        Args:
            metrics: metrics that the suite's scorers declare; a row may hold no others.
            cohorts: names to report by; `query_length`, `kind` and `severity` are derived if a case lacks them.
            advisory: metrics that are shown but do not count in `pass_rate` or coverage.
            repeat_rule: how `pass_rate` reads a case with repeats, see `types.fails`.
            sample: how the cases were drawn, `None` if all were run.
            planned_repeats: planned rows of each case, without those from running suspect cases again; `None` if the
                plan is not known.

        Raises:
            ValueError: two metrics share a name, or one has the name of a metric that every run has.
        """
        self.metrics = tuple(metrics)
        self.cohorts = tuple(dict.fromkeys(cohorts))
        self.advisory = frozenset(advisory)
        self.repeat_rule = repeat_rule
        self.sample = sample
        self.planned_repeats = planned_repeats
        self.strata = RowCodes()
        self._strata = {label: number for number, label in enumerate(sample.strata if sample else ())}
        _check_names(self.metrics)
        self._specs = tuple((metric.name, metric.low, metric.high) for metric in self.metrics)
        self._hashes_answers = any(metric.judge is not None for metric in self.metrics)
        self.quarantined: dict[str, str] = {}
        self._quarantined_keys: set[tuple[bytes, int]] = set()
        self.ids = RowIds()
        self.content = bytearray()
        self.answers = bytearray()
        self.repeats = RowCodes()
        self.states = bytearray()
        self.verdicts = bytearray()
        self.ends = RowCodes()
        self.flags = bytearray()
        self.kinds = RowCodes()
        self.severities = RowCodes()
        self.clusters = RowCodes()
        self.cohort_codes = tuple(RowCodes() for _ in self.cohorts)
        self.values = tuple(RowScores() for _ in self.metrics)
        self.turn_values = TurnValues()
        self.status = bytearray()
        self.unscored = RowCodes()
        self.latencies = array("d")
        self.measured_rows, self.measures = array("i"), array("d")
        """Measurements besides the latency, of rows where one is not as usual."""
        self.counted_rows, self.counted = array("i"), array("d")
        self.outcome_rows, self.outcome_codes, self.outcome_names = array("i"), array("i"), Codes()
        self.traced = array("i")
        self.node_rows, self.node_codes, self.node_amounts = array("i"), array("i"), array("d")
        self.node_errors, self.node_names = bytearray(), Codes()
        self.kind_names, self.severity_names, self.cluster_names = Codes(), Codes(), Codes()
        self.end_names, self.unscored_names = Codes(), Codes()
        self.cohort_names = tuple(Codes() for _ in self.cohorts)

    def __len__(self) -> int:
        """Count the rows added so far, including repeated keys."""
        return len(self.ids)

    @property
    def n_quarantined(self) -> int:
        """Number of planned rows of cases in quarantine."""
        planned = math.inf if self.planned_repeats is None else self.planned_repeats
        return sum(repeat < planned for _, repeat in self._quarantined_keys)

    def add(self, row: Row) -> None:
        """Add the values of a row; the last row of a case and repeat counts, and none of a case in quarantine.

        Raises:
            ValueError: the row holds a score of a metric that was not declared.
        """
        if row.case.quarantine:
            self.quarantined[row.case.id] = row.case.quarantine
            self._quarantined_keys.add((content_key(row.case), row.repeat))
            return
        if row.failure is not None or row.skipped is not None:
            self._add_ungraded(row)
        else:
            self._add_graded(row)
        self.verdicts.append(VERDICTS.index(verdict_of(row, self.advisory)))
        self._add_case(row.case, row.repeat)

    def _add_case(self, case: Case, repeat: int) -> None:
        self.ids.append(case.id)
        self.content += content_key(case)
        self.repeats.append(repeat)
        self.kinds.append(self.kind_names[case.kind])
        self.severities.append(self.severity_names[case.severity])
        self.clusters.append(self.cluster_names[case.cluster])
        self._add_stratum(case)
        for name, codes, names in zip(self.cohorts, self.cohort_codes, self.cohort_names, strict=True):
            codes.append(names[cohort_value(case, name)])

    def _add_stratum(self, case: Case) -> None:
        if self.sample is None:
            return
        label = stratum_of(case, self.sample.by)
        if label not in self._strata:
            raise ValueError(f"case {case.id!r} is of stratum {label!r}, which was not drawn from")
        self.strata.append(self._strata[label])

    def _add_ungraded(self, row: Row) -> None:
        skipped = row.skipped is not None
        count = len(self._specs)
        self.states.append(STATES.index(row.state))
        self.ends.append(self.end_names[row.skipped if skipped else row.failure.kind if row.failure else None])
        flags, user_cost = _user_cost(row.failure.partial if row.failure is not None else None)
        self.flags.append(flags)
        self._add_answer(None)
        for column in self.values:
            column.append(_NAN)
        unscored = row.state == "unscored"
        self.status += bytes([ABSENT if skipped else UNSCORED if unscored else ERRORED]) * count
        self.unscored.extend([self.unscored_names[USER_ERROR] if unscored else 0] * count)
        self._measure(*(_NAN,) * (len(MEASURED) - 1), user_cost)

    def _add_graded(self, row: Row) -> None:
        values, status, unscored = [], [], []
        scores = row.scores
        found = 0
        state = 0
        for at, (name, low, high) in enumerate(self._specs):
            grade = scores.get(name)
            value, code, kind = _NAN, ABSENT, 0
            if grade is not None:
                found += 1
                if not isinstance(grade, Score):
                    code, kind, state = UNSCORED, self.unscored_names[grade.kind], 1
                elif low <= grade.value <= high and math.isfinite(grade.value):
                    value, code = grade.value, SCORED
                    if grade.turns:
                        self.turn_values.add(len(self.ids), at, grade)
                    if grade.passed is not None:
                        code |= PASSED_BIT if grade.passed else FAILED_BIT
                else:
                    code, kind, state = UNSCORED, self.unscored_names[_bad_value(grade.value)], 1
            values.append(value)
            status.append(code)
            unscored.append(kind)
        if found != len(scores):
            unknown = next(name for name in scores if all(name != spec[0] for spec in self._specs))
            raise ValueError(f"case {row.case.id!r} has a grade of {unknown!r}, which no scorer of this run gives")
        for column, value in zip(self.values, values, strict=True):
            column.append(value)
        self.status += bytes(status)
        self.unscored.extend(unscored)
        self.states.append(state)
        self.ends.append(0)
        self._add_measures(row)

    def _add_measures(self, row: Row) -> None:
        output = row.output
        usages = [each.usage for each in row.scores.values() if each.usage is not None and not each.usage.cached]
        flags = JUDGE_USAGE_BIT if usages else 0
        judge_cost = math.fsum(map(_cost, usages)) if usages else 0.0
        if output is None:
            self._add_answer(None)
            self.flags.append(flags)
            self._measure(*(_NAN,) * (len(MEASURED) - 2), judge_cost, 0.0)
            return
        user_flags, user_cost = _user_cost(output)
        flags |= user_flags
        self._add_answer(row)
        self.flags.append(flags | (REPLAYED_BIT if output.replayed else 0))
        self._measure(*measured(output), judge_cost, user_cost)
        counts = counted_in(output)
        if any(each is not None for each in counts):
            self.counted_rows.append(len(self.ids))
            self.counted.extend(map(known_or_nan, counts))
        outcomes = outcomes_of(row.case, output)
        if any(outcomes):
            self.outcome_rows.append(len(self.ids))
            self.outcome_codes.extend(self.outcome_names[each] for each in outcomes)
        if output.trajectory is not None:
            self._add_nodes(output.trajectory)

    def _add_answer(self, row: Row | None) -> None:
        if self._hashes_answers:
            text = labelled_text(row.case, row.output) if row is not None and row.output is not None else None
            self.answers += bytes(KEY_BYTES) if text is None else answer_key(text)

    def _measure(self, latency_s: float, *others: float) -> None:
        """Add the values of `MEASURED`."""
        self.latencies.append(latency_s)
        if others != USUAL:  # all unknown values are one object, which a tuple takes for equal to itself
            self.measured_rows.append(len(self.ids))
            self.measures.extend(others)

    def _add_nodes(self, steps: Sequence[Step]) -> None:
        self.traced.append(len(self.ids))
        for call in node_calls(steps):
            self.node_rows.append(len(self.ids))
            self.node_codes.append(self.node_names[call.node])
            self.node_amounts.extend((call.tokens, call.cost_usd, call.own_s))
            self.node_errors.append(call.errored)


def _cost(usage: Usage | None) -> float:
    return _NAN if usage is None else known_or_nan(usage.cost_usd)


def _user_cost(output: Output | None) -> tuple[int, float]:
    """Return the flag of a simulated user whose replies were not cached, and its cost."""
    usage = output.user_usage if output is not None else None
    return (0, 0.0) if usage is None or usage.cached else (USER_USAGE_BIT, _cost(usage))


def _bad_value(value: float) -> str:
    return "out_of_range" if math.isfinite(value) else "not_finite"


def _check_names(metrics: Sequence[Metric]) -> None:
    seen: set[str] = set()
    for metric in metrics:
        if is_derived(metric.name):
            raise ValueError(
                f"metric {metric.name!r}: the name belongs to a metric that every run has; rename the scorer"
            )
        if metric.name in seen:
            raise ValueError(f"metric {metric.name!r}: two scorers share the name; give each its own")
        seen.add(metric.name)
