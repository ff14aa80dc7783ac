"""Hold one metric over rows or cases as arrays."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from evalkit.formats.manifest import SampleFacts
from evalkit.types import Metric

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Column:
    """One metric; `values` is NaN wherever `status` is not `SCORED`."""

    metric: Metric
    values: Floats
    status: Ints


@dataclass(frozen=True, eq=False)
class Sampled:
    """The weights of a stratified sample, per case and per stratum."""

    weights: Floats
    """Number of cases of the golden set that each case represents."""
    strata: Ints
    """Index of each case's stratum."""
    sizes: Ints
    """Number of cases drawn from each stratum."""


def sampled(sample: SampleFacts, strata: Ints) -> Sampled:
    """Weigh cases by the strata that a manifest records.

    Args:
        sample: how the cases were drawn.
        strata: per case, the index of its stratum in `sample`.
    """
    counts = np.array(list(sample.strata.values()), np.float64).reshape(-1, 2)
    return Sampled(counts[strata, 0] / counts[strata, 1], strata, counts[:, 1].astype(np.int64))
