"""Test whether the candidate is worse than the baseline on the same cases.

Differences are baseline minus candidate, so positive is a regression. Repeats of a case are averaged before; they are
never cases of their own. All p values are one-sided unless said otherwise.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Sequence
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from evalkit.stats.clusters import cluster_codes

ENUMERATED_ROWS = 13
"""Maximum number of rows for which all 2^n sign patterns are tried instead of random ones."""
BLOCK_CELLS = 2**20
"""Number of signs held in memory at once (8 MB)."""
TIE_TOLERANCE = 1e-9
"""Relative tolerance, so that equal statistics whose sums were rounded differently still count as ties."""


def mcnemar(b: int, c: int, *, method: Literal["exact", "mid-p"] = "exact", one_sided: bool = True) -> float:
    """Return the p value of McNemar's test that the candidate is worse: with X ~ Bin(b + c, 1/2), exact P(X >= b).

    "mid-p" is P(X > b) + P(X = b)/2. Two-sided doubles the smaller tail, at most 1.

    Args:
        b: Cases that passed in the baseline only.
        c: Cases that passed in the candidate only.
        method: "exact" never exceeds its level; "mid-p" has more power and sits close to it.
        one_sided: True tests for a worse candidate, False for any change.

    Returns:
        In (0, 1]; 1 if no case differs.

    Raises:
        ValueError: A count is negative.

    Source: Fagerland et al. 2013, doi 10.1186/1471-2288-13-91.
    """
    if b < 0 or c < 0:
        raise ValueError(f"b = {b}, c = {c}; a count of cases cannot be negative")
    if b + c == 0:
        return 1.0
    tail = _upper_tail(b, b + c, method)
    return tail if one_sided else min(1.0, 2 * min(tail, _upper_tail(c, b + c, method)))


def sum_clusters(differences: ArrayLike, clusters: Sequence[Hashable]) -> NDArray[np.float64]:
    """Sum the rows of each cluster, so that the rows are independent of each other.

    Args:
        differences: Shape (n, G), 0 if a case is outside a gate.
        clusters: The cluster of each case, shape (n,); each `None` is a cluster of its own.

    Returns:
        Shape (number of clusters, G), in the order in which the clusters first appear.

    Raises:
        ValueError: Lengths differ, or `differences` is not a finite matrix.
    """
    rows = _finite_matrix(differences)
    if len(rows) != len(clusters):
        raise ValueError(f"{len(rows)} rows but {len(clusters)} clusters; give one cluster per row")
    codes = cluster_codes(clusters)
    sums = np.zeros((len(set(codes.tolist())), rows.shape[1]))
    np.add.at(sums, codes, rows)
    return sums


def sign_flip_max_t(
    differences: ArrayLike,
    *,
    families: Sequence[Sequence[int]],
    draws: int = 10_000,
    rng: np.random.Generator,
    two_sided: bool = False,
) -> NDArray[np.float64]:
    """Return each gate's adjusted p value: sign-flip test of T = sum d / sqrt(sum d^2), step-down max-T in each family.

    If nothing changed, each row is as likely as its negative. So the signs of whole rows are flipped, all gates
    together, which keeps their correlation. With the gates of a family sorted by falling T, the k-th has
    p = (1 + #{max over gates k, k+1 ... of T* >= T_k}) / (B + 1), made non-decreasing along that order. Rejecting if p
    <= alpha keeps P(any false rejection in the family) <= alpha. For one gate of pass/fail differences, p is that
    of the exact McNemar test, apart from the noise of the draws.

    With at most 13 rows that are not all 0, B + 1 is the number of all sign patterns, the observed one among them, and
    the result is exact. Otherwise B = `draws`, and the same rows in the same order with an equally seeded `rng` give
    the same result.

    Args:
        differences: Baseline minus candidate, shape (n, G): a row per independent case (see `sum_clusters`), a column
            per gate, 0 if the case is outside the gate. Scaling a column changes nothing.
        families: Column numbers of each family; every column is in exactly one. Divide alpha among them.
        draws: Random sign patterns, >= 1.
        rng: Source of the signs.
        two_sided: True tests for any change, by |T| instead of T.

    Returns:
        Shape (G,), each in (0, 1]; 1 if all differences of a gate are 0 or it has no cases.

    Raises:
        ValueError: `differences` is not a finite matrix, `families` is not a partition of its columns, or `draws` < 1.

    Source: Westfall and Young 1993 (max-T); Kuebler et al. 2026, arXiv 2602.10144 (the test, repeats averaged first).
    """
    matrix = _finite_matrix(differences)
    _check_partition(families, matrix.shape[1])
    if draws < 1:
        raise ValueError(f"draws is {draws}; at least 1 is needed")
    norms = np.sqrt((matrix**2).sum(axis=0))
    live = norms > 0
    scaled = matrix[matrix.any(axis=1)] / np.where(live, norms, 1.0)
    observed = np.abs(scaled.sum(axis=0)) if two_sided else scaled.sum(axis=0)
    orders = _falling_orders(observed, families, live)
    hits, tried = np.zeros(matrix.shape[1]), 0
    for flipped in flipped_sums(scaled, draws, rng):
        hits += _count_hits(np.abs(flipped) if two_sided else flipped, observed, orders)
        tried += len(flipped)
    exact = len(scaled) <= ENUMERATED_ROWS
    raw = hits / tried if exact else (hits + 1) / (tried + 1)
    return _step_down(raw, orders)


def flipped_sums(rows: NDArray[np.float64], draws: int, rng: np.random.Generator) -> Iterator[NDArray[np.float64]]:
    """Yield the column sums of rows whose signs are flipped, in blocks of shape (patterns, G).

    Args:
        rows: Shape (n, G).
        draws: Random patterns; with n <= 13, all 2^n patterns are tried instead.
        rng: Source of the signs.
    """
    n, total = len(rows), rows.sum(axis=0)
    for kept in _sign_patterns(n, draws, rng):
        size = max(1, BLOCK_CELLS // max(1, rows.shape[1]))
        for start in range(0, len(kept), size):
            yield 2 * (kept[start : start + size].astype(np.float64) @ rows) - total


def _sign_patterns(n: int, draws: int, rng: np.random.Generator) -> Iterator[NDArray[np.uint8]]:
    """Yield 1 for each kept sign and 0 for each flipped one, in blocks of shape (patterns, n)."""
    if n <= ENUMERATED_ROWS:
        yield ((np.arange(2**n)[:, None] >> np.arange(n)) & 1).astype(np.uint8)
        return
    width, block = -(-n // 8), max(1, BLOCK_CELLS // n)
    for start in range(0, draws, block):
        count = min(block, draws - start)
        packed = np.frombuffer(rng.bytes(count * width), dtype=np.uint8).reshape(count, width)
        yield np.unpackbits(packed, axis=1, count=n)


def _upper_tail(count: int, total: int, method: str) -> float:
    from evalkit.stats.distributions import bdtrc

    at_least = 1.0 if count == 0 else float(bdtrc(count - 1, total, 0.5))
    return at_least if method == "exact" else (at_least + float(bdtrc(count, total, 0.5))) / 2


def _finite_matrix(differences: ArrayLike) -> NDArray[np.float64]:
    matrix = np.asarray(differences, dtype=np.float64)
    if matrix.ndim != 2:
        raise ValueError(f"differences have shape {matrix.shape}; give one row per case and one column per gate")
    if not np.isfinite(matrix).all():
        row, column = np.argwhere(~np.isfinite(matrix))[0]
        raise ValueError(f"differences[{row}, {column}] is {matrix[row, column]}; leave out pairs without a score")
    return matrix


def _check_partition(families: Sequence[Sequence[int]], n_gates: int) -> None:
    named = sorted(gate for family in families for gate in family)
    if named != list(range(n_gates)):
        raise ValueError(f"families name the columns {named}; each of the {n_gates} columns must be in exactly one")


def _falling_orders(
    observed: NDArray[np.float64], families: Sequence[Sequence[int]], live: NDArray[np.bool_]
) -> list[NDArray[np.intp]]:
    """Return the columns of each family by falling T, without those that have no difference."""
    columns = [np.array([gate for gate in family if live[gate]], dtype=np.intp) for family in families]
    return [gates[np.argsort(-observed[gates], kind="stable")] for gates in columns if gates.size]


def _count_hits(
    flipped: NDArray[np.float64], observed: NDArray[np.float64], orders: Sequence[NDArray[np.intp]]
) -> NDArray[np.float64]:
    """Count per gate the patterns whose maximum over it and the gates after it reaches the observed statistic."""
    hits = np.zeros(observed.size)
    reach = observed - TIE_TOLERANCE * (1 + np.abs(observed))
    for order in orders:
        maxima = np.maximum.accumulate(flipped[:, order[::-1]], axis=1)[:, ::-1]
        hits[order] = (maxima >= reach[order]).sum(axis=0)
    return hits


def _step_down(raw: NDArray[np.float64], orders: Sequence[NDArray[np.intp]]) -> NDArray[np.float64]:
    adjusted = np.ones_like(raw)
    for order in orders:
        adjusted[order] = np.maximum.accumulate(raw[order])
    return adjusted
