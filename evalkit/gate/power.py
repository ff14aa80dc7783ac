"""Compute the drops that a comparison can find, for the console, reports, `power`, `noise` and baselines.

The noise comes from the repeats of the baseline; without repeats it is assumed. It is never estimated from the
comparison itself, whose differences also contain the drop.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from evalkit.aggregate.frozen import FrozenFrame
from evalkit.aggregate.statuses import SCORED
from evalkit.gate.comparison_plan import ComparisonPlan
from evalkit.gate.critical_cases import RUNS
from evalkit.gate.regression import ALPHA, CONFIRMED_ALPHA, MIN_PAIRED, MORE_RUNS, SUSPECT_AT, Gate
from evalkit.results import OVERALL
from evalkit.stats.power import Look, Rival, Sight, differing_share, variance_of_means

ASSUMED_FLIPS = 0.085
"""Assumed share of cases that flip between two runs, as in the benchmark's case model."""
ENOUGH_FOR_FLIPS = 30
"""Minimum number of cases to estimate a cohort's noise from its own cases; a handful can look steady by chance."""


@dataclass(frozen=True, kw_only=True)
class Subject:
    """Figures of a gate for the power computation.

    Attributes:
        metric: metric of the gate.
        cohort: `overall` or `name=value`.
        n_cases: number of cases that it applies to, >= 1.
        n_independent: clusters of them, or cases if there are none.
        room: largest possible drop, as a share of the metric's range, such as the pass rate of the baseline.
        flips: mean squared difference between two runs of an unchanged system, as a share of the range; `None` where
            it is assumed.
        critical: tested in a family of its own.
        may_block: False if it can only warn, in a third family.
        graded: not pass/fail, so that nearly every case differs a little between two runs.
    """

    metric: str
    cohort: str
    n_cases: int
    n_independent: int
    room: float = 1.0
    flips: float | None = None
    critical: bool = False
    may_block: bool = True
    graded: bool = False

    @property
    def noise(self) -> float:
        """The flips; assumed if they are not known."""
        return ASSUMED_FLIPS if self.flips is None else self.flips


@dataclass(frozen=True)
class ComparisonDesign:
    """Repeats and level of each look; a drop must be found by every look.

    Attributes:
        looks: for each look the repeats of baseline and candidate, and the adjusted p value that finds a drop. The
            level of the last look is divided between critical cohorts and the others.
    """

    looks: tuple[tuple[tuple[int, int], float], ...]

    def __post_init__(self) -> None:
        """Reject a design without a look, or with more than two."""
        if not 1 <= len(self.looks) <= 2:
            raise ValueError(f"{len(self.looks)} looks; a comparison has one or two")


def sights(subjects: Sequence[Subject], design: ComparisonDesign, *, twin: str | None = None) -> list[Sight]:
    """Describe each gate for the power computation: its noise and its rivals.

    Args:
        subjects: every gate of the comparison that is large enough to be tested.
        design: design of the comparison.
        twin: the pass/fail metric that `pass_rate` moves with, which of the two leaves one to count; `None` for none.
    """
    critical = any(each.critical and each.may_block for each in subjects)
    families: dict[tuple[bool, bool], Counter[Rival]] = {}
    for each in subjects:
        families.setdefault(_family(each), Counter())[_rival(each, design)] += 1
    doubles = {(each.metric, each.cohort): each for each in subjects if each.metric in ("pass_rate", twin)}
    return [
        Sight(
            each.n_independent,
            each.room,
            _looks(each, design, halved=critical),
            _rivals(each, families[_family(each)], design, doubles, twin),
        )
        for each in subjects
    ]


def _family(subject: Subject) -> tuple[bool, bool]:
    return subject.may_block, subject.may_block and subject.critical


def _rival(subject: Subject, design: ComparisonDesign) -> Rival:
    share = (
        1.0 if subject.graded else differing_share(round(subject.noise, 3), round(subject.room, 2), design.looks[0][0])
    )
    return Rival(subject.n_independent, share if subject.noise > 0 else 0.0)


def _rivals(
    subject: Subject,
    family: Counter[Rival],
    design: ComparisonDesign,
    doubles: dict[tuple[str, str], Subject],
    twin: str | None,
) -> tuple[Rival, ...]:
    """Return the other gates of the family, counting `pass_rate` and its only voter once."""
    rest = family.copy()
    rest[_rival(subject, design)] -= 1
    other = twin if subject.metric == "pass_rate" else "pass_rate"
    for (metric, _), each in doubles.items() if twin is not None else ():
        if metric == other and _family(each) == _family(subject):
            rest[_rival(each, design)] -= 1
    alike = ((rival, count) for rival, count in rest.items() if count > 0)
    return tuple(sorted((replace(rival, count=count) for rival, count in alike), key=lambda each: (each.n, each.share)))


def _looks(subject: Subject, design: ComparisonDesign, *, halved: bool) -> tuple[Look, ...]:
    size = subject.n_cases / subject.n_independent
    flips = round(subject.noise, 4) / size
    last = variance_of_means(flips, design.looks[-1][0])
    return tuple(
        Look(level / 2 if halved and place == len(design.looks) - 1 else level, variance_of_means(flips, repeats), last)
        for place, (repeats, level) in enumerate(design.looks)
    )


def design_of(trial: ComparisonPlan, repeats: tuple[int, int]) -> ComparisonDesign:
    """Return the design of a comparison: its looks.

    Args:
        trial: plan of the comparison.
        repeats: planned ones of baseline and candidate.
    """
    if trial.again == "neither":
        return ComparisonDesign(((repeats, trial.alpha),))
    if trial.again == "candidate":
        return ComparisonDesign(((repeats, SUSPECT_AT), ((repeats[0], RUNS), trial.alpha)))
    later = max(RUNS, repeats[1] + MORE_RUNS)
    return ComparisonDesign(((repeats, SUSPECT_AT), ((max(repeats[0], later), later), trial.alpha)))


def with_four_stored(design: ComparisonDesign) -> ComparisonDesign:
    """Return the design against a baseline of four runs for a single run, if the baseline has fewer, or the design."""
    (theirs, ours), _ = design.looks[0]
    if theirs >= RUNS or ours > 1 or len(design.looks) > 1:
        return design
    alpha = design.looks[-1][1]
    confirmed = CONFIRMED_ALPHA if alpha == ALPHA else alpha
    return ComparisonDesign((((RUNS, ours), SUSPECT_AT), ((RUNS, RUNS), confirmed)))


def sights_of(
    gates: Sequence[Gate], baseline: FrozenFrame, design: ComparisonDesign
) -> dict[tuple[str, str], tuple[Subject, Sight]]:
    """Compute the drop that each tested gate can find, by metric and cohort.

    Args:
        gates: gates of the comparison.
        baseline: the stored run, whose repeats tell the noise.
        design: design of the comparison.
    """
    subjects = [subject_of(gate, baseline, design) for gate in gates if _can_fall(gate)]
    found = sights(subjects, design, twin=twin_of(baseline))
    return {(each.metric, each.cohort): (each, sight) for each, sight in zip(subjects, found, strict=True)}


def _can_fall(gate: Gate) -> bool:
    return gate.n_independent >= MIN_PAIRED and is_measurable(gate) and _room(gate) > 0


def is_measurable(gate: Gate) -> bool:
    """Return True if the metric has a finite range, and both runs have scored a case of the gate."""
    return len(gate.cases) > 0 and math.isfinite(_reach(gate)) and _reach(gate) > 0


def subject_of(gate: Gate, baseline: FrozenFrame, design: ComparisonDesign) -> Subject:
    """Compute the figures of a gate; without repeats, the noise of a grade is that of its differences."""
    flips = noise_in(baseline, gate.metric.name, gate.cohort)
    if flips is None and not gate.metric.binary:
        observed = float(np.var(gate.drops / _reach(gate)))
        flips = observed / variance_of_means(1.0, design.looks[0][0]) if observed > 0 else None
    return Subject(
        metric=gate.metric.name,
        cohort=gate.cohort,
        n_cases=len(gate.cases),
        n_independent=gate.n_independent,
        room=_room(gate),
        flips=flips,
        critical=gate.critical,
        may_block=gate.may_block,
        graded=not gate.metric.binary,
    )


def _room(gate: Gate) -> float:
    """Return how far the baseline's mean can get worse, as a share of the range."""
    ends = (
        (gate.metric.low, float(np.mean(gate.before)))
        if gate.metric.higher_is_better
        else (float(np.mean(gate.before)), gate.metric.high)
    )
    return min(1.0, (ends[1] - ends[0]) / _reach(gate))


def _reach(gate: Gate) -> float:
    return gate.metric.high - gate.metric.low


def twin_of(frame: FrozenFrame) -> str | None:
    """Return the pass/fail metric that `pass_rate` moves with: the first of its voters; `None` if all are graded."""
    binary = {metric.name for metric in frame.metrics if metric.binary}
    return next((name for name in frame.voters if name in binary), None)


def noise_in(frame: FrozenFrame, metric: str, cohort: str) -> float | None:
    """Estimate a gate's flips from repeats, from all cases if the cohort is small; `None` without repeats."""
    where = frame.cohorts.get(cohort)
    own = None if where is None or len(where) < ENOUGH_FOR_FLIPS else flips_in(frame, metric, cohort)
    return flips_in(frame, metric, OVERALL) if own is None else own


def flips_in(frame: FrozenFrame, metric: str, cohort: str) -> float | None:
    """Return a cohort's mean squared difference between two repeats of a case, as a share of the range."""
    column = frame.rows[metric]
    reach = column.metric.high - column.metric.low
    known = column.status == SCORED
    inside = np.isin(frame.row_case, frame.cohorts[cohort]) & known
    if not math.isfinite(reach) or reach <= 0 or not inside.any():
        return None
    cases, values = frame.row_case[inside], column.at(inside) / reach
    counts = np.bincount(cases, minlength=frame.n_cases)
    sums = np.bincount(cases, values, frame.n_cases)
    squares = np.bincount(cases, values**2, frame.n_cases)
    several = counts >= 2
    if not several.any():
        return None
    variances = (squares[several] - sums[several] ** 2 / counts[several]) / (counts[several] - 1)
    return float(np.mean(2 * np.clip(variances, 0.0, None)))
