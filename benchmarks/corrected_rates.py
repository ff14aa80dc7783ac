"""Measure how often the corrected difference of two versions holds the true one, and how often it finds a drop.

    python benchmarks/corrected_rates.py                # a few minutes; docs/error-rates.md
    python benchmarks/corrected_rates.py --runs 200 --only "same cases"

The case model of `error_rates.py`, N = 500: each case passes with a probability of its own, Beta(.425, .075), so that
people pass 85 % of the answers. The later version loses 10 points: each of its passes breaks with the same chance. A
judge passes a share of what people pass (sensitivity), and fails a share of what they fail (specificity), apart on each
answer. Labels are drawn at random. Every figure comes from the package's own functions, seed 2026.
"""

import argparse
from dataclasses import dataclass

import numpy as np

from evalkit.stats.corrected_difference import Version, carried_difference, corrected_difference
from evalkit.stats.correction import Graded

N, RATE, DROP = 500, 0.85, 0.10
COUNTS = (20, 50, 100, 200)


@dataclass(frozen=True)
class Setting:
    """What is drawn: the judge of each version as (sensitivity, specificity), the labels and the clusters."""

    before: tuple[float, float] = (0.9, 0.8)
    after: tuple[float, float] = (0.9, 0.8)
    drop: float = DROP
    same_cases: bool = True
    cluster: int = 1
    """Cases of a cluster, which share their probability and are labelled together."""
    one_version: bool = False


SETTINGS = {
    "same cases": Setting(),
    "different cases": Setting(same_cases=False),
    "same cases, judge .97/.95": Setting(before=(0.97, 0.95), after=(0.97, 0.95)),
    "same cases, no change": Setting(drop=0.0),
    "same cases, judge lenient on the later version": Setting(after=(0.95, 0.5)),
    "clusters of 5, whole clusters labelled": Setting(cluster=5),
    "labels of the earlier version only": Setting(one_version=True),
    "labels of the earlier version only, judge lenient on the later one": Setting(after=(0.95, 0.5), one_version=True),
}


def judged(rng: np.random.Generator, people: np.ndarray, judge: tuple[float, float]) -> np.ndarray:
    """Draw the judge's verdicts of answers that people pass or fail."""
    return np.where(people, rng.random(N) < judge[0], rng.random(N) >= judge[1])


def version(verdicts: np.ndarray, people: np.ndarray, chosen: np.ndarray, clusters: np.ndarray) -> Version:
    """Put the answers of a version together; `chosen` are labelled."""
    said = np.where(chosen, people, np.nan)
    parts = zip(verdicts.tolist(), clusters.tolist(), said.tolist(), strict=True)
    return Version(tuple(Graded(float(v), c, None if h != h else float(h)) for v, c, h in parts))


def run(setting: Setting, labels: int, rng: np.random.Generator) -> tuple[Version, Version]:
    """Draw two versions with labels of some cases (of some clusters, if there are clusters)."""
    n_clusters = N // setting.cluster
    clusters = np.repeat(np.arange(n_clusters), setting.cluster)
    chances = rng.beta(RATE / 2, (1 - RATE) / 2, n_clusters)[clusters]
    before = rng.random(N) < chances
    after = (rng.random(N) < chances) & (rng.random(N) >= setting.drop / RATE)
    order = rng.permutation(n_clusters)
    chosen = [np.isin(clusters, order[:labels])] * 2
    if not setting.same_cases:
        chosen[1] = np.isin(clusters, order[labels : 2 * labels])
    if setting.one_version:
        chosen[1] = np.zeros(N, bool)
    sides = zip((before, after), (setting.before, setting.after), chosen, strict=True)
    old, new = (version(judged(rng, people, judge), people, labelled, clusters) for people, judge, labelled in sides)
    return old, new


def measured(setting: Setting, labels: int, runs: int, seed: int) -> tuple[float, float, float]:
    """Return coverage, mean width and power of 95 % intervals; a run without an interval finds nothing."""
    rng = np.random.default_rng(seed)
    covered, widths, found = 0, [], 0
    for _ in range(runs):
        old, new = run(setting, labels, rng)
        if setting.one_version:
            estimate = carried_difference(old, new, rate=True, rng=np.random.default_rng(0)).estimate
        else:
            estimate = corrected_difference(old, new, rate=True).estimate
        if estimate.low is None or estimate.high is None:
            continue
        covered += estimate.low <= setting.drop <= estimate.high
        widths.append(estimate.high - estimate.low)
        found += estimate.low > 0
    return covered / len(widths), float(np.mean(widths)), found / runs


def main() -> None:
    """Print a table of the settings."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--runs", type=int, default=300)
    parser.add_argument("--seed", type=int, default=2026)
    parser.add_argument("--only", help="name of one setting")
    asked = parser.parse_args()
    print("| labels of a version | " + " | ".join(map(str, COUNTS)) + " |")
    print("|---" * (len(COUNTS) + 1) + "|")
    for name, setting in SETTINGS.items():
        if asked.only in (None, name):
            counts = [count for count in COUNTS if count * setting.cluster <= N // (1 if setting.same_cases else 2)]
            cells = [measured(setting, count, asked.runs, asked.seed) for count in counts]
            shown = [f"{100 * inside:.0f} / {width:.3f} / {100 * power:.0f}" for inside, width, power in cells]
            print(f"| {name} | " + " | ".join([*shown, *[""] * (len(COUNTS) - len(shown))]) + " |", flush=True)


if __name__ == "__main__":
    main()
