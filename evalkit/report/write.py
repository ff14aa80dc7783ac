"""Every report of a run folder, made from its rows, summary and decision."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from evalkit.errors import StoreError
from evalkit.report.survey import Rows
from evalkit.report.view import View, build_view
from evalkit.store.folder import FAILURES, JUNIT, MARKDOWN, RECORD, REPORT, RunFolder
from evalkit.store.index import sorted_rows
from evalkit.types import Decision, Summary

SUMMARY_LIMIT_BYTES = 900_000
"""A job summary over 1 MiB is refused whole."""


def view_of(
    folder: RunFolder, manifest: Mapping[str, Any], summary: Summary, decision: Decision, baseline: RunFolder | None
) -> View:
    """The view of a run folder that every renderer shows."""
    return build_view(summary, decision, rows_of(folder), rows_of(baseline), manifest)


def rows_of(folder: RunFolder | None) -> Rows | None:
    """Rows of a run in their fixed order, as often as they are asked for."""
    return None if folder is None else lambda: sorted_rows(folder.rows_file)


def write_reports(
    folder: RunFolder, manifest: Mapping[str, Any], view: View, summary: Summary, baseline: RunFolder | None
) -> None:
    """Write report.html, summary.md, junit.xml, release_decision.md and failure_analysis.md.

    Raises:
        StoreError: if the disk refuses one of them.
    """
    from evalkit.report.html import write_html
    from evalkit.report.junit import write_junit
    from evalkit.report.markdown import summary_markdown
    from evalkit.report.records import failure_analysis_markdown, release_decision_markdown

    rows = rows_of(folder)
    write_html(folder.file(REPORT), view, rows, rows_of(baseline))
    write_junit(folder.file(JUNIT), rows, summary)
    folder.write_text(MARKDOWN, summary_markdown(view, SUMMARY_LIMIT_BYTES))
    folder.write_text(RECORD, release_decision_markdown(view, manifest))
    folder.write_text(FAILURES, failure_analysis_markdown(view, rows))


def append_to(target: Path, view: View) -> None:
    """Append the summary to a file that others write to as well, such as a job summary.

    Raises:
        StoreError: if it cannot be written.
    """
    from evalkit.report.markdown import summary_markdown

    try:
        with target.open("a", encoding="utf-8", newline="\n", errors="replace") as file:
            file.write(summary_markdown(view, SUMMARY_LIMIT_BYTES) + "\n")
    except OSError as error:
        raise StoreError(f"{target}: {error.strerror}; name a file in a folder that exists") from error
