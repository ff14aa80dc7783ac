"""Compute the power of the regression test: how often a gate finds a drop by its sign-flip test.

Each case differs between two runs of an unchanged system with a variance v, and breaks with a probability of its own.
A look is one test of the paired means. A gate has one or two looks, and all of them have to find the drop. Differences
of cases are taken as flips of size one with the mean and the variance that they have: exact for single runs of
pass/fail cases, an approximation for means over repeats and for grades.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from evalkit.stats.bounds import BISECTIONS
from evalkit.stats.quantiles import normal_cdf, normal_quantile

Floats = NDArray[np.float64]
EXACT_CASES = 1_000
"""Number of independent cases above which a normal statistic is used."""
NORMAL_FLIPS = 40
"""Number of expected flips from which the null statistic of another gate is taken as normal."""
_GRID = np.arange(0.0, 8.0, 0.02)
_TAIL_SD = 7.0
_NODES, _WEIGHTS = np.polynomial.legendre.leggauss(48)


@dataclass(frozen=True)
class Look:
    """One test of a gate.

    Attributes:
        level: adjusted p value at which it finds a drop, in (0, 1).
        variance: variance of the difference of an unchanged case, on a scale of 1.
        shared: covariance of that difference with the difference in the gate's last look; for the last look, its
            variance.
    """

    level: float
    variance: float
    shared: float


@dataclass(frozen=True)
class Rival:
    """Another gate of the family, whose null statistic the gate has to beat.

    Attributes:
        n: independent cases, >= 1.
        share: share of them that differ between two runs of an unchanged system, in effect: (E d^2)^2 / E d^4.
        count: number of equal gates.
    """

    n: int
    share: float
    count: int = 1


@dataclass(frozen=True)
class Sight:
    """A gate as input to the power computation.

    Attributes:
        n: independent cases.
        passing: share that the baseline passes, in (0, 1], which is the largest possible drop.
        looks: in order; all of them have to find the drop.
        rivals: the other gates of its family.
    """

    n: int
    passing: float
    looks: tuple[Look, ...]
    rivals: tuple[Rival, ...] = ()


def chance_to_find(drop: float, sight: Sight) -> float:
    """Return the probability that every look finds a drop.

    With broken cases B and flips in both directions, a look finds the drop if 1 - (1 - p)F(T) is at most its level:
    p is the exact one-sided McNemar p value, T the statistic and F the null distribution of the rivals' maximum, taken
    as independent, which understates the power slightly. Two looks share their cases: their chances are joined by a
    normal distribution with the correlation of the two differences.

    Args:
        drop: share of all cases that pass in the baseline and break, in [0, `sight.passing`].
        sight: the gate.

    Raises:
        ValueError: `drop` is out of range.
    """
    if not 0 <= drop <= sight.passing:
        raise ValueError(f"drop is {drop}; it must lie between 0 and the {sight.passing} of cases that pass")
    if sight.n < 1:
        return 0.0
    chances = [_chance(drop, sight, look) for look in sight.looks]
    if len(chances) == 1:
        return chances[0]
    first, last = sight.looks
    return _joint(chances[0], chances[1], _correlation(drop, sight, first, last))


def smallest_drop(sight: Sight, power: float = 0.8) -> float | None:
    """Return the smallest drop found with the given probability; `None` if even the largest possible drop is not.

    Args:
        sight: the gate.
        power: probability in (0, 1).
    """
    if chance_to_find(sight.passing, sight) < power:
        return None
    low, high = 0.0, sight.passing
    for _ in range(BISECTIONS // 3):
        middle = (low + high) / 2
        low, high = (middle, high) if chance_to_find(middle, sight) < power else (low, middle)
    return high


def one_by_one(sight: Sight, n_cases: int) -> Sight:
    """Return the same gate with the cases of a cluster breaking independently: as many pieces of evidence as cases.

    Args:
        sight: gate with clusters as its independent cases.
        n_cases: number of cases in the clusters.
    """
    size = n_cases / sight.n
    looks = tuple(Look(each.level, each.variance * size, each.shared * size) for each in sight.looks)
    return Sight(n_cases, sight.passing, looks, sight.rivals)


def variance_of_means(flips: float, repeats: tuple[int, int]) -> float:
    """Return the variance of the difference between two means over repeats, of a case that did not change.

    Args:
        flips: mean squared difference between two single runs, on a scale of 1.
        repeats: numbers of repeats of baseline and candidate.
    """
    return flips / 2 * (1 / repeats[0] + 1 / repeats[1])


@lru_cache(maxsize=4096)
def differing_share(flips: float, passing: float, repeats: tuple[int, int]) -> float:
    """Return the effective share of unchanged cases that differ, (E d^2)^2 / E d^4, for means over repeats.

    The cases' chances to pass are taken as Beta distributed, with the given mean and E 2p(1 - p) = `flips`.

    Args:
        flips: share of pass/fail cases that differ between two single runs, in [0, 1/2].
        passing: mean chance to pass; moved towards 1/2 as far as the flips require.
        repeats: numbers of repeats of baseline and candidate.
    """
    if flips <= 0:
        return 0.0
    flips = min(flips, 0.499)
    edge = (1 - math.sqrt(1 - 2.02 * flips)) / 2 if flips < 0.49 else 0.5
    mean = min(max(passing, edge), 1 - edge)
    ratio = flips / (2 * mean * (1 - mean))
    size = ratio / (1 - ratio) if ratio < 1 else 1e6
    before, after = np.arange(repeats[0] + 1)[:, None], np.arange(repeats[1] + 1)[None, :]
    weights = _beta_binomial(before, after, repeats, (size * mean, size * (1 - mean)))
    squares = (before / repeats[0] - after / repeats[1]) ** 2
    return float((weights * squares).sum() ** 2 / (weights * squares**2).sum())


def _beta_binomial(
    before: NDArray[np.int64], after: NDArray[np.int64], repeats: tuple[int, int], shape: tuple[float, float]
) -> Floats:
    """Return the joint probability of the passes on both sides, which share one Beta distributed chance."""
    from evalkit.stats.distributions import betaln, gammaln

    def choose(total: int, count: NDArray[np.int64]) -> Floats:
        found: Floats = gammaln(total + 1) - gammaln(count + 1) - gammaln(total - count + 1)
        return found

    passes, failures = before + after, sum(repeats) - before - after
    logs = betaln(shape[0] + passes, shape[1] + failures) - betaln(*shape)
    found: Floats = np.exp(logs + choose(repeats[0], before) + choose(repeats[1], after))
    return found


def _moves(drop: float, sight: Sight, variance: float) -> tuple[float, float]:
    """Return the probability that a case gets worse, and that it gets better."""
    flips = (1 - drop / sight.passing) * min(variance, 1.0) / 2
    worse = min(1.0, drop + flips)
    return worse, min(flips, 1.0 - worse)


def _chance(drop: float, sight: Sight, look: Look) -> float:
    worse, better = _moves(drop, sight, look.variance)
    moving = worse + better
    if moving <= 0:
        return 0.0
    if sight.n > EXACT_CASES:
        least = _critical(look.level, sight.rivals)
        spread = math.sqrt(max(moving - (worse - better) ** 2, 1e-12))
        return normal_cdf(((worse - better) * math.sqrt(sight.n) - least * math.sqrt(moving)) / spread)
    from evalkit.stats.distributions import bdtr, bdtrc

    centre, reach = sight.n * moving, _TAIL_SD * math.sqrt(sight.n * moving) + 5
    counts = np.arange(max(0, math.floor(centre - reach)), min(sight.n, math.ceil(centre + reach)) + 1)
    below = np.where(counts > 0, bdtr(np.maximum(counts - 1, 0), sight.n, min(moving, 1.0)), 0.0)
    weights = bdtr(counts, sight.n, min(moving, 1.0)) - below
    needed = _needed(sight.n, look.level, sight.rivals)[counts]
    found = np.where(needed > 0, bdtrc(np.maximum(needed - 1, 0), counts, worse / moving), 0.0)
    return float(min(1.0, (weights * np.where(needed <= counts, found, 0.0)).sum()))


@lru_cache(maxsize=512)
def _needed(n: int, level: float, rivals: tuple[Rival, ...]) -> NDArray[np.int64]:
    """Return, for 0 to n differing cases, how many must be worse; one more than all if even all do not suffice."""
    from evalkit.stats.distributions import bdtrc

    quiet = _log_quiet(rivals)
    counts = np.arange(n + 1)

    def adjusted(worse: NDArray[np.int64]) -> Floats:
        own = np.where(worse > 0, bdtrc(np.maximum(worse - 1, 0), counts, 0.5), 1.0)
        statistic = np.divide(2 * worse - counts, np.sqrt(counts), out=np.zeros(n + 1), where=counts > 0)
        with np.errstate(divide="ignore"):
            found: Floats = -np.expm1(np.log1p(-np.minimum(own, 1.0)) + np.interp(statistic, _GRID, quiet))
        return found

    low, high = (counts + 1) // 2, counts + 1
    for _ in range(n.bit_length() + 1):
        middle = (low + high) // 2
        enough = (adjusted(np.minimum(middle, counts)) <= level * (1 + 1e-9)) & (middle <= counts)
        high = np.where(enough, middle, high)
        low = np.where(enough | (low >= high), low, middle + 1)
    found: NDArray[np.int64] = high
    return found


@lru_cache(maxsize=512)
def _critical(level: float, rivals: tuple[Rival, ...]) -> float:
    """Return the statistic of a large gate from which its adjusted p value is at most the level."""
    quiet = _log_quiet(rivals)
    low, high = 0.0, 7.9
    for _ in range(BISECTIONS):
        middle = (low + high) / 2
        passes = math.log1p(-normal_cdf(-middle)) + float(np.interp(middle, _GRID, quiet))
        low, high = (middle, high) if -math.expm1(passes) > level else (low, middle)
    return high


@lru_cache(maxsize=512)
def _log_quiet(rivals: tuple[Rival, ...]) -> Floats:
    """Return the logarithm of the chance that no rival's null statistic reaches t, on the grid of t."""
    total = np.zeros(len(_GRID))
    with np.errstate(divide="ignore"):
        for rival in rivals:
            total += rival.count * np.log1p(-_null_tail(rival.n, round(rival.share, 4)))
    return total


@lru_cache(maxsize=4096)
def _null_tail(n: int, share: float) -> Floats:
    """Return the chance that the null statistic of a gate reaches t, on the grid of t; few flips limit it."""
    from evalkit.stats.distributions import bdtr, bdtrc, ndtr

    if n * share > NORMAL_FLIPS:
        tail: Floats = ndtr(-_GRID)
        return tail
    most = min(n, math.ceil(n * share + _TAIL_SD * math.sqrt(n * share) + 5))
    flips = np.arange(1, most + 1)
    weights = bdtr(flips, n, share) - bdtr(flips - 1, n, share)
    needed = np.ceil((flips + _GRID[:, None] * np.sqrt(flips)) / 2 - 1e-9)
    reached = np.where(needed <= flips, bdtrc(np.clip(needed - 1, 0, flips), flips, 0.5), 0.0)
    tail = reached @ weights
    return tail


def _correlation(drop: float, sight: Sight, first: Look, last: Look) -> float:
    spreads = []
    for look in (first, last):
        worse, better = _moves(drop, sight, look.variance)
        spreads.append(worse + better - (worse - better) ** 2)
    shared = drop - drop * drop + (1 - drop / sight.passing) * first.shared
    scale = math.sqrt(spreads[0] * spreads[1])
    return 0.0 if scale <= 0 else min(0.999, max(0.0, shared / scale))


def _joint(first: float, last: float, correlation: float) -> float:
    """Return P(X < a, Y < b) of two correlated normals with P(X < a) = `first` and P(Y < b) = `last`, by quadrature."""
    if min(first, last) < 1e-9 or max(first, last) > 1 - 1e-9:
        return min(first, last)
    from evalkit.stats.distributions import ndtr

    a, b = normal_quantile(first), normal_quantile(last)
    low, high = -8.0, max(a, -7.999)
    x = (high - low) / 2 * _NODES + (high + low) / 2
    inner = ndtr((b - correlation * x) / math.sqrt(1 - correlation**2))
    density = np.exp(-(x**2) / 2) / math.sqrt(2 * math.pi)
    return float(min(first, last, (high - low) / 2 * (_WEIGHTS * density * inner).sum()))
