"""Test whether a metric fell against the baseline on the same cases, overall or in a cohort.

Every metric x cohort is one gate. The sign-flip test keeps the chance that any of the gates blocks an unchanged system
below alpha.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from evalkit.aggregate.columns import Floats, Ints
from evalkit.aggregate.frozen import FrozenFrame
from evalkit.gate.pairing import Pairing
from evalkit.gate.policy import NoRegression, within
from evalkit.results import CheckOutcome
from evalkit.stats import paired
from evalkit.stats.power import Sight
from evalkit.types import Metric

MIN_PAIRED = 5
"""Minimum number of paired cases (or clusters, if there are any) to test a gate."""
DRAWS = 10_000
"""Sign flips of a test."""
MORE_RUNS = 3
"""Additional repeats of suspect cases if both systems can be called."""
WARN_AT = 0.10
SUSPECT_AT = 0.10
"""Largest adjusted p value of the planned repeats at which a gate's cases are run again, if possible."""
CONFIRMED_WARN_AT = 0.05
ALPHA, CONFIRMED_ALPHA = 0.01, 0.02
ENOUGH_AGAIN = 0.9
"""Minimum share of a gate's cases that must be answered again for a second look."""
RESIDUAL_T = 2.33
"""Statistic (one-sided 1 %) that a gate must reach without a cause's cases; a gate below it only echoes that cause."""
STEEPER = 1.5
"""Multiple of the strongest gate's drop that several cohorts must reach to be named in its place."""


@dataclass(frozen=True, eq=False)
class Gate:
    """One metric in one cohort, on paired cases."""

    metric: Metric
    cohort: str
    cases: Ints
    """Positions of the cases that both runs scored."""
    before: Floats
    """Baseline value of each case in `cases`."""
    after: Floats
    clusters: Ints
    critical: bool
    may_block: bool
    """False if the metric rests on a judge that is not trusted."""

    @property
    def drops(self) -> Floats:
        """Baseline minus candidate, with the sign set so that a positive value is a regression."""
        change = self.before - self.after
        return change if self.metric.higher_is_better else -change

    @property
    def mean_drop(self) -> float:
        """Mean drop; 0 if no case is paired."""
        return float(np.mean(self.drops)) if len(self.cases) else 0.0

    @property
    def n_independent(self) -> int:
        """Number of clusters, or of cases if there are no clusters."""
        return len(np.unique(self.clusters))


@dataclass(frozen=True, eq=False)
class Tested:
    """A gate with its adjusted p value and its family's share of alpha."""

    gate: Gate
    statistic: float
    p_value: float
    alpha: float
    warn_at: float = WARN_AT
    unconfirmed: str = ""
    """Reason why the first look decides alone although a second was due; empty if it does not."""
    sight: Sight | None = None
    """Drop that the gate could have found; `None` if its metric has no finite range or cannot fall."""
    suspect: bool = True
    """Whether the planned repeats gave a reason to look again; if not, the gate neither blocks nor warns."""

    @property
    def outcome(self) -> CheckOutcome:
        """`block`, `warn` or `pass`."""
        if not self.suspect:
            return "pass"
        if self.p_value <= self.alpha:
            return "block" if self.gate.may_block else "warn"
        return "warn" if self.p_value <= self.warn_at and self.gate.may_block else "pass"


def gates_of(
    pairing: Pairing, policy: NoRegression, metrics: Mapping[str, bool], critical: frozenset[str]
) -> list[Gate]:
    """Make a gate for each metric in each cohort of the policy.

    Args:
        pairing: pairing of candidate and baseline.
        policy: policy with the cohorts.
        metrics: metric to compare -> whether it may block.
        critical: cohorts tested in a family of their own.
    """
    frame = pairing.candidate
    gates = []
    for name, may_block in metrics.items():
        column = frame.compared(name)
        if column is None:
            continue
        before, after = pairing.means(name)
        known = ~np.isnan(before)
        for cohort in within(frame.cohorts, policy.by):
            where = frame.cohorts[cohort]
            cases = where[known[where]]
            gates.append(
                Gate(
                    metric=column.metric,
                    cohort=cohort,
                    cases=cases,
                    before=before[cases],
                    after=after[cases],
                    clusters=frame.clusters[cases],
                    critical=cohort in critical,
                    may_block=may_block,
                )
            )
    return gates


def run_tests(
    frame: FrozenFrame, gates: Sequence[Gate], *, alpha: float, seed: int, draws: int = DRAWS
) -> list[Tested]:
    """Test every gate that has enough paired cases.

    Critical gates and the others are two families with half of alpha each (all of it if none is critical); metrics
    that may only warn are a third, which takes nothing from the two.

    Args:
        frame: the candidate.
        gates: result of `gates_of`.
        alpha: chance that any gate blocks an unchanged system.
        seed: seed of the sign flips.
        draws: number of sign flips.
    """
    large = [gate for gate in gates if gate.n_independent >= MIN_PAIRED]
    if not large:
        return []
    matrix = np.zeros((frame.n_cases, len(large)))
    for column, gate in enumerate(large):
        matrix[gate.cases, column] = _tidy(gate.drops)
    sums = paired.sum_clusters(matrix, frame.clusters.tolist())
    families = [
        [i for i, gate in enumerate(large) if gate.may_block and gate.critical],
        [i for i, gate in enumerate(large) if gate.may_block and not gate.critical],
        [i for i, gate in enumerate(large) if not gate.may_block],
    ]
    families = [family for family in families if family]
    share = alpha / 2 if any(gate.may_block and gate.critical for gate in large) else alpha
    p_values = paired.sign_flip_max_t(sums, families=families, draws=draws, rng=np.random.default_rng(seed))
    norms = np.sqrt((sums**2).sum(axis=0))
    statistics = np.divide(sums.sum(axis=0), norms, out=np.zeros(len(large)), where=norms > 0)
    return [Tested(gate, float(statistics[i]), float(p_values[i]), share) for i, gate in enumerate(large)]


def confirmed(first: Sequence[Tested], pooled: Sequence[Tested], again: Collection[int], why_not: str) -> list[Tested]:
    """Return the tests of all repeats; only gates suspect in the planned repeats may block or warn.

    Both stages must find a gate, so the error rate is below that of the pooled test alone. If the second look was not
    possible, the gate is decided by the first stage at its level, as against a stored run.

    Args:
        first: tests of the planned repeats.
        pooled: tests of all repeats, including those run again.
        again: positions of the cases that were answered again.
        why_not: the reason to give for a gate whose cases were not.
    """
    suspects = {_name(each.gate): each for each in first if each.p_value <= SUSPECT_AT}
    found = []
    for each in pooled:
        alone = suspects.get(_name(each.gate))
        if alone is not None and _share_in(each.gate, again) < ENOUGH_AGAIN:
            found.append(replace(alone, alpha=alone.alpha * ALPHA / CONFIRMED_ALPHA, unconfirmed=why_not))
        else:
            found.append(replace(each, suspect=alone is not None, warn_at=CONFIRMED_WARN_AT))
    return found


def _share_in(gate: Gate, again: Collection[int]) -> float:
    return sum(case in again for case in gate.cases.tolist()) / max(1, len(gate.cases))


def suspect_cases(tested: Sequence[Tested]) -> frozenset[int]:
    """Return the positions of the cases of every gate that looks worse; they are run again."""
    found = [each.gate for each in tested if each.p_value <= SUSPECT_AT and each.gate.may_block]
    return frozenset(case for gate in found for case in gate.cases.tolist())


def _name(gate: Gate) -> tuple[str, str]:
    return gate.metric.name, gate.cohort


def causes_first(tested: Sequence[Tested]) -> tuple[list[Tested], list[Tested]]:
    """Split gates into causes and echoes.

    A gate is an echo if its statistic falls below noise without the cases of the causes. Examples are the overall
    figure of a run in which one cohort broke, and another cohort that shares the broken cases.

    Args:
        tested: gates that block or warn.

    Returns:
        Causes, then echoes; each with the strongest evidence first, and the narrower cohort first if evidence is equal.
    """
    left = sorted(tested, key=lambda each: (each.outcome != "block", -round(each.statistic, 6), len(each.gate.cases)))
    causes: list[Tested] = []
    echoes: list[Tested] = []
    explained: frozenset[int] = frozenset()
    while left:
        cause = _narrowest(left, explained)
        causes.append(cause)
        explained |= frozenset(cause.gate.cases.tolist())
        left.remove(cause)
        echoes += [each for each in left if _echoes(each, explained)]
        left = [each for each in left if not _echoes(each, explained)]
    return causes, echoes


def _narrowest(ranked: Sequence[Tested], explained: frozenset[int]) -> Tested:
    """Find the steepest gate among those whose cases explain the strongest one: broken cohorts, not overall.

    Args:
        ranked: gates by falling evidence.
        explained: cases of the causes found before.
    """
    strongest = ranked[0]
    peers = [each for each in ranked if each.outcome == strongest.outcome]
    steep = [each for each in peers if _steepness(each) >= STEEPER * _steepness(strongest)]
    together = frozenset(case for each in steep for case in each.gate.cases.tolist())
    if steep and _echoes(strongest, explained | together):
        return max(steep, key=_steepness)
    explaining = [each for each in peers if _echoes(strongest, explained | frozenset(each.gate.cases.tolist()))]
    return max(explaining, key=_steepness, default=strongest)


def _steepness(tested: Tested) -> float:
    """Return the mean drop as a share of the metric's range, or of the larger mean if the range has no end."""
    gate = tested.gate
    reach = gate.metric.high - gate.metric.low
    if not math.isfinite(reach):
        reach = max(abs(float(np.mean(gate.before))), abs(float(np.mean(gate.after))))
    return round(gate.mean_drop / reach, 9) if reach else 0.0


def _echoes(tested: Tested, explained: frozenset[int]) -> bool:
    residual = _residual(tested.gate, explained)
    return residual < RESIDUAL_T and residual < 0.8 * tested.statistic


def _tidy(drops: Floats) -> Floats:
    """Set differences within rounding noise to 0."""
    return np.where(np.abs(drops) < 1e-12, 0.0, drops)


def _residual(gate: Gate, explained: frozenset[int]) -> float:
    rest = np.array([case not in explained for case in gate.cases.tolist()], bool)
    drops = gate.drops[rest]
    norm = math.sqrt(float((drops**2).sum()))
    return float(drops.sum()) / norm if norm > 0 else 0.0
