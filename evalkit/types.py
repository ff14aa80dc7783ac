"""Define the frozen values of a row: Case -> Output -> Score -> Row. The results made from rows are in `results/`."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, get_args

Kind = Literal["golden", "adversarial", "regression", "canary"]
Severity = Literal["low", "medium", "high", "critical"]
Concern = Literal["quality", "safety", "privacy"]
"""The section of the release decision that shows the checks on a metric."""
State = Literal["scored", "unscored", "system_error", "skipped"]
Verdict = Literal["failed", "passed", "scored", "unscored", "system_error", "skipped"]
"""Verdict of a run of a case, or of a case with all its runs; `scored` if no scorer has a pass mark."""

KINDS: tuple[Kind, ...] = ("golden", "adversarial", "regression", "canary")
MOST = 10**12
"""Tokens, US dollars or seconds of one call from which a figure is implausible; smaller figures have finite sums."""
SEVERITIES: tuple[Severity, ...] = ("low", "medium", "high", "critical")
WRONG: frozenset[Verdict] = frozenset({"failed", "system_error"})
"""Verdicts that need attention: a missed pass mark, or no answer."""
UNKNOWN: frozenset[Verdict] = frozenset({"unscored", "system_error"})
"""Verdicts with part of the result missing."""
FAILED: frozenset[Verdict] = WRONG | UNKNOWN | {"skipped"}
"""Verdicts that `--fail-fast` counts and `--failed-from` runs again."""
REPEAT_RULES = ("mean", "all", "any", "majority")
"""Values of `repeat_rule`, besides a share such as `rate:0.8`."""
_LEAST_SHARES = {"mean": 0.5 + 1e-6, "majority": 0.5 + 1e-6, "all": 1.0, "any": 1e-6}
"""Slightly above one half, so that exactly half of the runs is too few."""
StepKind = Literal["llm", "tool", "agent", "node", "retrieval", "guardrail", "approval", "embedding", "other"]
STEP_KINDS: tuple[StepKind, ...] = get_args(StepKind)
Approval = Literal["approved", "rejected", "edited", "expired"]
APPROVALS: tuple[Approval, ...] = get_args(Approval)
ROLES = ("system", "developer", "user", "assistant", "tool")
"""Roles of messages in a chat."""
USER_ERROR = "user_error"
"""Kind of a failure of the simulated user: the system is not at fault, and the case cannot be scored."""
NO_INPUT = "(the file does not hold the input)"
"""Shown as the input of a case whose file of results has no column for it."""
QUARANTINE = "quarantine"


@dataclass(frozen=True, slots=True)
class ToolCall:
    """One call of a tool by the system."""

    name: str
    arguments: Mapping[str, Any] = field(default_factory=dict)
    id: str = ""
    """The id that the model gave the call."""
    result: Any = None
    """Result of the tool."""
    error: str | None = None
    """Reason why the tool failed or refused; `None` if it did not."""
    turn: int | None = None
    """Number of the user turn, counted from 1."""
    started_s: float | None = None
    """Seconds since the output began."""
    ended_s: float | None = None


@dataclass(frozen=True, slots=True)
class Message:
    """One message of a chat."""

    role: str
    """One of `ROLES`."""
    content: str = ""
    """The text; for a message in parts, the text parts joined by line feeds."""
    tool_calls: tuple[ToolCall, ...] = ()
    """Calls that an assistant requests."""
    call_id: str = ""
    """The call that a `tool` message answers."""
    name: str = ""
    """Who speaks within the role, or which tool answers."""
    parts: tuple[Mapping[str, Any], ...] = ()
    """Parts of the content as they were given (text, image ...); empty if the content is a text."""
    details: Mapping[str, Any] = field(default_factory=dict)
    """Every other key of the message."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Origin:
    """The origin of a context, as reported by the retriever."""

    id: str = ""
    score: float | None = None
    """Relevance on the retriever's own scale."""
    source: str = ""
    """The document that contains the text."""
    details: Mapping[str, Any] = field(default_factory=dict)
    """Every other key of the context."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """One row of a golden set."""

    id: str
    input: str | tuple[Message, ...]
    reference: tuple[str, ...] = ()
    """Acceptable answers; empty if the set gives none."""
    contexts: tuple[str, ...] = ()
    origins: tuple[Origin, ...] = ()
    """The origin of each context; empty if contexts are plain texts."""
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

    @property
    def quarantine(self) -> str:
        """Why the case is run and shown but left out of every figure and gate; empty if it is not."""
        return reason if isinstance(reason := self.fields.get(QUARANTINE), str) else ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Usage:
    """Tokens and cost of one or more model calls; `None` means unknown, never free."""

    input_tokens: int | None = None
    output_tokens: int | None = None
    cost_usd: float | None = None
    model: str | None = None
    cached: bool = False
    """True if every reply was cached by an earlier run; tokens and cost are those of that run."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """Something that the system did on the way to its answer."""

    kind: StepKind = "other"
    name: str = ""
    """Name of the tool, node, agent or model."""
    id: str = ""
    parent: str | None = None
    """Id of the step that this one is part of."""
    call_id: str = ""
    """The id that the model gave the call of a tool."""
    turn: int | None = None
    """Number of the user turn, counted from 1."""
    arguments: Mapping[str, Any] | None = None
    result: Any = None
    error: str | None = None
    """Reason for a failure; `denied: ...` if the step was refused before it took effect."""
    started_s: float | None = None
    """Seconds since the output began; steps of one time keep the order of the list."""
    ended_s: float | None = None
    usage: Usage | None = None
    decision: Approval | None = None
    """Decision of a person, in a step of kind `approval`."""
    recorded_by: Literal["system", "evalkit"] = "system"
    """Source of the record: `evalkit` if it ran the tool or answered the request itself."""
    details: Mapping[str, Any] = field(default_factory=dict)
    """Every other key of the step."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Output:
    """The answer of the system to one case."""

    text: str
    text_known: bool = True
    """False if the answer has a text that nobody recorded, as in a trace without content; `text` is then empty."""
    contexts: tuple[str, ...] | None = None
    """Passages that the system reports, best first; `None` if it reports none."""
    origins: tuple[Origin, ...] = ()
    """The origin of each context; empty if contexts are plain texts."""
    usage: Usage | None = None
    user_usage: Usage | None = None
    """Usage of the model that played the user."""
    tool_calls: tuple[ToolCall, ...] | None = None
    """Tools that the system called, in order; `None` if it does not report them."""
    trajectory: tuple[Step, ...] | None = None
    """Steps of the system, in order; `None` if it does not report them."""
    messages: tuple[Message, ...] | None = None
    """The chat that led to the answer, as the system reports it."""
    state: Mapping[str, Any] | None = None
    """The state of the system's world after the answer, such as its database."""
    stop: str | None = None
    """Why the system stopped, in its own words."""
    user_why: str | None = None
    """Why the simulated user ended the conversation: `reached`, `refused` or `gave_up`; `None` if it did not say."""
    interrupt: Mapping[str, Any] | None = None
    """The question to a person that the system waits for."""
    done: bool = False
    """True if the system ends the conversation with this answer."""
    fault: str | None = None
    """The model's fault instead of an answer, as `kind: what`; the output fails every pass mark."""
    latency_s: float | None = None
    """Wall seconds of the call; `None` if the answer was stored without a time."""
    ttft_s: float | None = None
    """Seconds to the first token, if the system streams."""
    attempts: int = 1
    """Number of exchanges, including failed ones, if the system counts them."""
    replayed: bool = False
    """True for a stored answer: its latency and cost are not fresh measurements."""


@dataclass(frozen=True, slots=True)
class Failure:
    """A system call that gave no output."""

    kind: str
    """A short name: `timeout`, `http_500`, `exception`, `bad_output` ..."""
    message: str
    partial: Output | None = None
    """The part of a conversation before it failed; it is shown, never scored."""


@dataclass(frozen=True, slots=True)
class Metric:
    """A measurement of a scorer, declared before the first call."""

    name: str
    low: float = 0.0
    high: float = 1.0
    higher_is_better: bool = True
    binary: bool = False
    """True if every value is 0 or 1, so that the mean is a pass rate."""
    judge: str | None = None
    """The judge that grades, `None` for a program."""
    unit: str = ""
    diagnostic: bool = False
    """True for a figure about the judge rather than the answer; it is shown without effect on the decision."""
    pass_at: float | None = None
    """Smallest passing score (largest, if lower is better); `None` if the score alone does not decide."""
    concern: Concern = "quality"

    @property
    def is_opinion(self) -> bool:
        """True if a judge gives single values that people can label too, and not a figure made of several."""
        return self.judge is not None and (self.binary or not self.diagnostic)

    @property
    def votes(self) -> bool:
        """True if its scores carry a pass mark, and so count in `pass_rate` unless the scorer is advisory."""
        return (self.binary or self.pass_at is not None) and not self.diagnostic


@dataclass(frozen=True, slots=True)
class Score:
    """One scorer's grade of one output."""

    metric: str
    value: float
    passed: bool | None = None
    """`None` if the scorer has no pass mark."""
    reason: str = ""
    details: Mapping[str, Any] = field(default_factory=dict)
    """Raw judge reply, matched spans ...: shown, never aggregated."""
    usage: Usage | None = None
    """Usage of the judge."""
    turns: tuple[tuple[int, float | None], ...] = ()
    """The value of each separately graded turn, `None` where it is unknown."""


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
    """The scoring that gave the scores, a key of the manifest's `scorings`."""

    @property
    def state(self) -> State:
        """The state in which the case ended, exactly one of four."""
        if self.skipped is not None:
            return "skipped"
        if self.failure is not None:
            return "unscored" if self.failure.kind == USER_ERROR else "system_error"
        if any(isinstance(score, Unscored) for score in self.scores.values()):
            return "unscored"
        return "scored"


def verdict_of(row: Row, advisory: Collection[str] = frozenset()) -> Verdict:
    """Return the verdict of one repeat: a missed pass mark is a failure even if another score is missing.

    Args:
        row: one case x repeat.
        advisory: metrics that are shown without effect on the decision.
    """
    if row.skipped is not None:
        return "skipped"
    grades = [grade for grade in row.scores.values() if grade.metric not in advisory]
    marks = [grade.passed for grade in grades if isinstance(grade, Score)]
    return verdict_from(
        errored=row.failure is not None and row.state == "system_error",
        failed=False in marks,
        unscored=row.failure is not None or len(marks) < len(grades),
        passed=True in marks,
    )


def verdict_from(*, errored: bool, failed: bool, unscored: bool, passed: bool) -> Verdict:
    """Return the verdict of one repeat from its known scores.

    Args:
        errored: the system gave no answer.
        failed: some pass mark was missed.
        unscored: some score is missing.
        passed: some pass mark was met.
    """
    if errored:
        return "system_error"
    if failed:
        return "failed"
    if unscored:
        return "unscored"
    return "passed" if passed else "scored"


def case_verdict(runs: Collection[Verdict], repeat_rule: str = "mean") -> Verdict:
    """Return the verdict of a case from those of its repeats.

    A case fails if too small a share of its known runs passed (see `fails`). If it does not fail, it has the first
    unknown state of its runs, because a missing answer is never read as a pass.

    Raises:
        ValueError: `repeat_rule` is unknown.
    """
    known = [run for run in runs if run in ("passed", "failed")]
    if fails(known.count("passed"), known.count("failed"), repeat_rule):
        return "failed"
    unknown: tuple[Verdict, ...] = ("system_error", "unscored", "skipped")
    return next((state for state in unknown if state in runs), "passed" if "passed" in known else "scored")


def fails(n_passed: Any, n_failed: Any, repeat_rule: str = "mean") -> Any:
    """Return whether a case fails: the only definition, used by the gate, comparisons, lists and counts.

    Args:
        n_passed: number of runs of the case that passed; an integer, or an array with one for each case.
        n_failed: number of runs that missed a pass mark, in the same form.
        repeat_rule: the suite's. `mean` gives no verdict of its own, so a case fails as under `majority`, if half of
            its runs or more failed.

    Returns:
        A boolean, or an array of them. A case without a failed run does not fail, even if results are missing.

    Raises:
        ValueError: `repeat_rule` is unknown.
    """
    needed = least_share(repeat_rule) * (n_passed + n_failed)
    return (n_failed > 0) & (n_passed < needed - 1e-9)


def least_share(repeat_rule: str) -> float:
    """Return the smallest share of passing repeats with which a case passes, from 0 to 1.

    Raises:
        ValueError: `repeat_rule` is unknown.
    """
    name, _, share = repeat_rule.partition(":")
    if repeat_rule in _LEAST_SHARES:
        return _LEAST_SHARES[repeat_rule]
    try:
        rate = float(share) if name == "rate" else 0.0
    except ValueError:
        rate = 0.0
    if not 0 < rate <= 1:
        raise ValueError(f"repeat_rule: {repeat_rule!r} is not a rule; write {', '.join(REPEAT_RULES)}, or rate:0.8")
    return rate
