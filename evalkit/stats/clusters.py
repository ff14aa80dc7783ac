"""Group cases by cluster."""

from __future__ import annotations

from collections.abc import Hashable, Sequence

import numpy as np
from numpy.typing import NDArray


def cluster_codes(clusters: Sequence[Hashable]) -> NDArray[np.intp]:
    """Number the clusters 0, 1, 2 ... in the order in which they first appear.

    Args:
        clusters: One name per case, shape (n,). Each `None` ("shares no cluster") is a cluster of its own.

    Returns:
        Shape (n,); `codes.max() + 1` is the number of clusters.
    """
    codes: dict[Hashable, int] = {}
    keys = ((position,) if name is None else (None, name) for position, name in enumerate(clusters))
    return np.array([codes.setdefault(key, len(codes)) for key in keys], dtype=np.intp)
