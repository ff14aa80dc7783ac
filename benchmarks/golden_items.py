"""Measure how often the rules of `evalkit golden items` are right, on simulated versions of a system.

    python benchmarks/golden_items.py
    python benchmarks/golden_items.py --answers FILE    # also real answers of four systems with planted references

Logits: versions have the same ability, live cases a difficulty of N(-1.5, 1.5), so that 75 % of the runs pass. A dead
case passes with probability 0.999. A wrong reference fails what is right: its pass probability is 1 minus the other. A
sound case near its mark passes with probability 0.84, a flaky one with one between 0.2 and 0.8.
"""

import argparse
import gzip
import json
import math
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from evalkit.golden.items import DEAD_VERSIONS, ItemHistory, VersionRuns, item_findings
from evalkit.golden.near_duplicates import numbers_in
from evalkit.stats.item_analysis import negative_p_values, rest_correlations
from evalkit.stats.multiplicity import benjamini_hochberg
from evalkit.types import Case

SEED = 7
FALSE_DISCOVERIES = 0.1
Rates = NDArray[np.float64]


def live(n: int, rng: np.random.Generator) -> Rates:
    """Pass probabilities of live cases."""
    return 1 / (1 + np.exp(-rng.normal(1.5, 1.5, n)))


def share_dead(rates: Rates, n_versions: int, rng: np.random.Generator) -> float:
    """Share of the cases that never failed in so many versions."""
    return float((rng.binomial(n_versions, rates) == n_versions).mean())


def dead_table() -> None:
    """Print the share of dead and of live cases that pass in every version."""
    rng = np.random.default_rng(SEED)
    print("| versions | dead cases that never failed | live cases that never failed |\n| --- | --- | --- |")
    for n_versions in (5, DEAD_VERSIONS, 40):
        found = [share_dead(rates, n_versions, rng) for rates in (np.full(100_000, 0.999), live(100_000, rng))]
        print(f"| {n_versions} | {found[0]:.2f} | {found[1]:.2f} |")


def negative_table(n_cases: int = 300, n_wrong: int = 15, rounds: int = 40) -> None:
    """Print the share of wrong references with a significant negative discrimination."""
    rng = np.random.default_rng(SEED)
    print("\n| versions | sd of ability | wrong references found | sound ones flagged |\n| --- | --- | --- | --- |")
    for n_versions in (5, 20, 40):
        for spread in (0.0, 0.3, 0.5):
            hits = alarms = 0
            for _ in range(rounds):
                logits = rng.normal(1.5, 1.5, n_cases)[:, None] + rng.normal(0, spread, n_versions)[None, :]
                passes = 1 / (1 + np.exp(-logits))
                passes[:n_wrong] = 1 - passes[:n_wrong]
                table = (rng.random(passes.shape) < passes).astype(float)
                p = negative_p_values(rest_correlations(table), np.full(n_cases, n_versions))
                known = ~np.isnan(p)
                flagged = np.zeros(n_cases, bool)
                flagged[known] = benjamini_hochberg(p[known]) <= FALSE_DISCOVERIES
                hits, alarms = hits + flagged[:n_wrong].sum(), alarms + flagged[n_wrong:].sum()
            sound = rounds * (n_cases - n_wrong)
            print(f"| {n_versions} | {spread} | {hits / (rounds * n_wrong):.3f} | {alarms / sound:.4f} |")


def flaky_table() -> None:
    """Print the share of cases whose repeats pass 20 to 80 % of the time, exactly, from the binomial distribution."""
    print("\n| repeats | sound cases near their mark (0.84) | flaky cases (0.2 to 0.8) |\n| --- | --- | --- |")
    spread = np.linspace(0.2, 0.8, 601)
    for n in (3, 5, 10):
        shares = [within(n, np.array([0.84])).mean(), within(n, spread).mean()]
        print(f"| {n} | {shares[0]:.2f} | {shares[1]:.2f} |")


def within(n: int, rates: Rates) -> Rates:
    """Return the probability of 20 to 80 % passes."""
    counts = [k for k in range(n + 1) if 0.2 <= k / n <= 0.8]
    parts = [math.comb(n, k) * rates**k * (1 - rates) ** (n - k) for k in counts]
    return np.sum(parts, axis=0)


def doubtful_table(file: Path, n_wrong: int = 16, rounds: int = 20) -> None:
    """Print recall and precision of systems that agree against the reference, on real answers to sums.

    Each round plants other numbers as the references of so many cases.
    """
    rng = np.random.default_rng(SEED)
    opened = gzip.open if file.suffix == ".gz" else open
    with opened(file, "rt", encoding="utf-8") as lines:
        rows = [json.loads(line) for line in lines]
    groups: dict[str, list[dict[str, Any]]] = {}
    for row in rows:
        groups.setdefault(row["group"], []).append(row)
    found = {3: [0, 0], 4: [0, 0]}
    for _ in range(rounds):
        wrong = set(rng.choice(sorted(groups), n_wrong, replace=False).tolist())
        histories = [history(name, given, name in wrong, rng) for name, given in groups.items()]
        for each in item_findings(histories):
            if each.rule == "reference doubtful":
                for least in (3, 4):
                    if int(each.what[0]) >= least:
                        found[least][0] += each.case.id in wrong
                        found[least][1] += 1
    print("\n| systems that agree | wrong references found | precision |\n| --- | --- | --- |")
    for least, (right, total) in found.items():
        print(f"| {least} of 4 | {right / (rounds * n_wrong):.2f} | {right / max(1, total):.2f} |")


def history(name: str, rows: list[dict[str, Any]], wrong: bool, rng: np.random.Generator) -> ItemHistory:
    """Return the answers of the systems to one question, whose reference may be replaced by another number."""
    truth = rows[0]["reference"]
    reference = str(int(rng.integers(1, 1000)) + 100_000) if wrong else truth
    answers = {row["system"]: "" if last_number(row["output"]) == reference else row["output"] for row in rows}
    case = Case(id=name, input=rows[0]["input"], reference=(reference,), place=f"answers:{len(name)}")
    return ItemHistory(case=case, versions={"a": VersionRuns(n_passed=0, n=1)}, answers=answers)


def last_number(text: str) -> str:
    """Return the last number of an answer; empty if it has none."""
    return next(iter(numbers_in(text)[-1:]), "")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--answers", type=Path, help="real answers: `group`, `system`, `input`, `reference`, `output`")
    arguments = parser.parse_args()
    dead_table()
    negative_table()
    flaky_table()
    if arguments.answers is not None:
        doubtful_table(arguments.answers)
