"""Compute quantiles and check confidence levels, for intervals and tests."""

from __future__ import annotations

from statistics import NormalDist

ONE_SIDED_95 = 0.90
"""Confidence level of the two-sided interval whose ends are one-sided 95 % bounds."""


def tail_probability(confidence_level: float) -> float:
    """Return the probability that a two-sided interval leaves out on each side: (1 - confidence_level) / 2.

    A one-sided 95 % bound is therefore one end of a two-sided 90 % interval.

    Raises:
        ValueError: `confidence_level` is not strictly between 0 and 1.
    """
    if not 0 < confidence_level < 1:
        raise ValueError(
            f"confidence_level is {confidence_level!r}; it must lie strictly between 0 and 1, such as 0.95"
        )
    return (1 - confidence_level) / 2


def normal_quantile(probability: float) -> float:
    """Return the standard normal z with P(Z < z) = `probability` in (0, 1), without the slow import of scipy."""
    return NormalDist().inv_cdf(probability)


def normal_cdf(z: float) -> float:
    """Return the probability P(Z < z) of the standard normal."""
    return NormalDist().cdf(z)


def two_sided_z(confidence_level: float) -> float:
    """Return the standard normal quantile z with P(-z < Z < z) = `confidence_level`; about 1.96 at 0.95."""
    return -normal_quantile(tail_probability(confidence_level))


def two_sided_t(confidence_level: float, degrees: float) -> float:
    """Return Student's t with P(-t < T < t) = `confidence_level` at `degrees` >= 1 degrees of freedom."""
    from evalkit.stats.distributions import stdtrit

    return -float(stdtrit(degrees, tail_probability(confidence_level)))
