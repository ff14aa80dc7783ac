"""See that the code that runs is the source that fingerprints describe.

Python trusts a `.pyc` file whose source still has its size and its time in whole seconds. An edit within that second,
or one whose time is set back, as in a reproducible image, would leave the old code running.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable
from contextlib import suppress
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
    root = project.resolve()
    if root in _PROJECTS:
        return
    if not _PROJECTS:
        sys.path_hooks.insert(0, _finder)
    _PROJECTS.add(root)
    for entry in list(sys.path_importer_cache):
        if _is_own(entry):
            del sys.path_importer_cache[entry]


def remove_bytecode(sources: Iterable[Path]) -> None:
    """Delete the bytecode of a project's Python sources, for every interpreter, before a program imports them."""
    for source in sources:
        if source.suffix == ".py" and not source.is_relative_to(_OURS):
            folder = Path(cache_from_source(str(source))).parent  # where PYTHONPYCACHEPREFIX puts it
            for cached in folder.glob(f"{escape(source.stem)}.*.pyc"):
                with suppress(OSError):
                    cached.unlink()


def _finder(entry: str) -> FileFinder:
    if not _is_own(entry):
        raise ImportError(f"{entry} is not a folder of a project")
    return FileFinder(entry, *_LOADERS)


def _is_own(entry: str) -> bool:
    path = Path(entry).resolve()
    if "site-packages" in path.parts or path.is_relative_to(_OURS) or not path.is_dir():
        return False
    return any(path.is_relative_to(root) for root in _PROJECTS)
