"""Write the page and the comment of a comparison of several systems."""

from __future__ import annotations

from pathlib import Path

from evalkit.aggregate.system_comparison import SystemComparison
from evalkit.disk.paths import shown_path
from evalkit.disk.writing import replacing
from evalkit.errors import StoreError
from evalkit.report.systems.runs import read_system_runs
from evalkit.report.systems.view import SystemsView, build_systems_view
from evalkit.store.folder import REPORT

COMPARISON_MARKDOWN = "comparison.md"


def write_comparison(folder: Path, comparison: SystemComparison, sentence: str, *, suite: str = "") -> SystemsView:
    """Write report.html and comparison.md of a comparison.

    Write the reports of the systems first: answers link to those that are there.

    Args:
        folder: folder of the comparison; the run folders are inside it, as `comparison` names them.
        comparison: the comparison.
        sentence: its result in one sentence.
        suite: file of the suite as commands name it; empty if it is not known.

    Returns:
        The view, for the terminal.

    Raises:
        InputError: a run folder cannot be read.
        StoreError: a file cannot be written.
    """
    from evalkit.report.systems.html import write_systems_page
    from evalkit.report.systems.markdown import systems_markdown

    runs = read_system_runs(folder, comparison)
    view = build_systems_view(comparison, sentence, runs, folder=shown_path(folder), suite=suite)
    try:
        write_systems_page(folder / REPORT, view, runs)
        with replacing(folder / COMPARISON_MARKDOWN) as file:
            file.write(systems_markdown(view))
    except OSError as error:
        raise StoreError(f"{folder}: the comparison cannot be written ({error}); free the disk") from error
    return view
