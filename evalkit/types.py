"""The frozen values that flow from a golden set to a decision.

Case -> Output -> Score -> Row -> Summary (Cell, Agreement) -> Decision (Check, Comparison)
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

Kind = Literal["golden", "adversarial", "regression", "canary"]
Severity = Literal["low", "medium", "high", "critical"]
State = Literal["scored", "unscored", "system_error", "skipped"]
Outcome = Literal["approved", "approved with conditions", "blocked", "no decision"]
CheckOutcome = Literal["pass", "warn", "block", "insufficient evidence", "no decision"]
Trust = Literal["trusted", "provisional", "untrusted"]

KINDS: tuple[Kind, ...] = ("golden", "adversarial", "regression", "canary")
SEVERITIES: tuple[Severity, ...] = ("low", "medium", "high", "critical")
OVERALL = "overall"
"""Name of the cohort that holds every case."""


@dataclass(frozen=True, slots=True)
class Message:
    """One turn of a chat."""

    role: str
    content: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """One row of a golden set."""

    id: str
    input: str | tuple[Message, ...]
    reference: tuple[str, ...] = ()
    """Acceptable answers; empty where the set gives none."""
    contexts: tuple[str, ...] = ()
    kind: Kind = "golden"
    severity: Severity = "medium"
    cohorts: Mapping[str, str] = field(default_factory=dict)
    cluster: str | None = None
    """Cases that share a cluster are not independent of each other."""
    fields: Mapping[str, Any] = field(default_factory=dict)
    """Everything else in the row: `required`, `forbidden`, `expected_tool_calls` ..."""
    digest: str = ""
    """SHA-256 (hex) of the content, set by the reader."""
    place: str = field(default="", compare=False)
    """`file:line` that the row was read from."""

    @property
    def question(self) -> str:
        """The input as one text: the string itself, or the last user turn."""
        if isinstance(self.input, str):
            return self.input
        turns = [message.content for message in self.input if message.role == "user"]
        return turns[-1] if turns else self.input[-1].content


@dataclass(frozen=True, slots=True, kw_only=True)
class Usage:
    """Tokens and money of one or more model calls; `None` is unknown, never free."""

    input_tokens: int | None = None
    output_tokens: int | None = None
    cost_usd: float | None = None
    model: str | None = None
    cached: bool = False
    """True where a reply was kept from an earlier run: tokens and money are those of then."""


@dataclass(frozen=True, slots=True)
class ToolCall:
    """One call of a tool by the system."""

    name: str
    arguments: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Output:
    """What the system answered to one case."""

    text: str
    contexts: tuple[str, ...] | None = None
    """Passages that the system says it used; `None` where it says nothing."""
    usage: Usage | None = None
    tool_calls: tuple[ToolCall, ...] | None = None
    trajectory: tuple[Mapping[str, Any], ...] | None = None
    latency_s: float | None = None
    """Wall seconds of the call; `None` where the answer was stored without a time."""
    ttft_s: float | None = None
    """Seconds to the first token, where the system streams."""
    replayed: bool = False
    """True for a stored answer: its latency and cost are no fresh measurement."""


@dataclass(frozen=True, slots=True)
class Failure:
    """A system call that gave no output."""

    kind: str
    """A short name: `timeout`, `http_500`, `exception`, `bad_output` ..."""
    message: str


@dataclass(frozen=True, slots=True)
class Metric:
    """What a scorer measures, declared before the first call."""

    name: str
    low: float = 0.0
    high: float = 1.0
    higher_is_better: bool = True
    binary: bool = False
    """True where every value is 0 or 1, so that the mean is a pass rate."""
    judge: str | None = None
    """The judge that gives the opinion, `None` for a program that measures."""
    unit: str = ""
    diagnostic: bool = False
    """True for a figure about the judge rather than the answer: shown, and decides nothing."""


@dataclass(frozen=True, slots=True)
class Score:
    """One scorer's grade of one output."""

    metric: str
    value: float
    passed: bool | None = None
    """`None` where the scorer has no pass mark."""
    reason: str = ""
    details: Mapping[str, Any] = field(default_factory=dict)
    """Raw judge reply, matched spans ...: shown, never aggregated."""
    usage: Usage | None = None
    """What the judge spent on it."""


@dataclass(frozen=True, slots=True)
class Unscored:
    """A grade that could not be given; it is counted, never read as a number."""

    metric: str
    kind: str
    """A short name: `no_judge_endpoint`, `judge_error`, `not_finite`, `missing_contexts` ..."""
    message: str = ""
    usage: Usage | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One case x repeat with how it ended: one line of the journal."""

    case: Case
    repeat: int = 0
    output: Output | None = None
    failure: Failure | None = None
    scores: Mapping[str, Score | Unscored] = field(default_factory=dict)
    """By metric name; a metric that the suite does not apply to this case is absent."""
    skipped: str | None = None
    """Why the case was not run."""

    @property
    def state(self) -> State:
        """Exactly one of the four ends of a case."""
        if self.skipped is not None:
            return "skipped"
        if self.failure is not None:
            return "system_error"
        if any(isinstance(score, Unscored) for score in self.scores.values()):
            return "unscored"
        return "scored"


@dataclass(frozen=True, slots=True, kw_only=True)
class Estimate:
    """A figure with its interval; `value` is `None` where it is undefined, and `reason` says why."""

    value: float | None
    low: float | None = None
    high: float | None = None
    n: int = 0
    method: str = ""
    confidence_level: float = 0.95
    reason: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Cell:
    """One metric in one cohort."""

    metric: str
    cohort: str
    """`overall`, or `name=value` such as `domain=aml`."""
    estimate: Estimate
    n_cases: int
    """Cases that the metric applies to: n_scored + n_unscored + n_errored."""
    n_scored: int
    n_unscored: int = 0
    n_errored: int = 0
    corrected: Estimate | None = None
    """With the judge's errors taken out by labels of these very answers; without a value it says why not. `None` for
    what no judge says."""
    corrected_bounds: Estimate | None = None
    """The same with one-sided 95 % bounds, for the gate."""
    if_as_then: Estimate | None = None
    """If the judge errs as on the run that it was calibrated on: shown, never gated."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Agreement:
    """How one judge agrees with one kind of rater."""

    metric: str
    judge: str
    rater_kind: str
    """`person`, `author` or `program`; only `person` feeds trust."""
    cohort: str
    kappa: Estimate
    weights: str | None = None
    bound: float | None = None
    """One-sided 95 % lower bound of kappa, which trust is decided by."""
    floor: float = 0.6
    """Kappa that the bound has to reach for trust."""
    other_kappas: Mapping[str, Estimate] = field(default_factory=dict)
    """Of grades: kappa with the other weights, by their name."""
    gwet: Estimate | None = None
    """AC1, or AC2 with the same weights: shown beside kappa, never in its place."""
    labels_needed: int | None = None
    """Labels in all that would make the judge trusted with probability .8; `None` where none would, or none are
    needed."""
    observed: float | None = None
    """Share of labels where judge and rater say the same."""
    prevalence: float | None = None
    """Share of passes among the rater's labels."""
    sensitivity: float | None = None
    specificity: float | None = None
    confusion: tuple[tuple[int, ...], ...] = ()
    """Rows: the rater's label; columns: the judge's; both in the order of `categories`."""
    categories: tuple[str, ...] = ()
    trust: Trust = "untrusted"
    note: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Summary:
    """Every metric by cohort, the agreement of judges, and what could not be scored."""

    suite: str
    n_cases: int
    n_repeats: int
    expected: int
    """Rows that the plan asked for."""
    states: Mapping[str, int]
    metrics: tuple[Metric, ...]
    cells: tuple[Cell, ...]
    coverage: Mapping[str, tuple[int, int]]
    """Cohort -> (rows scored, rows expected)."""
    agreement: tuple[Agreement, ...] = ()
    unscored_kinds: Mapping[str, int] = field(default_factory=dict)
    error_kinds: Mapping[str, int] = field(default_factory=dict)
    notes: tuple[str, ...] = ()

    def cell(self, metric: str, cohort: str = OVERALL) -> Cell | None:
        """Find one cell, `None` where the metric or the cohort is not there."""
        return next((cell for cell in self.cells if cell.metric == metric and cell.cohort == cohort), None)


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """One line of the gate."""

    name: str
    """The key in the suite's `gate:`, such as `pass_rate` or `no_regression`."""
    metric: str
    cohort: str
    outcome: CheckOutcome
    need: str
    """The threshold in words, such as `>= 0.85`."""
    observed: Estimate | None = None
    baseline: float | None = None
    drop: Estimate | None = None
    """Baseline minus candidate on paired cases: positive is a regression."""
    p_value: float | None = None
    smallest_drop: float | None = None
    """The drop that this check would have found with probability .8."""
    reason: str = ""
    case_ids: tuple[str, ...] = ()
    """The cases that speak for the outcome, worst first."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """Candidate against baseline, paired by case content and repeat."""

    baseline_id: str
    n_paired: int
    overlap: float
    added: tuple[str, ...] = ()
    removed: tuple[str, ...] = ()
    changed: tuple[str, ...] = ()
    new_failures: tuple[str, ...] = ()
    fixed: tuple[str, ...] = ()
    still_failing: tuple[str, ...] = ()
    incomparable: Mapping[str, str] = field(default_factory=dict)
    """Metric -> the part of its score key that differs."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """The answer of the gate."""

    outcome: Outcome
    checks: tuple[Check, ...]
    reasons: tuple[str, ...] = ()
    """Why it is not a plain approval, most important first."""
    comparison: Comparison | None = None
