"""Compute the verdicts of many rows at once."""

from __future__ import annotations

import numpy as np

from evalkit.aggregate.columns import Codes, Column, Ints, narrow
from evalkit.aggregate.row_codes import MISSING
from evalkit.aggregate.statuses import (
    ABSENT,
    ERRORED,
    FAILED_BIT,
    PASSED_BIT,
    SCORED,
    STATUS_MASK,
    UNSCORED,
    VERDICTS,
)
from evalkit.types import Metric, Verdict, verdict_from

_BITS = (1, 2, 4, 8)
_BY_BITS: tuple[Verdict, ...] = tuple(
    verdict_from(errored=bool(code & 1), failed=bool(code & 2), unscored=bool(code & 4), passed=bool(code & 8))
    for code in range(16)
)
_VALUES = np.array([{"failed": 0, "passed": 1}.get(verdict, MISSING) for verdict in _BY_BITS], np.uint8)
_STATUSES = np.array(
    [
        {"failed": SCORED, "passed": SCORED, "unscored": UNSCORED, "system_error": ERRORED}.get(verdict, ABSENT)
        for verdict in _BY_BITS
    ],
    np.uint8,
)


def verdict_column(metric: Metric, raw: Codes) -> Column:
    """Return the verdict of each row: 1 passed, 0 failed, else unknown or absent.

    Args:
        metric: name of the column.
        raw: status bytes of the metrics that vote, of shape (rows, metrics).
    """
    status = raw & STATUS_MASK
    facts = (status == ERRORED, raw & FAILED_BIT != 0, status == UNSCORED, raw & PASSED_BIT != 0)
    codes = np.zeros(len(raw), np.uint8)
    for bit, fact in zip(_BITS, facts, strict=True):
        codes += np.uint8(bit) * fact.any(axis=1)
    return Column(metric, _VALUES[codes], _STATUSES[codes])


def counted(verdicts: bytearray, verdict: Verdict, order: Ints, row_case: Ints, n_cases: int) -> Ints:
    """Count the rows of each case that have a verdict.

    Args:
        verdicts: per row its index in `VERDICTS`.
        verdict: the verdict to count.
        order: positions of the rows, sorted.
        row_case: per sorted row the position of its case.
        n_cases: length of the result.
    """
    found = np.frombuffer(verdicts, np.uint8)[order] == VERDICTS.index(verdict)
    return narrow(np.bincount(row_case[found], minlength=n_cases))
