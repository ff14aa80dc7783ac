"""Locate the cached judge replies of a project."""

from __future__ import annotations

from pathlib import Path

from evalkit.disk.paths import project_of
from evalkit.errors import InputError, Problem
from evalkit.llm.upkeep import Contents, contents, prune
from evalkit.runner.chat_clients import CACHE_FILE

__all__ = ["Contents", "cache_file", "contents", "prune"]


def cache_file(folder: Path | None) -> Path:
    """Return the file of a project's cached replies, which need not exist.

    Args:
        folder: folder in the project; `None` for the current one.

    Raises:
        InputError: there is no such folder, or a link leads out of the project.
    """
    if folder is not None and not folder.is_dir():
        raise InputError(Problem(str(folder), "no such folder", "name a folder of the project"))
    root = project_of(folder or Path.cwd())
    file = root / CACHE_FILE
    if not file.resolve().is_relative_to(root.resolve()):
        raise InputError(Problem(str(file), f"it leads out of the project, to {file.resolve()}", "remove the link"))
    return file
