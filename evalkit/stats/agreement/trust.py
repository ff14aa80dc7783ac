"""Decide whether a judge may vote, and estimate how many more labels would settle it."""

from __future__ import annotations

import math

from evalkit.results import KAPPA_FLOOR, Trust
from evalkit.stats.agreement.kappa import MIN_RARER_LABELS
from evalkit.stats.quantiles import ONE_SIDED_95, two_sided_t

ONE_SIDED_Z, POWER_Z = 1.6449, 0.8416


def trust(
    kappa_lower_bound: float | None, point: float | None, *, smallest_class: int, floor: float = KAPPA_FLOOR
) -> Trust:
    """Classify a judge: may decide ("trusted"), may warn ("provisional"), or is only shown ("untrusted").

    Args:
        kappa_lower_bound: One-sided 95 % lower bound of kappa, that is `low` at `confidence_level=0.90`.
        point: Kappa itself.
        smallest_class: Questions with a label of the rarer class by a person (of pass and fail if there is a pass
            mark), as `rarer_labels` counts them.
        floor: Kappa that must be reached.

    Returns:
        "trusted" if the bound reaches `floor` with at least 10 questions of each class; else "provisional" if the
        point does; else "untrusted". `None` reaches nothing.
    """
    if kappa_lower_bound is not None and kappa_lower_bound >= floor and smallest_class >= MIN_RARER_LABELS:
        return "trusted"
    return "provisional" if point is not None and point >= floor else "untrusted"


def labels_needed(
    n: int,
    kappa_lower_bound: float | None,
    point: float | None,
    *,
    clusters: int | None = None,
    floor: float = KAPPA_FLOOR,
) -> int | None:
    """Return the total number of labels with which a judge of this kappa would be trusted with probability 0.8.

    n' = n ((1.645 + .842) SE / (kappa - floor))^2, rounded up, with the SE that the Fisher-z bound was made of:
    SE = (atanh kappa - atanh bound) (1 - kappa^2) / t(G - 1). That SE is cluster-robust, so n' holds the design effect;
    it assumes as many labels a question as now, that is n' G / n questions.

    Args:
        n: Number of labels behind the two figures.
        kappa_lower_bound: One-sided 95 % lower bound, as for `trust`.
        point: Kappa itself.
        clusters: Questions G that the labels are about; `None` if each label is of a question of its own.
        floor: Kappa that must be reached.

    Returns:
        At least `n`; `None` if no number of labels would do, because kappa does not pass `floor`, or is unknown.
    """
    if point is None or kappa_lower_bound is None or point <= floor:
        return None
    if point == 1.0:
        # Perfect so far: the bound follows the rule of three, and its distance from 1 falls with 1/n.
        return max(n, math.ceil(n * (1 - kappa_lower_bound) / (1 - floor)))
    quantile = two_sided_t(ONE_SIDED_95, (clusters or n) - 1)
    error = (math.atanh(point) - math.atanh(kappa_lower_bound)) * (1 - point**2) / quantile
    return max(n, math.ceil(n * ((ONE_SIDED_Z + POWER_Z) * error / (point - floor)) ** 2))
