"""Find a stored run by its folder, its name or `latest`."""

from __future__ import annotations

import os
from pathlib import Path

from evalkit.baselines.find import LATEST, find_baseline
from evalkit.disk.paths import project_of
from evalkit.errors import InputError, Problem
from evalkit.store.folder import COMPARISON, MANIFEST, RunFolder, is_name
from evalkit.store.systems_folder import SystemsFolder

_MARKS = (MANIFEST, COMPARISON)
"""Files of a folder that is meant by its name, before a baseline of that name."""


def find_systems(name: str) -> SystemsFolder | None:
    """Find a stored run of several systems by its folder, or by `latest`; `None` if the name is of another run.

    Raises:
        InputError: there is no finished run that `latest` could mean.
    """
    folder = SystemsFolder(find_run(name).path if name == LATEST else Path(name))
    return folder if folder.exists else None


def find_run(name: str, root: Path | None = None) -> RunFolder:
    """Find a stored run.

    Args:
        name: a run folder; the name of a saved baseline; `latest`, the run in `reports` that finished last; a zip of a
            run; or `git:REF:PATH`.
        root: the project; that of the current folder if not given.

    Raises:
        InputError: there is no such run.
    """
    if Path(name).is_dir() and (not is_name(name) or any(os.path.lexists(Path(name) / mark) for mark in _MARKS)):
        return RunFolder(Path(name))
    found = find_baseline(name, project_of(Path.cwd()) if root is None else root)
    if found is None:
        what = "no finished run in reports" if name == LATEST else "no run folder or saved baseline has this name"
        raise InputError(Problem(name, what, "see the runs with `evalkit runs`"))
    return found
