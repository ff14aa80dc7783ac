"""Decide when a comparison that is under way may stop: the looks, and the chance that a drop would still be found.

A comparison looks at the cases so far at a quarter, a half and three quarters of them. Each look that may stop it for a
drop spends a tenth of the usual error rate, so that the looks together add less than .3 points to it (Haybittle-Peto;
Haybittle 1971, doi 10.1259/0007-1285-44-526-793). A stop without a drop rests on the conditional power (Lan, Simon and
Halperin 1982, doi 10.1080/07474948208836014) and can only lower it.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from evalkit.stats.quantiles import normal_cdf, normal_quantile

LOOKS = (0.25, 0.5, 0.75)
"""Shares of the planned cases at which the comparison is looked at."""
LEAST_CASES = 100
"""Minimum number of cases at a look."""
LEAST_VARIANCE = 0.01
"""Smallest mean squared difference that is assumed of a case, since few cases may look steady by chance."""


def looks_of(n: int) -> tuple[int, ...]:
    """Return the numbers of cases after which a run of `n` cases is looked at."""
    return tuple(at for share in LOOKS if LEAST_CASES <= (at := math.ceil(n * share)) < n)


@dataclass(frozen=True)
class GateProgress:
    """One gate of a comparison that is under way.

    Attributes:
        statistic: sum of the differences so far over the root of their sum of squares.
        share: share of its cases that have been run, from 0 to 1.
        n: its planned cases, >= 1.
        variance: mean squared difference of a case so far, as a share of the squared range.
    """

    statistic: float
    share: float
    n: int
    variance: float


def critical_statistic(level: float, n_gates: int) -> float:
    """Return the statistic that the largest of independent gates exceeds with probability `level`."""
    return normal_quantile((1 - level) ** (1 / n_gates))


def remaining_power(gate: GateProgress, critical: float, drop: float) -> float:
    """Return the probability that a gate ends above a statistic if the cases to come fall by `drop`.

    A case to come breaks with probability `drop`; otherwise it differs as the cases so far did. Their sum is taken as
    normal.

    Args:
        gate: the gate so far.
        critical: the statistic.
        drop: drop of the mean, as a share of the range.
    """
    left = gate.n * (1 - gate.share)
    if left <= 0:
        return float(gate.statistic >= critical)
    so_far = gate.n * gate.share * gate.variance
    to_come = left * (max(gate.variance, LEAST_VARIANCE) + drop)
    surplus = gate.statistic * math.sqrt(so_far) + left * drop - critical * math.sqrt(so_far + to_come)
    return normal_cdf(surplus / math.sqrt(to_come - left * drop**2))
