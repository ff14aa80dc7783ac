"""Measure how often the gate blocks an unchanged system, and how often it finds a changed one.

    python benchmarks/error_rates.py                    # some 40 minutes on two cores; docs/error-rates.md
    python benchmarks/error_rates.py --runs 300 --json rates.json

All figures come from the package's own functions on seeded, simulated runs. The case model: each case passes with a
probability of its own, Beta(.425, .075), so that 85 % pass and 8.5 % flip between two runs of the same system; five
cohorts of 50, 20, 14, 10 and 6 % of the cases; four correlated metrics (two pass/fail, one of five steps, one from 1 to
5); a gate is a metric in "overall" or a cohort: 24. *A/A* is the same system twice; *churn* gives one case in ten
another probability, equal on average.
"""

import argparse
import hashlib
import json
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import judge_rates
import numpy as np
from scipy import stats as scipy_stats

from evalkit.aggregate.frame import Frame
from evalkit.aggregate.frozen import FrozenFrame, freeze
from evalkit.aggregate.summary import summarise
from evalkit.gate.decide import decide
from evalkit.gate.early_stop import CERTAIN, DROP, LOOK_DRAWS, certainty, confirms
from evalkit.gate.pairing import Baseline
from evalkit.gate.policy import Canary, EarlyStop, NoRegression, Policy
from evalkit.gate.regression import ALPHA, CONFIRMED_ALPHA, MORE_RUNS, SUSPECT_AT
from evalkit.results import Decision, StoppedEarly
from evalkit.runner.early_stop import comes_first
from evalkit.stats.early_stop import GateProgress, critical_statistic, looks_of, remaining_power
from evalkit.stats.paired import mcnemar, sign_flip_max_t
from evalkit.types import Case, Metric, Output, Row, Score, Usage

COHORTS = (0.50, 0.20, 0.14, 0.10, 0.06)
SMALLEST = 4
STORED, CALLABLE = "stored baseline", "both systems callable"
"""Alpha .01 in one stage; alpha .02 in two, with the cases of suspect gates run three times more on both sides."""
CHURN = 0.10
SHARED, STEPS = 0.6, 5
"""Correlation of the metrics' latent draws; steps of the graded metric."""
Floats = np.ndarray
RESOURCE_CHECKS = ("slowdown", "slowdown of the slowest", "cost increase")


class Model:
    """Cases with pass probabilities and cohorts."""

    def __init__(self, n: int, rng: np.random.Generator, smallest: int | None = None) -> None:
        self.n, self.rng = n, rng
        self.chances = rng.beta(0.425, 0.075, n)
        counts = np.round(np.array(COHORTS) * n).astype(int)
        if smallest is not None:
            counts[SMALLEST] = smallest
        counts[0] += n - counts.sum()
        self.cohort = rng.permutation(np.repeat(np.arange(len(COHORTS)), counts))

    def churned(self) -> Floats:
        """Return the same cases, one in ten with another probability."""
        fresh = self.rng.beta(0.425, 0.075, self.n)
        return np.where(self.rng.random(self.n) < CHURN, fresh, self.chances)

    def run(self, chances: Floats, drop: Floats | float = 0.0) -> Floats:
        """Draw four metrics of one run, shape (n, 4), each from 0 to 1; `drop` breaks cases of the first metric."""
        common = self.rng.standard_normal((self.n, 1))
        own = self.rng.standard_normal((self.n, 4))
        latent = scipy_stats.norm.cdf(np.sqrt(SHARED) * common + np.sqrt(1 - SHARED) * own)
        passed = latent < chances[:, None]
        first = passed[:, 0] & (self.rng.random(self.n) >= drop)
        steps = scipy_stats.binom.ppf(latent[:, 2], STEPS, 1 - chances) / STEPS
        grade = np.clip(np.round(1 + 4 * (0.75 * chances + 0.25 * (1 - latent[:, 3]))), 1, 5)
        return np.column_stack([first, passed[:, 1], 1 - steps, (grade - 1) / 4]).astype(float)

    def gates(self, differences: Floats) -> Floats:
        """Return the differences of each metric overall and in each cohort, 0 outside, shape (n, 24)."""
        columns = [differences]
        columns += [differences * (self.cohort == k)[:, None] for k in range(len(COHORTS))]
        return np.hstack(columns)


def p_values_of(gates: Floats, rng: np.random.Generator, draws: int = 2_000) -> Floats:
    """Return adjusted p values; the smallest cohort is critical, so there are two families with half of alpha each."""
    critical = [4 * (SMALLEST + 1) + metric for metric in range(4)]
    others = [gate for gate in range(gates.shape[1]) if gate not in critical]
    return sign_flip_max_t(gates, families=[critical, others], draws=draws, rng=rng)


def blocks_of(model: Model, old: Floats, new: Floats, drop: Floats | float = 0.0) -> tuple[dict[str, Floats], Floats]:
    """Return which gates block under either design, and the differences of the first stage."""
    before, after = model.run(old), model.run(new, drop)
    gates = model.gates(before - after)
    first = p_values_of(gates, model.rng)
    suspect = first <= SUSPECT_AT
    blocks = {STORED: first <= ALPHA / 2, CALLABLE: np.zeros(24, bool)}
    if suspect.any():
        inside = np.array([suspect[:4].any() or suspect[4 * (k + 1) : 4 * (k + 2)].any() for k in range(len(COHORTS))])
        again = (inside[model.cohort])[:, None]
        pooled = [
            np.where(again, np.mean([run, *(model.run(chances, lost) for _ in range(MORE_RUNS))], axis=0), run)
            for run, chances, lost in ((before, old, 0.0), (after, new, drop))
        ]
        second = p_values_of(model.gates(pooled[0] - pooled[1]), model.rng)
        blocks[CALLABLE] = suspect & (second <= CONFIRMED_ALPHA / 2)
    return blocks, gates


def naive_drop(gates: Floats, model: Model) -> Floats:
    """Apply the rule of most tools: the mean fell by more than 0.02."""
    sizes = np.repeat([model.n, *np.bincount(model.cohort, minlength=len(COHORTS))], 4)
    return gates.sum(axis=0) / sizes > 0.02


def uncorrected(gates: Floats, model: Model) -> Floats:
    """Apply a t test at 0.05 to each gate alone."""
    blocks = np.zeros(gates.shape[1], bool)
    for gate in range(gates.shape[1]):
        k = gate // 4 - 1
        values = gates[:, gate] if k < 0 else gates[model.cohort == k, gate]
        spread = values.std(ddof=1)
        if spread > 0:
            statistic = values.mean() / (spread / np.sqrt(len(values)))
            blocks[gate] = scipy_stats.t.sf(statistic, len(values) - 1) < 0.05
    return blocks


def false_blocks(job: tuple[str, int, int]) -> dict[str, int]:
    """Count unchanged systems that each rule blocks, of `runs`, at n = 500."""
    null, runs, seed = job
    rng = np.random.default_rng(seed)
    rules = (STORED, CALLABLE, "one family", "mean fell by .02, overall", "mean fell by .02, any gate", "t, any")
    found = dict.fromkeys(rules, 0)
    for _ in range(runs):
        model = Model(500, rng)
        blocks, gates = blocks_of(model, model.chances, model.chances if null == "A/A" else model.churned())
        for design, blocked in blocks.items():
            found[design] += bool(blocked.any())
        single = sign_flip_max_t(gates, families=[list(range(24))], draws=2_000, rng=rng)
        found["one family"] += bool((single <= ALPHA).any())
        fell = naive_drop(gates, model)
        found["mean fell by .02, overall"] += bool(fell[0])
        found["mean fell by .02, any gate"] += bool(fell.any())
        found["t, any"] += bool(uncorrected(gates, model).any())
    return found


def power(job: tuple[str, int, int]) -> dict[str, int]:
    """Count runs in which a true drop of the first metric blocks, and in which the broken cohort is named."""
    what, runs, seed = job
    rng = np.random.default_rng(seed)
    n, size, drop = POWER[what]
    found = {f"{design}: {what}": 0 for design in (STORED, CALLABLE) for what in ("blocked", "named")}
    for _ in range(runs):
        model = Model(n, rng, size)
        hit = model.cohort == SMALLEST if size is not None else np.ones(n, bool)
        share = drop / 0.85  # of the cases that pass, so that the rate falls by `drop`
        # The same cases are broken in every run, because a change breaks the same cases each time.
        lost = np.where(hit & (rng.random(n) < share), 1.0, 0.0)
        designs, _ = blocks_of(model, model.chances, model.chances, lost)
        for design, blocks in designs.items():
            found[f"{design}: blocked"] += bool(blocks.any())
            found[f"{design}: named"] += bool(blocks[4 * (SMALLEST + 1)] if size is not None else blocks[0])
    return found


POWER: dict[str, tuple[int, int | None, float]] = {
    "5 points, n = 500": (500, None, 0.05),
    "10 points, n = 500": (500, None, 0.10),
    "10 points, n = 200": (200, None, 0.10),
    "2 points, n = 2,000": (2000, None, 0.02),
    "30 points in 30 of 500": (500, 30, 0.30),
    "50 points in 30 of 500": (500, 30, 0.50),
    "20 points in 120 of 2,000": (2000, 120, 0.20),
}


FOUR_BY_ONE, FOUR_BY_FOUR, ONE_BY_FOUR = "4 x 1", "4 x 1, suspects again: 4 x 4", "1 x 4"
"""Runs of a stored baseline x runs of the candidate. `again` means three more runs of the candidate alone, with both
stages at 0.02."""
ASKED_AGAIN = "cases asked again"


def blocks_of_repeats(
    model: Model, old: Floats, new: Floats, drop: Floats | float = 0.0
) -> tuple[dict[str, Floats], float]:
    """Return which gates block if one side holds four runs, and the share of cases that the second look runs again."""
    before = [model.run(old) for _ in range(1 + MORE_RUNS)]
    after = [model.run(new, drop) for _ in range(1 + MORE_RUNS)]
    stored, fresh = np.mean(before, axis=0), np.mean(after, axis=0)
    first = p_values_of(model.gates(stored - after[0]), model.rng)
    reversed_ = p_values_of(model.gates(before[0] - fresh), model.rng)
    blocks = {FOUR_BY_ONE: first <= ALPHA / 2, ONE_BY_FOUR: reversed_ <= ALPHA / 2, FOUR_BY_FOUR: np.zeros(24, bool)}
    suspect = first <= SUSPECT_AT
    inside = np.array([suspect[:4].any() or suspect[4 * (k + 1) : 4 * (k + 2)].any() for k in range(len(COHORTS))])
    again = inside[model.cohort]
    if suspect.any():
        second = p_values_of(model.gates(stored - np.where(again[:, None], fresh, after[0])), model.rng)
        blocks[FOUR_BY_FOUR] = suspect & (second <= CONFIRMED_ALPHA / 2)
    return blocks, float(again.mean())


def false_blocks_of_repeats(job: tuple[str, int, int]) -> dict[str, float]:
    """Count unchanged systems blocked if one side holds four runs, of `runs`; the setting is "null, n = cases"."""
    what, runs, seed = job
    null, n = what.split(", n = ")
    rng = np.random.default_rng(seed)
    found: dict[str, float] = dict.fromkeys((FOUR_BY_ONE, FOUR_BY_FOUR, ONE_BY_FOUR, ASKED_AGAIN), 0)
    for _ in range(runs):
        model = Model(int(n), rng)
        new = model.chances if null == "A/A" else model.churned()
        blocks, again = blocks_of_repeats(model, model.chances, new)
        for design, blocked in blocks.items():
            found[design] += bool(blocked.any())
        found[ASKED_AGAIN] += again
    return found


def power_of_repeats(job: tuple[str, int, int]) -> dict[str, float]:
    """Count runs in which a true drop of the first metric blocks, if one side holds four runs."""
    what, runs, seed = job
    rng = np.random.default_rng(seed)
    n, size, drop = POWER[what]
    found: dict[str, float] = dict.fromkeys((FOUR_BY_ONE, FOUR_BY_FOUR, ONE_BY_FOUR), 0)
    for _ in range(runs):
        model = Model(n, rng, size)
        hit = model.cohort == SMALLEST if size is not None else np.ones(n, bool)
        lost = np.where(hit & (rng.random(n) < drop / 0.85), 1.0, 0.0)
        for design, blocks in blocks_of_repeats(model, model.chances, model.chances, lost)[0].items():
            found[design] += bool(blocks.any())
    return found


PLAIN, STOPPING, SOONER = "all cases", "early_stop: true", "early_stop: {fine: 0.05}"
CALLS = ", calls"
SCREENED = 0.01
"""p value of 2,000 draws above which one of 20,000 is not .001."""
STORED_DESIGNS = {"1 x 1": False, "4 x 1, suspects again": True}


def stops(job: tuple[str, int, int]) -> dict[str, float]:
    """Count runs that `early_stop` blocks, and the share of first calls that it makes; "design: setting".

    Looks are taken at random cases, whose cohorts are equally spaced. A run that stops for a drop, and is not blocked
    by its second look, goes on.
    """
    what, runs, seed = job
    design, setting = what.split(": ")
    four = STORED_DESIGNS[design]
    rng = np.random.default_rng(seed)
    found: dict[str, float] = {f"{rule}{part}": 0 for rule in (PLAIN, STOPPING, SOONER) for part in ("", CALLS)}
    for _ in range(runs):
        n, size, drop = POWER.get(setting, (500, None, 0.0))
        model = Model(n, rng, size)
        hit = model.cohort == SMALLEST if size is not None else np.ones(n, bool)
        lost = np.where(hit & (rng.random(n) < drop / 0.85), 1.0, 0.0)
        new = model.churned() if setting == "churn" else model.chances
        stored = np.mean([model.run(model.chances) for _ in range(4 if four else 1)], axis=0)
        again = [model.run(new, lost) for _ in range(1 + MORE_RUNS)]
        order = in_cohort_order(model, rng)
        looks = [order[:end] for end in looks_of(n)]
        at_end = blocks_after(model, stored, again, order, four=four)
        gates = model.gates(stored - again[0])
        worse = [
            bool((p_values_of(gates[cases], rng) <= SCREENED).any())  # a look with all its draws takes long
            and bool((p_values_of(gates[cases], rng, LOOK_DRAWS) <= CERTAIN * ALPHA).any())
            and blocks_after(model, stored, again, cases, four=four)
            for cases in looks
        ]
        power_left = [most_power_left(model, gates, cases, four=four) for cases in looks]
        for rule, fine in ((PLAIN, 0.0), (STOPPING, 0.01), (SOONER, 0.05)):
            ended, blocked = n, at_end
            for cases, is_worse, left in zip(looks, worse, power_left, strict=True):
                if fine and (is_worse or left < fine):
                    ended, blocked = len(cases), is_worse
                    break
            found[rule] += blocked
            found[rule + CALLS] += ended / n
    return found


def in_cohort_order(model: Model, rng: np.random.Generator) -> np.ndarray:
    """Return the cases in a random order, with those of each cohort at equal distances."""
    places = np.empty(model.n)
    for k in range(len(COHORTS)):
        own = rng.permutation(np.flatnonzero(model.cohort == k))
        places[own] = (np.arange(len(own)) + rng.random()) / max(1, len(own))
    return np.argsort(places)


def blocks_after(model: Model, stored: Floats, again: list[Floats], cases: np.ndarray, *, four: bool) -> bool:
    """Return whether the gate blocks with these cases, with a second look against four stored runs."""
    first = p_values_of(model.gates(stored - again[0])[cases], model.rng)
    if not four:
        return bool((first <= ALPHA / 2).any())
    suspect = first <= SUSPECT_AT
    if not suspect.any():
        return False
    inside = np.array([suspect[:4].any() or suspect[4 * (k + 1) : 4 * (k + 2)].any() for k in range(len(COHORTS))])
    pooled = np.where(inside[model.cohort][:, None], np.mean(again, axis=0), again[0])
    second = p_values_of(model.gates(stored - pooled)[cases], model.rng)
    return bool((suspect & (second <= CONFIRMED_ALPHA / 2)).any())


def most_power_left(model: Model, gates: Floats, cases: np.ndarray, *, four: bool) -> float:
    """Return the largest chance that a gate would still find a 5-point drop, as `evalkit.gate.early_stop` does."""
    critical = [4 * (SMALLEST + 1) + metric for metric in range(4)]
    families = critical, [gate for gate in range(24) if gate not in critical]
    level = SUSPECT_AT if four else ALPHA / 2
    return max(
        remaining_power(progress(model, gates, gate, cases), critical_statistic(level, len(family)), DROP)
        for family in families
        for gate in family
    )


def progress(model: Model, gates: Floats, gate: int, cases: np.ndarray) -> GateProgress:
    """Return one gate so far."""
    inside = np.ones(model.n, bool) if gate < 4 else model.cohort == gate // 4 - 1
    values = gates[cases[inside[cases]], gate]
    total, squares = int(inside.sum()), float((values**2).sum())
    statistic = float(values.sum()) / np.sqrt(squares) if squares > 0 else 0.0
    return GateProgress(statistic, len(values) / total, total, squares / max(1, len(values)))


WORSE = "10 points worse"
WITH_STOPS = ", with early_stop"
"""Systems that the same decision has to block; a table of zeros alone would prove nothing."""


def whole_decision(job: tuple[str, int, int]) -> dict[str, float]:
    """Count unchanged systems that the whole decision blocks, by `decide` itself.

    24 gates, 20 critical cases, 50 canaries that flake in .3 % of their runs, latency and cost with margins of 1.10 and
    1.05, timed by turns; times and costs jitter by 30 % between runs. The baseline has four repeats. The candidate's
    first repeat is the planned one, and the others belong to the second look. With `early_stop`, the critical cases and
    the canaries come first, and a run ends where a look is certain and the decision confirms it.
    """
    what, runs, seed = job
    null = what.removesuffix(WITH_STOPS)
    rng = np.random.default_rng(seed)
    found: dict[str, float] = dict.fromkeys(
        ("blocked", "no_regression", "critical cases", "canary", *RESOURCE_CHECKS), 0
    )
    if null != what:
        found["calls"] = 0
    metrics = [Metric(name=f"m{k}", binary=k < 2) for k in range(4)]
    for _ in range(runs):
        model = Model(500, rng)
        cases = [
            Case(
                id=f"c{i:03}",
                input="q",
                digest=hashlib.sha256(str(i).encode()).hexdigest(),
                cohorts={"group": str(model.cohort[i])},
                severity="critical" if i < 20 else "medium",
                kind="canary" if i >= 450 else "golden",
            )
            for i in range(500)
        ]
        chances = model.churned() if null == "churn" else model.chances
        chances[:20] = model.chances[:20]  # a critical case that breaks for good is what the guard is for
        lost = np.where(rng.random(500) < 0.12, 1.0, 0.0) if null == WORSE else 0.0
        before, rows = (
            rows_of(cases, metrics, [with_canaries(model.run(each, drop), rng) for _ in range(4)], rng)
            for each, drop in ((model.chances, 0.0), (chances, lost))
        )
        stored, candidate = frozen_rows(before, metrics), frozen_rows(rows, metrics)
        baseline = Baseline("main", stored, {}, {}, alternated=stored)
        compared = NoRegression(critical=(str(SMALLEST),), max_slowdown=1.10, max_cost_ratio=1.05)
        policy = Policy((compared, Canary()), early_stop=EarlyStop() if null != what else None)
        seed_of_run = int(rng.integers(2**31))
        decided = None
        for part in parts_of(rows, cases, model, policy, metrics, rng) if null != what else ():
            decided = decided_early(part, len(cases), policy, baseline, seed_of_run)
            if decided is not None:
                found["calls"] += part.n_cases / len(cases)
                break
        if decided is None:
            assert candidate.n_cases == 500
            decided = decided_on(candidate, policy, baseline, seed_of_run)
            if null != what:
                found["calls"] += 1
        found["blocked"] += decided.outcome == "blocked"
        for name in {check.name for check in decided.checks if check.outcome == "block"}:
            found[name] += 1
    return found


def decided_on(
    frame: FrozenFrame, policy: Policy, baseline: Baseline, seed: int, stopped: StoppedEarly | None = None
) -> Decision:
    """Decide about a run with all its repeats."""
    summary = summarise(frame, suite="s", expected=4 * frame.n_cases)
    found = decide(frame, summary, policy, baseline=baseline, partial=None, seed=seed, stopped=stopped)
    assert isinstance(found, Decision)
    return found


def decided_early(part: FrozenFrame, n: int, policy: Policy, baseline: Baseline, seed: int) -> Decision | None:
    """Return the decision with the cases so far if a look is certain of it."""
    summary = summarise(part, suite="s", expected=4 * part.n_cases)
    why = certainty(part, summary, policy, baseline, seed)
    if why is None:
        return None
    stopped = StoppedEarly(n_cases=part.n_cases, of=n, why=why, calls_saved=n - part.n_cases)
    found = decided_on(part, policy, baseline, seed, stopped)
    return found if confirms(found, why) else None


def parts_of(
    whole: list[Row], cases: list[Case], model: Model, policy: Policy, metrics: list[Metric], rng: np.random.Generator
) -> Iterator[FrozenFrame]:
    """Yield the run at each look: critical cases and canaries first, the others in a random order of cohorts."""
    order = [cases[at] for at in in_cohort_order(model, rng)]
    order.sort(key=lambda case: not comes_first(case, policy))
    for end in looks_of(len(cases)):
        chosen = {case.id for case in order[:end]}
        yield frozen_rows([row for row in whole if row.case.id in chosen], metrics)


def with_canaries(values: Floats, rng: np.random.Generator) -> Floats:
    """Let the last fifty cases pass but for a flake in 1,000 / 3 runs."""
    values[450:, :2] = (rng.random(50) >= 0.003)[:, None]
    return values


def rows_of(cases: list[Case], metrics: list[Metric], runs: list[Floats], rng: np.random.Generator) -> list[Row]:
    """Build the rows of four repeats of a run."""
    own = np.exp(np.random.default_rng(0).normal(0, 0.5, len(cases)))
    rows = []
    for repeat, values in enumerate(runs):
        seconds, usd = (own * np.exp(rng.normal(0, 0.3, len(cases))) for _ in range(2))
        for place, (case, row) in enumerate(zip(cases, values.tolist(), strict=True)):
            scores = {
                metric.name: Score(metric.name, value, passed=bool(value) if metric.binary else None)
                for metric, value in zip(metrics, row, strict=True)
            }
            output = Output(text="x", latency_s=float(seconds[place]), usage=Usage(cost_usd=float(usd[place])))
            rows.append(Row(case=case, repeat=repeat, output=output, scores=scores))
    return rows


def frozen_rows(rows: list[Row], metrics: list[Metric]) -> FrozenFrame:
    """Return rows as `decide` reads them."""
    frame = Frame(metrics, ["group"], ())
    for row in rows:
        frame.add(row)
    return freeze(frame)


def guards(job: tuple[str, int, int]) -> dict[str, int]:
    """Count unchanged systems with 20 critical cases that rules for single cases block."""
    _, runs, seed = job
    rng = np.random.default_rng(seed)
    found = {"fails once": 0, "fails twice": 0, "4 of 4 against 4 of 4": 0}
    for _ in range(runs):
        chances = rng.beta(0.425, 0.075, 20)
        before, after = (rng.random((4, 20)) < chances for _ in range(2))
        found["fails once"] += bool((before[0] & ~after[0]).any())
        found["fails twice"] += bool((before[0] & ~after[0] & ~after[1]).any())
        found["4 of 4 against 4 of 4"] += bool((before.all(axis=0) & ~after.any(axis=0)).any())
    return found


def single_gate(job: tuple[str, int, int]) -> dict[str, int]:
    """Compare exact McNemar with the sign flip, for one overall pass/fail gate at 0.02 and n = 500."""
    _, runs, seed = job
    rng = np.random.default_rng(seed)
    found = {"exact McNemar": 0, "sign flip": 0}
    for _ in range(runs):
        chances = rng.beta(0.425, 0.075, 500)
        before, after = (rng.random(500) < chances for _ in range(2))
        b, c = int((before & ~after).sum()), int((~before & after).sum())
        found["exact McNemar"] += mcnemar(b, c) <= 0.02
        difference = (before.astype(float) - after)[:, None]
        found["sign flip"] += sign_flip_max_t(difference, families=[[0]], draws=2_000, rng=rng)[0] <= 0.02
    return found


PARTS: dict[str, tuple[Callable[[tuple[str, int, int]], Mapping[str, float]], tuple[str, ...], int]] = {
    "False blocks, 24 gates, n = 500": (false_blocks, ("A/A", "churn"), 3000),
    "False blocks of the whole decision, by check": (whole_decision, ("A/A", "churn"), 3000),
    "The same decision on a system that is worse": (whole_decision, (WORSE,), 60),
    "False blocks by single critical cases (20 of them)": (guards, ("A/A",), 20000),
    "False blocks of one gate at .02": (single_gate, ("A/A",), 3000),
    "Power": (power, tuple(POWER), 600),
    "False blocks against repeats, 24 gates": (
        false_blocks_of_repeats,
        ("A/A, n = 500", "churn, n = 500", "A/A, n = 100", "churn, n = 100"),
        3000,
    ),
    "Power against repeats": (power_of_repeats, tuple(POWER), 600),
    "Early stop, unchanged systems": (
        stops,
        tuple(f"{design}: {null}" for design in STORED_DESIGNS for null in ("A/A", "churn")),
        600,
    ),
    "Early stop, real drops": (
        stops,
        tuple(
            f"{design}: {drop}"
            for design in STORED_DESIGNS
            for drop in ("5 points, n = 500", "10 points, n = 500", "30 points in 30 of 500")
        ),
        200,
    ),
    "Early stop, the whole decision": (whole_decision, (f"A/A{WITH_STOPS}", f"churn{WITH_STOPS}"), 600),
    **judge_rates.PARTS,
}
"""Title -> function, settings, runs of each."""


def main() -> None:
    """Run every part in two processes and print shares."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--runs", type=int, help="Runs of each setting instead of the default.")
    parser.add_argument("--only", default="", help="Words of the title of the parts to run.")
    parser.add_argument("--seed", type=int, default=2026)
    parser.add_argument("--json", type=Path)
    asked = parser.parse_args()
    began, found = time.monotonic(), {}
    with ProcessPoolExecutor(max_workers=2) as pool:
        for title, (part, settings, runs) in PARTS.items():
            if asked.only.lower() not in title.lower():
                continue
            count = asked.runs or runs
            jobs = [(setting, count, asked.seed + number) for number, setting in enumerate(settings)]
            shares = zip(settings, pool.map(part, jobs), strict=True)
            found[title] = {name: {key: hits / count for key, hits in each.items()} for name, each in shares}
            show(title, count, found[title])
    print(f"\nseed {asked.seed}, {time.monotonic() - began:.0f} s", file=sys.stderr)
    if asked.json:
        asked.json.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")


def show(title: str, runs: int, shares: dict[str, dict[str, float]]) -> None:
    """Write one Markdown table for each part."""
    columns = list(next(iter(shares.values())))
    print(f"\n### {title}, {runs:,} runs\n\n| | {' | '.join(columns)} |\n|---|{'---|' * len(columns)}")
    for name, row in shares.items():
        print(f"| {name} | {' | '.join(f'{100 * row[column]:.1f} %' for column in columns)} |")


if __name__ == "__main__":
    main()
