"""One metric over rows or cases, as arrays."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from evalkit.types import Metric

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Column:
    """One metric; `values` is NaN wherever `status` is not `SCORED`."""

    metric: Metric
    values: Floats
    status: Ints
