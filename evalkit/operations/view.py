"""Write the page that lists the runs of a folder."""

from __future__ import annotations

from pathlib import Path

from evalkit.disk.paths import project_of, shown_path
from evalkit.disk.writing import drafted
from evalkit.errors import InputError, Problem, StoreError
from evalkit.report.runs_page import runs_page
from evalkit.store.folder import REPORTS
from evalkit.store.run_tree import run_tree

PAGE = "index.html"
MARK = b'<meta name="generator" content="evalkit view">'
"""What shows that a file may be replaced, because evalkit wrote it."""
_HEAD_BYTES = 4096


def folder_to_view(folder: Path | None) -> Path:
    """Return the folder around run folders: the given one, else `reports` in the project of the current folder.

    Raises:
        InputError: there is no such folder.
    """
    place = folder or project_of(Path.cwd()) / REPORTS
    if not place.is_dir():
        what = "no such folder" if not place.exists() else "is not a folder"
        fix = "name the folder that holds the run folders, or make a run with `evalkit run SUITE`"
        raise InputError(Problem(str(place), what, fix))
    return place.absolute()


def page_of_runs(folder: Path, beside: Path | None = None) -> str:
    """Return the page of a folder as HTML.

    Args:
        folder: around run folders.
        beside: the folder of the page, if it is another one.

    Raises:
        InputError: the folder cannot be read.
    """
    try:
        return runs_page(folder, run_tree(folder), beside or folder)
    except OSError as error:
        raise InputError(Problem(str(folder), f"cannot be listed: {error.strerror}", "make it readable")) from None


def write_page(folder: Path, out: Path | None) -> Path:
    """Write the page, by default as `index.html` in the folder itself, and return its path.

    Raises:
        InputError: the folder cannot be read, or `out` is not evalkit's own page.
        StoreError: the page cannot be written.
    """
    target = (out or folder / PAGE).absolute()
    text = page_of_runs(folder, target.parent)
    try:
        if target.exists() and MARK not in _head(target):
            fix = "name another file with --out"
            raise InputError(Problem(shown_path(target), "is not a page of `evalkit view`", fix))
        target.parent.mkdir(parents=True, exist_ok=True)
        with drafted(target) as file:
            file.write(text.encode("utf-8", "replace"))
    except OSError as error:
        raise StoreError.of(target, error, "or name another file with --out") from error
    return target


def _head(file: Path) -> bytes:
    with file.open("rb") as opened:
        return opened.read(_HEAD_BYTES)
