"""Format figures and names for the sentences of a decision."""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Sequence

from evalkit.aggregate.columns import Floats
from evalkit.aggregate.frozen import FrozenFrame
from evalkit.aggregate.statuses import chosen_runs
from evalkit.results import OVERALL, Summary
from evalkit.trust.trusted import trust_in
from evalkit.types import SEVERITIES

_VOTED = frozenset({"pass_rate", "pass_any", "pass_all", "pass_spread", "pass_rate_production"})
SHOWN_CASES = 100
"""Maximum number of cases that a check lists; the reason gives the full count."""


def number(value: float) -> str:
    """Format a figure with at most three decimals, and small ones with three digits."""
    if value == 0 or abs(value) >= 0.01:
        return f"{value:,.3f}".rstrip("0").rstrip(".")
    return f"{value:.3g}"


def about(metric: str, cohort: str) -> str:
    """Start a sentence: the metric, after the cohort if that is not overall."""
    return metric if cohort == OVERALL else f"{cohort}: {metric}"


def worst_first(frame: FrozenFrame, positions: Iterable[int], badness: Floats) -> tuple[str, ...]:
    """Return case ids by falling badness, then severity, then id.

    Args:
        frame: the run.
        positions: cases to list.
        badness: one number per case of the frame.
    """
    ranked = sorted(
        positions,
        key=lambda i: (-float(badness[i]), -_severity(frame.severities[i]), frame.case_ids[i]),
    )
    return tuple(frame.case_ids[i] for i in ranked)


def some(ids: Sequence[str], count: int = 5) -> str:
    """List the first few ids."""
    shown = ", ".join(ids[:count])
    return shown if len(ids) <= count else f"{shown} and {len(ids) - count} more"


def save_with_repeats(run: str, name: str, repeats: int) -> str:
    """Return the command that runs the missing repeats of a stored run and saves it."""
    return f"evalkit baseline save {shlex.quote(run)} --name {shlex.quote(name)} --repeat {repeats}"


def unproven_judges(frame: FrozenFrame, summary: Summary, metric: str, cohort: str) -> tuple[str, ...]:
    """List the judge metrics behind a metric that labels have not shown to be trusted.

    Args:
        frame: the run.
        summary: summary with the agreement of its judges.
        metric: `pass_rate` rests on every scorer that votes in it.
        cohort: `overall` or `name=value`.
    """
    names = frame.voters if _is_voted(metric) else (metric.removesuffix(".passed"),)
    judges = [each for each in frame.metrics if each.name in names and each.judge is not None]
    passes = _of_passes(metric)
    return tuple(
        each.name for each in judges if trust_in(summary.agreement, each, passes=passes, cohort=cohort) != "trusted"
    )


def calibrate_first(metric: str, cohort: str, judges: Sequence[str]) -> str:
    """Explain why a judge may not decide, and how to calibrate it."""
    who = f"({', '.join(judges)}, on pass and fail)" if _of_passes(metric) else f"({', '.join(judges)})"
    return (
        f"{about(metric, cohort)} rests on a judge whose agreement with people is not shown {who}: "
        "draw answers to label with `evalkit labels sample RUN`, or make the scorer advisory"
    )


def _is_voted(metric: str) -> bool:
    """Return whether every scorer with a pass mark votes in a metric."""
    return metric in _VOTED or chosen_runs(metric) is not None


def _of_passes(metric: str) -> bool:
    """Return whether a metric counts passes and fails, even if the judge grades in levels."""
    return _is_voted(metric) or metric in ("failures", "canary") or metric.endswith(".passed")


def _severity(name: str) -> int:
    return SEVERITIES.index(name) if name in SEVERITIES else -1
