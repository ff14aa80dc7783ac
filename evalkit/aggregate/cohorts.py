"""Derive the cohorts of a case, and its stratum in a sample."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from evalkit.types import KINDS, SEVERITIES, Case

SHORT_WORDS, MEDIUM_WORDS = 8, 20
SUM_SLACK = 1e-3
"""Tolerance for the sum of rounded shares."""


def query_length(case: Case) -> str:
    """Return the class of the question's length: `short` up to 8 words, `medium` up to 20, else `long`."""
    words = len(case.question.split())
    if words <= SHORT_WORDS:
        return "short"
    return "medium" if words <= MEDIUM_WORDS else "long"


_DERIVED_COHORTS: dict[str, Callable[[Case], str]] = {
    "query_length": query_length,
    "kind": lambda case: case.kind,
    "severity": lambda case: case.severity,
}


DERIVED_VALUES: Mapping[str, Sequence[str]] = {
    "query_length": ("short", "medium", "long"),
    "kind": KINDS,
    "severity": SEVERITIES,
}
"""The possible values of each derived cohort."""


def cohort_value(case: Case, name: str) -> str | None:
    """Find the value of one cohort: the case's own, else the derived one, else `None`."""
    value = case.cohorts.get(name)
    if value is None and name in _DERIVED_COHORTS:
        return _DERIVED_COHORTS[name](case)
    return value


CANARIES = "kind=canary"
"""The stratum of canaries in a sample, all of which are drawn."""


def stratum_of(case: Case, by: str) -> str:
    """Return the stratum of a case in a sample: canaries, the value of a cohort, or its absence."""
    if case.kind == "canary":
        return CANARIES
    value = cohort_value(case, by)
    return f"no {by}" if value is None else f"{by}={value}"


def check_mix(mix: Mapping[str, float], cohorts: Sequence[str]) -> None:
    """Reject shares that are not a mix of the values of one declared cohort.

    Raises:
        ValueError: `production: what; fix`.
    """
    if not mix:
        return
    names = {label.partition("=")[0] for label in mix}
    if len(names) > 1 or not all("=" in label for label in mix):
        raise ValueError("production: shares of several cohorts, or of none; write name=value of one: {topic=hours: 1}")
    if not names <= set(cohorts):
        raise ValueError(f"production: {min(names)!r} is not a cohort of the suite; name it under `cohorts:` too")
    if min(mix.values()) < 0 or abs(sum(mix.values()) - 1) > SUM_SLACK:
        raise ValueError(
            f"production: the shares sum to {sum(mix.values()):g}; write shares of at least 0 that sum to 1"
        )
