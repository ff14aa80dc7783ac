"""Read a stored run of several systems by its suite, which says what is released and what is compared with what."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from evalkit.disk.paths import shown_path
from evalkit.errors import InputError, Problem
from evalkit.formats.systems_run import SystemEntry, SystemsRun
from evalkit.store.folder import SYSTEMS, RunFolder
from evalkit.store.stored_run import find_suite
from evalkit.store.systems_folder import SystemsFolder, folders_of
from evalkit.suite.model import Suite
from evalkit.suite.parse import load_suite

_AGAIN = "name the suite of this run with --suite, or run the suite again"


def as_in_suite(folder: SystemsFolder, suite_file: Path | None) -> tuple[SystemsRun, tuple[str, ...]]:
    """Return the systems of a stored run as the suite names them, and those that it released when it was run alone.

    The list of systems in the folder is under no seal, so nothing of it decides: the suite gives names, reference,
    release and primary metric, the names give the folders, and the manifest in each folder must be of its system.

    Args:
        folder: the folder of the run.
        suite_file: the suite; `None` for that of the run.

    Raises:
        InputError: there is no suite, or the run is of other systems.
    """
    run = folder.read()
    suite = load_suite(suite_file or suite_of_systems(folder, run))
    problems = list(_differences(folder, run, suite))
    if problems:
        raise InputError(problems)
    names = [each.name for each in suite.systems]
    places = folders_of(names)
    entries = tuple(
        SystemEntry(name=each.name, folder=places[each.name], factors=each.factors) for each in suite.systems
    )
    rules = [RunFolder(folder.path / place).manifest().rules for place in places.values()]
    released = dict.fromkeys(name for each in rules if each is not None for name in each.release)
    now = suite.options.release
    of_suite = replace(
        run, systems=entries, reference=suite.reference.name, release=tuple(now), primary=suite.options.primary
    )
    return of_suite, tuple(name for name in released if name not in now)


def suite_of_systems(folder: SystemsFolder, run: SystemsRun) -> Path:
    """Return the path of the suite that a run was made with.

    Raises:
        InputError: it does not exist.
    """
    first = RunFolder(folder.path / run.systems[0].folder)
    file = find_suite(first.manifest(), first)
    if file is None:
        what = f"its suite {first.manifest().suite_file} does not exist"
        raise InputError(Problem(shown_path(folder.path), what, "name one with --suite"))
    return file


def _differences(folder: SystemsFolder, run: SystemsRun, suite: Suite) -> Iterator[Problem]:
    shown, names = shown_path(folder.path / SYSTEMS), [each.name for each in suite.systems]
    listed = [each.name for each in run.systems]
    if sorted(listed) != sorted(names):
        words = [f"{name} is missing" for name in names if name not in listed]
        words += [f"{name} is not in the suite" for name in listed if name not in names]
        yield Problem(shown, f"lists other systems than the suite ({', '.join(words[:10]) or 'one twice'})", _AGAIN)
        return
    places = folders_of(names)
    for each in run.systems:
        if each.folder != places[each.name]:
            yield Problem(shown, f"names a wrong folder for {each.name!r}: {each.folder}", _AGAIN)
        elif (own := RunFolder(folder.path / each.folder).manifest().system.name) != each.name:
            yield Problem(shown_path(folder.path / each.folder), f"is the run of {own!r}, not of {each.name!r}", _AGAIN)
