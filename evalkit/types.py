"""The frozen values of a row: Case -> Output -> Score -> Row. What rows end in is in `results.py`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

Kind = Literal["golden", "adversarial", "regression", "canary"]
Severity = Literal["low", "medium", "high", "critical"]
State = Literal["scored", "unscored", "system_error", "skipped"]

KINDS: tuple[Kind, ...] = ("golden", "adversarial", "regression", "canary")
SEVERITIES: tuple[Severity, ...] = ("low", "medium", "high", "critical")


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
    """True where every reply was kept from an earlier run: tokens and money are those of then."""


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
    attempts: int = 1
    """Exchanges that it took, failed ones included, where the system counts them."""
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
    pass_at: float | None = None
    """Score from which an answer passes (up to which, where lower is better); `None` where no score alone decides."""


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
    scored_by: str = ""
    """Which state of the suite's scorers gave the scores: a key of the manifest's `scorings`."""

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
