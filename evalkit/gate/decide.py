"""Apply a policy to a summary and a baseline, and decide."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import TYPE_CHECKING

from evalkit.aggregate.frozen import FrozenFrame
from evalkit.errors import ExitCode
from evalkit.gate.attack_success import AttackSuccess, attack_checks
from evalkit.gate.card import Card, card_checks
from evalkit.gate.checks import CANARY_RUNS, canaries_to_repeat, canary_checks, coverage_checks, failure_checks
from evalkit.gate.comparison_plan import ComparisonPlan, trial_of
from evalkit.gate.critical_cases import RUNS
from evalkit.gate.findings import Finding, finding
from evalkit.gate.leakage import Leakage, leakage_checks
from evalkit.gate.no_regression import escalated_cases, regression_finding, suspects_to_repeat
from evalkit.gate.pairing import Baseline
from evalkit.gate.parity_gap import ParityGap, parity_checks
from evalkit.gate.policy import ADD_GATE, NO_GATE, Best, Canary, Failures, NoRegression, Policy, Threshold
from evalkit.gate.quarantine import quarantine_checks
from evalkit.gate.regression import MORE_RUNS
from evalkit.gate.robustness_gap import RobustnessGap, robustness_checks
from evalkit.gate.thresholds import threshold_finding
from evalkit.results import PARTIAL_RUN, CheckOutcome, CorrectedDrop, Decision, Outcome, StoppedEarly, Summary
from evalkit.results.variants import VariantFigures

if TYPE_CHECKING:
    from evalkit.gate.best_system import Contender

EXIT_CODES: dict[Outcome, ExitCode] = {
    "approved": ExitCode.APPROVED,
    "approved with conditions": ExitCode.APPROVED,
    "blocked": ExitCode.BLOCKED,
    "no decision": ExitCode.NO_DECISION,
}
_MOST_IMPORTANT_FIRST: tuple[CheckOutcome, ...] = ("block", "no decision", "warn", "insufficient evidence")


@dataclass(frozen=True, slots=True)
class NeedsRepeats:
    """Cases whose failure alone would block; run each until it has `repeats` rows, then decide again."""

    case_ids: tuple[str, ...]
    repeats: int
    both: bool = False
    """Whether to run the baseline's system as well."""


def decide(  # noqa: PLR0913 - what a decision depends on
    frame: FrozenFrame,
    summary: Summary,
    policy: Policy,
    *,
    baseline: Baseline | None,
    partial: str | None,
    seed: int,
    contender: Contender | None = None,
    leaked: Mapping[str, Sequence[str]] = MappingProxyType({}),
    card_gaps: Sequence[str] | None = None,
    drops: Sequence[CorrectedDrop] = (),
    stopped: StoppedEarly | None = None,
    final: bool = False,
) -> Decision | NeedsRepeats:
    """Judge a run by its policy; pure, so the same rows give the same decision.

    Args:
        frame: the run's rows, frozen.
        summary: result of `summarise` on the same frame.
        policy: policy of the suite.
        baseline: the stored run that `no_regression` names, `None` if none is saved yet.
        partial: the part of the suite that was run (such as `--limit 10`), `None` for all of it.
        seed: seed of the sign flips.
        contender: the systems of the run, if there are several.
        leaked: kind of source -> ids of the cases found in it, for each kind that was searched.
        card_gaps: what the data card of the golden set lacks; `None` if it was not checked.
        drops: the drops of judges' metrics, corrected by people's labels of both runs.
        stopped: where the run ended before its last case; `None` for a run of all cases.
        final: nothing can be run again, so decide with the rows at hand.

    Returns:
        `NeedsRepeats` while a canary or a critical case has failed fewer runs than its rule looks at. Otherwise a
        decision. It is blocked if a check blocks, else no decision if a check has no result, else approved, with
        conditions if a check warns or lacks evidence. A partial run, or a policy with no check but coverage, gives no
        decision. If `comparison.incomparable` names metrics, the baseline's scores were made differently: the caller
        turns that into an `InputError`.
    """
    waiting = None if final or partial is not None else _to_repeat(frame, summary, policy, baseline, seed)
    if waiting is not None:
        return waiting
    findings = [
        *_findings(
            frame, summary, policy, baseline, seed, drops, partial=partial is not None, stopped=stopped is not None
        ),
        *_best_findings(frame, summary, policy, contender),
        *(finding(leakage_checks(check, leaked)) for check in policy.checks if isinstance(check, Leakage)),
        *(finding(card_checks(check, card_gaps)) for check in policy.checks if isinstance(check, Card)),
        *_variant_findings(policy, summary.variants),
        finding(quarantine_checks(frame.quarantined)),
        finding(coverage_checks(summary, policy.coverage, policy.critical_in(frame.cohorts))),
    ]
    checks = tuple(check for finding in findings for check in finding.checks)
    ranked = sorted((pair for finding in findings for pair in finding.reasons), key=_importance)
    reasons = tuple(dict.fromkeys(sentence for _, sentence in ranked))
    comparison = next((finding.comparison for finding in findings if finding.comparison is not None), None)
    outcome = _outcome({found for found, _ in ranked}, policy.require_evidence)
    if not policy.can_block:
        outcome, reasons = "no decision", (*reasons, policy.ungated or f"{NO_GATE}; {ADD_GATE}")
    if partial is not None:
        outcome, reasons = "no decision", (PARTIAL_RUN.format(partial), *reasons)
        if comparison is not None:  # a case that was not chosen, or not reached, is still in the golden set
            comparison = replace(comparison, removed=(), removed_failing=())
    return Decision(outcome=outcome, checks=checks, reasons=reasons, comparison=comparison, stopped_early=stopped)


def exit_code(decision: Decision) -> ExitCode:
    """Return the exit code of a decision."""
    return EXIT_CODES[decision.outcome]


def _to_repeat(
    frame: FrozenFrame, summary: Summary, policy: Policy, baseline: Baseline | None, seed: int
) -> NeedsRepeats | None:
    checks = [check for check in policy.checks if isinstance(check, Canary)]
    canaries = tuple(dict.fromkeys(case for check in checks for case in canaries_to_repeat(frame, check)))
    if canaries:
        return NeedsRepeats(canaries, CANARY_RUNS)
    compared = next((check for check in policy.checks if isinstance(check, NoRegression)), None)
    if baseline is None or baseline.other_conversation or compared is None:
        return None
    cases = suspects_to_repeat(frame, baseline, both=policy.escalates)
    trial = trial_for(compared, policy, frame, baseline, seed)
    if trial.again == "neither":
        return NeedsRepeats(cases, RUNS) if cases else None
    both = trial.again == "both"
    repeats = max(RUNS, policy.repeats + MORE_RUNS) if both else RUNS
    worse = escalated_cases(frame, summary, baseline, trial)
    wanted = dict.fromkeys([*cases, *worse])
    key_of = {name: key for name, key in zip(frame.case_ids, frame.keys, strict=True) if name in wanted}
    asked = (frame, baseline.frame) if both else (frame,)
    rows = [_rows_by_key(each, frozenset(key_of.values())) for each in asked]
    open_ = [case for case in wanted if min(count[key_of[case]] for count in rows) < repeats]
    return NeedsRepeats(tuple(open_), repeats, both=both) if open_ else None


def _rows_by_key(frame: FrozenFrame, keys: Collection[bytes]) -> Counter[bytes]:
    """Count the rows of each of these contents."""
    inside = {case for case, key in enumerate(frame.keys) if key in keys}
    return Counter(frame.keys[case] for case in map(int, frame.row_case) if case in inside)


def trial_for(
    check: NoRegression, policy: Policy, frame: FrozenFrame, baseline: Baseline | None, seed: int
) -> ComparisonPlan:
    """Plan how a check compares a run with its baseline."""
    critical = policy.critical_in(frame.cohorts)
    if baseline is None:
        return ComparisonPlan(check, critical, seed, uncompared=policy.uncompared)
    repeats = (baseline.frame.planned_repeats, frame.planned_repeats)
    return trial_of(check, policy, critical, seed, repeats, baseline.frame.planned_or_all)


def _findings(  # noqa: PLR0913 - what findings depend on
    frame: FrozenFrame,
    summary: Summary,
    policy: Policy,
    baseline: Baseline | None,
    seed: int,
    drops: Sequence[CorrectedDrop],
    *,
    partial: bool,
    stopped: bool,
) -> list[Finding]:
    """Collect all findings, regressions first, because regressions name causes and absolute limits only symptoms."""
    found = [
        regression_finding(
            frame,
            summary,
            baseline,
            trial_for(check, policy, frame, baseline, seed),
            drops=drops,
            partial=partial,
            stopped=stopped,
        )
        for check in policy.checks
        if isinstance(check, NoRegression)
    ]
    for check in policy.checks:
        if isinstance(check, Failures):
            found.append(finding(failure_checks(frame, summary, check)))
        elif isinstance(check, Canary):
            found.append(finding(canary_checks(frame, summary, check)))
        elif isinstance(check, Threshold):
            found.append(threshold_finding(frame, summary, check))
    return found


def _best_findings(frame: FrozenFrame, summary: Summary, policy: Policy, contender: Contender | None) -> list[Finding]:
    best = [check for check in policy.checks if isinstance(check, Best)]
    if not best:
        return []
    from evalkit.gate.best_system import best_checks  # few runs compare systems, and it takes time to load

    return [finding(best_checks(frame, summary, check, contender)) for check in best]


def _variant_findings(policy: Policy, figures: VariantFigures | None) -> Iterator[Finding]:
    for check in policy.checks:
        if isinstance(check, RobustnessGap):
            yield finding(robustness_checks(check, figures))
        elif isinstance(check, AttackSuccess):
            yield finding(attack_checks(check, figures))
        elif isinstance(check, ParityGap):
            yield finding(parity_checks(check, figures))


def _importance(reason: tuple[CheckOutcome, str]) -> int:
    return _MOST_IMPORTANT_FIRST.index(reason[0])


def _outcome(outcomes: set[CheckOutcome], require_evidence: bool) -> Outcome:
    if "block" in outcomes:
        return "blocked"
    if "no decision" in outcomes or (require_evidence and "insufficient evidence" in outcomes):
        return "no decision"
    return "approved with conditions" if outcomes else "approved"
