"""The frontier against enumeration."""

import itertools

import numpy as np
import pytest

from evalkit.stats.frontier import frontier


def rng(seed: int = 0) -> np.random.Generator:
    """A fresh, seeded source of draws."""
    return np.random.default_rng(seed)


def test_shares_equal_those_of_all_resamples() -> None:
    """Three clusters have 27 resamples; quality as a mean, latency as a median, both with missing values."""
    quality = np.array([[1.0, 0.0, 0.5], [0.0, 1.0, 0.5], [np.nan, 0.2, 0.5], [1.0, 0.0, 0.1]])
    latency = -np.array([[1.0, 3.0, 2.0], [2.0, 1.0, 2.0], [5.0, np.nan, 2.0], [1.0, 2.0, 9.0]])
    clusters = np.array([0, 1, 2, 2])
    on, by = np.zeros(3), np.zeros((3, 3))
    for drawn in itertools.product(range(3), repeat=3):
        rows = [row for cluster in drawn for row in np.flatnonzero(clusters == cluster)]
        figures = []
        for j in range(3):
            waits = sorted(x for x in latency[rows, j] if not np.isnan(x))
            figures.append((np.nanmean(quality[rows, j]), waits[(len(waits) - 1) // 2] if waits else np.nan))
        for i, own in enumerate(figures):
            above = [
                all(b >= a - 1e-9 for a, b in zip(own, other, strict=True))
                and any(b > a + 1e-9 for a, b in zip(own, other, strict=True))
                for other in figures
            ]
            on[i] += not any(above)
            by[i] += above
    found = frontier(quality[None], latency[None], clusters, rng=rng(), draws=40_000)
    assert found.on == pytest.approx(on / 27, abs=0.01)
    assert found.by == pytest.approx(by / 27, abs=0.01)


def test_a_twin_is_not_dominated_by_its_equal() -> None:
    """Systems with equal means in every draw are as good in all and better in none, in spite of rounding."""
    first = rng(1).random((2, 300))
    # The same values in another order within each cluster of three, so that their sums are rounded differently.
    second = first.reshape(2, 100, 3)[:, :, ::-1].reshape(2, 300)
    third = first.reshape(2, 100, 3)[:, :, [1, 2, 0]].reshape(2, 300)
    values = np.stack([first, second, third], axis=2)
    found = frontier(values, np.empty((0, 300, 3)), np.arange(300) // 3, rng=rng())
    assert found.on.tolist() == [1.0] * 3
    assert not found.by.any()


def test_a_worse_and_dearer_system_is_dominated() -> None:
    """In every draw, by the system that is better in both; a cheaper one does not dominate it."""
    quality = np.repeat([[0.9, 0.5, 0.1]], 50, axis=0)
    cost = -np.repeat([[1.0, 2.0, 0.1]], 50, axis=0)
    found = frontier(np.stack([quality, cost]), np.empty((0, 50, 3)), np.arange(50), rng=rng())
    assert found.on.tolist() == [1.0, 0.0, 1.0]
    assert found.by[1].tolist() == [1.0, 0.0, 0.0]
