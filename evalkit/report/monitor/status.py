"""Define what `monitor status` found, as one value that every renderer shows."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from evalkit.report.next_steps import NextStep
from evalkit.results import Estimate
from evalkit.stats.burn_rate import BurnRate

if TYPE_CHECKING:
    from evalkit.report.monitor.history import History

AlarmLevel = Literal["alarm", "warning"]
MonitorState = Literal["alarm", "warning", "quiet", "cannot say"]
StreamState = Literal["alarm", "warning", "quiet", "cannot say", "not watched"]
FORMAT = 1
"""Version of the JSON of a status."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Alarm:
    """A change for the worse of one stream, from the first day over the threshold until it ends."""

    id: str
    """Name of the message that it sends."""
    level: AlarmLevel
    metric: str
    cohort: str
    """`topic=cards`; empty for all calls."""
    score_key: str
    is_rate: bool
    began: str
    """First date over the threshold."""
    ended: str | None
    """Date; `None` while it lasts."""
    end_reason: str
    window: int
    """Days of the window with the largest statistic, which ends on `at`."""
    at: str
    """Date of the largest statistic."""
    was: float
    """Mean of the reference."""
    now: float
    """Mean of the window, without the weekend effect."""
    n: float
    """Effective answers of the window."""
    statistic: float
    threshold: float
    per_year: float | None
    """Expected false alarms a year at this threshold, of all streams together; `None` for a rule without chance."""
    examples: tuple[str, ...] = ()
    """Hashes of the ids of sampled calls of the window that failed: 16 hexadecimal digits each."""
    sent: str = ""
    """Time at which its message was sent, ISO 8601; empty if it was not."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StreamLine:
    """One stream in the period that is shown."""

    metric: str
    cohort: str
    score_key: str
    is_rate: bool
    higher_is_better: bool
    judge: str
    """Model of the judge; empty for a program."""
    trusted: bool
    """False if a judge grades it whose agreement with people is not shown."""
    was: float | None
    """Mean of the reference; `None` without one."""
    now: Estimate
    state: StreamState
    statistic: float | None
    """Largest statistic of the last day; `None` if no window has enough answers."""
    window: int
    finds_7: float | None
    """Change for the worse that would be found within 7 days in half of the cases; `None` if none would."""
    finds_30: float | None
    a_day: float
    """Effective answers of a day of the reference."""
    note: str = ""
    """Why it is not watched, or since when it has no answers."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AmountLine:
    """Quantiles of an amount of the log, such as latency, in the period and in the reference."""

    metric: str
    n: int
    p50: float | None
    p95: float | None
    was_p50: float | None
    was_p95: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class SpendLine:
    """What the calls of the system cost."""

    period_usd: float
    budget_usd: float | None
    """US dollars of 30 days."""
    rates: tuple[BurnRate, ...]
    times_last_week: float | None
    """Last whole hour relative to the same hour of last week."""


@dataclass(frozen=True, slots=True, kw_only=True)
class InputLine:
    """Whether the questions of the last week differ from those of the reference."""

    name: str
    """Name of a cohort, or `texts`."""
    p: float
    """Adjusted over all lines (Holm)."""
    moved: bool
    psi: float | None
    """Shown, without effect on the state."""
    what: str = ""
    """The cohort whose share moved most, such as `topic=loans 4 % -> 11 %`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Status:
    """What is known of a monitor at one moment."""

    monitor: str
    checked: str
    """Time in UTC, ISO 8601."""
    state: MonitorState
    exit_code: int
    cannot_say: tuple[str, ...]
    """Reasons why quiet would not mean that all is well."""
    reference: tuple[str, str] | None
    """First and last date."""
    first: str
    """First date of the period that is shown."""
    last: str
    """Last date: the last whole day."""
    calls: int
    judged: int
    alarm_threshold: float | None
    warning_threshold: float | None
    alarms_per_year: float
    warnings_per_year: float
    alarms: tuple[Alarm, ...]
    """Those that last, and those that ended in the period; the worst first."""
    streams: tuple[StreamLine, ...]
    """Those with an alarm first, then by metric and cohort."""
    amounts: tuple[AmountLine, ...]
    spend: SpendLine | None
    inputs: tuple[InputLine, ...]
    notes: tuple[str, ...]
    """Changes of judges, missing days, what is not watched."""
    next: tuple[NextStep, ...]
    history: History | None = None
    """For the page; `None` if it was not asked for."""

    @property
    def lasting(self) -> tuple[Alarm, ...]:
        """The alarms and warnings that have not ended."""
        return tuple(each for each in self.alarms if each.ended is None)
