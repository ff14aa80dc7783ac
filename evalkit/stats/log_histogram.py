"""Count amounts such as seconds and US dollars in buckets of equal ratio, which merge by adding."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import ArrayLike, NDArray

RATIO = 1.02
"""Ratio of the ends of a bucket, so that a quantile is within 1 % of the amount."""
BUCKETS = 763
"""From 1 to 3.6 million times the smallest amount: for seconds, from 1 ms to 1 h."""
_LOG = math.log(RATIO)
_PACKED = np.dtype([("bucket", "<u2"), ("count", "<u8")])


@dataclass(frozen=True, slots=True)
class LogHistogram:
    """Counts of amounts by bucket.

    Bucket k holds the amounts in (least RATIO^(k - 1), least RATIO^k]. Smaller amounts are in bucket 0, and larger ones
    than the last bucket's in the last.

    Attributes:
        least: Upper end of bucket 0, above 0: 0.001 for seconds, 0.000001 for US dollars.
        counts: Bucket -> count, above 0; buckets without amounts are absent.
    """

    least: float
    counts: Mapping[int, int] = field(default_factory=dict)

    @classmethod
    def of(cls, amounts: ArrayLike, least: float) -> LogHistogram:
        """Count amounts of at least 0, shape (n,)."""
        buckets, counts = np.unique(buckets_of(amounts, least), return_counts=True)
        return cls(least, dict(zip(buckets.tolist(), counts.tolist(), strict=True)))

    def __add__(self, other: LogHistogram) -> LogHistogram:
        """Return the counts of both.

        Raises:
            ValueError: their buckets differ.
        """
        if self.least != other.least:
            raise ValueError(f"buckets from {self.least:g} and from {other.least:g} do not merge")
        merged = dict(self.counts)
        for bucket, count in other.counts.items():
            merged[bucket] = merged.get(bucket, 0) + count
        return LogHistogram(self.least, merged)

    @property
    def n(self) -> int:
        """Number of amounts."""
        return sum(self.counts.values())

    def quantile(self, share: float) -> float | None:
        """Return the amount that `share` of the amounts do not exceed, within 1 %; `None` of no amounts.

        Args:
            share: In (0, 1].
        """
        if not self.counts:
            return None
        need, seen = share * self.n, 0
        for bucket in sorted(self.counts):
            seen += self.counts[bucket]
            if seen >= need - 1e-9:
                break
        return self.least * RATIO ** (bucket - 0.5) if bucket else self.least

    def above(self, amount: float) -> int:
        """Return how many amounts lie in buckets above that of `amount`."""
        limit = int(buckets_of([amount], self.least)[0])
        return sum(count for bucket, count in self.counts.items() if bucket > limit)

    def packed(self) -> bytes:
        """Encode the counts by bucket, for a database."""
        return np.array(sorted(self.counts.items()), _PACKED).tobytes()

    @classmethod
    def unpacked(cls, data: bytes, least: float) -> LogHistogram:
        """Decode `packed`.

        Raises:
            ValueError: it was cut or altered.
        """
        found = np.frombuffer(data, _PACKED)
        if (found["bucket"] >= BUCKETS).any():
            raise ValueError("a bucket that no histogram has")
        return cls(least, dict(zip(found["bucket"].tolist(), found["count"].tolist(), strict=True)))


def buckets_of(amounts: ArrayLike, least: float) -> NDArray[np.int64]:
    """Return the bucket of each amount of at least 0, shape (n,)."""
    scaled = np.maximum(np.asarray(amounts, np.float64) / least, 1.0)
    found: NDArray[np.int64] = np.ceil(np.log(scaled) / _LOG - 1e-9).astype(np.int64)
    return np.clip(found, 0, BUCKETS - 1)
