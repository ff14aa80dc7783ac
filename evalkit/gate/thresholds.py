"""Test absolute limits on a metric with one-sided 95 % bounds."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from evalkit.aggregate.cells import MEASURES, cell, source
from evalkit.aggregate.frozen import FrozenFrame
from evalkit.aggregate.statuses import SCORED
from evalkit.gate.findings import Finding, finding, only_warns
from evalkit.gate.policy import Threshold, is_critical, within
from evalkit.gate.words import SHOWN_CASES, about, calibrate_first, number, some, unproven_judges, worst_first
from evalkit.results import OVERALL, Check, CheckOutcome, Estimate, Summary
from evalkit.stats.intervals import cases_to_prove
from evalkit.stats.quantiles import ONE_SIDED_95
from evalkit.text.numbers import Style, figure, needed, plural, style_of

MANY_COHORTS = 2
"""Number of small cohorts from which they share one sentence."""
_RANK: tuple[CheckOutcome, ...] = ("pass", "warn", "insufficient evidence", "block")
_QUANTILES = frozenset(measure.metric.name for measure in MEASURES if measure.quantile is not None)


@dataclass(frozen=True)
class _Limit:
    """One side of a threshold: the metric must be at least, or at most, `value`."""

    value: float
    upper: bool

    def broken(self, figure: float | None) -> bool:
        """Return whether a known value is beyond the limit."""
        return figure is not None and (figure > self.value if self.upper else figure < self.value)

    def best(self, estimate: Estimate) -> float | None:
        """Return the bound most favourable to the system."""
        return estimate.low if self.upper else estimate.high

    def worst(self, estimate: Estimate) -> float | None:
        """Return the bound least favourable to the system."""
        return estimate.high if self.upper else estimate.low

    def __str__(self) -> str:
        return f"{'<=' if self.upper else '>='} {number(self.value)}"


def threshold_finding(frame: FrozenFrame, summary: Summary, threshold: Threshold) -> Finding:
    """Judge a threshold; cohorts with too few cases to prove it even if all pass share one sentence."""
    checks = threshold_checks(frame, summary, threshold)
    enough = _cases_to_prove(frame, threshold)
    small = [check for check in checks if enough and _is_small(check, enough)]
    if len(small) < MANY_COHORTS or enough is None:
        return finding(checks)
    others = finding([check for check in checks if check not in small])
    need = needed(small[0].need, _style(frame, threshold.figure))
    sizes = some([f"{check.cohort} ({check.observed.n if check.observed else 0})" for check in small], 3)
    reason = (
        f"{len(small)} cohorts are too small to prove {threshold.figure} {need}: {sizes}; {enough} passing cases would"
    )
    return Finding(tuple(checks), (*others.reasons, ("insufficient evidence", reason)))


def _cases_to_prove(frame: FrozenFrame, threshold: Threshold) -> int | None:
    """Return how many passing cases would prove a lower limit of a rate; `None` if no number would, or for others."""
    found = source(frame, threshold.figure)
    if found is None or not found.metric.binary or threshold.max is not None or threshold.min is None:
        return None
    return cases_to_prove(threshold.min, confidence_level=ONE_SIDED_95)


def _is_small(check: Check, enough: int) -> bool:
    return check.outcome == "insufficient evidence" and check.observed is not None and check.observed.n < enough


def threshold_checks(frame: FrozenFrame, summary: Summary, threshold: Threshold) -> list[Check]:
    """Judge a threshold overall and in each cohort that it names.

    - Non-critical: block if even the favourable one-sided 95 % bound is beyond the limit; warn if the figure is. A
      latency quantile also warns if its unfavourable bound is.
    - Critical: pass only if the unfavourable bound is within the limit; block if the favourable one is not; else there
      is insufficient evidence.
    - A metric without a value, or a blocking one whose judge is not trusted, gives no decision.
    """
    cohorts = within(frame.cohorts, threshold.by)
    checks = [_check(frame, summary, threshold, cohort) for cohort in cohorts if _applies(frame, threshold, cohort)]
    checks += [
        _missing(threshold, name) for name in threshold.critical if not any(is_critical(c, [name]) for c in cohorts)
    ]
    return [only_warns(check) for check in checks] if threshold.on_fail == "warn" else checks


def _applies(frame: FrozenFrame, threshold: Threshold, cohort: str) -> bool:
    """Skip a non-critical cohort in which the metric applies to no case."""
    found = source(frame, threshold.figure)
    if cohort == OVERALL or is_critical(cohort, threshold.critical):
        return True
    return found is not None and cell(frame, found, cohort).n_cases > 0


def _check(frame: FrozenFrame, summary: Summary, threshold: Threshold, cohort: str) -> Check:
    blank = _blank(threshold, cohort)
    estimate = _estimate(frame, summary, threshold.figure, cohort)
    if estimate is None or estimate.value is None:
        why = estimate.reason if estimate is not None else _why_absent(frame, threshold.figure, cohort)
        return replace(blank, observed=estimate, reason=f"{about(threshold.figure, cohort)} is unknown: {why}")
    judges = unproven_judges(frame, summary, threshold.figure, cohort)
    if judges and threshold.on_fail == "block":
        return replace(blank, observed=estimate, reason=calibrate_first(threshold.figure, cohort, judges))
    limits = _limits(threshold)
    critical = is_critical(cohort, threshold.critical)
    quantile = threshold.figure in _QUANTILES
    outcomes = [(_judge(estimate, limit, critical, quantile), limit) for limit in limits]
    outcome, limit = max(outcomes, key=lambda pair: _RANK.index(pair[0]))
    style = _style(frame, threshold.figure)
    return replace(
        blank,
        observed=estimate,
        outcome=outcome,
        reason=about(threshold.figure, cohort)
        + _sentence(estimate, limit, outcome, style, _cases_to_prove(frame, threshold))
        + _correction(summary, threshold, cohort, style),
        case_ids=() if outcome == "pass" else _cases_beyond(frame, threshold.figure, cohort, limit),
    )


def _why_absent(frame: FrozenFrame, figure: str, cohort: str) -> str:
    """Say why a run does not have a figure; the passes of a metric without a score have the reason of the metric."""
    if not frame.has_answers:
        return "no call gave an answer"
    scored = source(frame, figure.removesuffix(".passed"))
    why = None if scored is None else cell(frame, scored, cohort).estimate.reason
    return why or "this run does not have the metric"


def _blank(threshold: Threshold, cohort: str) -> Check:
    need = " and ".join(str(limit) for limit in _limits(threshold))
    return Check(name=threshold.metric, metric=threshold.figure, cohort=cohort, outcome="no decision", need=need)


def _missing(threshold: Threshold, name: str) -> Check:
    reason = f"{name}: called critical for {threshold.figure}, but no case of this run belongs to it"
    return replace(_blank(threshold, name), reason=reason)


def _limits(threshold: Threshold) -> list[_Limit]:
    limits = []
    if threshold.min is not None:
        limits.append(_Limit(threshold.min, upper=False))
    if threshold.max is not None:
        limits.append(_Limit(threshold.max, upper=True))
    return limits


def _estimate(frame: FrozenFrame, summary: Summary, metric: str, cohort: str) -> Estimate | None:
    """Return the value with one-sided 95 % bounds; for a judge the corrected one, if labels of this run allow it."""
    made = summary.cell(metric, cohort)
    if made is not None and made.corrected_bounds is not None and made.corrected_bounds.value is not None:
        return made.corrected_bounds
    found = source(frame, metric)
    if found is not None:
        return cell(frame, found, cohort, confidence_level=ONE_SIDED_95).estimate
    return made.estimate if made is not None else None


def _judge(estimate: Estimate, limit: _Limit, critical: bool, quantile: bool) -> CheckOutcome:
    worst = limit.worst(estimate)
    if limit.broken(limit.best(estimate)):
        return "block"
    if critical:
        return "pass" if worst is not None and not limit.broken(worst) else "insufficient evidence"
    if limit.broken(estimate.value) or (quantile and limit.broken(worst)):
        return "warn"
    return "insufficient evidence" if quantile and worst is None else "pass"


def _style(frame: FrozenFrame, metric: str) -> Style:
    found = source(frame, metric)
    return style_of(metric, found.metric if found else None)


def _sentence(estimate: Estimate, limit: _Limit, outcome: CheckOutcome, style: Style, enough: int | None) -> str:
    n = estimate.n
    start = f" is {figure(estimate.value, style, n)}, need {needed(str(limit), style)} (n = {n}"
    best, worst = limit.best(estimate), limit.worst(estimate)
    if outcome == "block" and best is not None:
        return f"{start}; even the favourable 95 % bound is {figure(best, style, n)})"
    if outcome == "insufficient evidence":
        if enough is not None and n < enough:
            return f"{start}): too few cases, {enough} passing ones would prove it"
        bound = figure(worst, style, n) if worst is not None else "not known at this n"
        return f"{start}): not proved, the unfavourable 95 % bound is {bound}"
    if outcome == "warn":
        return f"{start}): within noise of the limit"
    return f"{start})"


def _correction(summary: Summary, threshold: Threshold, cohort: str, style: Style) -> str:
    """Explain how a judge's value was corrected, or say that it was not; empty if no judge is involved."""
    made = summary.cell(threshold.figure, cohort)
    if made is None or made.corrected is None:
        return ""
    corrected, said = made.corrected, made.estimate.value
    if corrected.value is None or said is None:
        return f"; {corrected.reason}"
    return f"; corrected by {plural(corrected.n, 'label')}, the judge says {figure(said, style, made.estimate.n)}"


def _cases_beyond(frame: FrozenFrame, metric: str, cohort: str, limit: _Limit) -> tuple[str, ...]:
    found = source(frame, metric)
    if found is None:
        return ()
    values = np.where(found.column.status == SCORED, found.column.values, limit.value)
    badness = values - limit.value if limit.upper else limit.value - values
    where = frame.cohorts[cohort]
    return worst_first(frame, where[badness[where] > 0].tolist(), badness)[:SHOWN_CASES]
