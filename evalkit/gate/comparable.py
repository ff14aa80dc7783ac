"""Find the metrics that were scored differently in a run and in its baseline."""

from __future__ import annotations

import shlex
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import PurePosixPath

import numpy as np
from numpy.typing import NDArray

from evalkit.aggregate.frozen import FrozenFrame
from evalkit.aggregate.statuses import SCORED, UNSCORED
from evalkit.gate.pairing import Baseline
from evalkit.text.numbers import plural

LACKING = "the baseline does not have the metric"
_RESCORED = "reports/rescored"


@dataclass(frozen=True, eq=False)
class Applied:
    """The cases that the metrics of a run apply to, from its rows or, before the first call, from the suite."""

    voters: Collection[str]
    """Metrics that make up `pass_rate`."""
    cases: frozenset[bytes]
    """Content keys of all cases."""
    answered: frozenset[bytes]
    """Content keys of the cases with an answer."""
    left_out: Mapping[str, frozenset[bytes]]
    """Metric -> cases with an answer that it does not apply to."""

    def to(self, metric: str) -> frozenset[bytes]:
        """Return the cases that a metric applies to, scored or not."""
        return self.answered - self.left_out[metric] if metric in self.left_out else frozenset()


def applied_in(frame: FrozenFrame) -> Applied:
    """Return the cases that the metrics of a run apply to."""
    answered, applied = frame.covered.copy(), {}
    for name, column in frame.rows.items():
        applied[name] = np.isin(column.status, (SCORED, UNSCORED))
        answered |= applied[name]
    return Applied(
        voters=frame.voters,
        cases=frozenset(frame.keys),
        answered=_keys_of(frame, answered),
        left_out={name: _keys_of(frame, answered & ~rows) for name, rows in applied.items()},
    )


def incomparable_metrics(candidate: Applied, baseline: Baseline, metrics: Collection[str]) -> dict[str, str]:
    """Find the metrics that were scored differently in the two runs.

    Args:
        candidate: the run to decide, or the suite that is about to run.
        baseline: the stored run, with both runs' score keys.
        metrics: those that the policy compares.

    Returns:
        Metric -> the part that differs. `pass_rate` depends on every scorer that votes in it.
    """
    found: dict[str, str] = {}
    before = applied_in(baseline.frame)
    for name in metrics:
        if name == "pass_rate":
            reason = _pass_rate_difference(candidate, before, baseline)
        else:
            own = name.removesuffix(".passed")
            reason = LACKING if baseline.frame.compared(own) is None else ""
            reason = reason or baseline.differing_parts(own) or _narrowed(candidate, before, own)
            if not reason and baseline.frame.compared(name) is None:
                reason = LACKING
        if reason:
            found[name] = reason
    return found


def unlike(metric: str, part: str) -> str:
    """Describe the fault of a baseline with a metric that is not comparable.

    Args:
        metric: its name.
        part: the part that differs, from `incomparable_metrics`.
    """
    return f"it has no scores of {metric}" if part == LACKING else f"its {metric} was scored differently ({part})"


def score_again(run: str = "RUN", suite: str = "SUITE", baseline: str = "main") -> str:
    """Return the fix for a baseline that was scored differently, with commands to copy.

    Args:
        run: the baseline, as a command finds it.
        suite: path of the suite.
        baseline: name or place by which the suite finds it; the last part of it is the name to save under.
    """
    score = shlex.join(["evalkit", "score", run, "--suite", suite, "--out", _RESCORED])
    save = shlex.join(["evalkit", "baseline", "save", _RESCORED, "--name", PurePosixPath(baseline).name])
    return f"score its stored answers again with `{score}`, and save them with `{save}`"


def is_shared(candidate: Applied, baseline: Applied, metric: str) -> bool:
    """Return whether a metric was measured, in either run, on a case that is in both."""
    return not (candidate.to(metric).isdisjoint(baseline.cases) and baseline.to(metric).isdisjoint(candidate.cases))


def _pass_rate_difference(candidate: Applied, before: Applied, baseline: Baseline) -> str:
    ours, theirs = set(candidate.voters), set(before.voters)
    if differ := sorted(name for name in ours ^ theirs if is_shared(candidate, before, name)):
        return f"scorers that make it up differ: {', '.join(differ)}"
    parts = {
        name: baseline.differing_parts(name) or _narrowed(candidate, before, name) or _narrowed(before, candidate, name)
        for name in sorted(ours & theirs)
    }
    return "; ".join(f"{name}: {part}" for name, part in parts.items() if part)


def _narrowed(narrow: Applied, wide: Applied, metric: str) -> str:
    """Report that a scorer skips cases in one run that it grades in the other; empty if it does not."""
    left_out = narrow.left_out.get(metric, narrow.answered)
    if not (both := left_out & wide.to(metric)):
        return ""
    return f"`when`: {plural(len(both), 'case')} graded in one of the two runs only"


def _keys_of(frame: FrozenFrame, rows: NDArray[np.bool_]) -> frozenset[bytes]:
    return frozenset(frame.keys[case] for case in np.unique(frame.row_case[rows]).tolist())
