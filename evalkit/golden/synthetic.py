"""Limit synthetic cases: their share of a set, and the cohorts that they may not make up alone."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from evalkit.types import Case

SYNTHETIC = "synthetic"
MOST_SYNTHETIC = 0.2
"""Largest share of synthetic cases in a set."""
ORIGIN = "origin"


def is_synthetic(case: Case) -> bool:
    """Return whether a case says that a program wrote it."""
    return case.fields.get(ORIGIN) == SYNTHETIC


def synthetic_room(known: Sequence[Case]) -> int:
    """Return how many synthetic cases may join a set, so that they are at most 20 % of it afterwards."""
    n_synthetic = sum(map(is_synthetic, known))
    return max(0, (len(known) - n_synthetic) // 4 - n_synthetic)


def synthetic_faults(known: Sequence[Case], case: Case) -> Iterator[tuple[str, str]]:
    """Yield what and fix of everything that keeps a synthetic case out of a set; nothing for a case of other origin.

    Args:
        known: the cases of the set.
        case: the case that is to join it.
    """
    if not is_synthetic(case):
        return
    if not synthetic_room(known):
        n_synthetic = 1 + sum(map(is_synthetic, known))
        what = f"{n_synthetic} of {len(known) + 1} cases would be synthetic, and at most 20 % may be"
        yield what, "leave it out, or write cases by hand first"
    own = {label for each in known if not is_synthetic(each) for label in _labels(each)}
    for label in sorted(set(_labels(case)) - own):
        yield f"the cohort {label} would hold synthetic cases alone", "write one by hand first"


def _labels(case: Case) -> Iterator[str]:
    return (f"{name}={value}" for name, value in case.cohorts.items() if name != ORIGIN)
