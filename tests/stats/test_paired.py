"""Paired tests against brute force, other libraries, and the error rates they must hold."""

import itertools
import math
import tracemalloc

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy import stats
from statsmodels.stats.contingency_tables import mcnemar as statsmodels_mcnemar

from evalkit.stats.paired import (
    mcnemar,
    sign_flip_max_t,
    sum_clusters,
)


def rng(seed: int = 0) -> np.random.Generator:
    """A fresh, seeded source of signs."""
    return np.random.default_rng(seed)


def brute_force(rows: NDArray[np.float64], family: list[int]) -> dict[int, float]:
    """Step-down max-T by its definition, over every sign pattern, one Python sum at a time."""

    def statistic(signs: tuple[int, ...], gate: int) -> float:
        column = [float(x) for x in rows[:, gate]]
        return math.fsum(s * x for s, x in zip(signs, column, strict=True)) / math.sqrt(
            math.fsum(x * x for x in column)
        )

    patterns = list(itertools.product((1, -1), repeat=len(rows)))
    observed = {gate: statistic(patterns[0], gate) for gate in family}
    order = sorted(family, key=lambda gate: -observed[gate])
    adjusted, floor = {}, 0.0
    for k, gate in enumerate(order):
        maxima = (max(statistic(signs, other) for other in order[k:]) for signs in patterns)
        floor = max(floor, sum(m >= observed[gate] - 1e-9 for m in maxima) / len(patterns))
        adjusted[gate] = floor
    return adjusted


@pytest.mark.parametrize(("b", "c"), [(0, 1), (1, 0), (8, 0), (5, 3), (3, 5), (40, 22), (400, 431)])
def test_exact_mcnemar_equals_scipy_and_statsmodels(b: int, c: int) -> None:
    """One-sided it is the binomial test, two-sided the exact test of statsmodels."""
    assert mcnemar(b, c) == pytest.approx(stats.binomtest(b, b + c, alternative="greater").pvalue, rel=1e-10)
    theirs = statsmodels_mcnemar([[9, b], [c, 9]], exact=True).pvalue
    assert mcnemar(b, c, one_sided=False) == pytest.approx(theirs, rel=1e-10)


def test_mcnemar_by_hand() -> None:
    """7 against 1: exact 2 * (8 + 1)/256 = .0703, mid-p less 8/256 = .0391, as printed by Fagerland 2013."""
    assert mcnemar(7, 1, one_sided=False) == pytest.approx(18 / 256)
    assert mcnemar(7, 1, method="mid-p", one_sided=False) == pytest.approx(10 / 256)
    assert mcnemar(7, 1, method="mid-p") == pytest.approx(5 / 256)


@pytest.mark.parametrize("method", ["exact", "mid-p"])
def test_mcnemar_without_evidence(method) -> None:
    """No flip gives p = 1 and equal flips a two-sided p = 1; a negative count is refused."""
    assert mcnemar(0, 0, method=method) == 1.0
    assert mcnemar(6, 6, method=method, one_sided=False) == 1.0
    with pytest.raises(ValueError, match="cannot be negative"):
        mcnemar(-1, 3, method=method)


@settings(derandomize=True, deadline=None)
@given(b=st.integers(0, 300), c=st.integers(0, 300))
def test_mid_p_lies_below_exact_and_both_fall_with_b(b: int, c: int) -> None:
    """P values are in (0, 1], mid-p never above exact, and one more broken case never raises p."""
    for one_sided in (True, False):
        exact, mid = (mcnemar(b, c, method=m, one_sided=one_sided) for m in ("exact", "mid-p"))
        assert 0 < mid <= exact <= 1
    assert mcnemar(b + 1, c) <= mcnemar(b, c)


@settings(derandomize=True, deadline=None, max_examples=60)
@given(b=st.integers(0, 13), c=st.integers(0, 13))
def test_one_gate_of_few_flips_is_exact_mcnemar(b: int, c: int) -> None:
    """Up to 13 flips among any number of cases are enumerated: the result is exact and draws no random number."""
    c = min(c, 13 - b)
    column = np.array([1.0] * b + [-1.0] * c + [0.0] * 40)[:, None]
    unused = rng()
    assert sign_flip_max_t(column, families=[[0]], rng=unused)[0] == pytest.approx(mcnemar(b, c), abs=1e-12)
    assert unused.bit_generator.state == rng().bit_generator.state


def test_eight_one_way_flips_reach_half_a_percent_at_any_n() -> None:
    """2^-8 = .0039, whether they are all cases or 8 of 5,000."""
    for n in (8, 5000):
        column = np.zeros((n, 1))
        column[:8] = 1
        assert sign_flip_max_t(column, families=[[0]], rng=rng())[0] == 2**-8


@pytest.mark.parametrize("seed", range(4))
def test_few_rows_equal_brute_force_in_each_family(seed: int) -> None:
    """Step-down adjusted p values of two families are those of the definition, ties included."""
    rows = rng(seed).choice([-1.0, -0.25, 0.0, 0.25, 1.0], size=(8, 5), p=[0.1, 0.1, 0.2, 0.3, 0.3])
    expected = brute_force(rows, [0, 2, 4]) | brute_force(rows, [1, 3])
    ours = sign_flip_max_t(rows, families=[[0, 2, 4], [3, 1]], rng=rng())
    assert ours == pytest.approx([expected[gate] for gate in range(5)], abs=1e-12)


def test_random_draws_approach_brute_force() -> None:
    """With 14 rows 60,000 draws come within four standard errors (.008) of all 16,384 patterns."""
    rows = rng(11).normal(0.3, 1, size=(14, 3))
    expected = brute_force(rows, [0, 1, 2])
    ours = sign_flip_max_t(rows, families=[[0, 1, 2]], draws=60_000, rng=rng())
    assert ours == pytest.approx([expected[gate] for gate in range(3)], abs=0.008)


def test_one_gate_of_scores_equals_scipy() -> None:
    """Without a family the p value is scipy's paired permutation test of the sum."""
    column = rng(12).normal(0.5, 1, size=10)
    theirs = stats.permutation_test((column,), np.sum, permutation_type="samples", alternative="greater")
    ours = sign_flip_max_t(column[:, None], families=[[0]], rng=rng())
    assert ours[0] == pytest.approx(theirs.pvalue, abs=1e-12)


def test_random_draws_never_give_zero_and_count_the_observed_pattern() -> None:
    """An overwhelming regression has p = (1 + 0)/(B + 1)."""
    assert sign_flip_max_t(np.ones((200, 1)), families=[[0]], draws=999, rng=rng())[0] == 1 / 1000


def test_equal_seeds_give_equal_results_and_scale_does_not_matter() -> None:
    """The result is a function of rows and seed; a gate on a 1-5 scale is worth as much as one on 0-1."""
    rows = rng(13).normal(0.1, 1, size=(300, 4))
    families = [[0, 1], [2, 3]]
    first, again, scaled = (sign_flip_max_t(x, families=families, rng=rng()) for x in (rows, rows, rows * [1, 4, 9, 5]))
    assert first.tolist() == again.tolist() == scaled.tolist()


@pytest.mark.parametrize("sign", [1, -1], ids=["worse", "better"])
@pytest.mark.parametrize("n", [6, 60])
def test_gates_without_any_difference_have_p_one_and_touch_no_other(n: int, sign: int) -> None:
    """An empty gate is no evidence, and it does not dilute its family."""
    rows = np.zeros((n, 3))
    rows[:, 1] = sign
    rows[: n // 4, 1] = -sign
    alone = sign_flip_max_t(rows[:, [1]], families=[[0]], rng=rng())
    assert sign_flip_max_t(rows, families=[[0, 1, 2]], rng=rng()).tolist() == [1.0, alone[0], 1.0]


@pytest.mark.parametrize("shape", [(0, 2), (5, 2), (3, 0)], ids=["no cases", "no differences", "no gates"])
def test_nothing_to_compare_gives_p_one(shape: tuple[int, int]) -> None:
    """No rows, rows of zeros and no gates are all answered."""
    ours = sign_flip_max_t(np.zeros(shape), families=[list(range(shape[1]))], rng=rng())
    assert ours.tolist() == [1.0] * shape[1]


@settings(derandomize=True, deadline=None, max_examples=50)
@given(seed=st.integers(0, 10_000), n=st.integers(1, 30))
def test_adjusting_never_lowers_a_p_value(seed: int, n: int) -> None:
    """A gate in a family has a p in (0, 1] that is not below its own p when it is alone."""
    rows = rng(seed).choice([-1.0, 0.0, 1.0], size=(n, 4))
    together = sign_flip_max_t(rows, families=[[0, 1, 2, 3]], draws=200, rng=rng())
    alone = sign_flip_max_t(rows, families=[[0], [1], [2], [3]], draws=200, rng=rng())
    assert (together >= alone).all()
    assert ((alone > 0) & (together <= 1)).all()


@pytest.mark.parametrize(
    ("rows", "families", "draws", "message"),
    [
        ([[1.0, 2.0]], [[0]], 10, r"families name the columns \[0\]"),
        ([[1.0, 2.0]], [[0, 1], [1]], 10, r"columns \[0, 1, 1\]"),
        ([1.0, 2.0], [[0]], 10, r"shape \(2,\)"),
        ([[1.0], [math.nan]], [[0]], 10, r"differences\[1, 0\] is nan"),
        ([[1.0]], [[0]], 0, "draws is 0"),
    ],
    ids=["gate without family", "gate in two families", "vector", "nan", "no draws"],
)
def test_what_cannot_be_tested_is_refused(rows, families, draws: int, message: str) -> None:
    """A gate is never left out silently, and a missing score is never a difference."""
    with pytest.raises(ValueError, match=message):
        sign_flip_max_t(rows, families=families, draws=draws, rng=rng())


def test_memory_is_bounded_by_blocks_of_flips() -> None:
    """20,000 rows and 2,000 draws would need 320 MB of signs at once; the peak stays below 40 MB."""
    rows = rng(14).normal(size=(20_000, 3))
    tracemalloc.start()
    sign_flip_max_t(rows, families=[[0, 1, 2]], draws=2000, rng=rng())
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 40e6


def test_clusters_are_summed_to_one_row() -> None:
    """Rows of a cluster are added, rows without one are kept, in the order of first appearance."""
    rows = [[1.0, 0.0], [2.0, 1.0], [3.0, 0.0], [4.0, -1.0]]
    assert sum_clusters(rows, ["a", None, "a", None]).tolist() == [[4.0, 0.0], [2.0, 1.0], [4.0, -1.0]]
    assert sum_clusters(np.zeros((0, 2)), []).shape == (0, 2)
    with pytest.raises(ValueError, match="4 rows but 1 clusters"):
        sum_clusters(rows, ["a"])


GATES = [(metric, cohort) for metric in range(4) for cohort in range(6)]


def case_model(random: np.random.Generator, n: int, *, drop: float = 0.0, drop_gate: int | None = None):
    """Differences (n, 24): four correlated metrics by overall and five cohorts; `drop` of metric 0 breaks outright."""
    passes = np.clip(random.beta(0.425, 0.075, size=n), 1e-9, 1 - 1e-9)

    def run() -> NDArray[np.float64]:
        shared = random.normal(size=(n, 1))
        noise = np.sqrt(0.5) * shared + np.sqrt(0.5) * random.normal(size=(n, 4))
        threshold = stats.norm.ppf(passes)[:, None]
        scores = (noise < threshold).astype(float)
        scores[:, 2] = random.binomial(5, passes) / 5
        scores[:, 3] = 1 + random.binomial(4, passes)
        return scores

    baseline, candidate = run(), run()
    cohorts = random.choice(5, size=n, p=[0.5, 0.2, 0.14, 0.1, 0.06])
    hit = random.random(n) < drop / 0.85
    if drop_gate is not None:
        hit &= cohorts == drop_gate
    candidate[hit, 0] = 0
    return np.column_stack([(baseline - candidate)[:, m] * (True if c == 0 else cohorts == c - 1) for m, c in GATES])


@pytest.mark.parametrize("families", [[list(range(24))], [[5, 11, 17, 23], [g for g in range(24) if g % 6 != 5]]])
def test_an_unchanged_system_is_blocked_no_more_often_than_stated(families: list[list[int]]) -> None:
    """300 seeded A/A runs of 24 gates at a total alpha of .06: 18 expected; 4 to 34 are within four errors."""
    random = rng(15)
    alpha = 0.06 / len(families)
    blocked = sum(
        bool((sign_flip_max_t(case_model(random, 200), families=families, draws=400, rng=random) <= alpha).any())
        for _ in range(300)
    )
    assert 4 <= blocked <= 34


def test_a_real_drop_is_blocked_and_named() -> None:
    """A 10-point drop of one metric, 500 cases, 24 gates, alpha .02: its overall gate finds it (power .995)."""
    random = rng(16)
    p = np.array(
        [
            sign_flip_max_t(case_model(random, 500, drop=0.10), families=[list(range(24))], draws=2000, rng=random)
            for _ in range(40)
        ]
    )
    assert (p[:, 0] <= 0.02).sum() >= 37
    assert (p[:, 6:] <= 0.02).any(axis=1).sum() <= 4


def test_a_broken_cohort_is_found_by_its_own_gate() -> None:
    """Half of one 10 % cohort breaks: its gate in a family of its own names it in most runs."""
    random = rng(17)
    critical = [4, 10, 16, 22]
    families = [critical, [g for g in range(24) if g not in critical]]
    found = sum(
        sign_flip_max_t(case_model(random, 500, drop=0.5, drop_gate=3), families=families, draws=1000, rng=random)[4]
        <= 0.01
        for _ in range(20)
    )
    assert found >= 17
