"""Compare the code of custom scorers and environments with the base, for files that no rule names."""

from __future__ import annotations

import sys
from collections.abc import Collection, Iterator, Mapping
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from evalkit.disk.files import read_file
from evalkit.disk.project_code import project_file
from evalkit.disk.sources import imported_files, imported_texts
from evalkit.results import Amendment
from evalkit.scorers.custom.python_scorer import PythonScorer
from evalkit.suite.rules import MAX_FILE_BYTES

if TYPE_CHECKING:
    from evalkit.baselines.base_commit import Base
    from evalkit.suite.model import Suite

_SHOWN_FILES = 5


def code_changes(suite: Suite, base: Base) -> Iterator[Amendment]:
    """List changed files of custom scorers and environments that the rules do not name.

    Such files were found by a pattern, imported by a computed name, or belong to a package in the project.

    Args:
        suite: current suite.
        base: commit to compare the suite with.
    """
    own = [] if base.is_head else [*_own_code(suite)]
    gone = base.deleted() if own else []
    for what, module, file in own:
        found = {*imported_files(file, module, suite.root, suite.inputs, gone=gone, by_text=True)}
        found -= {*imported_texts(module, partial(_on_disk, suite.root, gone))}
        there = base.holding(found)
        new = [name for name in found - {*there} if (suite.root / name).is_file() and base.tracks(name)]
        if changed := sorted({*base.differing(there), *new}):
            more = f" and {len(changed) - _SHOWN_FILES} more" if len(changed) > _SHOWN_FILES else ""
            yield Amendment(what=what, note=f"{', '.join(changed[:_SHOWN_FILES])}{more} changed", loosens=True)


def _own_code(suite: Suite) -> Iterator[tuple[str, str, Path]]:
    """Yield name, module and file of custom scorers and environments, if the file belongs to the project."""
    for entry in suite.scorers:
        if isinstance(entry.options, PythonScorer):
            module = entry.options.call.partition(":")[0]
            if file := project_file(module, suite.root):
                yield f"scorer {entry.options.measured.name}", module, file
        elif entry.package:
            module = type(entry.options).__module__
            file = Path(sys.modules[module].__file__ or "").resolve()
            if file.is_relative_to(suite.root) and "site-packages" not in file.parts:
                yield f"scorer {entry.written}", module, file
    environment = suite.conversation.settings.environment if suite.conversation is not None else None
    if isinstance(environment, Mapping):
        module = str(environment["python"]).partition(":")[0]
        if file := project_file(module, suite.root):
            yield "conversation environment", module, file


def _on_disk(root: Path, gone: Collection[str], names: Collection[str]) -> Mapping[str, bytes]:
    """Read the named files of a project; missing files are read as empty."""
    found = {name: b"" for name in names if name in gone}
    for name in names:
        with suppress(OSError, ValueError):  # a text that names no file
            found |= {name: read_file(root / name, MAX_FILE_BYTES)} if (root / name).is_file() else {}
    return found
