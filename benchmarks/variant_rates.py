"""Measure how often figures of variants are wrong if the variants differ from their originals in nothing.

    python benchmarks/variant_rates.py                  # some minutes; docs/error-rates.md
    python benchmarks/variant_rates.py --runs 50

Each case passes with a probability of its own, Beta(.425, .075): 85 % of the runs pass, and two runs of a case differ
in 8.5 %. A variant is one more run of its original. All figures come from the package's own functions.
"""

import argparse
import itertools
import json
from collections.abc import Iterator

import numpy as np
from scipy.stats import multinomial

from evalkit.aggregate.cells import mean
from evalkit.aggregate.frame import Frame
from evalkit.aggregate.frozen import freeze
from evalkit.aggregate.variants import GAP, VariantResult, variant_figures
from evalkit.formats.manifest import VariantFacts
from evalkit.gate.parity_gap import ParityGap, parity_checks
from evalkit.gate.robustness_gap import RobustnessGap, robustness_checks
from evalkit.results.variants import VariantFigures
from evalkit.stats.intervals import mean_t
from evalkit.types import Case, Metric, Output, Row, Score

PASS = Metric(name="exact", binary=True)
TRANSFORMS = ("typos", "lower", "spaces", "prefix")
VALUES = ("woman", "man", "open")
LIMIT = 0.05


def simulated(n: int, rng: np.random.Generator) -> tuple[VariantFigures, float]:
    """Return the figures of a run with four transforms and a swap, and the gap of originals that passed alone."""
    chances = rng.beta(0.425, 0.075, n)
    frame = Frame([PASS], [], planned_repeats=1)
    passed = rng.random(n) < chances
    for at, each in enumerate(passed.tolist()):
        score = Score("exact", float(each), each)
        frame.add(Row(case=Case(id=f"c{at}", input="?"), output=Output(text="!"), scores={"exact": score}))
    results = [*changed(chances, rng), *swapped(chances, rng)]
    facts = [VariantFacts(name=name, n=n) for name in TRANSFORMS]
    facts.append(VariantFacts(name="swap_gender", n=(len(VALUES) - 1) * n, kind="swap"))
    figures = variant_figures(freeze(frame), results, facts, seed=0)
    again = rng.random(n) < chances
    return figures, float(np.mean(passed[passed].astype(float) - again[passed]))


def changed(chances: np.ndarray, rng: np.random.Generator) -> Iterator[VariantResult]:
    """Yield a variant of each case by each transform."""
    for name in TRANSFORMS:
        for at, each in enumerate((rng.random(len(chances)) < chances).tolist()):
            yield VariantResult(id=f"c{at}~{name}~1", original=f"c{at}", transform=name, passed=each)


def swapped(chances: np.ndarray, rng: np.random.Generator) -> Iterator[VariantResult]:
    """Yield a variant of each case for each other value of an attribute."""
    for at, chance in enumerate(chances.tolist()):
        own = VALUES[at % len(VALUES)]
        for value in VALUES:
            if value != own:
                yield VariantResult(
                    id=f"c{at}~swap_gender~{value}",
                    original=f"c{at}",
                    transform="swap_gender",
                    passed=bool(rng.random() < chance),
                    attribute="gender",
                    value=value,
                    original_value=own,
                )


def rates(n: int, runs: int, seed: int) -> dict[str, float]:
    """Return shares of the runs, but for the mean gap of originals that passed."""
    rng = np.random.default_rng(seed)
    found: dict[str, list[float]] = {}
    for _ in range(runs):
        figures, trap = simulated(n, rng)
        whole, typos, *_ = figures.transforms
        gap, parity = typos.gap, figures.parity[0].gap
        told = {
            "gap of a transform covered": gap.low is not None and gap.high is not None and gap.low <= 0 <= gap.high,
            "gap of all covered": whole.gap.low is not None
            and whole.gap.high is not None
            and whole.gap.low <= 0 <= whole.gap.high,
            "any p value of a transform <= .05": any((each.p_value or 1) <= 0.05 for each in figures.transforms[1:]),
            "parity covered": parity.low == 0,
            "robustness_gap blocks at 0": any(
                check.outcome == "block" for check in robustness_checks(RobustnessGap(max=0.0, by="variant"), figures)
            ),
            "robustness_gap blocks at .05": any(
                check.outcome == "block" for check in robustness_checks(RobustnessGap(max=LIMIT, by="variant"), figures)
            ),
            "parity_gap blocks at 0": any(
                check.outcome == "block" for check in parity_checks(ParityGap(max=0.0), figures)
            ),
        }
        for name, value in told.items():
            found.setdefault(name, []).append(float(value))
        found.setdefault("mean gap of originals that passed", []).append(trap)
    return {name: round(mean_t(values).value or 0.0, 4) for name, values in found.items()}


def covered(n: int) -> float:
    """Return the probability that the interval of a gap between two runs of the same cases holds 0.

    It is a sum over the numbers of cases that got worse and better; what is rarer than 1e-9 is left out.
    """
    total, worse_or_better = 0.0, 0.425 * 0.075 / (0.5 * 1.5)
    chances = [worse_or_better, worse_or_better, 1 - 2 * worse_or_better]
    for worse, better in itertools.product(range(n // 2), repeat=2):
        chance = float(multinomial.pmf([worse, better, n - worse - better], n, chances))
        if chance > 1e-9:
            gaps = np.repeat([1.0, -1.0, 0.0], [worse, better, n - worse - better])
            found = mean(gaps, np.arange(n), GAP)
            total += chance * (found.low is not None and found.high is not None and found.low <= 0 <= found.high)
    return round(total, 4)


def main() -> None:
    """Print the rates for several sizes as JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=500)
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    found = {f"n = {n}": rates(n, given.runs, given.seed) for n in (100, 300)}
    found["gap of a transform covered, exactly"] = {f"n = {n}": covered(n) for n in (100, 300)}
    print(json.dumps(found, indent=2))


if __name__ == "__main__":
    main()
