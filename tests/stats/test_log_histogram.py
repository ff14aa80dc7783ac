"""Histograms with buckets of equal ratio: quantiles within 1 %, merging, and what lies beyond the ends."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from evalkit.stats.log_histogram import BUCKETS, LogHistogram

AMOUNTS = st.lists(st.floats(0.002, 3_500), min_size=1, max_size=50)


@given(AMOUNTS, st.sampled_from([0.05, 0.5, 0.95, 1.0]))
def test_a_quantile_is_within_one_percent(amounts: list[float], share: float) -> None:
    """The amount that `share` of all do not exceed, by its definition."""
    exact = float(np.quantile(amounts, share, method="inverted_cdf"))
    assert LogHistogram.of(amounts, 0.001).quantile(share) == pytest.approx(exact, rel=0.0101)


@given(AMOUNTS, AMOUNTS)
def test_histograms_merge_by_adding(first: list[float], second: list[float]) -> None:
    """The sum of two is that of all amounts, packed and unpacked."""
    merged = LogHistogram.of(first, 0.001) + LogHistogram.of(second, 0.001)
    assert merged == LogHistogram.of([*first, *second], 0.001)
    assert LogHistogram.unpacked(merged.packed(), 0.001) == merged


def test_amounts_beyond_the_ends_are_in_the_end_buckets() -> None:
    """Nothing is lost: 0 and 1 us are in the first bucket, an hour and a day in the last."""
    found = LogHistogram.of([0, 1e-6, 3_600, 86_400], 0.001)
    assert found.counts == {0: 2, BUCKETS - 1: 2}
    assert found.above(1.0) == 2
    assert LogHistogram(0.001).quantile(0.5) is None


def test_other_buckets_do_not_merge_and_altered_counts_are_refused() -> None:
    """Seconds are not added to dollars."""
    with pytest.raises(ValueError, match="do not merge"):
        LogHistogram.of([1], 0.001) + LogHistogram.of([1], 1e-6)
    with pytest.raises(ValueError, match="bucket"):
        LogHistogram.unpacked(b"\xff" * 10, 0.001)
