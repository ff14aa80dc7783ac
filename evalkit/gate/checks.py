"""Check single cases and completeness: failures, canaries, coverage."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from evalkit.aggregate.frozen import FrozenFrame
from evalkit.aggregate.statuses import ABSENT, SCORED
from evalkit.gate.findings import only_warns
from evalkit.gate.policy import Canary, Coverage, Failures
from evalkit.gate.words import SHOWN_CASES, calibrate_first, number, some, unproven_judges, worst_first
from evalkit.results import OVERALL, Check, CheckOutcome, Summary
from evalkit.text.numbers import plural
from evalkit.types import fails

CANARY_RUNS = 3
"""Number of repeats of a canary that `2 of 3` considers."""


def failure_checks(frame: FrozenFrame, summary: Summary, policy: Failures) -> list[Check]:
    """Count the failing cases of a severity (see `types.fails`)."""
    chosen = _chosen(frame, policy)
    words = " ".join(filter(None, [policy.severity, policy.kind]))
    blank = Check(
        name="failures",
        metric="pass_rate",
        cohort=f"severity={policy.severity}" if policy.severity else OVERALL,
        outcome="no decision",
        need=f"<= {policy.max} failing {words} cases".replace("  ", " "),
    )
    check = _failures(frame, summary, policy, blank, chosen)
    return [only_warns(check)] if policy.on_fail == "warn" else [check]


def _chosen(frame: FrozenFrame, policy: Failures) -> list[int]:
    return [
        i
        for i in range(frame.n_cases)
        if policy.severity in (None, frame.severities[i])
        and (frame.kinds[i] == policy.kind if policy.kind else frame.kinds[i] != "canary")
    ]


def _failures(frame: FrozenFrame, summary: Summary, policy: Failures, blank: Check, chosen: list[int]) -> Check:
    if not frame.voters:
        return replace(blank, reason="failures cannot be counted: no scorer of this run has a pass mark")
    if not chosen:
        return replace(blank, outcome="insufficient evidence", reason=f"{blank.need}: the golden set has no such case")
    judges = unproven_judges(frame, summary, "pass_rate", OVERALL) if policy.on_fail == "block" else ()
    by_others = _fails_without(frame, judges) if judges else frame.fails
    failing = [i for i in chosen if by_others[i]]
    if judges and len(failing) <= policy.max:
        return replace(blank, reason=calibrate_first("failures", OVERALL, judges))
    known = np.maximum(1, frame.n_passed + frame.n_failed)
    ids = worst_first(frame, failing, frame.n_failed / known)
    check = replace(blank, case_ids=ids[:SHOWN_CASES])
    if len(failing) > policy.max:
        reason = f"{_cases_fail(len(failing))}{_regardless_of(judges)}, need {blank.need}: {some(ids)}"
        return replace(check, outcome="block", reason=reason)
    unknown = _might_fail(frame, chosen)
    if len(failing) + len(unknown) > policy.max:
        ids = tuple(frame.case_ids[i] for i in unknown)
        reason = f"{plural(len(unknown), 'case')} without a grade might fail, need {blank.need}: {some(ids)}"
        return replace(check, outcome="insufficient evidence", reason=reason)
    flaky = [i for i in chosen if frame.n_failed[i] and not frame.fails[i]]
    if flaky and frame.repeat_rule == "mean":
        ids = worst_first(frame, [*failing, *flaky], frame.n_failed / known)
        reason = f"{_cases_fail(len(flaky))} in some repeats only: {some(ids)}"
        return replace(check, outcome="warn", reason=reason, case_ids=ids[:SHOWN_CASES])
    return replace(check, outcome="pass", reason=f"{len(failing)} of {len(chosen)} cases fail, need {blank.need}")


def _failed_without(frame: FrozenFrame, judges: Sequence[str]) -> NDArray[np.bool_]:
    """Return for each row whether it failed even if these judges had passed every answer."""
    failed = np.zeros(len(frame.row_case), bool)
    for name in frame.voters:
        if name not in judges:
            column = frame.rows.get(f"{name}.passed", frame.rows[name])
            failed |= (column.status == SCORED) & (column.values == 0)
    return failed


def _fails_without(frame: FrozenFrame, judges: Sequence[str]) -> NDArray[np.bool_]:
    """Return for each case whether it fails even if these judges had passed every answer."""
    n_failed = np.bincount(frame.row_case[_failed_without(frame, judges)], minlength=frame.n_cases)
    found: NDArray[np.bool_] = fails(frame.n_passed + frame.n_failed - n_failed, n_failed, frame.repeat_rule)
    return found


def _regardless_of(judges: Sequence[str]) -> str:
    return f" whatever the judge says ({', '.join(judges)})" if judges else ""


def _cases_fail(count: int) -> str:
    return "1 case fails" if count == 1 else f"{count} cases fail"


def _might_fail(frame: FrozenFrame, chosen: Sequence[int]) -> list[int]:
    """Return the cases that do not fail, but would if every repeat without a verdict had failed."""
    unknown = (frame.verdicts.status != SCORED) & (frame.verdicts.status != ABSENT)
    missing = np.bincount(frame.row_case[unknown], minlength=frame.n_cases)
    might = fails(frame.n_passed, frame.n_failed + missing, frame.repeat_rule) & (missing > 0) & ~frame.fails
    return [i for i in chosen if might[i]]


def canaries_to_repeat(frame: FrozenFrame, policy: Canary) -> tuple[str, ...]:
    """Find the canaries that failed at repeat 0 and have not been run three times."""
    if policy.rule == "strict" or not frame.voters:
        return ()
    verdicts = _canary_verdicts(frame)
    return tuple(
        frame.case_ids[case]
        for case, results in sorted(verdicts.items())
        if results[0] is False and len(results) < CANARY_RUNS
    )


def canary_checks(frame: FrozenFrame, summary: Summary, policy: Canary) -> list[Check]:
    """Judge every canary by its first run (`strict`) or its first three (`2 of 3`)."""
    blank = Check(name="canary", metric="pass_rate", cohort="kind=canary", outcome="no decision", need=policy.rule)
    check = _canaries(frame, summary, policy, blank)
    return [only_warns(check)] if policy.on_fail == "warn" else [check]


def _canary_verdicts(frame: FrozenFrame) -> dict[int, list[bool | None]]:
    """Return the verdicts of each canary in the order of its repeats: passed, failed, or unknown (`None`)."""
    column = frame.verdicts
    verdicts: dict[int, list[bool | None]] = {}
    for row, case in enumerate(frame.row_case.tolist()):
        if frame.kinds[case] == "canary":
            known = column.status[row] == SCORED
            verdicts.setdefault(case, []).append(bool(column.at(row) == 1) if known else None)
    return verdicts


def _canaries(frame: FrozenFrame, summary: Summary, policy: Canary, blank: Check) -> Check:
    if "canary" not in frame.kinds:
        return replace(blank, outcome="insufficient evidence", reason="the golden set has no case of kind `canary`")
    if not frame.voters:
        return replace(blank, reason="canaries cannot be judged: no scorer of this run has a pass mark")
    judges = unproven_judges(frame, summary, "pass_rate", OVERALL) if policy.on_fail == "block" else ()
    verdicts = _canary_verdicts(frame)
    if judges:
        failed = _failed_without(frame, judges)
        verdicts = {case: [not each for each in failed[frame.row_case == case].tolist()] for case in verdicts}
    broken, flaky, unknown = _sorted_out(verdicts, strict=policy.rule == "strict")
    if judges and not broken:
        return replace(blank, reason=calibrate_first("canary", OVERALL, judges))
    findings: tuple[tuple[CheckOutcome, list[int], str], ...] = (
        ("block", broken, "broken"),
        ("no decision", unknown, "without a verdict: too few of their runs could be graded"),
        ("warn", flaky, "flaky: one run of three failed"),
    )
    for outcome, cases, what in findings:
        if cases:
            ids = tuple(frame.case_ids[case] for case in cases)
            who = "1 canary is" if len(ids) == 1 else f"{len(ids)} canaries are"
            reason = f"{who} {what}{_regardless_of(judges)}: {some(ids)}"
            return replace(blank, outcome=outcome, case_ids=ids, reason=reason)
    return replace(blank, outcome="pass", reason="every canary passed")


def _sorted_out(verdicts: dict[int, list[bool | None]], *, strict: bool) -> tuple[list[int], list[int], list[int]]:
    """Split the canaries into broken, flaky, and without a verdict."""
    broken, flaky, unknown = [], [], []
    for case, results in sorted(verdicts.items()):
        first = results[:CANARY_RUNS]
        failures, passes = first.count(False), first.count(True)
        needed = 1 if strict or len(first) == 1 else 2
        if failures >= needed:
            broken.append(case)
        elif passes < needed:
            unknown.append(case)
        elif failures:
            flaky.append(case)
    return broken, flaky, unknown


def coverage_checks(summary: Summary, policy: Coverage, critical: frozenset[str]) -> list[Check]:
    """Compare scored with planned rows, overall and by cohort.

    Args:
        summary: summary with the counts.
        policy: the minimum shares.
        critical: cohorts in which a single missing row is a condition.
    """
    checks = [_overall_coverage(summary.coverage.get(OVERALL, (0, 0)), policy)]
    for cohort, counts in summary.coverage.items():
        if cohort != OVERALL:
            checks += _cohort_coverage(cohort, counts, policy, cohort in critical)
    return checks


def _overall_coverage(counts: tuple[int, int], policy: Coverage) -> Check:
    scored, expected = counts
    enough = expected > 0 and scored >= policy.min * expected
    reason = f"{scored} of {expected} rows are scored, need {100 * policy.min:g}% of them"
    return Check(
        name="coverage",
        metric="coverage",
        cohort=OVERALL,
        outcome="pass" if enough else "no decision",
        need=f">= {number(policy.min)}",
        reason=reason if expected else "no row was planned",
    )


def _cohort_coverage(cohort: str, counts: tuple[int, int], policy: Coverage, critical: bool) -> Sequence[Check]:
    scored, expected = counts
    enough = scored >= policy.by_cohort_min * expected or expected - scored <= 1
    if scored == expected or (enough and not critical):
        return ()
    reason = f"{cohort}: {scored} of {expected} rows are scored"
    check = Check(
        name="coverage",
        metric="coverage",
        cohort=cohort,
        outcome="insufficient evidence" if enough else "no decision",
        need=f">= {number(policy.by_cohort_min)}, or one missing",
        reason=f"{reason}, and the cohort is critical" if enough else reason,
    )
    return (check,)
