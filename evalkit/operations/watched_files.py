"""List the files that a suite's runs depend on, and notice when one is saved."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from evalkit.disk.files import Stamp, stamp_of
from evalkit.disk.project_code import module_file
from evalkit.disk.sources import imported_files, texts_in
from evalkit.runner.conversations import environment_files
from evalkit.runner.graders import own_scorers
from evalkit.suite.model import Suite
from evalkit.suite.parse import load_suite
from evalkit.systems.base import Shared
from evalkit.systems.command import CommandSystem
from evalkit.systems.python import PythonSystem

State = Stamp | None
"""Stamp of a file; `None` if there is none."""
_NAME_CHARS = 300


@dataclass(frozen=True)
class WatchedFiles:
    """The files that runs of a suite depend on; some may not exist yet."""

    system: frozenset[Path]
    """Sources of the system and of its environment."""
    others: frozenset[Path]
    """The suite, and every file that it names."""
    versioned: bool = False
    """Whether the system has a `version`, so that a run cannot tell that a source has changed."""

    @property
    def paths(self) -> frozenset[Path]:
        """All of them."""
        return self.system | self.others

    def states(self) -> Mapping[Path, State]:
        """Look at every file, and at the folders around the sources, where a new one may appear."""
        return {path: state_of(path) for path in self.paths | {path.parent for path in self.system}}

    def changes_system(self, changed: Iterable[Path]) -> bool:
        """Return whether a changed file needs new answers that a run with a `version` would not ask for."""
        return self.versioned and not self.system.isdisjoint(changed)


def state_of(path: Path) -> State:
    """Return the state of a file or folder."""
    try:
        return stamp_of(path.stat())
    except OSError:
        return None


def watched_files(suite_file: Path, env: Mapping[str, str]) -> WatchedFiles:
    """List the files behind a suite, without importing the project's code.

    Raises:
        InputError: the suite cannot be read.
    """
    suite = load_suite(suite_file)
    own = tuple(own_scorers(suite))
    converses = suite.conversation is not None
    inputs = (*suite.inputs, *own)
    shared = Shared(suite.path.parent, suite.root, suite.options.concurrency, dict(env), inputs, converses)
    sources = [path for _, path in environment_files(suite, shared)]
    if isinstance(suite.system, PythonSystem | CommandSystem):
        sources += [path for _, path in suite.system.sources(shared)]
    others = {*suite.inputs, *_named(suite), *_behind_scorers(suite, own)}
    return WatchedFiles(
        frozenset(map(_plain, sources)), frozenset(map(_plain, others)), versioned=suite.system.version is not None
    )


def _named(suite: Suite) -> Iterable[Path]:
    """Yield the places that the texts of a suite may name: rubrics, schemas, prompts, stored answers ..."""
    for text in texts_in(dataclasses.asdict(suite.options)):
        if len(text) <= _NAME_CHARS and "\n" not in text and "\0" not in text and os.path.splitext(text)[1]:
            yield from (suite.path.parent / text, suite.root / text)


def _behind_scorers(suite: Suite, own: Iterable[Path]) -> Iterable[Path]:
    """Yield the files that the suite's own scorers import or read."""
    for file in own:
        module = ".".join(file.relative_to(suite.root).with_suffix("").parts).removesuffix(".__init__")
        if module_file(module, suite.root) is not None:
            yield from imported_files(file, module, suite.root, suite.inputs).values()


def _plain(path: Path) -> Path:
    return Path(os.path.abspath(path))
