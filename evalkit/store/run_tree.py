"""Find the runs in a folder: whole ones, those that are running, comparisons of several systems, and damaged ones."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from evalkit.errors import InputError
from evalkit.store.folder import BASELINES, COMPARISON, DECISION, MANIFEST, ROWS, SUMMARY, RunFolder
from evalkit.store.history import UNFINISHED, PastRun, as_compared, compared_only, index_around, indexed_run
from evalkit.store.run_index import RunIndex
from evalkit.store.running import RUNNING, refuse_if_running

SYSTEMS = "systems"
"""Folder beside `comparison.json` that holds a run folder for each system."""
_SIGNS = (MANIFEST, DECISION, ROWS, f"{ROWS}.gz", RUNNING)
"""A folder with one of these is a run, even if it cannot be read."""


@dataclass(frozen=True, kw_only=True)
class FoundRun:
    """One folder that holds a run, or the runs of several systems."""

    folder: RunFolder
    changed_ns: int
    """When the folder was last changed, in nanoseconds since 1970."""
    past: PastRun | None = None
    """The figures of the run; `None` for a comparison, and for a run that cannot be read or has not begun."""
    problem: str = ""
    """Why it cannot be read; empty if it can."""
    running: str = ""
    """The process that runs in it, such as `process 4711`; empty if none does."""
    is_baseline: bool = False
    systems: tuple[FoundRun, ...] = ()
    """The runs of a comparison."""
    is_comparison: bool = False


def run_tree(folder: Path) -> tuple[FoundRun, ...]:
    """Find every run in a folder and in its baselines, by name.

    Folders without any file of a run, and the runs of `evalkit run --watch`, are left out.

    Raises:
        OSError: the folder cannot be listed.
    """
    with index_around(folder) as index:
        found = [each for path in _folders(folder) if (each := _found(path, index)) is not None]
        saved = folder / BASELINES.name
        for path in _folders(saved) if saved.is_dir() else ():
            found += [each] if (each := _found(path, index, is_baseline=True)) is not None else []
    return tuple(found)


def _folders(folder: Path) -> Iterator[Path]:
    with os.scandir(folder) as entries:
        names = sorted(entry.name for entry in entries if entry.is_dir() and not entry.name.startswith("."))
    yield from (folder / name for name in names)


def _found(path: Path, index: RunIndex, *, is_baseline: bool = False) -> FoundRun | None:
    folder = RunFolder(path)
    try:
        changed_ns = path.stat().st_mtime_ns
        if folder.file(COMPARISON).is_file():
            inside = path / SYSTEMS
            systems = (_found(each, index) for each in _folders(inside)) if inside.is_dir() else ()
            compared = compared_only(path)
            known = tuple(
                each if each.past is None else replace(each, past=as_compared(each.past, compared))
                for each in systems
                if each is not None
            )
            return FoundRun(folder=folder, changed_ns=changed_ns, systems=known, is_comparison=True)
        if not any(os.path.lexists(folder.file(name)) for name in _SIGNS):
            return None
    except OSError as error:
        return FoundRun(folder=folder, changed_ns=0, problem=error.strerror or str(error))
    past, running = indexed_run(folder, index), ""
    if past is None or past.outcome == UNFINISHED:
        running = _process_in(path)
    problem = "" if past is not None or running else _fault_of(folder)
    return FoundRun(
        folder=folder, changed_ns=changed_ns, past=past, problem=problem, running=running, is_baseline=is_baseline
    )


def _process_in(path: Path) -> str:
    try:
        refuse_if_running(path)
    except InputError as error:
        return error.problems[0].what.removesuffix(" is running in it")
    except OSError:
        pass
    return ""


def _fault_of(folder: RunFolder) -> str:
    try:
        folder.manifest()
    except InputError as error:
        return error.problems[0].what
    except OSError as error:
        return error.strerror or str(error)
    return f"{SUMMARY} is missing or damaged"
