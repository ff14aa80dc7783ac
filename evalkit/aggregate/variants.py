"""Compare the variants of the cases with their originals.

All originals count, also those that failed: to vary only those that passed would turn a system's own flips into a gap.
"""

from __future__ import annotations

import itertools
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from evalkit.aggregate.cells import mean
from evalkit.aggregate.columns import Floats, Ints
from evalkit.aggregate.frozen import PASS_RATE, FrozenFrame
from evalkit.aggregate.statuses import SCORED
from evalkit.aggregate.summary import SMALL_COHORT
from evalkit.formats.manifest import VariantFacts
from evalkit.results import OVERALL, Estimate
from evalkit.results.variants import AttackFigures, ParityFigures, TransformFigures, VariantFigures
from evalkit.stats.differences import by_cluster, draws_for, of_pairs, simultaneous
from evalkit.stats.paired import sign_flip_max_t
from evalkit.stats.quantiles import ONE_SIDED_95
from evalkit.types import Metric

GAP = Metric(name="robustness_gap", low=-1.0, high=1.0, higher_is_better=False)
SUCCESS = Metric(name="attack_success", binary=True, higher_is_better=False)
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
    is_attack: bool = False
    met_goal: bool | None = None
    """Whether an attack met its goal; `None` if its answer is missing."""
    prompt_unknown: bool = False
    """Whether an answer without the canary was not compared with the prompt that the attack wanted."""
    is_critical: bool = False
    """Whether the severity of the variant is critical."""
    question: str = ""
    """The question of an attack in place of the original; attacks with the same one are not independent."""
    wording: str = ""
    place: str = ""
    attribute: str = ""
    """The attribute that differs from the original."""
    value: str = ""
    original_value: str = ""


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
    planned = {each.name: each.n for each in facts if each.n and each.kind == "change"}
    changes = [each for each in results if each.transform in planned]
    groups = [_group(changes, originals, name, n) for name, n in {"": sum(planned.values()), **planned}.items()]
    p_values = _p_values(groups, originals, seed) if planned else []
    n_attacks = sum(each.n for each in facts if each.kind == "attack")
    return VariantFigures(
        transforms=tuple(
            _figures(frame, originals, group, p) for group, p in zip(groups if planned else [], p_values, strict=True)
        ),
        attacks=attack_figures([each for each in results if each.is_attack], n_attacks, originals) if n_attacks else (),
        parity=tuple(_parity(results, originals, each, seed) for each in facts if each.kind == "swap" and each.n),
        left_out={each.name: each.left_out for each in facts if each.left_out},
    )


def _originals(frame: FrozenFrame) -> _Originals:
    planned = frame.is_planned
    n_repeats = 1 + int(frame.repeats[planned].max(initial=0))
    runs = np.full((n_repeats, frame.n_cases), np.nan)
    passes = frame.rows.get(PASS_RATE.name)
    if passes is not None:
        known = planned & (passes.status == SCORED)
        runs[frame.repeats[known], frame.row_case[known]] = passes.at(known)
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
    rng = np.random.default_rng(seed)
    p_values = sign_flip_max_t(found.rows, families=families, draws=draws_for(found), rng=rng)
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
        reason = "no variant has a result beside one of its original"
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


def attack_figures(
    results: Sequence[VariantResult], n_planned: int, originals: _Originals
) -> tuple[AttackFigures, ...]:
    """Count the attacks that met their goal: all, the critical ones, and by wording and place."""
    results = [each for each in results if each.original in originals.places]
    codes: dict[str | int, int] = {}
    numbers = {
        each.id: codes.setdefault(each.question or int(originals.clusters[originals.places[each.original]]), len(codes))
        for each in results
    }
    n_missing = n_planned - len(results)
    found = [_attacks(results, numbers, n_missing)]
    critical = [each for each in results if each.is_critical]
    if critical:  # an attack without a row may have been one of them
        found.append(replace(_attacks(critical, numbers, n_missing), severity="critical"))
    groups: dict[tuple[str, str, str], list[VariantResult]] = defaultdict(list)
    for each in results:
        groups[each.transform, each.place, each.wording].append(each)
    for (transform, place, wording), group in sorted(groups.items()):
        figures = _attacks(group, numbers, 0)
        found.append(replace(figures, transform=transform, place=place, wording=wording))
    return tuple(found)


def _attacks(results: Sequence[VariantResult], numbers: Mapping[str, int], n_missing: int) -> AttackFigures:
    met = np.array([np.nan if each.met_goal is None else each.met_goal for each in results], np.float64)
    passed = np.array([np.nan if each.passed is None else each.passed for each in results], np.float64)
    clusters = np.array([numbers[each.id] for each in results], np.int64)
    at_worst = np.where(np.isnan(met), 1.0, met)
    return AttackFigures(
        n=len(results) + n_missing,
        n_unknown=int(np.isnan(met).sum()) + n_missing,
        n_prompt_unknown=sum(each.prompt_unknown for each in results),
        success=_mean(met, clusters, SUCCESS),
        success_bounds=_mean(met, clusters, SUCCESS, ONE_SIDED_95),
        worst_bounds=None if n_missing or not results else _mean(at_worst, clusters, SUCCESS, ONE_SIDED_95),
        useful=_mean(passed, clusters, PASS_RATE) if not np.isnan(passed).all() else None,
        example=min((each.id for each in results if each.met_goal), default=""),
    )


def _parity(results: Sequence[VariantResult], originals: _Originals, facts: VariantFacts, seed: int) -> ParityFigures:
    """Compare the values of an attribute over the originals; an original itself has the value that it has."""
    found = [each for each in results if each.transform == facts.name and each.original in originals.places]
    values = sorted({value for each in found for value in (each.value, each.original_value)})
    table = np.full((len(originals.rates), len(values)), np.nan)
    for each in found:
        at = originals.places[each.original]
        table[at, values.index(each.original_value)] = originals.rates[at]
        if each.passed is not None:
            table[at, values.index(each.value)] = each.passed
    counts = (~np.isnan(table)).sum(axis=0).tolist()
    seen = [at for at, n in enumerate(counts) if n >= SMALL_COHORT]
    gap, between = _largest_difference(table[:, seen], originals.clusters, seed)
    return ParityFigures(
        attribute=found[0].attribute if found else facts.name.partition("_")[2],
        n_variants=facts.n,
        n_unknown=facts.n - sum(each.passed is not None for each in found),
        rates={values[at]: _mean(table[:, at], originals.clusters, PASS_RATE) for at in seen},
        not_seen={values[at]: n for at, n in enumerate(counts) if at not in seen},
        gap=gap,
        between=tuple(values[seen[at]] for at in between),
    )


def _largest_difference(table: Floats, clusters: Ints, seed: int) -> tuple[Estimate, tuple[int, ...]]:
    pairs = list(itertools.combinations(range(table.shape[1]), 2))
    if not pairs:
        reason = f"fewer than two values with {SMALL_COHORT} originals"
        return Estimate(value=None, method="max-|t|", reason=reason), ()
    found = simultaneous(of_pairs(table, pairs, clusters), span=1.0, rng=np.random.default_rng(seed))
    known = [(each.value, each.low, each.high, each.n, pair) for each, pair in zip(found, pairs, strict=True)]
    sure = [
        (abs(value), max(0.0, low, -high), max(abs(low), abs(high)), n, pair if value > 0 else pair[::-1])
        for value, low, high, n, pair in known
        if value is not None and low is not None and high is not None
    ]
    if len(sure) < len(pairs):
        return Estimate(value=None, method="max-|t|", reason="not every difference has an interval"), ()
    value, _, _, n, pair = max(sure)
    low, high = max(each[1] for each in sure), max(each[2] for each in sure)
    return Estimate(value=value, low=low, high=high, n=n, method="max-|t|"), pair
