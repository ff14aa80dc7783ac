"""List stored runs, and find where their figures stop being comparable."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from evalkit.disk.paths import project_of
from evalkit.errors import InputError, Problem
from evalkit.store.history import UNFINISHED, PastRun, break_between, by_time, released_runs, stored_runs

__all__ = ["PastRun", "breaks_of", "list_runs"]


def list_runs(folder: Path | None, suite: str | None = None) -> tuple[PastRun, ...]:
    """Read the stored runs of a folder, by suite, the newest last; of a run of several systems the released ones.

    Args:
        folder: around run folders; `None` for `reports` in the project of the current folder.
        suite: only runs of this suite.

    Raises:
        InputError: there is no such folder.
    """
    place = folder or project_of(Path.cwd()) / "reports"
    if folder is not None and not place.is_dir():
        raise InputError(Problem(str(place), "no such folder", "name the folder that holds the run folders"))
    released = {past.run_id: past for past in released_runs(place) if suite in (None, past.suite)}
    # A baseline saved from one of them has its id.
    return by_time({**{past.run_id: past for past in stored_runs(place, suite=suite)}, **released}.values())


def breaks_of(found: Sequence[PastRun], metric: str) -> Iterator[tuple[str, str]]:
    """Return the id of each run whose metric cannot be compared with the previous run of its suite -> the reason."""
    before: dict[str, PastRun] = {}
    for past in found:
        if past.partial or past.outcome == UNFINISHED:
            continue
        if past.suite in before and (reason := break_between(before[past.suite], past, metric, own=False)):
            yield past.run_id, reason
        before[past.suite] = past
