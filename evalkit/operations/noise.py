"""Analyse power: run-to-run variance and the smallest regression that the gate can detect."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from evalkit.aggregate.columns import Ints
from evalkit.aggregate.frozen import PASS_RATE, FrozenFrame, freeze
from evalkit.errors import InputError, Problem
from evalkit.gate.comparison_plan import trial_of
from evalkit.gate.critical_cases import RUNS
from evalkit.gate.no_regression import default_metrics
from evalkit.gate.pairing import Pairing, pair
from evalkit.gate.policy import NoRegression, Policy
from evalkit.gate.power import (
    ASSUMED_FLIPS,
    ComparisonDesign,
    Subject,
    design_of,
    flips_in,
    is_measurable,
    sights,
    subject_of,
    twin_of,
    with_four_stored,
)
from evalkit.gate.regression import ALPHA, MIN_PAIRED, gates_of, run_tests
from evalkit.results import OVERALL, Estimate
from evalkit.stats.intervals import wilson
from evalkit.stats.power import Sight, chance_to_find, smallest_drop
from evalkit.store.folder import RunFolder
from evalkit.store.stored_run import load_run, suite_file_of
from evalkit.suite.parse import load_suite
from evalkit.text.numbers import difference, style_of

ENOUGH_POWER = 0.8
SMALL_DROP = 0.05
WANTED_DROP = 0.10
"""The drop for which `cases_needed` is computed."""
ASSUMED = f"assumed: {ASSUMED_FLIPS:.1%} of the cases flip between runs; measure it with `evalkit noise`"
"""Notice if no run shows how often cases flip."""
MOST_CASES = 1_000_000


@dataclass(frozen=True, kw_only=True)
class Detectable:
    """The smallest drop that one gate can find.

    Attributes:
        metric: metric of the gate.
        cohort: `overall` or `name=value`.
        n: cases.
        flips: mean squared difference between two runs, in shares of the range; `None` without two scored runs.
        smallest_drop: the smallest drop that the gate finds 4 times in 5, in shares of the range; `None` if there is
            none.
        at_most: how often it finds the largest possible drop, with the known or assumed noise.
        can_block: whether it blocks at all if every case of a system without noise breaks.
        with_repeats: the smallest drop against a baseline of four runs; `None` if there is none, or the baseline
            already has four.
        cases_needed: cases needed to find a drop of a tenth of the range.
        small_drop: how often it finds a drop of a twentieth of the range, or the largest possible one if that is
            smaller; 0 if the gate is not tested.
        small_drop_with_repeats: the same against a baseline of four runs; `None` as `with_repeats`.
    """

    metric: str
    cohort: str
    n: int
    flips: float | None
    smallest_drop: float | None
    at_most: float
    can_block: bool
    with_repeats: float | None
    cases_needed: int | None
    small_drop: float
    small_drop_with_repeats: float | None


@dataclass(frozen=True, kw_only=True)
class Noise:
    """Noise of one system's repeats: every gate, and how often the gate blocks the unchanged system."""

    repeats: int
    gates: tuple[Detectable, ...]
    false_blocks: Estimate


@dataclass(frozen=True, kw_only=True)
class MeasuredNoise:
    """The noise of a run, and how many of its planned calls were made."""

    noise: Noise
    n_rows: int
    n_planned: int


def measure_noise(folder: RunFolder, suite_file: Path | None, *, trials: int, seed: int) -> MeasuredNoise:
    """Compare the repeats of a stored run with each other.

    Args:
        folder: folder of a run with two repeats or more.
        suite_file: suite whose gate defines the comparison; `None` for the suite of the run, if it exists.
        trials: comparisons of the system with itself.
        seed: seed of the draws.

    Raises:
        InputError: the folder or the suite cannot be read, or no case has two graded answers.
    """
    stored = load_run(folder)
    frame = freeze(stored.frame)
    if frame.n_repeats < 2:
        raise InputError(Problem(str(folder.path), "every case was run once", "run it with --repeat 4"))
    file = suite_file or suite_file_of(stored)
    whole = load_suite(file).policy if file else None
    policy = no_regression_of(whole)
    own = (name for name in frame.rows if name not in frame.advisory and not name.endswith(".passed"))
    names = policy.metrics or dict.fromkeys(("pass_rate", *own))
    metrics = [name for name in names if frame.compared(name)]
    critical = whole.critical_in(frame.cohorts) if whole else frozenset()
    found = noise_of(frame, policy, metrics, critical=critical, trials=trials, seed=seed)
    if all(each.flips is None for each in found.gates):
        fix = "see what failed in its report"
        raise InputError(Problem(str(folder.path), "no case has two answers that were graded", fix))
    return MeasuredNoise(noise=found, n_rows=len(frame.row_case), n_planned=stored.manifest.expected)


def no_regression_of(policy: Policy | None) -> NoRegression:
    """Return the comparison that a policy asks for, else the default one."""
    checks = policy.checks if policy is not None else ()
    return next((check for check in checks if isinstance(check, NoRegression)), NoRegression())


def noise_of(
    frame: FrozenFrame,
    policy: NoRegression,
    metrics: Sequence[str],
    *,
    critical: frozenset[str],
    trials: int,
    seed: int,
) -> Noise:
    """Compare the repeats of one run with each other.

    Args:
        frame: a run whose cases have two repeats or more.
        policy: policy with the cohorts to compare.
        metrics: metrics that the gate compares.
        critical: cohorts that are tested in a family of their own.
        trials: comparisons of two runs assembled from the repeats, drawn at random for each case.
        seed: seed of the draws.

    Raises:
        ValueError: no case has two repeats.
    """
    if frame.n_repeats < 2:
        raise ValueError("no case has two repeats; run the suite with repeats")
    rng = np.random.default_rng(seed)
    blocked = sum(_blocks_itself(frame, policy, metrics, critical, rng) for _ in range(trials))
    gates = gates_of(pair(frame, frame), policy, dict.fromkeys(metrics, True), critical)
    design = ComparisonDesign((((1, 1), policy.alpha or ALPHA),))
    subjects = [subject_of(gate, frame, design) for gate in gates if is_measurable(gate)]
    seen = seen_by(subjects, design, twin=twin_of(frame))
    return Noise(
        repeats=frame.n_repeats,
        gates=tuple(replace(each, flips=flips_in(frame, each.metric, each.cohort)) for each in seen),
        false_blocks=wilson(blocked, trials),
    )


def detectable(
    counts: Mapping[str, Mapping[str, int]],
    flips: Mapping[tuple[str, str], float | None],
    *,
    critical: frozenset[str],
    alpha: float,
    metrics: int = 1,
) -> tuple[Detectable, ...]:
    """Compute the drops that each metric can find in each cohort before any run: single runs, in one look.

    Args:
        counts: metric -> cohort -> cases that it applies to; gates without cases are left out.
        flips: (metric, cohort) -> known noise; if it is `None`, 8.5 % is assumed.
        critical: cohorts that are tested in a family of their own.
        alpha: chance that any gate blocks an unchanged system.
        metrics: metrics that the gate compares for each one in `counts`, if not all of them are known yet.
    """
    subjects = [
        Subject(
            metric=metric if copy == 0 else f"{metric} {copy}",
            cohort=cohort,
            n_cases=n,
            n_independent=n,
            flips=flips.get((metric, cohort)),
            critical=cohort in critical,
        )
        for copy in range(max(1, metrics))
        for metric, by_cohort in counts.items()
        for cohort, n in by_cohort.items()
        if n
    ]
    return seen_by(subjects, ComparisonDesign((((1, 1), alpha),)), shown=frozenset(counts))


def seen_against(
    frame: FrozenFrame,
    policy: Policy,
    *,
    repeats: int,
    trusted: Collection[str],
    counts: Mapping[str, int] | None = None,
    flips: float | None = None,
) -> tuple[Detectable, ...]:
    """Compute the drops in the pass rate that a comparison with a stored run can find, by cohort.

    Args:
        frame: the stored run.
        policy: policy of the suite; its first `no_regression` counts, or the default one.
        repeats: number of repeats that the candidate plans.
        trusted: judges that may block; the pass rate is computed as if every judge in it were trusted.
        counts: cohort -> number of cases in the current golden set, if known; else those of the stored run.
        flips: share of cases that flip between runs, instead of that of the stored run.
    """
    check = next((each for each in policy.checks if isinstance(each, NoRegression)), NoRegression())
    critical = policy.critical_in(counts or frame.cohorts)
    planned, stored = (frame.planned_repeats, repeats), frame.planned_or_all
    asked = replace(policy, repeats=repeats)
    trial = trial_of(check, asked, critical, 0, planned, stored)
    design = design_of(trial, (max(1, stored), repeats))
    names = [name for name in check.metrics or default_metrics(frame) if name in frame.rows]
    votes = {name: name == PASS_RATE.name or _is_trusted(frame, name, trusted) for name in names}
    gates = gates_of(pair(frame, frame), check, votes, critical)
    subjects = [subject_of(gate, frame, design) for gate in gates if is_measurable(gate)]
    if counts is not None:
        subjects = _as_of_today(subjects, names, counts, critical)
    if flips is not None:
        subjects = [replace(each, flips=flips) for each in subjects]
    shown = PASS_RATE.name if PASS_RATE.name in names else names[0] if names else ""
    return seen_by(subjects, design, shown=frozenset({shown}), twin=twin_of(frame))


def _is_trusted(frame: FrozenFrame, name: str, trusted: Collection[str]) -> bool:
    judges = {metric.name for metric in frame.metrics if metric.judge is not None}
    return name.removesuffix(".passed") not in judges - set(trusted)


def _as_of_today(
    subjects: Sequence[Subject], names: Sequence[str], counts: Mapping[str, int], critical: frozenset[str]
) -> list[Subject]:
    """Adapt the gates of a stored run to the current golden set's cases; the noise of a cohort is kept."""
    known = {(each.metric, each.cohort): each for each in subjects}
    whole = {each.metric: each for each in subjects if each.cohort == OVERALL}
    found = []
    for name in names:
        for cohort, n in counts.items():
            each = known.get((name, cohort)) or whole.get(name)
            if each is None or not n:
                continue
            applies = each.n_cases if each.cohort == cohort and name != PASS_RATE.name else n
            clusters = max(1, round(applies * each.n_independent / each.n_cases))
            sized = replace(each, n_cases=applies, n_independent=clusters)
            found.append(replace(sized, cohort=cohort, critical=cohort in critical))
    return found


def seen_by(
    subjects: Sequence[Subject],
    design: ComparisonDesign,
    *,
    shown: frozenset[str] | None = None,
    twin: str | None = None,
) -> tuple[Detectable, ...]:
    """Compute the drops that gates can find, by the power of the test that the gate applies.

    Args:
        subjects: every gate of the comparison.
        design: design of the comparison.
        shown: metrics to return, all if it is `None`; the others only count as members of the family.
        twin: the pass/fail metric that `pass_rate` moves with.
    """
    tested = [each for each in subjects if each.n_independent >= MIN_PAIRED and each.room > 0]
    names = [(each.metric, each.cohort) for each in tested]
    found = dict(zip(names, sights(tested, design, twin=twin), strict=True))
    repeated = with_four_stored(design)
    better = dict(zip(names, sights(tested, repeated, twin=twin), strict=True)) if repeated != design else {}
    return tuple(
        _detectable(each, found.get((each.metric, each.cohort)), better.get((each.metric, each.cohort)), whole)
        for each in subjects
        if shown is None or each.metric in shown
        for whole in (found.get((each.metric, OVERALL)),)
    )


def _detectable(subject: Subject, sight: Sight | None, better: Sight | None, whole: Sight | None) -> Detectable:
    """Describe one gate; the cases that an untested cohort needs follow from the overall gate of its metric."""
    likely = sight or whole
    return Detectable(
        metric=subject.metric,
        cohort=subject.cohort,
        n=subject.n_cases,
        flips=subject.flips,
        smallest_drop=None if sight is None else smallest_drop(sight),
        at_most=0.0 if sight is None else chance_to_find(subject.room, sight),
        can_block=sight is not None and all(2.0**-sight.n <= look.level for look in sight.looks),
        with_repeats=None if better is None else smallest_drop(better),
        cases_needed=None if likely is None else _cases_needed(likely, subject.n_cases / subject.n_independent),
        small_drop=0.0 if sight is None else _small_drop(sight),
        small_drop_with_repeats=None if better is None else _small_drop(better),
    )


def _small_drop(sight: Sight) -> float:
    return chance_to_find(min(SMALL_DROP, sight.passing), sight)


def _cases_needed(sight: Sight, per_cluster: float) -> int | None:
    """Return the smallest number of cases that finds a drop of a tenth 4 times in 5, with this gate's noise."""
    drop = min(WANTED_DROP, sight.passing)

    def enough(n: int) -> bool:
        return chance_to_find(drop, replace(sight, n=n)) >= ENOUGH_POWER

    low, high = 1, MOST_CASES
    if not enough(high):
        return None
    while low < high:
        middle = (low + high) // 2
        low, high = (low, middle) if enough(middle) else (middle + 1, high)
    return math.ceil(low * per_cluster)


def _blocks_itself(
    frame: FrozenFrame, policy: NoRegression, metrics: Sequence[str], critical: frozenset[str], rng: np.random.Generator
) -> bool:
    """Return whether one half of a system's repeats blocks the other."""
    first, second = _two_repeats(frame, rng)
    pairing = Pairing(frame, frame, np.arange(frame.n_cases), second, first)
    gates = gates_of(pairing, policy, dict.fromkeys(metrics, True), critical)
    tested = run_tests(frame, gates, alpha=policy.alpha or ALPHA, seed=int(rng.integers(2**31)))
    return any(each.outcome == "block" for each in tested)


def _two_repeats(frame: FrozenFrame, rng: np.random.Generator) -> tuple[Ints, Ints]:
    """Draw two different repeats of each case that has them."""
    order = np.lexsort((rng.random(len(frame.row_case)), frame.row_case))
    cases = frame.row_case[order]
    starts = np.flatnonzero(np.r_[True, cases[1:] != cases[:-1]])
    lengths = np.diff(np.r_[starts, len(cases)])
    starts = starts[lengths >= 2]
    return order[starts], order[starts + 1]


def advice_on(gates: Sequence[Detectable]) -> list[str]:
    """Return a sentence for each cohort that finds no drop of 20 points, on how cases or repeats would help."""
    lines = []
    for each in gates:
        if each.smallest_drop is not None and each.smallest_drop <= 2 * WANTED_DROP:
            continue
        where = "overall" if each.cohort == OVERALL else each.cohort
        start = f"{each.metric} in {where}: {each.n} cases"
        if each.cases_needed is not None:
            start += f"; {each.cases_needed:,} would find a drop of 10 points"
        if each.with_repeats is not None and (each.smallest_drop or 1.0) - each.with_repeats >= 0.05:
            now, then = _points(each.smallest_drop), _points(each.with_repeats)
            start += f"; a baseline of {RUNS} runs brings {now} down to {then}"
        lines.append(start)
    return lines


def in_points(seen: Detectable, *, spelt_out: bool = False) -> str:
    """Write the smallest drop, such as `12.3 pts` or `12.3 points`, rounded as in reports.

    If none is found 4 times in 5: `none` if the gate cannot block, else how often it finds the largest drop.
    """
    if seen.smallest_drop is not None:
        text = difference(seen.smallest_drop, style_of(PASS_RATE.name, PASS_RATE), seen.n)
        return text.replace("pt", "point") if spelt_out else text
    return f"{NONE_SURE} ({seen.at_most:.0%})" if seen.can_block else "none"


NONE_SURE = "none surely"
UNSURE = f"{NONE_SURE} (x%): found x% of the time if all cases break; more if steadier"
"""Explanation of the figure in brackets."""


def _points(drop: float | None) -> str:
    return "no drop at all" if drop is None else f"{100 * drop:.0f} points"
