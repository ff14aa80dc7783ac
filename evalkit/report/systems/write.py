"""Write the page and the comment of a comparison of several systems."""

from __future__ import annotations

from pathlib import Path

from evalkit.aggregate.system_comparison import SystemComparison
from evalkit.disk.paths import shown_path
from evalkit.disk.writing import replacing
from evalkit.errors import StoreError
from evalkit.report.systems.runs import read_system_runs
from evalkit.report.systems.view import SystemsView, build_systems_view
from evalkit.store.folder import COMMENT, MARKDOWN, REPORT


def write_comparison(
    folder: Path, comparison: SystemComparison, sentence: str, *, suite: str = "", reasons: tuple[str, ...] = ()
) -> SystemsView:
    """Write report.html, summary.md and comment.json of a comparison.

    Write the reports of the systems first: answers link to those that are there.

    Args:
        folder: folder of the comparison; the run folders are inside it, as `comparison` names them.
        comparison: the comparison.
        sentence: its result in one sentence.
        suite: file of the suite as commands name it; empty if it is not known.
        reasons: why a run without release systems has no decision; empty if it has one.

    Returns:
        The view, for the terminal.

    Raises:
        InputError: a run folder cannot be read.
        StoreError: a file cannot be written.
    """
    from evalkit.report.page import to_json
    from evalkit.report.systems.html import write_systems_page
    from evalkit.report.systems.markdown import systems_markdown, systems_page

    runs = read_system_runs(folder, comparison)
    view = build_systems_view(comparison, sentence, runs, folder=shown_path(folder), suite=suite, reasons=reasons)
    try:
        write_systems_page(folder / REPORT, view, runs)
        with replacing(folder / MARKDOWN) as file:
            file.write(systems_markdown(view))
        with replacing(folder / COMMENT) as file:
            file.write(to_json(systems_page(view)))
    except OSError as error:
        raise StoreError(f"{folder}: the comparison cannot be written ({error}); free the disk") from error
    return view


def compared_view(
    folder: Path, comparison: SystemComparison, *, suite: str, reports: bool, reasons: tuple[str, ...] = ()
) -> SystemsView:
    """Build the view of a comparison, and write its reports if they are wanted.

    Args:
        folder: folder of the comparison.
        comparison: the comparison.
        suite: file of the suite as commands name it; empty if it is not known.
        reports: whether to write them.
        reasons: why a run without release systems has no decision; empty if it has one.

    Raises:
        InputError: a run folder cannot be read.
        StoreError: a file cannot be written.
    """
    from evalkit.report.system_sentence import sentence

    said = sentence(comparison)
    if reports:
        return write_comparison(folder, comparison, said, suite=suite, reasons=reasons)
    runs = read_system_runs(folder, comparison)
    return build_systems_view(comparison, said, runs, folder=shown_path(folder), suite=suite, reasons=reasons)


def append_systems_to(target: Path, view: SystemsView) -> None:
    """Append the comment to a file that others write to as well, such as a job summary; its folder is created.

    Raises:
        StoreError: it cannot be written.
    """
    from evalkit.report.systems.markdown import systems_markdown

    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with target.open("a", encoding="utf-8", newline="\n", errors="replace") as file:
            file.write(systems_markdown(view))
    except OSError as error:
        raise StoreError(f"{target}: {error.strerror}; name a file that can be written") from error
