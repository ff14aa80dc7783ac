"""Define what the page of a monitor shows beside the status: days, failing kinds of the sample, coverage."""

from __future__ import annotations

from dataclasses import dataclass

from evalkit.aggregate.failure_kinds import FailureKind
from evalkit.report.monitor.status import Alarm, StreamState
from evalkit.results import Estimate


@dataclass(frozen=True, slots=True, kw_only=True)
class DayPoint:
    """One day of one stream."""

    date: str
    now: Estimate
    """With its 95 % interval; days without a value are left out."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TrendPart:
    """Days of one score key, never compared with those of another."""

    score_key: str
    what: str
    """Why it begins, such as another judge; empty for the first part."""
    was: float | None
    """Mean of the reference; `None` if the reference has another score key."""
    points: tuple[DayPoint, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class StreamTrend:
    """A metric in a cohort, day by day, in the order of its score keys."""

    metric: str
    cohort: str
    """`topic=cards`; empty for all calls."""
    is_rate: bool
    higher_is_better: bool
    state: StreamState
    parts: tuple[TrendPart, ...]
    alarms: tuple[Alarm, ...]
    """Of all days that are shown, the oldest first."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SampleKinds:
    """What the failing calls of the sample have in common."""

    calls: int
    """Calls whose texts are kept."""
    failing: int
    kinds: tuple[FailureKind, ...]
    """The most frequent first; counts are of the sample, not weighted back."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ThinValue:
    """A value of a cohort that has too few judged answers."""

    value: str
    share: float
    """Of all calls."""
    judged: int


@dataclass(frozen=True, slots=True, kw_only=True)
class CohortCoverage:
    """The share of production calls whose kind has enough judged answers."""

    metric: str
    """What the judge scores."""
    cohort: str
    estimate: Estimate
    is_enough: bool
    """Whether its interval lies above the goal."""
    thin: tuple[ThinValue, ...]
    """The largest first."""


@dataclass(frozen=True, slots=True, kw_only=True)
class History:
    """The days of a monitor, as its page shows them."""

    first: str
    """First date."""
    last: str
    trends: tuple[StreamTrend, ...]
    """By metric, all calls before its cohorts; metrics with an alarm first."""
    n_more: int
    """Streams that are left out."""
    sample: SampleKinds | None
    """`None` if no texts are kept."""
    keep_days: int
    """Days after which texts are deleted."""
    coverage: tuple[CohortCoverage, ...]
    """None without a judge."""
    coverage_days: int
    coverage_goal: float
    enough: int
    """Judged answers from which a kind of call counts as covered."""
