"""Measure how often a comparison of several systems makes a false statement, and what its figures cover.

    python benchmarks/system_rates.py                  # some 10 minutes on two busy cores; docs/error-rates.md
    python benchmarks/system_rates.py --runs 100 --only ranks

All figures come from the package's own functions on seeded, simulated runs. Each case passes with a probability of its
own, Beta(.425, .075), as in error_rates.py; equal systems share it. A system that is s points worse breaks a share of
the cases, the same ones for all systems that are worse still.
"""

import argparse
import itertools
import json
import sys
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import numpy as np

from evalkit.aggregate.system_columns import SystemColumns
from evalkit.gate.best_system import Standings
from evalkit.stats.differences import of_pairs, simultaneous, two_sided_p
from evalkit.stats.factors import interaction_p
from evalkit.stats.frontier import frontier
from evalkit.stats.system_ranks import covariance_of_means, rank_intervals, shrunken_winner, surely_better
from evalkit.stats.tournament import Choices, cycle, preferences
from evalkit.types import Metric

Floats = np.ndarray
Rates = Mapping[str, float]
PASSING, LEVEL = 0.85, 0.05
MARGINS = (0.0, 0.02)
POINT = 0.01


def drawn(n: int, steps: Floats, rng: np.random.Generator) -> Floats:
    """Draw pass/fail values, shape (n, k); system j passes `steps[j]` less than the model's 85 %."""
    chances = rng.beta(0.425, 0.075, n)
    broken = rng.random(n)[:, None] < steps / PASSING
    return ((rng.random((n, len(steps))) < chances[:, None]) & ~broken).astype(float)


def parts_of(setting: str) -> tuple[int, int, float]:
    """Read `n = 100, k = 6, step 3`."""
    given = dict(part.split(" = ") if " = " in part else part.split(" ") for part in setting.split(", "))
    return int(given["n"]), int(given["k"]), float(given.get("step", 0))


def ranks(job: tuple[str, int, int]) -> Rates:
    """Count false orders, covered ranks, false marks against the reference and the covered differences."""
    setting, runs, seed = job
    n, k, step = parts_of(setting)
    rng = np.random.default_rng(seed)
    steps = step * POINT * np.arange(k)
    found = dict.fromkeys(("any false order", "all ranks covered", "any false mark", "all differences covered"), 0.0)
    found |= dict.fromkeys(("mean width", "candidates"), 0.0)
    for _ in range(runs):
        values, clusters = drawn(n, steps, rng), np.arange(n)
        better = surely_better(values, clusters, rng=rng)
        order = steps[:, None] >= steps  # [a, b]: a is not better than b
        found["any false order"] += bool((better & order).any())
        spans = np.array(rank_intervals(better))
        # Equal systems share all the ranks of their group, and any of them may be the true one.
        best, worst = (steps[None] < steps[:, None]).sum(axis=1) + 1, (steps[None] <= steps[:, None]).sum(axis=1)
        found["all ranks covered"] += bool(((spans[:, 0] <= best) & (spans[:, 1] >= worst)).all())
        found["mean width"] += float((spans[:, 1] - spans[:, 0]).mean())
        found["candidates"] += float((spans[:, 0] == 1).sum())
        contrasts = of_pairs(values, [(at, 0) for at in range(1, k)], clusters)
        sure, means = two_sided_p(contrasts, rng) <= LEVEL, contrasts.means
        truth = -steps[1:]
        found["any false mark"] += bool((sure & ((truth == 0) | (means * truth < 0))).any())
        intervals = simultaneous(contrasts, span=1.0, rng=rng)
        found["all differences covered"] += all(
            each.low <= true <= each.high for each, true in zip(intervals, truth, strict=True)
        )
    return found


def winners(job: tuple[str, int, int]) -> Rates:
    """Sum by how many points the winner's figure is too good, naive and shrunken."""
    setting, runs, seed = job
    n, k, step = parts_of(setting)
    rng = np.random.default_rng(seed)
    steps = step * POINT * np.arange(k)
    found = {"naive": 0.0, "shrunken": 0.0}
    for _ in range(runs):
        values, clusters = drawn(n, steps, rng), np.arange(n)
        means = values.mean(axis=0)
        # The broken cases are drawn too, so the truth is that of the model, not of the drawn cases.
        truth = PASSING * (1 - steps[int(means.argmax())] / PASSING)
        found["naive"] += 100 * (float(means.max()) - truth)
        found["shrunken"] += 100 * (shrunken_winner(means, covariance_of_means(values, clusters)) - truth)
    return found


def gated(job: tuple[str, int, int]) -> Rates:
    """Count the runs in which the last of k systems is blocked by `best`; the others are equal, and better by a step.

    The gate is that of the package, with the margins of its columns.
    """
    setting, runs, seed = job
    n, k, step = parts_of(setting)
    rng = np.random.default_rng(seed)
    steps = np.array([0.0] * (k - 1) + [step * POINT])
    found = dict.fromkeys((f"within {margin:g}" for margin in MARGINS), 0.0)
    cases, metric = tuple(f"{at:04}" for at in range(n)), Metric(name="pass_rate", binary=True)
    for _ in range(runs):
        values = drawn(n, steps, rng)
        named = (SystemColumns(name=f"s{at:02}", cases=cases, metric=metric, values=values[:, at]) for at in range(k))
        standings = Standings(tuple(named), int(rng.integers(2**31)))
        gaps = [standings.gaps[f"s{k - 1:02}", f"s{at:02}"] for at in range(k - 1)]
        for margin in MARGINS:
            found[f"within {margin:g}"] += any(gap.low is not None and gap.low > margin for gap in gaps)
    return found


FRONT = {
    # quality below the best in points, relative cost, relative latency
    "A, best": (0, 1.0, 1.0),
    "B, cheaper": (3, 0.5, 1.0),
    "C, dominated outright": (6, 1.2, 1.3),
    "D, faster": (4, 0.9, 0.5),
    "E, dominated by a hair": (1, 1.02, 1.02),
    "F, cheapest": (8, 0.2, 0.6),
}


def fronts(job: tuple[str, int, int]) -> Rates:
    """Count the runs in which each of six systems is called on the frontier."""
    setting, runs, seed = job
    n = int(setting.removeprefix("n = "))
    rng = np.random.default_rng(seed)
    lost, costs, times = (np.array(column) for column in zip(*FRONT.values(), strict=True))
    found = dict.fromkeys(FRONT, 0.0)
    for _ in range(runs):
        values = drawn(n, lost * POINT, rng)
        own = np.exp(rng.normal(0, 0.5, (2, n, 1)))
        jitter = np.exp(rng.normal(0, 0.3, (2, n, len(FRONT))))
        spent, waited = own[0] * jitter[0] * costs, own[1] * jitter[1] * times
        placed = frontier(np.stack([values, -spent]), -waited[None], np.arange(n), rng=rng)
        for name, on in zip(FRONT, placed.on.tolist(), strict=True):
            found[name] += on >= 0.9
    return found


def interactions(job: tuple[str, int, int]) -> Rates:
    """Count the runs of a 3 x 4 matrix in which an interaction is found: none, and one cell broken by 6 points."""
    setting, runs, seed = job
    n = int(setting.removeprefix("n = "))
    rng = np.random.default_rng(seed)
    levels = np.array(list(itertools.product(range(3), range(4))))
    additive = (levels @ np.array([2, 1])) * POINT
    broken = additive + np.where(np.arange(12) == 5, 6 * POINT, 0)
    found = {"additive": 0.0, "one cell broken": 0.0}
    for _ in range(runs):
        for name, steps in (("additive", additive), ("one cell broken", broken)):
            p = interaction_p(drawn(n, steps, rng), levels, np.arange(n), rng=rng)
            found[name] += p is not None and p <= LEVEL
    return found


def tournaments(job: tuple[str, int, int]) -> Rates:
    """Measure the strengths of 6 systems, each .25 log odds above the one before, by a judge who favours the first.

    All ordered pairs of a case, or one random cycle. A case moves the log odds of each system (standard deviation .5),
    and a fifth of the pairs of equals are ties.
    """
    setting, runs, seed = job
    n, every = int(setting.split(" ")[0]), "all pairs" in setting
    rng, k = np.random.default_rng(seed), 6
    truth = 0.25 * (np.arange(k) - (k - 1) / 2)
    found = dict.fromkeys(("calls", "SE of a strength", "covered", "best one named"), 0.0)
    for _ in range(runs):
        rows = []
        for case in range(n):
            own = truth + rng.normal(0, 0.5, k)
            for a, b in itertools.permutations(range(k), 2) if every else cycle(range(k), rng):
                p = 1 / (1 + np.exp(-(own[a] - own[b] + 0.3)))
                tie, u = 0.4 * min(p, 1 - p), rng.random()
                rows.append((case, a, b, 0.5 if u < tie else float(u < p + tie / 2)))
        table = np.array(rows)
        cases, first, second = (table[:, at].astype(np.int64) for at in range(3))
        made = preferences(Choices(cases, first, second, table[:, 3], k), rng=rng, draws=200)
        found["calls"] += len(rows)
        found["SE of a strength"] += float(np.std(made.strengths - truth))
        found["covered"] += float((np.abs(made.strengths - truth) <= 1.96 * made.errors).mean())
        found["best one named"] += int(made.strengths.argmax()) == k - 1
    return found


EQUAL = tuple(f"n = {n}, k = {k}" for n in (100, 500) for k in (2, 4, 6, 12))
APART = tuple(f"n = {n}, k = {k}, step {step}" for n in (100, 500) for k in (2, 6, 12) for step in (1, 3))
GATED = tuple(f"n = {n}, k = {k}, step {step}" for n in (100, 500) for k in (3, 6) for step in (0, 2, 5, 10))
PARTS: dict[str, tuple[Callable[[tuple[str, int, int]], Rates], tuple[str, ...], int]] = {
    "Equal systems": (ranks, EQUAL, 1000),
    "Each system 1 or 3 points below the one before": (ranks, APART, 300),
    "The gate best": (gated, GATED, 300),
    "Winner's figure": (winners, tuple(f"n = {n}, k = {k}" for n in (100, 500) for k in (3, 6, 12)), 2000),
    "Frontier": (fronts, ("n = 100", "n = 500"), 200),
    "Tournament": (
        tournaments,
        tuple(f"{n} cases, {how}" for n in (60, 200) for how in ("all pairs", "one cycle")),
        60,
    ),
    "Interaction": (interactions, ("n = 100", "n = 500"), 400),
}
"""Title -> function, settings, runs of each."""
NUMBERS = ("mean width", "candidates", "naive", "shrunken", "calls", "SE of a strength")
"""Columns that are means and not shares."""


def main() -> None:
    """Run every part in two processes and print means over the runs."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--runs", type=int, help="Runs of each setting instead of the default.")
    parser.add_argument("--only", default="", help="Words of the title of the parts to run.")
    parser.add_argument("--seed", type=int, default=2026)
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--json", type=Path)
    asked = parser.parse_args()
    began, found = time.monotonic(), {}
    with ProcessPoolExecutor(max_workers=asked.processes) as pool:
        for title, (part, settings, runs) in PARTS.items():
            if asked.only.lower() not in title.lower():
                continue
            count = asked.runs or runs
            jobs = [(setting, count, asked.seed + number) for number, setting in enumerate(settings)]
            sums = zip(settings, pool.map(part, jobs), strict=True)
            found[title] = {name: {key: total / count for key, total in each.items()} for name, each in sums}
            show(title, count, found[title])
    print(f"\nseed {asked.seed}, {time.monotonic() - began:.0f} s", file=sys.stderr)
    if asked.json:
        asked.json.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")


def show(title: str, runs: int, rows: Mapping[str, Rates]) -> None:
    """Write one Markdown table."""
    columns = list(next(iter(rows.values())))
    print(f"\n### {title}, {runs:,} runs\n\n| | {' | '.join(columns)} |\n|---|{'---|' * len(columns)}")
    for name, row in rows.items():
        cells = (
            f"{row[key]:.3g}" if "SE" in key else f"{row[key]:.1f}" if key in NUMBERS else f"{100 * row[key]:.1f} %"
            for key in columns
        )
        print(f"| {name} | {' | '.join(cells)} |", flush=True)


if __name__ == "__main__":
    main()
