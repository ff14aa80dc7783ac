"""Values of a comparison of several systems, which were asked the same cases in one run."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from evalkit.results import Estimate, Outcome
from evalkit.types import Metric

FrontierLabel = Literal["on", "open", "dominated", "unknown"]
"""Whether a system is on the frontier of quality, cost and latency: in at least 90 % of the draws, in at most 10 %, or
between; `unknown` if cost and latency are."""


@dataclass(frozen=True, kw_only=True)
class RankInterval:
    """The ranks that a system may have; 1 is the best. All intervals of a comparison hold together."""

    best: int
    worst: int


@dataclass(frozen=True, kw_only=True)
class SystemFigures:
    """One system in the comparison."""

    name: str
    factors: Mapping[str, str] = field(default_factory=dict)
    """Its values in the matrix: factor -> value; empty for a system that stands alone."""
    folder: str
    """Its run folder, relative to the folder of the comparison."""
    n_cases: int
    """Cases that were asked."""
    n_scored: int
    """Cases with a value of the primary metric."""
    n_errors: int
    """Cases whose call failed."""
    primary: Estimate
    """Its mean of the primary metric over the cases that it has a value for."""
    difference: Estimate | None = None
    """Mean of this system minus the reference, over cases with a value for both; simultaneous interval. `None` for the
    reference itself."""
    p_value: float | None = None
    """Adjusted two-sided p value of the difference."""
    rank: RankInterval | None = None
    """`None` if fewer than 95 % of its cases have a value."""
    worst_cohort: str = ""
    """The cohort cell with the lowest value, `name=value`; empty if there is none with at least 5 cases."""
    worst_cohort_value: float | None = None
    cost_usd_per_case: float | None = None
    tokens_per_case: float | None = None
    latency_p50_s: float | None = None
    latency_p95_s: float | None = None
    frontier: FrontierLabel = "unknown"
    on_frontier: float | None = None
    """Share of the draws in which no other system is at least as good in all three and better in one."""
    dominated_by: str = ""
    """The system that most often dominates it; empty unless `frontier` is `dominated`."""
    outcome: Outcome | None = None
    """Decision of its gate; `None` for a system that is only compared."""


@dataclass(frozen=True, kw_only=True)
class FactorEffect:
    """What one value of a factor adds to the primary metric, against the mean over the values of that factor."""

    factor: str
    level: str
    effect: Estimate
    """Simultaneous interval over the levels of the factor."""


@dataclass(frozen=True, kw_only=True)
class CohortDifference:
    """One cell of the map of cohorts and systems: system minus reference. Described, not tested."""

    system: str
    cohort: str
    """`name=value`."""
    n_cases: int
    difference: Estimate


@dataclass(frozen=True, kw_only=True)
class SystemComparison:
    """How several systems did on the same cases."""

    suite: str
    primary: str
    """The metric of ranks and of "best"."""
    higher_is_better: bool
    metric: Metric | None = None
    """The primary metric with its scale and unit; `None` in a record without them."""
    reference: str
    release: tuple[str, ...] = ()
    """Systems whose gates give the exit code."""
    systems: tuple[SystemFigures, ...]
    """In the order of the suite."""
    candidates: tuple[str, ...] = ()
    """Systems that none surely beats; "best" may be said of one alone."""
    winner_shrunken: float | None = None
    """Figure of the system with the best mean, shrunken towards the mean of all: its own figure is too good."""
    cases_to_part: int | None = None
    """Cases that would part the first two systems with 80 % power; `None` if they are equal or parted."""
    false_mark_rate: float | None = None
    """Bound on the chance that at least one of several equal systems is marked as different from the reference;
    `None` with one system."""
    effects: tuple[FactorEffect, ...] = ()
    """Empty without a full matrix of at least two factors or levels."""
    interaction_p: float | None = None
    """Adjusted p value of the largest interaction; `None` with fewer than two factors."""
    cohorts: tuple[CohortDifference, ...] = ()
    disagreements: tuple[str, ...] = ()
    """Ids of cases that some systems pass and others fail, most divided first."""
    notes: tuple[str, ...] = ()
    """What a reader must know, such as systems without a rank."""
    interleaved: bool = True
    """Whether the systems were called in turn, so that their latencies can be compared."""
