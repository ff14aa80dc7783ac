"""Define the frozen values of a run's result: estimates by cohort, agreement of judges, checks, the decision."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from evalkit.results.estimate import Estimate as Estimate
from evalkit.results.variants import VariantFigures
from evalkit.types import Metric

Outcome = Literal["approved", "approved with conditions", "blocked", "no decision"]
WORST_FIRST: tuple[Outcome, ...] = ("blocked", "no decision", "approved with conditions", "approved")
CheckOutcome = Literal["pass", "warn", "block", "insufficient evidence", "no decision"]
Trust = Literal["trusted", "provisional", "untrusted"]
KAPPA_FLOOR = 0.6
"""Default agreement with people that a judge must reach."""

OVERALL = "overall"
DECIDED_BEFORE = "decided before"
"""The first words of the reason that an earlier decision gives."""
"""Name of the cohort that holds every case."""


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
    """The value corrected for the judge's errors by labels of the same answers, or the reason why it is not; `None` if
    no judge is involved."""
    corrected_bounds: Estimate | None = None
    """The corrected value with one-sided 95 % bounds, for the gate."""
    if_as_then: Estimate | None = None
    """The value corrected as if the judge erred as on its calibration run; shown, never gated."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Agreement:
    """Agreement of one judge with one kind of rater."""

    metric: str
    judge: str
    rater_kind: str
    """`person`, `author` or `program`; only `person` feeds trust."""
    cohort: str
    kappa: Estimate
    figure: str = ""
    """The figure to which this kappa applies: `correctness.passed` if labels are read as pass or fail, `correctness` if
    levels are compared. Empty in records of older versions."""
    weights: str | None = None
    """`None` if pass and fail are compared."""
    bound: float | None = None
    """One-sided 95 % lower bound of kappa, which decides about trust."""
    floor: float = 0.6
    """Kappa that the bound has to reach for trust."""
    other_kappas: Mapping[str, Estimate] = field(default_factory=dict)
    """For grades: kappa with other weights, by the name of the weights."""
    gwet: Estimate | None = None
    """AC1, or AC2 with the same weights; shown in addition to kappa."""
    labels_needed: int | None = None
    """Total labels that would make the judge trusted with probability 0.8; `None` if no number would, or none are
    needed."""
    questions: int | None = None
    """Number of independent questions of the labelled answers; `None` in records of older versions."""
    questions_needed: int | None = None
    """Number of questions that those labels would have to cover."""
    observed: float | None = None
    """Share of labels on which judge and rater agree."""
    prevalence: float | None = None
    """Share of passes among the rater's labels."""
    sensitivity: float | None = None
    specificity: float | None = None
    confusion: tuple[tuple[int, ...], ...] = ()
    """Number of answers. Rows: a rater's label; columns: the judge's; both in the order of `categories`. An answer
    whose raters
    disagree is in the row of each of their labels."""
    categories: tuple[str, ...] = ()
    trust: Trust = "untrusted"
    note: str = ""

    @property
    def of_passes(self) -> bool:
        """True if pass and fail are compared, false if levels are."""
        return self.weights is None

    @property
    def scale(self) -> str:
        """The compared values in words."""
        return "pass/fail" if self.of_passes else "levels"

    @property
    def between_raters(self) -> bool:
        """True for the agreement of raters with each other."""
        return self.judge.startswith("rater ") or self.judge.endswith(" raters")


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeFigures:
    """Tokens, cost and time of one node of an agent over all runs; a total with an unknown part is `None`."""

    node: str
    calls: int
    errors: int
    """Calls in which the node, or a step of its own, ended in an error."""
    tokens: int | None = None
    """Input and output tokens."""
    cost_usd: float | None = None
    unknown_tokens: int = 0
    """Number of calls with unknown tokens."""
    unknown_cost: int = 0
    unknown_times: int = 0
    own_p50_s: float | None = None
    """Median own time of a call, which excludes the calls inside it."""
    own_p95_s: float | None = None
    share_of_time: float | None = None
    """Share of the own times of all nodes, from 0 to 1."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Summary:
    """Every metric by cohort, the agreement of judges, and counts of missing scores."""

    suite: str
    n_cases: int
    n_repeats: int
    expected: int
    """Number of planned rows."""
    states: Mapping[str, int]
    metrics: tuple[Metric, ...]
    cells: tuple[Cell, ...]
    coverage: Mapping[str, tuple[int, int]]
    """Cohort -> (rows scored, rows expected)."""
    agreement: tuple[Agreement, ...] = ()
    unscored_kinds: Mapping[str, int] = field(default_factory=dict)
    error_kinds: Mapping[str, int] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    outcomes: tuple[Cell, ...] = ()
    """Metrics by outcome, such as `has_error=yes`; shown and never gated, because a change of the system moves cases
    between outcomes."""
    nodes: tuple[NodeFigures, ...] = ()
    """The nodes of an agent, those with the most calls first; empty without trajectories."""
    variants: VariantFigures | None = None
    """Variants of the cases; `None`, and not written, if none were run."""
    reference: ReferenceDifference | None = None
    """The pass rate against the reference system; `None`, and not written, if the run was not compared with one."""

    def cell(self, metric: str, cohort: str = OVERALL) -> Cell | None:
        """Find one cell, `None` if the metric or the cohort does not exist."""
        return next((cell for cell in self.cells if cell.metric == metric and cell.cohort == cohort), None)


@dataclass(frozen=True, slots=True, kw_only=True)
class ReferenceDifference:
    """The pass rate of a run minus that of the suite's reference system, on the same cases."""

    system: str
    """Version of the reference system."""
    folder: str
    """Run folder of the reference system."""
    difference: Estimate
    """Above 0 if the run is better; undefined if no case has a result of both."""
    n_missing: int
    """Number of cases that lack a result of either."""


@dataclass(frozen=True, slots=True, kw_only=True)
class HeldGain:
    """The gain of the pass rate on the held-out cases since an earlier run."""

    run_id: str
    folder: str
    """The run, relative to the project."""
    gain: Estimate
    """Pass rate now minus the earlier one, on the held-out cases of which both have a result."""


@dataclass(frozen=True, slots=True, kw_only=True)
class HeldOut:
    """Figures of the held-out cases of a golden set; nothing else of them is shown."""

    n_cases: int
    cells: tuple[Cell, ...]
    """Of cohorts with at least 10 cases; empty if there are no figures."""
    n_looks: int | None = None
    """Number of runs so far that used these cases, this one included; `None` if they cannot be counted."""
    missing: str = ""
    """Why there are no figures."""
    since: HeldGain | None = None
    """Gain on these cases since the first stored version of the system; `None` if there is none to compare with."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """The result of one check of the gate."""

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
    """The drop that this check would have found with probability 0.8."""
    reason: str = ""
    case_ids: tuple[str, ...] = ()
    """The cases behind the outcome, worst first."""


Labelled = Literal["both", "baseline", "candidate"]
"""The versions whose answers people have labelled."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CorrectedDrop:
    """The drop of a judge's metric on the paired cases, as people's labels correct it."""

    metric: str
    drop: Estimate
    """Baseline minus candidate: positive is a regression; no value, and the reason, if there are too few labels."""
    judged: float
    """The same drop by the judge alone."""
    labelled: Labelled
    """With labels of one version, the drop holds only if the judge errs alike on both."""
    labels: tuple[int, int]
    """Number of labelled cases of the baseline and of the candidate."""
    p_value: float | None = None
    """One-sided, without adjustment; only from labels of both versions."""
    not_gated: str = ""
    """Reason why the drop cannot block; empty if it can."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """Candidate against baseline, paired by case content and repeat."""

    baseline_id: str
    n_paired: int
    overlap: float
    added: tuple[str, ...] = ()
    removed: tuple[str, ...] = ()
    changed: tuple[str, ...] = ()
    removed_failing: tuple[str, ...] = ()
    """Removed cases that failed in the baseline."""
    changed_failing: tuple[str, ...] = ()
    quarantined: tuple[str, ...] = ()
    """Cases that the baseline counts and that are in quarantine now."""
    quarantined_failing: tuple[str, ...] = ()
    new_failures: tuple[str, ...] = ()
    fixed: tuple[str, ...] = ()
    still_failing: tuple[str, ...] = ()
    incomparable: Mapping[str, str] = field(default_factory=dict)
    """Metric -> the part of its score key that differs."""
    sight: str = ""
    """The drops that the comparison could have found, and how often."""
    advice: str = ""
    """What a baseline of more repeats would find, with the command that makes it."""
    corrected: tuple[CorrectedDrop, ...] = ()
    """The drops of judges' metrics overall, corrected by people's labels; empty without labels."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StoppedEarly:
    """Where and why a run ended before its last case, by the rule of its suite."""

    n_cases: int
    """Cases that were run."""
    of: int
    """Planned cases."""
    why: Literal["worse", "fine"]
    """`worse`: a drop is certain. `fine`: a drop would hardly be found in the cases to come."""
    calls_saved: int
    """Planned calls of the system that were not made."""

    def __str__(self) -> str:
        because = "a drop is certain" if self.why == "worse" else "no gate would find a 5-point drop in the rest"
        return f"stopped early at {self.n_cases:,} of {self.of:,} cases, {self.calls_saved:,} calls saved: {because}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Amendment:
    """A change to the rules of a run: a limit of the gate, labels, cases."""

    what: str
    """The changed rule, such as `gate pass_rate.min`, or `3 cases removed`."""
    before: str = ""
    after: str = ""
    note: str = ""
    loosens: bool
    """True if the change makes passing easier, or if that cannot be determined."""

    def __str__(self) -> str:
        change = f" {self.before} → {self.after}" if self.before or self.after else ""
        return f"{self.what}{change}{f' ({self.note})' if self.note else ''}"

    def told(self, since: str) -> str:
        """Format the finding with the base that it is compared with, if known."""
        return f"{self} since {since}" if since else str(self)


@dataclass(frozen=True, slots=True, kw_only=True)
class Decided:
    """An earlier decision of the same run, or of another run of the same suite and commit."""

    run_id: str
    outcome: Outcome
    why: str = ""
    """The most important reason of the decision."""
    decided_at: str = ""
    """ISO 8601; empty if unknown."""
    commit: str = ""
    system: str = ""
    """Version, else fingerprint of the system; empty if neither is known."""

    def __str__(self) -> str:
        why = f" ({self.why})" if self.why else ""
        at = f" at {self.decided_at}" if self.decided_at else ""
        return f"{DECIDED_BEFORE}: {self.outcome}{why}{at} in run {self.run_id}"


PARTIAL_RUN = "partial run ({}), not a gate"
"""Template of the reason for a partial run."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """The decision of the gate."""

    outcome: Outcome
    checks: tuple[Check, ...]
    reasons: tuple[str, ...] = ()
    """Reasons why the decision is not an unconditional approval, most important first."""
    comparison: Comparison | None = None
    amendments: tuple[Amendment, ...] = ()
    """Changes of the rules made along with the system, the looser ones first."""
    amended_since: str = ""
    """Source of the earlier rules: `origin/main@9f2c1ab`, or a baseline's id."""
    decided_before: tuple[Decided, ...] = ()
    """Earlier decisions that blocked although this one does not, of this run and of others of its suite and commit."""
    stopped_early: StoppedEarly | None = None
    """Where a run with `early_stop` ended; `None` for a run of all cases."""

    @property
    def partial(self) -> str | None:
        """Why the run is partial, `None` for a whole run."""
        before, _, after = PARTIAL_RUN.partition("{}")
        told = (each for each in self.reasons if each.startswith(before) and each.endswith(after))
        return next((each.removeprefix(before).removesuffix(after) for each in told), None)
