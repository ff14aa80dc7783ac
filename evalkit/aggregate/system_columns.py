"""Hold the values of several systems case by case, and align them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from evalkit.aggregate.cells import cell, source
from evalkit.aggregate.columns import Codes, Floats, Ints
from evalkit.aggregate.frame import Frame
from evalkit.aggregate.frozen import PASS_RATE, FrozenFrame, freeze
from evalkit.aggregate.statuses import ABSENT, ERRORED
from evalkit.results import OVERALL, Estimate, Outcome
from evalkit.stats.clusters import cluster_codes
from evalkit.types import Metric

RANKED_FROM = 0.95
"""Share of a system's cases that must have a value for a rank, or a known cost for a figure of cost."""
MOST_COHORTS = 200
Bools = NDArray[np.bool_]


@dataclass(frozen=True, eq=False, kw_only=True)
class SystemColumns:
    """One system case by case; an array holds a number for each case, NaN if there is none."""

    name: str
    cases: tuple[str, ...]
    """Ids of the cases that were asked."""
    metric: Metric
    """The primary metric."""
    values: Floats
    """The primary metric, repeats averaged."""
    keys: Sequence[bytes] = ()
    """Content of each case; cases of one id and another content are not compared. Empty if ids suffice."""
    clusters: tuple[str, ...] = ()
    """Cluster of each case, empty for its own; `()` if no case has one."""
    cohorts: Mapping[str, Ints] = field(default_factory=dict)
    """`name=value` -> positions of its cases."""
    applies: Bools | None = None
    """Whether the metric applies to the case; `None` if it does to all."""
    errored: Bools | None = None
    """Whether every call of the case failed; `None` if none did."""
    passed: Floats | None = None
    """1 for a case that passed, 0 for one that failed."""
    cost_usd: Floats | None = None
    tokens: Floats | None = None
    latency_s: Floats | None = None
    primary: Estimate | None = None
    """The mean of a weighted sample; `None` to take that of the values."""
    folder: str = ""
    factors: Mapping[str, str] = field(default_factory=dict)
    outcome: Outcome | None = None


def columns_of_run(
    frame: Frame,
    *,
    name: str,
    primary: str = PASS_RATE.name,
    folder: str = "",
    factors: Mapping[str, str] | None = None,
    outcome: Outcome | None = None,
) -> SystemColumns:
    """Read the columns of one system from its run, such as `load_run(...).frame`.

    Suspect cases were run again on two of the systems alone; these rows are left out, or they would favour one.

    Args:
        frame: the run.
        name: name of the system.
        primary: a metric whose mean over cases is compared: `pass_rate`, a scorer's, or a cost per case.
        folder: run folder, relative to the folder of the comparison.
        factors: values of the system in the matrix.
        outcome: decision of its gate.

    Raises:
        ValueError: the run has no such metric, or it is not a mean over cases.
    """
    frozen = freeze(frame, planned=True)
    metric, values, status = _primary(frozen, primary)
    names = dict(zip(frame.ids, frame.clusters, strict=True))
    has_marks = frozen.n_passed + frozen.n_failed > 0
    sampled = frozen.sample is not None and len(np.unique(frozen.sample.weights)) > 1
    return SystemColumns(
        name=name,
        cases=tuple(frozen.case_ids),
        keys=frozen.keys,
        clusters=tuple(frame.cluster_names.names[names[case]] for case in frozen.case_ids),
        cohorts={label: where for label, where in frozen.cohorts.items() if label != OVERALL},
        metric=metric,
        values=values,
        applies=status != ABSENT,
        errored=status == ERRORED,
        passed=np.where(has_marks, np.where(frozen.fails, 0.0, 1.0), np.nan),
        cost_usd=frozen.amounts.cases["cost_usd"].values,
        tokens=frozen.amounts.cases["tokens"].values,
        latency_s=frozen.amounts.cases["latency_s"].values,
        primary=_weighted(frozen, primary) if sampled else None,
        folder=folder,
        factors=dict(factors or {}),
        outcome=outcome,
    )


def _primary(frozen: FrozenFrame, name: str) -> tuple[Metric, Floats, Codes]:
    found = source(frozen, name)
    if found is None and not frozen.has_answers:
        # A run in which every call failed has no pass marks, and so no metrics made of them.
        nothing, errored = np.full(frozen.n_cases, np.nan), np.full(frozen.n_cases, ERRORED)
        return Metric(name=name, binary=True), nothing, errored
    if found is None:
        raise ValueError(f"primary: this run has no metric {name!r}; name one of {', '.join(frozen.cases)}")
    if found.quantile is not None or found.per_success is not None:
        raise ValueError(f"primary: {name!r} is not a mean over cases; name one of {', '.join(frozen.cases)}")
    return found.metric, found.column.values, found.column.status


def _weighted(frozen: FrozenFrame, name: str) -> Estimate | None:
    found = source(frozen, name)
    return cell(frozen, found, OVERALL).estimate if found else None


@dataclass(frozen=True, eq=False)
class SystemTable:
    """Several systems on the union of their cases, sorted by id: a row for each case, a column for each system."""

    systems: tuple[SystemColumns, ...]
    cases: tuple[tuple[str, bytes], ...]
    clusters: Ints
    """Number of each case's cluster, by first appearance."""
    places: tuple[Ints, ...]
    """Per system, the row of each of its cases."""

    @property
    def metric(self) -> Metric:
        """The primary metric."""
        return next((each.metric for each in self.systems if _has_values(each)), self.systems[0].metric)

    @property
    def span(self) -> float:
        """Width of the metric's scale; may be infinite."""
        return self.metric.high - self.metric.low

    @property
    def sign(self) -> int:
        """1 if higher is better, else -1."""
        return 1 if self.metric.higher_is_better else -1

    @cached_property
    def values(self) -> Floats:
        """The primary metric, NaN for no value, shape (cases, systems)."""
        return self.column("values")

    def column(self, name: str) -> Floats:
        """Align one array of the systems: shape (cases, systems), NaN where a system has no number."""
        found = np.full((len(self.cases), len(self.systems)), np.nan)
        for number, (system, places) in enumerate(zip(self.systems, self.places, strict=True)):
            given = getattr(system, name)
            if given is not None:
                found[places, number] = given
        return found

    @cached_property
    def cohorts(self) -> Mapping[str, Ints]:
        """`name=value` -> rows of its cases: the 200 largest, in the order of their labels."""
        rows: dict[str, set[int]] = {}
        for system, places in zip(self.systems, self.places, strict=True):
            for label, where in system.cohorts.items():
                rows.setdefault(label, set()).update(places[where].tolist())
        largest = sorted(rows, key=lambda label: (-len(rows[label]), label))[:MOST_COHORTS]
        return {label: np.array(sorted(rows[label]), np.int64) for label in sorted(largest)}


def align(systems: Sequence[SystemColumns]) -> SystemTable:
    """Put several systems on the union of their cases, regardless of the order of their rows.

    Raises:
        ValueError: no system, two of one name, two metrics, a repeated case, or an array of another length.
    """
    _check(systems)
    labels = [list(zip(each.cases, each.keys or (b"",) * len(each.cases), strict=True)) for each in systems]
    cases = sorted({case for own in labels for case in own})
    row_of = {case: row for row, case in enumerate(cases)}
    names: dict[tuple[str, bytes], str] = {}
    for own, system in zip(labels, systems, strict=True):
        for case, cluster in zip(own, system.clusters or ("",) * len(own), strict=True):
            names[case] = max(names.get(case, ""), cluster)
    codes = cluster_codes([names[case] or None for case in cases]).astype(np.int64)
    places = tuple(np.array([row_of[case] for case in own], np.int64) for own in labels)
    return SystemTable(tuple(systems), tuple(cases), codes, places)


def _has_values(system: SystemColumns) -> bool:
    return not bool(np.isnan(system.values).all())


def _check(systems: Sequence[SystemColumns]) -> None:
    if not systems:
        raise ValueError("systems: none to compare; give at least one")
    names = [each.name for each in systems]
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise ValueError(f"systems: two are named {twice[0]!r}; give each its own name")
    known = {(each.metric.name, each.metric.low, each.metric.high) for each in systems if _has_values(each)}
    if len(known) > 1:
        raise ValueError(f"systems: their metrics differ ({', '.join(sorted(map(str, known)))}); compare one metric")
    for each in systems:
        keyed = list(zip(each.cases, each.keys or each.cases, strict=True))
        if len(set(keyed)) < len(keyed):
            raise ValueError(f"system {each.name!r}: a case has two rows; average its repeats")
        arrays = (each.values, each.applies, each.errored, each.passed, each.cost_usd, each.tokens, each.latency_s)
        if any(array is not None and len(array) != len(each.cases) for array in arrays):
            raise ValueError(f"system {each.name!r}: give one number for each of its {len(each.cases)} cases")


def scored_share(system: SystemColumns) -> float:
    """Return the share of the cases to which the metric applies that have a value, 0 to 1."""
    applies = int(system.applies.sum()) if system.applies is not None else len(system.cases)
    return float((~np.isnan(system.values)).sum() / applies) if applies else 0.0


def known_amount(system: SystemColumns, amounts: Floats | None) -> Floats | None:
    """Return the known amounts of the cases, such as costs; `None` if less than 95 % of the answered cases have one."""
    if amounts is None:
        return None
    known = ~np.isnan(amounts)
    answered = np.ones(len(amounts), bool) if system.errored is None else ~system.errored
    if not answered.any() or known[answered].mean() < RANKED_FROM:
        return None
    return amounts[known]
