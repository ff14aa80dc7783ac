"""Compare two versions of a golden set: what joined, left and changed, and what that does to the gate."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from evalkit.disk.paths import project_of
from evalkit.errors import InputError, Problem
from evalkit.gate.regression import ALPHA
from evalkit.golden.read import read_all
from evalkit.golden.set_versions import EditedCase as EditedCase
from evalkit.golden.set_versions import VersionChanges, Versioned, of_cases, of_lock, version_changes
from evalkit.golden.set_versions import VersionedCase as VersionedCase
from evalkit.golden.stored_lock import parse_lock
from evalkit.operations.case_rates import CaseRates, case_rates
from evalkit.operations.noise import detectable
from evalkit.results import OVERALL
from evalkit.store.git import PREFIX, file_at

_LOCK = ".lock.json"


@dataclass(frozen=True, kw_only=True)
class GoldenDiff:
    """Two versions of a golden set."""

    changes: VersionChanges
    drop_before: float | None
    """Smallest drop of the pass rate, from 0 to 1, that a gate finds 4 times in 5 with single runs of the version, if
    8.5 % of the cases flip; `None` if there is none."""
    drop_after: float | None
    rates: CaseRates | None = None
    """Pass rates of the removed and of the kept cases; `None` without a run, or if nothing was removed."""


def golden_diff(before: str, after: str, run: str | None = None) -> GoldenDiff:
    """Compare two versions of a golden set.

    Args:
        before: the old version: a set, its lock, or `git:REF:PATH` of one.
        after: the new version.
        run: a stored run of the old version.

    Raises:
        InputError: a version or the run cannot be read, or the run cannot be matched because the old version is a lock.
    """
    old, new = _version(before), _version(after)
    changes = version_changes(old, new)
    rates = None
    if run is not None:
        removed = {each.case.id for each in changes.removed if each.case is not None}
        if changes.removed and not removed:
            fix = "give the set itself, such as git:REF:PATH"
            raise InputError(Problem(before, "a lock does not say which cases of the run were removed", fix))
        rates = case_rates(run, removed) if removed else None
    return GoldenDiff(changes=changes, drop_before=_drop(len(old)), drop_after=_drop(len(new)), rates=rates)


def _version(name: str) -> Versioned:
    """Read a version.

    Raises:
        InputError: it cannot be read.
    """
    file = file_at(name, project_of(Path.cwd())) if name.startswith(PREFIX) else Path(name)
    if not file.is_file():
        raise InputError(Problem(name, "no such file", "name a set, its lock, or git:REF:PATH"))
    if file.name.endswith(_LOCK):
        return of_lock(parse_lock(file, name))
    return of_cases(read_all(file, name))


def _drop(n_cases: int) -> float | None:
    found = detectable({"pass_rate": {OVERALL: n_cases}}, {}, critical=frozenset(), alpha=ALPHA)
    return found[0].smallest_drop if found else None
