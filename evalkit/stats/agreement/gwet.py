"""Compute Gwet's agreement coefficients."""

from __future__ import annotations

from collections.abc import Hashable, Sequence

import numpy as np

from evalkit.results import Estimate
from evalkit.stats.agreement.design import LabelDesign, sample_of, shares_of
from evalkit.stats.agreement.kappa import Moments, Weights, agreement_weights, bounded, confusion, pairs_of
from evalkit.stats.quantiles import tail_probability


def gwet_ac(
    a: Sequence[Hashable],
    b: Sequence[Hashable],
    *,
    categories: Sequence[Hashable],
    weights: Weights | None = None,
    design: LabelDesign | None = None,
    confidence_level: float = 0.95,
) -> Estimate:
    """Return Gwet's AC1, or AC2 if weighted: agreement beyond chance that stays high if one class is rare.

    Chance agreement is T / (K (K - 1)) * sum_k pi_k (1 - pi_k), with pi_k the mean share of label k and T the sum of
    the agreement weights (K without weights, which gives AC1). It is shown beside kappa and never overrides it, because
    a judge that always passes scores high here. The interval is as for `cohen_kappa`.

    Args:
        a: The reference's labels, shape (n,).
        b: The labels of the rater that is tested, shape (n,).
        categories: Every label that may occur, in rank order; at least two, for one label cannot disagree.
        weights: `None` for AC1; "linear" or "quadratic" for AC2.
        design: As for `cohen_kappa`.
        confidence_level: Two-sided, in (0, 1).

    Returns:
        In [-1, 1]; no value with no labels. Perfect agreement as for `cohen_kappa`.

    Raises:
        ValueError: Fewer than two categories; else see `confusion`.

    Source: Gwet 2008, Br J Math Stat Psychol 61:29; Gwet 2014, Handbook of Inter-Rater Reliability, 4th ed.
    """
    if len(categories) < 2:
        raise ValueError(f"categories are {list(categories)!r}; AC1 needs at least two")
    table = confusion(a, b, categories)
    method = "AC2" if weights else "AC1"
    tail_probability(confidence_level)
    if len(a) == 0:
        return Estimate(value=None, method=method, confidence_level=confidence_level, reason="no labels")
    sample, pairs = sample_of(design, len(a)), pairs_of(a, b, categories)
    shares = shares_of(pairs, len(categories), sample)
    agreement = agreement_weights(len(categories), weights)
    pi = (shares.sum(axis=1) + shares.sum(axis=0)) / 2
    scale = float(agreement.sum()) / (len(pi) * (len(pi) - 1))
    observed, chance = float((agreement * shares).sum()), scale * float((pi * (1 - pi)).sum())
    value = (observed - chance) / (1 - chance)
    expected = scale * (1 - (pi[:, None] + pi) / 2)
    influence = (agreement - chance - 2 * (1 - value) * (expected - chance)) / (1 - chance) - value
    robust, alone = sample.errors(influence[tuple(np.array(pairs).T)])
    perfect = sum(table[i][i] for i in range(len(table))) == len(a)
    found = Moments(value, chance, None if perfect else robust, alone, sample)
    return bounded(found, method=method, confidence_level=confidence_level)
