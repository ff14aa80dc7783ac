"""Apply the `no_regression` check: pair cases, compare, test, and report the regressions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from evalkit.aggregate.frozen import FrozenFrame
from evalkit.gate.comparable import applied_in, incomparable_metrics, is_shared
from evalkit.gate.comparison_plan import NOT_AGAIN, ComparisonPlan
from evalkit.gate.corrected_checks import blocking_drops, sentence_of
from evalkit.gate.critical_cases import RUNS, critical_case_finding, critical_cases_to_repeat
from evalkit.gate.findings import Finding, finding
from evalkit.gate.margins import margin_checks
from evalkit.gate.pairing import Baseline, Pairing, compare, pair
from evalkit.gate.policy import NoRegression, is_critical, within
from evalkit.gate.power import ComparisonDesign, Subject, design_of, sights_of, with_four_stored
from evalkit.gate.regression import (
    MIN_PAIRED,
    Gate,
    Tested,
    causes_first,
    confirmed,
    suspect_cases,
)
from evalkit.gate.regression_checks import four_stored, sight, tested_check, untested_check
from evalkit.gate.resources import resource_checks
from evalkit.gate.words import calibrate_first, save_with_repeats, some, unproven_judges
from evalkit.results import OVERALL, Check, CheckOutcome, Comparison, CorrectedDrop, Summary
from evalkit.stats.power import Sight

MIN_OVERLAP = 0.9
"""Minimum share of the baseline's cases, or of a sample, that must be paired for a comparison."""


def regression_finding(  # noqa: PLR0913 - what a comparison depends on
    frame: FrozenFrame,
    summary: Summary,
    baseline: Baseline | None,
    trial: ComparisonPlan,
    *,
    drops: Sequence[CorrectedDrop] = (),
    partial: bool = False,
    stopped: bool = False,
) -> Finding:
    """Compare a run with its baseline, gate by gate.

    Args:
        frame: the candidate.
        summary: summary with the agreement of its judges.
        baseline: the stored run, `None` if none is saved yet.
        trial: plan of the comparison.
        drops: the drops of judges' metrics, corrected by people's labels.
        partial: whether only a part of the suite was run.
        stopped: whether the run stopped early, so that the cases that it left out are not missing.
    """
    policy = trial.policy
    if baseline is None:
        save = "`evalkit baseline save`, and commit it there"
        if ":" not in policy.baseline:
            save = f"`evalkit baseline save RUN --name {policy.baseline}`"
        reason = f"no baseline `{policy.baseline}` yet: save it with {save}"
        if trial.uncompared:
            reason = f"not compared with baseline `{policy.baseline}`: {trial.uncompared}"
        return finding([_whole("insufficient evidence", reason)])
    if baseline.other_conversation:
        what, fix = led_differently(policy.baseline, baseline.other_conversation)
        return finding([_whole("no decision", f"{what}: {fix}")])
    pairing = replace(pair(frame, baseline.frame), of_candidate=stopped or frame.sample is not None)
    planned = pair(frame, baseline.frame, repeats=trial.planned)
    metrics = policy.metrics if policy.metrics is not None else _default_metrics(frame, baseline.frame)
    incomparable = _incomparable(frame, baseline, metrics)
    comparison = compare(pairing, baseline, incomparable)
    drops = [
        each for each in drops if each.metric not in incomparable and (each.drop.value is not None or policy.corrected)
    ]
    comparison = replace(comparison, corrected=tuple(drops))
    if pairing.overlap < MIN_OVERLAP:
        few = _too_little_in_files(pairing, comparison) if baseline.of_file else _too_little(pairing, partial=partial)
        found = finding([_whole("no decision", few)])
    else:
        comparable = tuple(name for name in metrics if frame.compared(name) and name not in incomparable)
        may_block = _votes(frame, summary, policy, comparable)
        asked = drops if policy.corrected else ()
        fallen = blocking_drops(frame, summary, asked, comparable, n_deciding=trial.n_deciding)
        refused = [
            *fallen.values(),
            *_uncompared(frame, policy, metrics, incomparable),
            *_unproven(
                frame, summary, policy, [name for name in comparable if name not in {*may_block, *fallen}], asked
            ),
        ]
        gates, tested = trial.tested(planned, may_block)
        if trial.again != "neither":
            first, (gates, tested) = tested, trial.tested(pairing, may_block)
            tested = confirmed(first, tested, _answered_again(pairing, trial), NOT_AGAIN[trial.again])
        design = design_of(trial, (_planned(baseline.frame, trial.planned[0]), _planned(frame, trial.planned[1])))
        seen = sights_of(gates, baseline.frame, design)
        tested = [replace(each, sight=_sight_of(seen, each)) for each in tested]
        advice = _advice(gates, tested, baseline, trial, design)
        comparison = replace(comparison, sight=sight(tested), advice=advice)
        found = _join(refused, gates, tested, frame)
        if "pass_rate" in comparable:
            guard = critical_case_finding(pairing, may_block=may_block.get("pass_rate", False))
            found = Finding((*found.checks, *guard.checks), (*found.reasons, *guard.reasons))
        more = finding([*margin_checks(gates, policy), *resource_checks(frame, baseline, policy, trial.seed)])
        found = Finding((*found.checks, *more.checks), (*found.reasons, *more.reasons))
    return replace(found, comparison=comparison)


def led_differently(baseline: str, parts: str) -> tuple[str, str]:
    """Return why conversations are not compared, and how to fix it."""
    what = f"the conversations of baseline `{baseline}` were led differently ({parts})"
    return what, f"run the baseline's system again: `baseline: {{run: {baseline}, system: ...}}`"


def _advice(
    gates: Sequence[Gate], tested: Sequence[Tested], baseline: Baseline, trial: ComparisonPlan, design: ComparisonDesign
) -> str:
    """Recommend a baseline of four repeats, if it would add a second look."""
    better = with_four_stored(design)
    if better == design or baseline.saved_as is None or not trial.calls:
        return ""
    seen = sights_of(gates, baseline.frame, better)
    command = save_with_repeats(*baseline.saved_as, RUNS)
    return four_stored(tested, [replace(each, sight=_sight_of(seen, each)) for each in tested], command)


def _planned(frame: FrozenFrame, planned: int | None) -> int:
    return max(1, frame.n_repeats if planned is None else planned)


def _sight_of(seen: Mapping[tuple[str, str], tuple[Subject, Sight]], tested: Tested) -> Sight | None:
    found = seen.get((tested.gate.metric.name, tested.gate.cohort))
    return None if found is None else found[1]


def _answered_again(pairing: Pairing, trial: ComparisonPlan) -> frozenset[int]:
    """Return the positions of the cases with more answers in both runs than the candidate planned."""
    least = np.minimum(*pairing.answered())
    return frozenset(np.flatnonzero(least > (trial.planned[1] or 0)).tolist())


def suspects_to_repeat(frame: FrozenFrame, baseline: Baseline, *, both: bool) -> tuple[str, ...]:
    """List the critical cases that additional repeats would clear or confirm.

    Args:
        frame: the candidate.
        baseline: the stored run.
        both: whether the baseline's system can be run again as well.
    """
    if "pass_rate" not in frame.rows or _incomparable(frame, baseline, ("pass_rate",)):
        return ()
    return critical_cases_to_repeat(pair(frame, baseline.frame), both=both)


@dataclass(frozen=True, eq=False)
class PlannedComparison:
    """The planned repeats of a run and its baseline, paired, and the metrics that are compared."""

    pairing: Pairing
    may_block: Mapping[str, bool]
    """Metric -> whether it may block."""
    incomparable: Mapping[str, str]


def planned_comparison(
    frame: FrozenFrame, summary: Summary, baseline: Baseline, trial: ComparisonPlan
) -> PlannedComparison:
    """Pair the planned repeats of a run, without those that the gate added."""
    policy = trial.policy
    names = policy.metrics if policy.metrics is not None else _default_metrics(frame, baseline.frame)
    incomparable = _incomparable(frame, baseline, names)
    comparable = tuple(name for name in names if frame.compared(name) and name not in incomparable)
    planned = pair(frame, baseline.frame, repeats=trial.planned)
    return PlannedComparison(planned, _votes(frame, summary, policy, comparable), incomparable)


def escalated_cases(frame: FrozenFrame, summary: Summary, baseline: Baseline, trial: ComparisonPlan) -> tuple[str, ...]:
    """List the cases of gates that look worse in the planned repeats, to run them again."""
    planned = planned_comparison(frame, summary, baseline, trial)
    _, tested = trial.tested(planned.pairing, planned.may_block)
    return tuple(frame.case_ids[case] for case in sorted(suspect_cases(tested)))


def default_metrics(frame: FrozenFrame) -> tuple[str, ...]:
    """Return `pass_rate` and every scorer's metric that is not advisory."""
    names = [metric.name for metric in frame.metrics if metric.name not in frame.advisory]
    return ("pass_rate", *names) if "pass_rate" in frame.rows else tuple(names)


def _default_metrics(frame: FrozenFrame, baseline: FrozenFrame) -> tuple[str, ...]:
    """Return the default metrics without new ones that no shared case has."""
    names = default_metrics(frame)
    new = [name for name in names if name not in baseline.rows]
    if not new:
        return names
    ours, theirs = applied_in(frame), applied_in(baseline)
    unshared = {name for name in new if not is_shared(ours, theirs, name)}
    return tuple(name for name in names if name not in unshared)


def _incomparable(frame: FrozenFrame, baseline: Baseline, metrics: Sequence[str]) -> dict[str, str]:
    return incomparable_metrics(applied_in(frame), baseline, [name for name in metrics if frame.compared(name)])


def _whole(outcome: CheckOutcome, reason: str, metric: str = "") -> Check:
    need = "a comparison with the baseline"
    return Check(name="no_regression", metric=metric, cohort=OVERALL, outcome=outcome, need=need, reason=reason)


def _too_little(pairing: Pairing, *, partial: bool) -> str:
    counted = f"only {pairing.n_cases} of {pairing.n_comparable} cases"
    if partial:
        return f"{counted} of the baseline are in this run: run the whole suite to compare"
    shared = f"{counted} of the baseline are in this run with the same content"
    if pairing.candidate.sample is not None:
        shared = f"{counted} of the sample are in the baseline with the same content"
    return (
        f"{shared}, need {MIN_OVERLAP:.0%}: run this golden set with the old system, and save that run with "
        "`evalkit baseline save`"
    )


def _too_little_in_files(pairing: Pairing, found: Comparison) -> str:
    """Say how many cases of two files are the same, and name some that are in one alone."""
    parts = [("only before", found.removed), ("only after", found.added), ("ask something else after", found.changed)]
    named = "; ".join(f"{word}: {some(ids, 3)}" for word, ids in parts if ids)
    counted = (
        f"only {pairing.n_cases} of {pairing.n_comparable} cases are the same on both sides, need {MIN_OVERLAP:.0%}"
    )
    return f"{counted} ({named}): name a column with --id that holds the same for a case on both sides"


def _votes(frame: FrozenFrame, summary: Summary, policy: NoRegression, metrics: Sequence[str]) -> dict[str, bool]:
    """Map each tested metric to whether it may block; an untrusted judge's own metric is tested but only warns."""
    proven = {name: not unproven_judges(frame, summary, name, OVERALL) for name in metrics}
    meant = {"pass_rate", *(policy.metrics or ())}
    return {name: shown for name, shown in proven.items() if shown or name not in meant}


def _unproven(
    frame: FrozenFrame,
    summary: Summary,
    policy: NoRegression,
    metrics: Sequence[str],
    drops: Sequence[CorrectedDrop],
) -> list[Check]:
    """Refuse the metrics of judges that are not trusted; labels that show no drop do not make them pass."""
    both = (
        "; or label both runs with `evalkit labels sample RUN --both BASELINE`, so that a drop by their labels blocks"
    )
    labelled = dict.fromkeys(metrics, both if policy.corrected else "")
    labelled |= {each.metric: f"; {sentence_of(frame, each)}" for each in drops}
    return [
        _whole(
            "no decision",
            calibrate_first(name, OVERALL, unproven_judges(frame, summary, name, OVERALL)) + labelled[name],
            name,
        )
        for name in metrics
    ]


def _uncompared(
    frame: FrozenFrame, policy: NoRegression, metrics: Sequence[str], incomparable: Mapping[str, str]
) -> list[Check]:
    reasons = {name: "this run does not have it" for name in metrics if frame.compared(name) is None}
    reasons |= {name: f"its scores were made differently: {part}" for name, part in incomparable.items()}
    labels = within(frame.cohorts, policy.by)
    absent = [name for name in policy.critical if not any(is_critical(label, [name]) for label in labels)]
    return [
        *(_whole("no decision", f"{name} cannot be compared: {why}", name) for name, why in reasons.items()),
        *(_whole("no decision", f"{name}: called critical, but no case of this run belongs to it") for name in absent),
    ]


def _join(refused: Sequence[Check], gates: Sequence[Gate], tested: Sequence[Tested], frame: FrozenFrame) -> Finding:
    """Order the checks: causes, their echoes, gates without a drop, then gates too small to test."""
    causes, echoes = causes_first([each for each in tested if each.outcome != "pass"])
    quiet = [each for each in tested if each.outcome == "pass"]
    small = [gate for gate in gates if gate.n_independent < MIN_PAIRED and (len(gate.cases) or gate.critical)]
    improved = frozenset(gate.metric.name for gate in gates if gate.cohort == OVERALL and gate.mean_drop < 0)
    cause_checks = [tested_check(frame, each, improved) for each in causes]
    small_checks = [untested_check(gate) for gate in small]
    decisive = [*refused, *cause_checks, *(c for c, gate in zip(small_checks, small, strict=True) if gate.critical)]
    if not tested and not refused:
        clustered = any(len(gate.cases) >= MIN_PAIRED for gate in gates)
        what = f"{MIN_PAIRED} independent clusters of cases" if clustered else f"{MIN_PAIRED} cases"
        decisive.append(_whole("insufficient evidence", f"no metric has {what} that both runs scored"))
    others = [tested_check(frame, each, improved) for each in (*echoes, *quiet)]
    checks = dict.fromkeys([*decisive, *others, *small_checks])
    return Finding(tuple(checks), (*finding(decisive).reasons, *_echo_reasons(echoes)))


def _echo_reasons(echoes: Sequence[Tested]) -> list[tuple[CheckOutcome, str]]:
    """Let echoes affect the decision without naming each, which would hide the cause."""
    blocking = sum(each.outcome == "block" for each in echoes)
    warning = len(echoes) - blocking
    if not echoes:
        return []
    parts = [_echoes(blocking, "block"), f"{warning} warn{'s' * (warning == 1)}"] if blocking and warning else []
    sentence = " and ".join(parts) or _echoes(len(echoes), "block" if blocking else "warn")
    return [("block" if blocking else "warn", f"{sentence} because of the same cases")]


def _echoes(count: int, verb: str) -> str:
    """Count other gates that fail because of the cases of a named one."""
    return f"1 more check {verb}s" if count == 1 else f"{count} more checks {verb}"
