"""See that the code that runs is the source that fingerprints describe.

Python trusts a `.pyc` file whose source still has its size and its time in whole seconds. An edit within that second,
or one whose time is set back, as in a reproducible image, would leave the old code running.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable
from glob import escape
from importlib.machinery import (
    BYTECODE_SUFFIXES,
    EXTENSION_SUFFIXES,
    SOURCE_SUFFIXES,
    ExtensionFileLoader,
    FileFinder,
    SourceFileLoader,
    SourcelessFileLoader,
)
from importlib.util import cache_from_source
from pathlib import Path
from typing import NoReturn

_OURS = Path(__file__).resolve().parents[1]
_PROJECTS: set[Path] = set()
_SETTLED_NS = 2_000_000_000
"""Nanoseconds between a change of a source and the bytecode that surely holds it."""


class _SourceLoader(SourceFileLoader):
    """Compile a module's source at each import."""

    def path_stats(self, path: str) -> NoReturn:
        """Raise OSError, which is how a loader says that bytecode is neither read nor written."""
        raise OSError(f"the bytecode of {path} is not used")


_LOADERS = (
    (ExtensionFileLoader, EXTENSION_SUFFIXES),
    (_SourceLoader, SOURCE_SUFFIXES),
    (SourcelessFileLoader, BYTECODE_SUFFIXES),
)


def import_from_source(project: Path) -> None:
    """Make this process import a project's own modules from their source, never from bytecode.

    Installed packages of an environment inside the project, and evalkit itself, are imported as before.
    """
    roots = {project.absolute(), project.resolve()}
    if roots <= _PROJECTS:
        return
    if not _PROJECTS:
        sys.path_hooks.insert(0, _finder)
    _PROJECTS.update(roots)
    for entry in list(sys.path_importer_cache):
        if _is_own(entry):
            del sys.path_importer_cache[entry]


def remove_bytecode(sources: Iterable[Path]) -> bool:
    """Delete the bytecode of a project's Python sources that may be older, before a program imports them.

    Bytecode stays if it was written at least two seconds after its source last changed (`st_ctime`, which programs
    cannot set).

    Returns:
        False if some of it could not be deleted, as in a read-only folder.
    """
    is_clean = True
    for source in sources:
        if source.suffix != ".py" or source.is_relative_to(_OURS):
            continue
        folder = Path(cache_from_source(str(source))).parent  # where PYTHONPYCACHEPREFIX puts it
        for cached in folder.glob(f"{escape(source.stem)}.*.pyc"):
            try:
                if cached.stat().st_mtime_ns <= source.stat().st_ctime_ns + _SETTLED_NS:
                    cached.unlink()
            except FileNotFoundError:
                continue  # another run has deleted it
            except OSError:
                is_clean = False
    return is_clean


def _finder(entry: str) -> FileFinder:
    if not _is_own(entry):
        raise ImportError(f"{entry} is not a folder of a project")
    return FileFinder(entry, *_LOADERS)


def _is_own(entry: str) -> bool:
    paths = Path(entry).absolute(), Path(entry).resolve()  # a folder inside may be a link that leads out
    if any("site-packages" in path.parts or path.is_relative_to(_OURS) for path in paths) or not paths[0].is_dir():
        return False
    return any(path.is_relative_to(root) for path in paths for root in _PROJECTS)
