"""Hold one metric over rows or cases as arrays."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, overload

import numpy as np
from numpy.typing import NDArray

from evalkit.formats.manifest import SampleFacts
from evalkit.types import Metric

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Codes = NDArray[np.integer[Any]]
"""Small numbers, in one byte each where that saves memory."""


@dataclass(frozen=True, eq=False)
class Column:
    """One metric; `values` is NaN wherever `status` is not `SCORED`."""

    metric: Metric
    values: Floats
    status: Codes


class PackedKeys(Sequence[bytes]):
    """Keys of one length in the memory of their bytes alone; a `bytes` object takes 33 more."""

    def __init__(self, packed: bytes, key_bytes: int) -> None:
        """Take the keys one after the other."""
        self._packed, self._key_bytes = packed, key_bytes

    def __len__(self) -> int:
        """Count the keys."""
        return len(self._packed) // self._key_bytes

    @overload
    def __getitem__(self, at: int) -> bytes: ...
    @overload
    def __getitem__(self, at: slice) -> tuple[bytes, ...]: ...
    def __getitem__(self, at: int | slice) -> bytes | tuple[bytes, ...]:
        """Return one key, or some of them."""
        if isinstance(at, slice):
            return tuple(self[each] for each in range(len(self))[at])
        start = range(len(self))[at] * self._key_bytes
        return self._packed[start : start + self._key_bytes]

    def __iter__(self) -> Iterator[bytes]:
        """Yield the keys in order."""
        width = self._key_bytes
        return (self._packed[start : start + width] for start in range(0, len(self._packed), width))


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
