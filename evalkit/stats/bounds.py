"""Compute score intervals on plain numbers; `evalkit.stats.intervals` turns them into estimates."""

from __future__ import annotations

import math

BISECTIONS = 60
"""Number of halvings of an interval of width <= 2 after which the root is as exact as a float can be."""


def wilson_bounds(successes: float, n: float, z: float) -> tuple[float, float]:
    """Return the ends of Wilson's interval for 0 <= `successes` <= `n`, n >= 1; exactly 0 or 1 if the rate is."""
    rate = successes / n
    shrink = 1 + z * z / n
    centre = (rate + z * z / (2 * n)) / shrink
    half = z * math.sqrt(rate * (1 - rate) / n + z * z / (4 * n * n)) / shrink
    low = 0.0 if successes == 0 else max(0.0, centre - half)
    high = 1.0 if successes == n else min(1.0, centre + half)
    return low, high


def newcombe_bounds(table: tuple[int, int, int, int], z: float) -> tuple[float, float]:
    """Return the ends of Newcombe's interval for a non-empty (both, only first, only second, neither) table."""
    both, only_first, only_second, _ = table
    n = sum(table)
    first, second = (both + only_first) / n, (both + only_second) / n
    low_first, high_first = wilson_bounds(both + only_first, n, z)
    low_second, high_second = wilson_bounds(both + only_second, n, z)
    phi = _corrected_phi(*table)
    difference = (only_first - only_second) / n
    down = _square_and_add(first - low_first, high_second - second, phi)
    up = _square_and_add(high_first - first, second - low_second, phi)
    return max(difference - down, -1.0), min(difference + up, 1.0)


def tango_upper(b: int, c: int, n: int, z: float) -> float:
    """Return the largest difference that Tango's score test does not reject: a root in [(b - c)/n, 1], by bisection."""
    low, high = (b - c) / n, 1.0
    for _ in range(BISECTIONS):
        middle = (low + high) / 2
        linear = (2 * n - b + c) * middle - b - c
        root = math.sqrt(max(linear * linear + 8 * n * c * middle * (1 - middle), 0.0))
        q = (root - linear) / (4 * n)
        variance = max(n * (2 * q + middle * (1 - middle)), 0.0)
        if n * middle - (b - c) < z * math.sqrt(variance):
            low = middle
        else:
            high = middle
    return high


def _corrected_phi(both: int, only_first: int, only_second: int, neither: int) -> float:
    margins = (both + only_first) * (only_second + neither) * (both + only_second) * (only_first + neither)
    if margins == 0:
        return 0.0
    product = both * neither - only_first * only_second
    if product > 0:
        half_n = (both + only_first + only_second + neither) / 2
        return max(product - half_n, 0.0) / math.sqrt(margins)
    return product / math.sqrt(margins)


def _square_and_add(first: float, second: float, phi: float) -> float:
    return math.sqrt(max(first * first - 2 * phi * first * second + second * second, 0.0))
