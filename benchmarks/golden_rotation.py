"""Measure how well a year of rotated golden sets tells how much a system gained, on simulated cases.

    python benchmarks/golden_rotation.py
    python benchmarks/golden_rotation.py --sets 2000 --drift 0

Logits: a case of batch m has an easiness of N(2 - drift * m, 1.5), and the ability of the system grows evenly by 0.35
in 12 months, about 4 points of the pass rate. Each month some cases, drawn at random, are replaced by new ones. Answers
are drawn once for each month and case, those of the reference version anew on the last set. The error is the estimated
gain from month 0 to month 12 minus the true one, on the cases of the first set.
"""

import argparse

import numpy as np
from numpy.typing import NDArray

SEED = 11
N_CASES, MONTHS, GAIN = 500, 12, 0.35
ANCHORS = 0.3
WAYS = ("raw rates", "chained on kept cases", "anchor of 30 %", "reference version")


def chance(ability: float, easiness: NDArray[np.float64]) -> NDArray[np.float64]:
    """Probability that each case passes."""
    return np.asarray(1 / (1 + np.exp(-(ability + easiness))))


def answers(ability: float, easiness: NDArray[np.float64], rng: np.random.Generator) -> NDArray[np.bool_]:
    """Which cases pass in one run."""
    return np.asarray(rng.random(len(easiness)) < chance(ability, easiness))


def errors(kept: float, drift: float, rng: np.random.Generator) -> list[float]:
    """Error of each way in one simulated year.

    Args:
        kept: share of the cases that stay each month.
        drift: how much harder the new cases of each month are, in logits.
        rng: random numbers.
    """
    n_anchors, n_new = round(ANCHORS * N_CASES), round((1 - kept) * N_CASES)
    easiness = rng.normal(2.0, 1.5, N_CASES)
    before = first = answers(0.0, easiness, rng)
    true = float((chance(GAIN, easiness) - chance(0.0, easiness)).mean())
    chained = 0.0
    anchored = rng.normal(2.0, 1.5, n_anchors)
    for month in range(1, MONTHS + 1):
        gone = rng.choice(N_CASES, n_new, replace=False)
        easiness[gone] = rng.normal(2.0 - drift * month, 1.5, n_new)
        now = answers(GAIN * month / MONTHS, easiness, rng)
        stays = np.ones(N_CASES, bool)
        stays[gone] = False
        chained += float(now[stays].mean() - before[stays].mean())
        before = now
    found = (
        float(before.mean() - first.mean()),
        chained,
        float(answers(GAIN, anchored, rng).mean() - answers(0.0, anchored, rng).mean()),
        float(before.mean() - answers(0.0, easiness, rng).mean()),
    )
    return [each - true for each in found]


def main() -> None:
    """Print bias and standard deviation of each way, in points."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--sets", type=int, default=1_000, help="simulated years")
    parser.add_argument("--drift", type=float, default=0.05, help="logits by which each month's cases are harder")
    given = parser.parse_args()
    print(f"{given.sets} years, drift {given.drift:g}: bias / sd in points")
    print("kept a month", *WAYS, sep=" | ")
    for kept in (0.8, 0.9, 0.95):
        rng = np.random.default_rng(SEED)
        found = 100 * np.array([errors(kept, given.drift, rng) for _ in range(given.sets)])
        pairs = zip(found.mean(axis=0), found.std(axis=0, ddof=1), strict=True)
        cells = (f"{bias:.1f} / {sd:.1f}" for bias, sd in pairs)
        print(f"{kept:.0%}", *cells, sep=" | ")


if __name__ == "__main__":
    main()
