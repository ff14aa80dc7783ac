"""Define the `gate:` section of a suite: the checks that decide, written before any result is known.

Each item of the list is `{key: {options}}` or `{key: value}`; the value goes to the check's `shorthand` option. A key
that is not in `CHECKS` names a metric and makes a `Threshold`.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar, Literal

from evalkit.aggregate.statuses import chosen_runs
from evalkit.gate.attack_success import AttackSuccess
from evalkit.gate.card import Card
from evalkit.gate.leakage import Leakage
from evalkit.gate.parity_gap import ParityGap
from evalkit.gate.robustness_gap import RobustnessGap
from evalkit.results import OVERALL
from evalkit.types import KINDS, SEVERITIES

PASS_METRICS = ("pass_rate", "pass_any", "pass_all", "pass_rate_production")
"""Metrics of runs with a pass mark; those after the first need repeats or a production mix."""
_WITH_K = ("pass_all", "pass_any")
OnFail = Literal["block", "warn"]
Problem = tuple[int, str, str]
"""Position in the policy (-1 for the policy as a whole), fault and fix."""


@dataclass(frozen=True, kw_only=True)
class Threshold:
    """Require a metric to be at least `min` or at most `max`, overall and in each value of the cohorts named by `by`.

    It blocks if the one-sided 95 % bound is beyond the limit, and warns if only the figure itself is. In a critical
    cohort it passes only if the unfavourable bound is within the limit.
    """

    shorthand: ClassVar[str] = "min"
    metric: str
    min: float | None = None
    max: float | None = None
    k: int | None = None
    """For `pass_all` and `pass_any`: number of repeats of a case that are considered; default: all of them."""
    by: tuple[str, ...] = ()
    """Cohort names, such as `domain`."""
    critical: tuple[str, ...] = ()
    """Cohort values (`aml`, or `domain=aml`) that must be shown to meet the limit; `overall` may be one."""
    on_fail: OnFail = "block"
    why: str = ""
    """Reason for the limit, shown in the release decision; it does not affect the decision."""

    def __post_init__(self) -> None:
        """Reject a threshold that cannot be checked."""
        _names(self, "by", "critical")
        _choice("on_fail", self.on_fail, ("block", "warn"))
        if self.min is None and self.max is None:
            raise ValueError("min: neither `min` nor `max` is given; add the limit that the metric has to hold")
        for name, value in (("min", self.min), ("max", self.max)):
            if value is not None and not math.isfinite(value):
                raise ValueError(f"{name}: {value} is not a limit; write a finite number")
        if self.min is not None and self.max is not None and self.min > self.max:
            raise ValueError(f"min: {self.min:g} is above max {self.max:g}; swap them")
        if self.k is not None and self.metric not in _WITH_K:
            raise ValueError(f"k: {self.metric} has none; remove it, or gate {' or '.join(_WITH_K)}")
        if self.k is not None and chosen_runs(self.figure) is None:
            raise ValueError(f"k: {self.k} is not a number of runs; write a whole number from 1, such as 3")

    @property
    def figure(self) -> str:
        """The metric that is checked: `pass_all_3` for `pass_all: {k: 3}`."""
        return self.metric if self.k is None else f"{self.metric}_{self.k}"


@dataclass(frozen=True, kw_only=True)
class Failures:
    """Allow at most `max` failing cases of a severity; of every kind but canaries unless `kind` is given."""

    shorthand: ClassVar[str] = "max"
    severity: str | None = "critical"
    kind: str | None = None
    max: int = 0
    on_fail: OnFail = "block"
    why: str = ""
    """Reason for the limit, shown in the release decision; it does not affect the decision."""

    def __post_init__(self) -> None:
        """Reject unknown words and a negative count."""
        _choice("on_fail", self.on_fail, ("block", "warn"))
        if self.severity is not None:
            _choice("severity", self.severity, SEVERITIES)
        if self.kind is not None:
            _choice("kind", self.kind, KINDS)
        if self.max < 0:
            raise ValueError(f"max: {self.max} is negative; write 0 or more")


@dataclass(frozen=True, kw_only=True)
class Canary:
    """Require every case of kind `canary` to pass.

    With `2 of 3` a canary that does not pass is run twice more: two failures block, one warns as flaky. With `strict`
    one failure blocks.
    """

    shorthand: ClassVar[str] = "rule"
    rule: Literal["2 of 3", "strict"] = "2 of 3"
    on_fail: OnFail = "block"
    why: str = ""
    """Reason for the limit, shown in the release decision; it does not affect the decision."""

    def __post_init__(self) -> None:
        """Reject unknown words."""
        _choice("rule", self.rule, ("2 of 3", "strict"))
        _choice("on_fail", self.on_fail, ("block", "warn"))


@dataclass(frozen=True, kw_only=True)
class Coverage:
    """Require that nearly every row was scored; below it there is no decision."""

    shorthand: ClassVar[str] = "min"
    min: float = 0.99
    """Minimum share of the planned rows."""
    by_cohort_min: float = 0.95
    """Minimum share in each cohort; one missing row is always allowed."""
    why: str = ""
    """Reason for the limit, shown in the release decision; it does not affect the decision."""

    def __post_init__(self) -> None:
        """Reject shares outside 0 to 1."""
        for name, value in (("min", self.min), ("by_cohort_min", self.by_cohort_min)):
            if not 0 <= value <= 1:
                raise ValueError(f"{name}: {value} is not a share; write a number from 0 to 1, such as 0.99")


@dataclass(frozen=True, kw_only=True)
class NoRegression:
    """Block if a metric fell against the baseline on the same cases, overall or in a cohort."""

    shorthand: ClassVar[str] = "baseline"
    baseline: str = "main"
    """Saved baseline or run folder; `{run: NAME, system: {...}}` also names the old system, to run suspect cases on."""
    alpha: float | None = None
    """Probability that any gate blocks an unchanged system; default: 0.01, or 0.02 if suspect cases are run again."""
    by: tuple[str, ...] | None = None
    """Cohort names; default: every declared cohort."""
    metrics: tuple[str, ...] | None = None
    """Metrics to compare; default: `pass_rate` and every scorer's metric that is not advisory. Amounts such as
    `tokens_per_case`, `cost_per_case_usd` or `tokens:planner` are compared only if they are named."""
    critical: tuple[str, ...] = ()
    """Cohort values (`aml`, or `domain=aml`) that are tested in a separate family."""
    margin: float | None = None
    """Acceptable drop, in units of each metric; warns unless a larger drop is ruled out, overall and in critical
    cohorts."""
    beats_by: float | None = None
    """Gain that must be shown overall, in units of each metric; it blocks if the gain is certainly smaller."""
    corrected: bool = False
    """Whether people's labels of both versions block where the judge is not trusted, if they show a drop overall at p
    <= .01; the labels must be drawn with `evalkit labels sample --both`."""
    max_slowdown: float | None = None
    """Accepted ratio of the candidate's latency to the baseline's, such as 1.10. Against stored times it only warns."""
    max_cost_ratio: float | None = None
    """Accepted ratio of the candidate's cost to the baseline's, such as 1.05; not compared if not given."""
    why: str = ""
    """Reason for the limit, shown in the release decision; it does not affect the decision."""

    def __post_init__(self) -> None:
        """Reject an alpha that is not an error rate."""
        _names(self, "by", "metrics", "critical")
        if self.alpha is not None and not 0 < self.alpha <= 0.2:
            raise ValueError(f"alpha: {self.alpha} is not a useful error rate; write a number up to 0.2, such as 0.01")
        for name in ("margin", "beats_by"):
            value = getattr(self, name)
            if value is not None and not 0 <= value < math.inf:
                raise ValueError(f"{name}: {value:g} is negative or not a number; write one such as 0.02")
        for name in ("max_slowdown", "max_cost_ratio"):
            ratio = getattr(self, name)
            if ratio is not None and not 1 <= ratio < math.inf:
                raise ValueError(f"{name}: {ratio:g} is not a margin; write a ratio such as 1.10")
        if self.metrics == ():
            raise ValueError("metrics: the list is empty, so nothing would be compared; name one, or remove the key")
        if not self.baseline:
            raise ValueError("baseline: empty; name a saved baseline such as `main`, or a run folder")
        if self.baseline == "latest":  # each run would be compared with the one before, however bad that was
            raise ValueError("baseline: `latest` is another run each time; name a saved baseline such as `main`")


@dataclass(frozen=True, kw_only=True)
class Best:
    """Block a release system that is surely worse than another system of the run by more than `within`.

    The metric is the suite's `primary`, overall. The 95 % intervals of the differences between all systems hold
    together; it blocks if such an interval lies beyond `within`. It needs `systems:` or `matrix:`, and `release:`.
    """

    shorthand: ClassVar[str] = "within"
    within: float = 0.0
    """Accepted distance to the best system, in units of the metric: 0.02 is 2 points of a pass rate."""
    on_fail: OnFail = "block"
    why: str = ""
    """Reason for the limit, shown in the release decision; it does not affect the decision."""

    def __post_init__(self) -> None:
        """Reject a distance that is not one."""
        _choice("on_fail", self.on_fail, ("block", "warn"))
        if not 0 <= self.within < math.inf:
            raise ValueError(f"within: {self.within:g} is negative or not a number; write one such as 0.02")


OfVariants = RobustnessGap | AttackSuccess | ParityGap
"""Checks of the variants of a run."""
Item = Threshold | Failures | Canary | Coverage | NoRegression | Best | Leakage | Card | OfVariants
CHECKS: Mapping[str, type[Item]] = {
    "failures": Failures,
    "canary": Canary,
    "coverage": Coverage,
    "no_regression": NoRegression,
    "best": Best,
    "leakage": Leakage,
    "card": Card,
    "robustness_gap": RobustnessGap,
    "attack_success": AttackSuccess,
    "parity_gap": ParityGap,
}


@dataclass(frozen=True, kw_only=True)
class EarlyStop:
    """Stop a run before its end once its comparison with the baseline is certain."""

    fine: float = 0.01
    """Stop without a drop if no gate would find a 5-point drop in the cases to come with more than this probability;
    0.05 stops sooner, and finds fewer drops of small cohorts."""

    def __post_init__(self) -> None:
        """Reject a probability that is not a small one."""
        if not 0 < self.fine <= 0.1:
            raise ValueError(f"fine: {self.fine:g} is not a small probability; write one up to 0.1, such as 0.01")


@dataclass(frozen=True)
class Policy:
    """Every check of a suite, in the order in which they are written."""

    checks: tuple[Item, ...]
    require_evidence: bool = False
    """Whether insufficient evidence means no decision instead of a condition."""
    escalates: bool = False
    """Whether the baseline's system can be called, so that suspect cases are run again on both sides."""
    repeats: int = 1
    """Planned repeats of every case, without those that come from running cases again."""
    uncompared: str = ""
    """Why nothing is compared although a baseline is named, such as `--baseline none`."""
    asks_again: bool = True
    """Whether calling the system again can give another answer; False for stored answers."""
    n_deciding: int = 1
    """Systems of a run whose gates decide together; `no_regression` shares its alpha among them."""
    early_stop: EarlyStop | None = None
    """When a run may stop before its end; `None` for never."""
    ungated: str = ""
    """Why no check applies to the system, such as that it is only compared."""

    @property
    def coverage(self) -> Coverage:
        """The coverage check; the default one if none is written."""
        return next((check for check in self.checks if isinstance(check, Coverage)), Coverage())

    @property
    def can_block(self) -> bool:
        """Whether there is a check besides coverage; without one, there is nothing to decide."""
        return any(not isinstance(check, Coverage) for check in self.checks)

    @property
    def asked(self) -> tuple[str, ...]:
        """The metrics that the checks name."""
        return tuple(dict.fromkeys(check.figure for check in self.checks if isinstance(check, Threshold)))

    @property
    def alternates(self) -> bool:
        """Whether the baseline's system is timed beside the candidate."""
        timed = any(isinstance(check, NoRegression) and check.max_slowdown is not None for check in self.checks)
        return self.escalates and timed

    def critical_in(self, cohorts: Iterable[str]) -> frozenset[str]:
        """Find the cohorts that any check lists as critical.

        Args:
            cohorts: labels of the run: `overall`, or `name=value`.
        """
        labels = tuple(cohorts)
        found: set[str] = set()
        for check in self.checks:
            if isinstance(check, Threshold | NoRegression):
                found.update(label for label in within(labels, check.by) if is_critical(label, check.critical))
        return frozenset(found)


NO_GATE = "the suite has no gate, so nothing is decided"
ADD_GATE = "add one, such as `gate: [{pass_rate: {min: 0.85}}]`, then decide with `evalkit gate RUN`"


def within(cohorts: Iterable[str], by: Sequence[str] | None) -> tuple[str, ...]:
    """Select `overall` and the cohorts of the names in `by`; all of them if it is `None`."""
    return tuple(label for label in cohorts if by is None or label == OVERALL or label.split("=", 1)[0] in by)


def is_critical(cohort: str, critical: Collection[str]) -> bool:
    """Return whether a cohort is listed, by its label or by its value alone."""
    return cohort in critical or ("=" in cohort and cohort.split("=", 1)[1] in critical)


def _choice(field: str, value: str, allowed: Sequence[str]) -> None:
    if value not in allowed:
        raise ValueError(f"{field}: `{value}` is not known; write one of {', '.join(allowed)}")


def _names(check: object, *fields: str) -> None:
    """Read one name as a list of one."""
    for field in fields:
        value = getattr(check, field)
        if isinstance(value, str):
            object.__setattr__(check, field, (value,))
