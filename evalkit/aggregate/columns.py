"""Hold one metric over rows or cases as arrays."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from evalkit.aggregate.row_codes import PLAIN_VALUES
from evalkit.formats.manifest import SampleFacts
from evalkit.types import Metric

Floats = NDArray[np.float64]
Ints = NDArray[np.integer[Any]]
Codes = NDArray[np.integer[Any]]
"""Small numbers, in one byte each where that saves memory."""


_PLAIN = np.array(PLAIN_VALUES)
_MOST_IN_A_BYTE = 63


@dataclass(frozen=True, eq=False)
class Column:
    """One metric; its values are NaN wherever `status` is not `SCORED`."""

    metric: Metric
    held: Floats | NDArray[np.uint8]
    """The values, or their indices in `PLAIN_VALUES`."""
    status: Codes

    @property
    def values(self) -> Floats:
        """All values; indices are looked up each time, so that `at` is better for some of them."""
        found: Floats = self.at(slice(None))
        return found

    def at(self, places: Any) -> Any:
        """Return the values at some places, which are what an array can be indexed with."""
        found = self.held[places]
        return _PLAIN[found] if self.held.dtype == np.uint8 else found


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


def narrow(counts: Ints) -> Ints:
    """Return counts in the least memory in which two of them can be added."""
    most = int(counts.max(initial=0))
    return counts.astype(np.int8 if most <= _MOST_IN_A_BYTE else least_index(2 * most))


def least_index(n: int) -> np.dtype[np.signedinteger[Any]]:
    """Return the type of numbers up to n that takes the least memory and can be negative."""
    return np.dtype(np.int32 if n < 1 << 31 else np.int64)
