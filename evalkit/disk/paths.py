"""Find the root of a project, and keep paths inside it."""

from __future__ import annotations

from pathlib import Path

PROJECT_MARKS = (".git", "pyproject.toml")


def project_of(folder: Path) -> Path:
    """Find the nearest folder, from `folder` upwards, that is a project root; else return `folder`."""
    whole = folder.resolve()
    above = (whole, *whole.parents)
    return next((up for up in above if is_project(up)), whole)


def is_project(folder: Path) -> bool:
    """Return whether a folder is the root of a project."""
    return any((folder / mark).exists() for mark in PROJECT_MARKS)


def shown_path(path: Path) -> str:
    """Format a path for messages: relative to the current folder if inside it, else absolute."""
    try:
        here = Path.cwd()
    except FileNotFoundError:  # deleted under us
        return str(path)
    return str(path.relative_to(here)) if path.is_absolute() and path.is_relative_to(here) else str(path)


def inside_project(folder: Path, name: str) -> Path:
    """Resolve a path that is written relative to `folder`.

    Raises:
        ValueError: `what; fix`, if it is not a path, or leaves the project, even through a link.
    """
    if "\0" in name or "\\" in name:
        raise ValueError("a path with NUL or backslash; write it with /")
    try:
        file = (folder / name).resolve()
    except RuntimeError:
        raise ValueError(f"{name!r} is a link that leads back to itself; name the file itself") from None
    if not file.is_relative_to(project_of(folder)):
        raise ValueError(f"{name!r} leaves the project; move the file into it")
    return file
