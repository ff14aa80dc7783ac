"""Compare two arms at every look while data arrives: a confidence sequence for the difference of two means."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from evalkit.stats.sampling import effective_n

Floats = NDArray[np.float64]
ArmAnswer = Literal["worse", "better", "no worse", "not yet"]
FEWEST_UNITS = 30
"""Independent units that each arm needs before anything is said."""


@dataclass(frozen=True)
class ArmMean:
    """The mean of one arm."""

    mean: float
    error: float
    """Standard error; 0 if no spread was observed in scores that are not rates."""
    n: int
    """Answers."""
    units: int
    """Independent units, such as users."""


def arm_mean(values: ArrayLike, weights: ArrayLike, units: ArrayLike, *, rate: bool) -> ArmMean:
    """Return the mean m = sum w y / sum w of an arm, with its standard error by units.

    SE^2 = c / (c - 1) sum over the c units of (sum w (y - m))^2 / (sum w)^2.

    A rate without any spread has the error of a binomial rate p = (x + 3/8) / (n + 3/4), so that it is not exact.

    Args:
        values: Scores, shape (n,), finite.
        weights: One over the chance that the answer was sampled, shape (n,), above 0.
        units: What was assigned to the arm, such as the user, shape (n,).
        rate: Whether the scores are 0 or 1.

    Raises:
        ValueError: Fewer than two units.

    Source: Saerndal, Swensson and Wretman 1992, Model Assisted Survey Sampling, section 5.7.
    """
    found, weight = np.asarray(values, np.float64), np.asarray(weights, np.float64)
    names, codes = np.unique(np.asarray(units), return_inverse=True)
    if len(names) < 2:
        raise ValueError(f"{len(names)} independent units; at least 2 are needed")
    total = weight.sum()
    mean = float((weight * found).sum() / total)
    sums = np.bincount(codes, weight * (found - mean))
    error = float(np.sqrt(len(names) / (len(names) - 1) * (sums**2).sum()) / total)
    if rate and error <= 1e-12:
        n = min(effective_n(weight), len(names))
        smoothed = (n * mean + 3 / 8) / (n + 3 / 4)
        error = float(np.sqrt(smoothed * (1 - smoothed) / n))
    return ArmMean(mean, error, len(found), len(names))


def half_width(error: ArrayLike, progress: ArrayLike, *, level: float = 0.05) -> Floats:
    """Return half the width of an interval that holds at all looks: SE sqrt((1 + 1/t) log((1 + t) / level^2)).

    With S = n d, V = n^2 SE^2 and t = V / r this is the normal mixture sqrt((V + r) log((V + r) / (r level^2))) / n.
    It holds asymptotically, whenever you look and whenever you stop.

    Args:
        error: Standard error of the difference at the look.
        progress: t, the information 1 / SE^2 at the look, relative to that of the look for which the interval is to be
            narrowest; above 0.
        level: Probability that any of the intervals misses the difference, in (0, 1).

    Source: Howard et al. 2021, doi 10.1214/20-AOS1991; Waudby-Smith et al. 2024, doi 10.1214/24-AOS2408.
    """
    t = np.asarray(progress, np.float64)
    return np.asarray(error, np.float64) * np.sqrt((1 + 1 / t) * np.log((1 + t) / level**2))


def answer_of(low: float, high: float, margin: float) -> ArmAnswer:
    """Return what an interval for the gain of an arm, above 0 where the arm is better, allows to say.

    Args:
        low: Lower end.
        high: Upper end.
        margin: Loss that would be acceptable, and gain that counts as better; above 0.
    """
    if high < 0:
        return "worse"
    if low > margin:
        return "better"
    return "no worse" if low > -margin else "not yet"
