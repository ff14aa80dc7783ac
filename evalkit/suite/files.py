"""Read YAML files, and resolve the paths that a suite names."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Iterable
from pathlib import Path

from evalkit.disk.files import Unfit, read_file
from evalkit.errors import InputError, Problem
from evalkit.formats.build import Builder, choices
from evalkit.suite.scorers import Steps

MOST_NEAR = 1_000
"""Maximum number of files of a folder that are searched for the intended one."""


def file_bytes(path: Path, shown: str, kind: str = "suite") -> bytes:
    """Read a YAML file.

    Args:
        path: the file.
        shown: its name in messages.
        kind: what the file is, in messages.

    Raises:
        InputError: it cannot be read.
    """
    if path.is_dir():
        raise InputError(Problem(shown, f"a folder, not a {kind} file", f"name the file, such as {shown}/{kind}.yaml"))
    try:
        return read_file(path)
    except FileNotFoundError:
        near = [p.name for p in path.parent.glob("*.y*ml")] if path.parent.is_dir() else []
        raise InputError(
            Problem(shown, "no such file", choices(path.name, near) if near else "check the path")
        ) from None
    except Unfit as error:
        raise InputError(
            Problem(shown, str(error.strerror), "name a YAML file; data belongs in the golden set")
        ) from None
    except OSError as error:
        raise InputError(Problem(shown, f"cannot be read: {error.strerror}", "check its permissions")) from None


@dataclasses.dataclass(frozen=True)
class SuiteFiles:
    """Resolves paths of a suite and keeps them inside the project."""

    builder: Builder
    base: Path
    root: Path

    def resolve(self, name: str, path: Steps) -> Path | None:
        """Return the file called `name` in the suite, or `None` after noting why it cannot be read."""
        if "\0" in name or "\\" in name:
            self.builder.problem(path, "a path with NUL or backslash", "write it with /")
            return None
        try:
            file = (self.base / name).resolve()
        except RuntimeError:
            self.builder.problem(path, f"{name!r} is a link that leads back to itself", "name the file itself")
            return None
        if not file.is_relative_to(self.root):
            self.builder.problem(
                path, f"{name!r} leaves the project {self.root.name}/", "move the file into the project"
            )
            return None
        if not file.is_file():
            self.builder.problem(path, *_no_file(name, file))
            return None
        return file


def _no_file(name: str, file: Path) -> tuple[str, str]:
    """Describe the problem of a path that is not a regular file, and the fix."""
    if file.exists():
        return f"{name!r} is not a regular file", "name a file"
    there = file.parent.iterdir() if file.parent.is_dir() else iter(())
    near = [each.name for each in itertools.islice(there, MOST_NEAR) if each.is_file()]
    return f"no file {name!r}", choices(file.name, near) if near else "check the path"


def relative_path(file: Path, root: Path) -> str:
    """Return the path of a file from the project's root, with `/`."""
    return file.relative_to(root).as_posix()


def with_relative_paths(files: Iterable[Path], root: Path) -> tuple[list[Path], list[str]]:
    """Return the files, and their paths from the project's root."""
    there = list(files)
    return there, [relative_path(file, root) for file in there]
