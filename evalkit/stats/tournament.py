"""Rank systems by a judge's choices between pairs of their answers."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
RIDGE = 1e-3
DRAWS = 500
_STEPS = 100
_CLOSE = 1e-10


def cycle(systems: Sequence[int], rng: np.random.Generator) -> list[tuple[int, int]]:
    """Return the pairs of one case: a random cycle through its systems, each pair in one random order.

    Every system is in two pairs, so k answers take k calls of the judge instead of k (k - 1). Two systems make one
    pair.

    Args:
        systems: numbers of the systems that answered the case.
        rng: source of the draws.

    Returns:
        (shown first, shown second) of each pair; none for fewer than two systems.
    """
    order = [systems[at] for at in rng.permutation(len(systems)).tolist()]
    if len(order) < 2:
        return []
    pairs = list(itertools.pairwise(order))
    pairs += [(order[-1], order[0])] if len(order) > 2 else []
    turned = (rng.random(len(pairs)) < 0.5).tolist()
    return [(b, a) if turn else (a, b) for (a, b), turn in zip(pairs, turned, strict=True)]


@dataclass(frozen=True, eq=False)
class Choices:
    """What a judge chose: one entry for each pair that it was shown."""

    clusters: Ints
    """Number of the case or cluster, shape (n,)."""
    first: Ints
    """System shown first, 0 to k - 1."""
    second: Ints
    points: Floats
    """Points of the first: 1 if it was chosen, 0 if not, 0.5 for a tie."""
    k: int
    """Number of systems."""

    def tables(self, weights: Floats) -> tuple[Floats, Floats]:
        """Return (pairs shown, points of the first), each of shape (k, k), with a weight for each pair."""
        shape, places = (self.k, self.k), self.first * self.k + self.second
        shown: Floats = np.bincount(places, weights, self.k**2).astype(np.float64)
        won: Floats = np.bincount(places, weights * self.points, self.k**2).astype(np.float64)
        return shown.reshape(shape), won.reshape(shape)


@dataclass(frozen=True, eq=False)
class Preferences:
    """How often each system is preferred to each other one."""

    strengths: Floats
    """Log odds against the mean of all systems, shape (k,)."""
    errors: Floats
    """Standard errors of the strengths, from the bootstrap over clusters."""
    position: float
    """Log odds that being shown first adds; 0 for a fair judge."""
    preferred: Floats
    """[i, j]: probability that i is preferred to j, without the effect of the place; shape (k, k)."""
    low: Floats
    """Lower end of its 95 % interval."""
    high: Floats
    undefeated: tuple[int, ...]
    """Systems that lost no pair and tied none: their strength is bounded by the ridge alone."""
    winless: tuple[int, ...]


def preferences(choices: Choices, *, rng: np.random.Generator, draws: int = DRAWS) -> Preferences:
    """Estimate the strengths of systems from a judge's choices.

    The model is logit E[points of the first] = s_i - s_j + g, with the position effect g and a small ridge on all of
    them, fitted by quasi-likelihood, so that a tie is half a win. The errors come from a bootstrap over clusters.

    Args:
        choices: connected, see `parts_of`.
        rng: source of the draws.
        draws: bootstrap samples, >= 2.

    Raises:
        ValueError: there is no choice, a number is out of range, or the systems are not connected.

    Source: Bradley and Terry 1952, doi 10.1093/biomet/39.3-4.324; Davidson and Beaver 1977, Biometrics 33:693 (place).
    """
    _check(choices)
    strengths, position = fitted(*choices.tables(np.ones(len(choices.points))))
    labels, codes = np.unique(choices.clusters, return_inverse=True)
    samples, ahead = [], []
    for _ in range(draws):
        counts = np.bincount(rng.integers(len(labels), size=len(labels)), minlength=len(labels))
        drawn, _ = fitted(*choices.tables(counts[codes].astype(np.float64)))
        samples.append(drawn)
        ahead.append(_chance(drawn[:, None] - drawn[None, :]))
    low, high = np.quantile(np.array(ahead), [0.025, 0.975], axis=0)
    shown, won = choices.tables(np.ones(len(choices.points)))
    played = shown.sum(axis=1) + shown.sum(axis=0)
    points = won.sum(axis=1) + (shown - won).sum(axis=0)
    return Preferences(
        strengths=strengths,
        errors=np.std(np.array(samples), axis=0, ddof=1),
        position=position,
        preferred=_chance(strengths[:, None] - strengths[None, :]),
        low=low,
        high=high,
        undefeated=tuple(np.flatnonzero((points == played) & (played > 0)).tolist()),
        winless=tuple(np.flatnonzero((points == 0) & (played > 0)).tolist()),
    )


def fitted(shown: Floats, won: Floats) -> tuple[Floats, float]:
    """Fit strengths and position effect by Newton's method.

    Args:
        shown: [i, j]: how often i was shown first and j second, shape (k, k).
        won: [i, j]: points of i in these pairs.

    Returns:
        Strengths with mean 0, shape (k,), and the position effect.
    """
    k = len(shown)
    first, second = np.nonzero(shown)
    count, points = shown[first, second], won[first, second]
    design = np.zeros((len(first), k + 1))
    rows = np.arange(len(first))
    design[rows, first] += 1
    design[rows, second] -= 1
    design[:, k] = 1

    def fit_of(beta: Floats) -> float:
        odds = design @ beta
        return float((points * odds - count * np.logaddexp(0, odds)).sum() - RIDGE / 2 * (beta @ beta))

    beta = np.zeros(k + 1)
    best = fit_of(beta)
    for _ in range(_STEPS):
        expected = _chance(design @ beta)
        slope = design.T @ (points - count * expected) - RIDGE * beta
        curve = (design * (count * expected * (1 - expected))[:, None]).T @ design + RIDGE * np.eye(k + 1)
        step = np.linalg.solve(curve, slope)
        # A whole step may overshoot if a system hardly ever loses; half of it, or less, improves a concave fit.
        while (reached := fit_of(beta + step)) < best and np.abs(step).max() >= _CLOSE:
            step = step / 2
        if np.abs(step).max() < _CLOSE:
            break
        beta, best = beta + step, reached
    return beta[:k] - beta[:k].mean(), float(beta[k])


def parts_of(first: Ints, second: Ints, k: int) -> list[list[int]]:
    """Return the groups of systems that pairs connect; several cannot be compared with each other."""
    root = list(range(k))

    def found(at: int) -> int:
        while root[at] != at:
            at = root[at]
        return at

    for a, b in {*zip(first.tolist(), second.tolist(), strict=True)}:
        root[found(a)] = found(b)
    groups: dict[int, list[int]] = {}
    for at in range(k):
        groups.setdefault(found(at), []).append(at)
    return sorted(groups.values())


def _check(choices: Choices) -> None:
    n = len(choices.points)
    if not n:
        raise ValueError("choices: there is none; ask about one pair at least")
    if {len(choices.clusters), len(choices.first), len(choices.second)} != {n}:
        raise ValueError("choices: give a cluster, two systems and the points of each pair")
    if not np.isin(choices.points, (0.0, 0.5, 1.0)).all():
        raise ValueError("points are 1 for a win, 0.5 for a tie and 0 for a loss; leave out pairs without a verdict")
    both = np.concatenate([choices.first, choices.second])
    if both.min() < 0 or both.max() >= choices.k or (choices.first == choices.second).any():
        raise ValueError(f"choices: a pair is of two systems from 0 to {choices.k - 1}")
    if len(parts_of(choices.first, choices.second, choices.k)) > 1:
        raise ValueError("choices: no pair connects some of the systems with the others; compare each group alone")


def _chance(log_odds: Floats) -> Floats:
    return 1 / (1 + np.exp(-np.clip(log_odds, -700, 700)))
