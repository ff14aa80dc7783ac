"""Block on a critical case that broke, if both runs are certain.

"It broke, and broke again" blocks 31 % of unchanged systems with 20 critical cases of ordinary flakiness. Requiring
four passes of four before and four failures of four now blocks well under 1 % (`benchmarks/error_rates.py`).
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from evalkit.aggregate.frozen import FrozenFrame
from evalkit.aggregate.statuses import SCORED
from evalkit.gate.findings import Finding, finding
from evalkit.gate.pairing import Pairing
from evalkit.gate.words import some
from evalkit.results import Check
from evalkit.text.numbers import plural

RUNS = 4
"""Number of repeats on each side, which must all agree."""
Verdicts = list[bool | None]


@dataclass(frozen=True)
class _Broken:
    """Positions of critical cases that passed in the baseline and fail now."""

    surely: tuple[int, ...]
    perhaps: tuple[int, ...]
    to_repeat: tuple[int, ...]
    """Positions in `perhaps` for which only the candidate's repeats are missing."""


def critical_case_finding(pairing: Pairing, *, may_block: bool) -> Finding:
    """Block for critical cases that certainly broke, and warn about those that may have.

    Args:
        pairing: pairing of candidate and baseline.
        may_block: False if `pass_rate` rests on a judge that is not trusted.
    """
    frame = pairing.candidate
    if not any(_is_guarded(frame, case) for case in range(frame.n_cases)):
        return finding([])
    broken = _broken(pairing)
    blank = Check(
        name="critical cases",
        metric="pass_rate",
        cohort="severity=critical",
        outcome="pass",
        need=f"none that passed {RUNS} of {RUNS} times fails {RUNS} of {RUNS} times",
        reason="no critical case that passed every time fails now",
    )
    checks = []
    if broken.surely:
        ids = tuple(frame.case_ids[case] for case in broken.surely)
        broke = f"{plural(len(ids), 'critical case')} broke"
        reason = f"{broke}: passed {RUNS} of {RUNS} times, now fail every time: {some(ids)}"
        checks.append(replace(blank, outcome="block" if may_block else "warn", case_ids=ids, reason=reason))
    if broken.perhaps:
        ids = tuple(frame.case_ids[case] for case in broken.perhaps)
        fail = "1 critical case newly fails" if len(ids) == 1 else f"{len(ids)} critical cases newly fail"
        reason = f"{fail}, in too few runs to tell from a flake: {some(ids)}"
        checks.append(replace(blank, outcome="warn", case_ids=ids, reason=reason))
    return finding(checks or [blank])


def critical_cases_to_repeat(pairing: Pairing, *, both: bool = False) -> tuple[str, ...]:
    """List the critical cases that would block if additional repeats agreed with the existing ones.

    Args:
        pairing: pairing of candidate and baseline.
        both: whether the baseline's system can be run again too; if not, its runs must already exist.
    """
    broken = _broken(pairing)
    return tuple(pairing.candidate.case_ids[case] for case in (broken.perhaps if both else broken.to_repeat))


def _broken(pairing: Pairing) -> _Broken:
    ours, theirs = pairing.candidate, pairing.baseline
    place = {key: case for case, key in enumerate(theirs.keys)}
    before, after = _verdicts(theirs), _verdicts(ours)
    failing = ours.fails
    surely, perhaps, to_repeat = [], [], []
    for case in range(ours.n_cases):
        other = place.get(ours.keys[case])
        if other is None or not _is_guarded(ours, case):
            continue
        was, now = before[other][:RUNS], after[case][:RUNS]
        if not _all(was, passed=True) or not failing[case]:
            continue
        if len(was) == len(now) == RUNS and _all(now, passed=False):
            surely.append(case)
            continue
        perhaps.append(case)
        if len(was) == RUNS and len(now) < RUNS and _all(now, passed=False):
            to_repeat.append(case)
    return _Broken(tuple(surely), tuple(perhaps), tuple(to_repeat))


def _is_guarded(frame: FrozenFrame, case: int) -> bool:
    return frame.severities[case] == "critical" and frame.kinds[case] != "canary"


def _verdicts(frame: FrozenFrame) -> list[Verdicts]:
    """Return the verdicts of each case in the order of its repeats: passed, failed, or unknown (`None`)."""
    known = frame.verdicts.status == SCORED
    found: list[Verdicts] = [[] for _ in range(frame.n_cases)]
    passed = np.where(known, frame.verdicts.values == 1, False)
    for row, case in enumerate(frame.row_case.tolist()):
        found[case].append(bool(passed[row]) if known[row] else None)
    return found


def _all(verdicts: Verdicts, *, passed: bool) -> bool:
    return bool(verdicts) and all(each is passed for each in verdicts)
