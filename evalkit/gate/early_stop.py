"""Check whether the comparison of a run that is under way is certain, so that the run may stop."""

from __future__ import annotations

import math
from typing import Literal

import numpy as np

from evalkit.aggregate.columns import Floats
from evalkit.aggregate.frozen import FrozenFrame
from evalkit.gate.comparison_plan import ComparisonPlan
from evalkit.gate.decide import trial_for
from evalkit.gate.no_regression import MIN_OVERLAP, PlannedComparison, planned_comparison
from evalkit.gate.pairing import Baseline, pair
from evalkit.gate.policy import NoRegression, Policy, within
from evalkit.gate.regression import ALPHA, MIN_PAIRED, SUSPECT_AT
from evalkit.results import Decision, Summary
from evalkit.stats.early_stop import LEAST_VARIANCE, GateProgress, critical_statistic, remaining_power
from evalkit.stats.paired import sum_clusters
from evalkit.types import Metric

CERTAIN = 0.1
"""Adjusted p value at which a look is certain of a drop, as a share of the error rate of a single look."""
LOOK_DRAWS = 20_000
"""Sign flips of a look, for p values far below those at the end."""
DROP = 0.05
"""Drop that a run must not miss by stopping, as a share of the metric's range."""
_APPROVALS = ("approved", "approved with conditions")
Why = Literal["worse", "fine"]


def certainty(frame: FrozenFrame, summary: Summary, policy: Policy, baseline: Baseline, seed: int) -> Why | None:
    """Return why the cases so far are enough; `None` if they are not.

    Args:
        frame: the cases so far, with all their planned repeats.
        summary: summary with the agreement of its judges.
        policy: policy of the suite.
        baseline: the stored run.
        seed: seed of the sign flips.

    Returns:
        `worse` if the adjusted p value of a gate that may block is at most .001 (a tenth of `alpha`). `fine` if the
        chance that any gate still finds a 5-point drop is below the suite's `early_stop.fine`.
    """
    checks = [check for check in policy.checks if isinstance(check, NoRegression)]
    if policy.early_stop is None or not checks:
        return None
    fine = True
    for check in checks:
        trial = trial_for(check, policy, frame, baseline, seed)
        planned = planned_comparison(frame, summary, baseline, trial)
        if planned.incomparable or planned.pairing.n_cases < MIN_OVERLAP * frame.n_cases:
            return None
        _, tested = trial.tested(planned.pairing, planned.may_block, LOOK_DRAWS)
        level = CERTAIN * min(ALPHA, trial.alpha)
        if any(each.p_value <= level and each.gate.may_block for each in tested):
            return "worse"
        fine = fine and _is_fine(frame, baseline, trial, planned, policy)
    return "fine" if fine else None


def confirms(decision: Decision, why: Why) -> bool:
    """Return whether the decision on the cases so far is the certain one; otherwise the run continues.

    A drop must block after its second look, if there is one. Without a drop every other check must pass, because it
    might not with more cases.
    """
    if why == "worse":
        return any(check.name == "no_regression" and check.outcome == "block" for check in decision.checks)
    small = (check.name == "no_regression" and check.outcome == "insufficient evidence" for check in decision.checks)
    passes = (check.outcome == "pass" for check in decision.checks)
    return decision.outcome in _APPROVALS and all(one or other for one, other in zip(small, passes, strict=True))


def _is_fine(
    frame: FrozenFrame, baseline: Baseline, trial: ComparisonPlan, planned: PlannedComparison, policy: Policy
) -> bool:
    """Return whether no gate that may block would find the drop, with the cases of the baseline to come."""
    assert policy.early_stop is not None  # noqa: S101 - asked only of such policies
    families: dict[bool, list[GateProgress | None]] = {True: [], False: []}
    labels = within(dict.fromkeys((*frame.cohorts, *baseline.frame.cohorts)), trial.policy.by)
    critical = policy.critical_in(labels)
    whole = pair(baseline.frame, baseline.frame, repeats=(trial.planned[0], trial.planned[0]))
    for name, may_block in planned.may_block.items():
        column = frame.compared(name)
        if not may_block or column is None:
            continue
        before, after = planned.pairing.means(name)
        drops = _drops(column.metric, before, after)
        known = ~np.isnan(whole.means(name)[0]) if name in baseline.frame.rows else np.zeros(0, bool)
        for label in labels:
            total = int(known[baseline.frame.cohorts[label]].sum()) if label in baseline.frame.cohorts else 0
            done = np.zeros(frame.n_cases, bool)
            done[frame.cohorts[label] if label in frame.cohorts else []] = True
            done &= ~np.isnan(before)
            if max(total, int(done.sum())) >= MIN_PAIRED:
                families[label in critical].append(_progress(frame, drops, done, total))
    return all(_unfound(family, trial, policy.early_stop.fine, halved=bool(critical)) for family in families.values())


def _drops(metric: Metric, before: Floats, after: Floats) -> Floats | None:
    """Return the drops in shares of the range; `None` if it has no end, so that no drop is one of 5 points."""
    reach = metric.high - metric.low
    if not math.isfinite(reach) or reach <= 0:
        return None
    return (before - after) / (reach if metric.higher_is_better else -reach)


def _progress(frame: FrozenFrame, drops: Floats | None, done: np.ndarray, total: int) -> GateProgress | None:
    if drops is None:
        return None
    values = drops[done]
    n = max(total, len(values))
    if not len(values):
        return GateProgress(0.0, 0.0, n, LEAST_VARIANCE)
    sums = sum_clusters(values[:, None], frame.clusters[done].tolist())[:, 0]
    squares = float((sums**2).sum())
    statistic = float(sums.sum()) / math.sqrt(squares) if squares > 0 else 0.0
    return GateProgress(statistic, len(values) / n, n, squares / len(values))


def _unfound(family: list[GateProgress | None], trial: ComparisonPlan, fine: float, *, halved: bool) -> bool:
    """Return whether each gate of a family would find the drop with less than a probability.

    If suspect gates have a second look, a gate counts as found once it is suspect.
    """
    if not family:
        return True
    level = SUSPECT_AT if trial.again != "neither" else trial.alpha / 2 if halved else trial.alpha
    critical = critical_statistic(level, len(family))
    return all(each is not None and remaining_power(each, critical, DROP) < fine for each in family)
