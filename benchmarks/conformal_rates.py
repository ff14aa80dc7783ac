"""Measure the error rates of thresholds from labels: good answers blocked, and bad answers passed.

    python benchmarks/conformal_rates.py                  # about a minute; docs/hallucinations.md
    python benchmarks/conformal_rates.py --draws 500 --json rates.json

Good answers score Beta(8, 2) and bad ones Beta(3, 4), so the true rate of each threshold is known exactly and only the
labels are drawn, with a seed.
"""

import argparse
import json
import math
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
from scipy.stats import beta

from evalkit.stats.conformal import block_threshold, block_thresholds, pass_threshold

GOOD, BAD, SHIFTED = (8, 2), (3, 4), (6, 2)
COHORTS = ((0.55, (9, 1.5)), (0.30, (7, 1.7)), (0.15, (5, 2.0)))
"""Share of the labels, and scores of good answers."""
RATE, BAD_PASSED, BASE_RATE = 0.05, 0.02, 0.15
Draw = Callable[[np.random.Generator, int], float | None]


def _chosen(confidence: float | None) -> Draw:
    return lambda rng, n: block_threshold(rng.beta(*GOOD, n).tolist(), RATE, confidence).value


def _counted_from_0(rng: np.random.Generator, n: int) -> float:
    return float(np.sort(rng.beta(*GOOD, n))[int(RATE * (n - 1))])


def _quantile(rng: np.random.Generator, n: int) -> float:
    return float(np.quantile(rng.beta(*GOOD, n), RATE))


def blocked(draw: Draw, n: int, draws: int, seed: int = 1) -> np.ndarray:
    """Return the true rate of blocked good answers of each of `draws` calibrations."""
    rng = np.random.default_rng([seed, n])
    found = (draw(rng, n) for _ in range(draws))
    return np.array([0.0 if t is None else beta.cdf(t, *GOOD) for t in found])


def block_figures(draws: int) -> Mapping[str, float]:
    """Return mean rates, and the shares of calibrations that exceed a rate."""
    figures = {}
    rules = {
        "average": _chosen(None),
        "confidence .95": _chosen(0.95),
        "int(a (n - 1))": _counted_from_0,
        "quantile": _quantile,
    }
    for name, draw in rules.items():
        for n in (10, 30, 100, 500, 2_000):
            rates = blocked(draw, n, draws)
            figures[f"{name}, n = {n}: mean"] = float(rates.mean())
            figures[f"{name}, n = {n}: above .05"] = float((rates > RATE).mean())
            figures[f"{name}, n = {n}: above .075"] = float((rates > 1.5 * RATE).mean())
    return figures


def pass_figures(draws: int, n: int = 200) -> Mapping[str, float]:
    """Return P(an answer is bad and passes) of conformal risk control and of the plain share."""
    rng = np.random.default_rng([2, n])
    risks: dict[str, list[float]] = {"risk control": [], "plain share": []}
    for _ in range(draws):
        n_bad = rng.binomial(n, BASE_RATE)
        good, bad = rng.beta(*GOOD, n - n_bad).tolist(), rng.beta(*BAD, n_bad).tolist()
        chosen = pass_threshold(good, bad, BAD_PASSED).value
        every = sorted([*good, *bad])
        plain = next((t for t in every if sum(s >= t for s in bad) / n <= BAD_PASSED), math.inf)
        for name, t in (("risk control", chosen), ("plain share", plain)):
            risks[name].append(0.0 if t is None else BASE_RATE * float(beta.sf(t, *BAD)))
    return {f"{name}, n = {n}: bad and passed": float(np.mean(found)) for name, found in risks.items()}


def cohort_figures(draws: int, n: int = 240) -> Mapping[str, float]:
    """Return the rate of blocked good answers in each cohort, with one threshold for all and with one for each."""
    rng = np.random.default_rng([3, n])
    sizes = [round(share * n) for share, _ in COHORTS]
    rates: dict[str, list[float]] = {}
    for _ in range(draws):
        good = {
            str(k): rng.beta(*shape, size).tolist()
            for k, ((_, shape), size) in enumerate(zip(COHORTS, sizes, strict=True))
        }
        pooled = block_threshold([score for scores in good.values() for score in scores], RATE, None).value
        own = block_thresholds(good, RATE, None)
        for k, (_, shape) in enumerate(COHORTS):
            for name, t in (("one for all", pooled), ("by cohort", own[str(k)].value)):
                rates.setdefault(f"{name}, cohort {k}", []).append(0.0 if t is None else float(beta.cdf(t, *shape)))
    return {name: float(np.mean(found)) for name, found in rates.items()}


def shift_figures(draws: int, n: int = 500) -> Mapping[str, float]:
    """Return the rate of blocked good answers after their scores moved from Beta(8, 2) to Beta(6, 2)."""
    rng = np.random.default_rng([4, n])
    found = [block_threshold(rng.beta(*GOOD, n).tolist(), RATE, None).value for _ in range(draws)]
    return {"after a shift: mean": float(np.mean([beta.cdf(t, *SHIFTED) for t in found if t is not None]))}


def figures(draws: int) -> Mapping[str, float]:
    """Return every figure by its name."""
    return {**block_figures(draws), **pass_figures(draws), **cohort_figures(draws), **shift_figures(draws)}


def main() -> None:
    """Print the figures, and write them if asked to."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--draws", type=int, default=4_000)
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    found = figures(given.draws)
    for name, value in found.items():
        print(f"{name:40} {value:.3f}")
    if given.json:
        given.json.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
