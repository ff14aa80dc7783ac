"""Compare the variants of the cases with their originals.

All originals count, also those that failed: to vary only those that passed would turn a system's own flips into a gap.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from evalkit.aggregate.cells import mean
from evalkit.aggregate.columns import Floats, Ints
from evalkit.aggregate.frozen import PASS_RATE, FrozenFrame
from evalkit.aggregate.statuses import SCORED
from evalkit.aggregate.summary import SMALL_COHORT
from evalkit.formats.manifest import VariantFacts
from evalkit.results import OVERALL, Estimate, TransformFigures, VariantFigures
from evalkit.stats.differences import by_cluster
from evalkit.stats.paired import sign_flip_max_t
from evalkit.stats.quantiles import ONE_SIDED_95
from evalkit.types import Metric

GAP = Metric(name="robustness_gap", low=-1.0, high=1.0, higher_is_better=False)
_SHARE = Metric(name="consistency", binary=True)


@dataclass(frozen=True, slots=True, kw_only=True)
class VariantResult:
    """How one variant ended."""

    id: str
    original: str
    """Id of the case that it was made of."""
    transform: str
    passed: bool | None
    """`None` if an answer or a grade is missing."""


@dataclass(frozen=True)
class _Originals:
    """The originals of a run."""

    places: Mapping[str, int]
    """Id -> number of the case."""
    rates: Floats
    """Pass rate of each over its planned repeats, shape (cases,); NaN if none has a result."""
    runs: Floats
    """1 for each planned repeat that passed, 0 if it failed, NaN without a result; shape (repeats, cases)."""
    clusters: Ints


@dataclass(frozen=True)
class _Group:
    """The variants of one transform, or of all."""

    name: str
    n: int
    """Number of variants that were planned."""
    verdicts: Mapping[int, Sequence[bool | None]]
    """Number of the original -> verdicts of its variants."""

    @property
    def n_unknown(self) -> int:
        """Number of variants without a result."""
        return self.n - sum(each is not None for found in self.verdicts.values() for each in found)


def variant_figures(
    frame: FrozenFrame, results: Sequence[VariantResult], facts: Sequence[VariantFacts], seed: int
) -> VariantFigures:
    """Compare the variants of a run with their originals.

    Args:
        frame: the originals.
        results: how the variants ended.
        facts: how many variants were planned.
        seed: seed of the sign flips.
    """
    originals = _originals(frame)
    planned = {each.name: each.n for each in facts if each.n}
    groups = [_group(results, originals, name, n) for name, n in {"": sum(planned.values()), **planned}.items()]
    p_values = _p_values(groups, originals, seed)
    return VariantFigures(
        transforms=tuple(_figures(frame, originals, group, p) for group, p in zip(groups, p_values, strict=True)),
        left_out={each.name: each.left_out for each in facts if each.left_out},
    )


def _originals(frame: FrozenFrame) -> _Originals:
    planned = frame.is_planned
    n_repeats = 1 + int(frame.repeats[planned].max(initial=0))
    runs = np.full((n_repeats, frame.n_cases), np.nan)
    passes = frame.rows.get(PASS_RATE.name)
    if passes is not None:
        known = planned & (passes.status == SCORED)
        runs[frame.repeats[known], frame.row_case[known]] = passes.values[known]
    counts = (~np.isnan(runs)).sum(axis=0)
    rates = np.divide(np.nansum(runs, axis=0), counts, out=np.full(frame.n_cases, np.nan), where=counts > 0)
    return _Originals({id_: at for at, id_ in enumerate(frame.case_ids)}, rates, runs, frame.clusters)


def _group(results: Sequence[VariantResult], originals: _Originals, name: str, n: int) -> _Group:
    verdicts: dict[int, list[bool | None]] = defaultdict(list)
    for each in results:
        if name in ("", each.transform) and each.original in originals.places:
            verdicts[originals.places[each.original]].append(each.passed)
    return _Group(name, n, verdicts)


def _gaps(group: _Group, originals: _Originals, *, unknown_fails: bool = False) -> Floats:
    """Return the pass rate of each original minus that of its variants; NaN if one of them is unknown."""
    gaps = np.full(len(originals.rates), np.nan)
    for at, verdicts in group.verdicts.items():
        known = [bool(each) for each in verdicts if each is not None or unknown_fails]
        if known:
            gaps[at] = originals.rates[at] - sum(known) / len(known)
    return gaps


def _p_values(groups: Sequence[_Group], originals: _Originals, seed: int) -> list[float | None]:
    """Return the p value of a gap above 0 in all variants, and those of the transforms in a family of their own."""
    gaps = np.column_stack([_gaps(group, originals) for group in groups])
    found = by_cluster(gaps, originals.clusters)
    families = [family for family in ([0], [*range(1, len(groups))]) if family]
    p_values = sign_flip_max_t(found.rows, families=families, rng=np.random.default_rng(seed))
    return [p if n else None for p, n in zip(p_values.tolist(), found.n.tolist(), strict=True)]


def _figures(frame: FrozenFrame, originals: _Originals, group: _Group, p_value: float | None) -> TransformFigures:
    gaps = _gaps(group, originals)
    cohort, worst = _worst_cohort(frame, gaps)
    at_worst = _gaps(group, originals, unknown_fails=True)
    known = ~np.isnan(at_worst)
    every_one_run = sum(map(len, group.verdicts.values())) == group.n
    return TransformFigures(
        name=group.name,
        n_variants=group.n,
        n_unknown=group.n_unknown,
        gap=_mean(gaps, originals.clusters, GAP),
        gap_bounds=_mean(gaps, originals.clusters, GAP, ONE_SIDED_95),
        worst_gap=float(at_worst[known].mean()) if every_one_run and known.any() else None,
        p_value=p_value,
        consistency=_mean(_agreeing(group, originals), originals.clusters, _SHARE),
        repeat_consistency=_of_repeats(group, originals),
        worst_cohort=cohort,
        worst_cohort_gap=worst,
    )


def _mean(values: Floats, clusters: Ints, metric: Metric, confidence_level: float = 0.95) -> Estimate:
    known = ~np.isnan(values)
    if not known.any():
        reason = "no original has a result, with a variant that has one"
        return Estimate(value=None, confidence_level=confidence_level, reason=reason)
    return mean(values[known], clusters[known], metric, confidence_level=confidence_level)


def _agreeing(group: _Group, originals: _Originals) -> Floats:
    """Return 1 for an original whose variants all have the verdict of its first run, 0 if one has not, else NaN."""
    agreeing = np.full(len(originals.rates), np.nan)
    for at, verdicts in group.verdicts.items():
        first = originals.runs[0, at]
        if not np.isnan(first) and None not in verdicts:
            agreeing[at] = all(each == bool(first) for each in verdicts)
    return agreeing


def _of_repeats(group: _Group, originals: _Originals) -> Estimate | None:
    """Return the share of originals whose further repeats all have the verdict of the first, for as many repeats."""
    per_case = max(map(len, group.verdicts.values()), default=1)
    if len(originals.runs) <= per_case:
        return None
    runs = originals.runs[: per_case + 1]
    same = np.full(len(originals.rates), np.nan)
    asked = [at for at in group.verdicts if not np.isnan(runs[:, at]).any()]
    same[asked] = (runs[:, asked] == runs[0, asked]).all(axis=0)
    return _mean(same, originals.clusters, _SHARE)


def _worst_cohort(frame: FrozenFrame, gaps: Floats) -> tuple[str, float | None]:
    """Return the cohort with the largest gap among those with enough originals."""
    found = [
        (float(np.nanmean(gaps[where])), label)
        for label, where in frame.cohorts.items()
        if label != OVERALL and (~np.isnan(gaps[where])).sum() >= SMALL_COHORT
    ]
    worst, label = max(found, default=(0.0, ""))
    return (label, worst) if label else ("", None)
