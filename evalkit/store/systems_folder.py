"""Read and write the folder of a run of several systems: an ordinary run folder for each, and the list of them."""

from __future__ import annotations

import hashlib
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from evalkit.disk.json_files import read_json, to_json
from evalkit.disk.paths import shown_path
from evalkit.errors import InputError, Problem
from evalkit.formats.systems_run import SystemsRun, read_systems_run, systems_record
from evalkit.store.folder import FOLDERS, SYSTEMS, RunFolder

_SLUG_CHARS = 60
_HEX = 6


@dataclass(frozen=True)
class SystemsFolder:
    """The files of a run of several systems."""

    path: Path

    @property
    def exists(self) -> bool:
        """Whether it holds such a run."""
        return (self.path / SYSTEMS).is_file()

    def read(self) -> SystemsRun:
        """Read the list of systems.

        Raises:
            InputError: there is none, or it is damaged.
        """
        file = self.path / SYSTEMS
        try:
            record = read_json(file)
        except FileNotFoundError:
            what = f"no {SYSTEMS} in it, so it is not a run of several systems"
            raise InputError(Problem(shown_path(self.path), what, "name a folder that `evalkit run` wrote")) from None
        except (OSError, ValueError) as error:
            what = f"cannot be read: {str(error).splitlines()[0]}"
            raise InputError(Problem(shown_path(file), what, "run the suite again")) from None
        problems = [Problem(shown_path(file), "not a list of systems", "run the suite again")]
        run = None
        if isinstance(record, dict):
            run, problems = read_systems_run(record, shown_path(file))
        problems += [] if run is None else self._strays(run)
        if run is None or problems:
            raise InputError(problems)
        return run

    def write(self, run: SystemsRun) -> None:
        """Write the list of systems, whole or not at all.

        Raises:
            StoreError: it cannot be written.
        """
        RunFolder(self.path).write_text(SYSTEMS, to_json(systems_record(run)))

    def folder_of(self, run: SystemsRun, name: str) -> RunFolder:
        """Return the run folder of a system.

        Raises:
            KeyError: the run has no such system.
        """
        return RunFolder(self.path / run.entry(name).folder)

    def _strays(self, run: SystemsRun) -> list[Problem]:
        """Report folders outside of this one, which no run writes."""
        strays = [each.folder for each in run.systems if not is_inside(each.folder)]
        what = "names a folder outside of its own"
        return [Problem(shown_path(self.path / SYSTEMS), what, "run the suite again")] if strays else []


def is_inside(folder: str) -> bool:
    """Return True if the run folder of a system is inside the folder of its run, as each that evalkit writes."""
    path = PurePosixPath(folder)
    return not path.is_absolute() and ".." not in path.parts and "\\" not in folder


def around(folder: RunFolder) -> SystemsFolder | None:
    """Return the run of several systems that a run folder is part of, `None` if it stands alone."""
    above = SystemsFolder(folder.path.absolute().parent.parent)
    return above if folder.path.absolute().parent.name == FOLDERS and above.exists else None


def folders_of(names: Sequence[str]) -> Mapping[str, str]:
    """Return system -> its folder in the folder of the run; names that would share one get a hash of their own."""
    slugs = {name: _slug(name) for name in names}
    shared = Counter(slug.casefold() for slug in slugs.values())
    return {
        name: f"{FOLDERS}/{slug}" if shared[slug.casefold()] == 1 else f"{FOLDERS}/{slug}-{_hash(name)}"
        for name, slug in slugs.items()
    }


def _slug(name: str) -> str:
    slug = re.sub(r"[^\w.-]+", "-", name, flags=re.ASCII).strip("-.")
    return slug[:_SLUG_CHARS] if slug and len(slug) <= _SLUG_CHARS else f"{slug[:_SLUG_CHARS]}-{_hash(name)}".strip("-")


def _hash(name: str) -> str:
    return hashlib.sha256(name.encode("utf-8", "surrogatepass")).hexdigest()[:_HEX]
