"""Write all reports of a run folder."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from evalkit.disk.files import read_file
from evalkit.disk.paths import shown_path
from evalkit.errors import StoreError
from evalkit.formats.manifest import Manifest
from evalkit.formats.systems_run import BY_CASE
from evalkit.report.next_steps import Places
from evalkit.report.survey import Rows
from evalkit.report.variant_examples import variant_examples
from evalkit.report.variants import leaked_answers
from evalkit.report.view import View, build_view
from evalkit.results import Decision, Summary
from evalkit.store.folder import BASELINES, COMMENT, FAILURES, JUNIT, MARKDOWN, RECORD, REPORT, RunFolder
from evalkit.store.history import past_runs
from evalkit.store.index import sorted_rows
from evalkit.store.stored_run import find_suite
from evalkit.store.systems_folder import around
from evalkit.trust.labels import Label


@dataclass(frozen=True)
class Material:
    """The input of the reports of one run."""

    folder: RunFolder
    manifest: Manifest
    summary: Summary
    decision: Decision
    rows: Rows
    baseline_rows: Rows | None
    baseline: RunFolder | None = None
    labels: Sequence[Label] = ()


def material_of(
    folder: RunFolder,
    manifest: Manifest,
    summary: Summary,
    decision: Decision,
    baseline: RunFolder | None,
    labels: Sequence[Label] = (),
) -> Material:
    """Collect the input of the reports from a run folder and its baseline, without reading rows."""
    before = None if baseline is None else sorted_rows(baseline.rows_file)
    return Material(folder, manifest, summary, decision, sorted_rows(folder.rows_file), before, baseline, labels)


def view_of(material: Material, *, rows: bool = True) -> View:
    """Return the view that all renderers show; without `rows` it does not list single cases."""
    walked = (material.rows, material.baseline_rows) if rows else (tuple, None)
    past = past_runs(material.folder, material.baseline, material.summary.suite) if rows else ()
    suite = find_suite(material.manifest, material.folder)
    above = around(material.folder)
    of_this_run = above is not None and (material.baseline is None or around(material.baseline) == above)
    places = Places(
        run=shown_path(material.folder.path),
        baseline=material.baseline.shown if material.baseline else "",
        name=_saved_name(material.baseline),
        suite=os.path.relpath(suite) if suite is not None else material.manifest.suite_file,
        out="" if above is None else shown_path(above.path),
        reference_next=material.manifest.system.name if of_this_run else "",
    )
    leaks = leaked_answers(material.folder, material.manifest, material.summary) if rows else {}
    examples = variant_examples(material.folder, material.manifest) if rows else ()
    found = material.summary, material.decision
    view = build_view(
        *found, *walked, material.manifest, past=past, places=places, leaks=leaks, failed_variants=examples
    )
    if material.baseline is not None and above is not None and of_this_run and above.read().order != BY_CASE:
        # The two systems were called one after the other.
        view = replace(view, shifts=tuple(line for line in view.shifts if line.name != "latency"))
    return view


def _saved_name(baseline: RunFolder | None) -> str:
    """Return the name of a saved baseline; empty for a run folder or without a baseline."""
    return baseline.path.name if baseline is not None and baseline.path.parent.name == BASELINES.name else ""


def prepare_reports() -> None:
    """Import and compile in advance the parts that every report needs."""
    from evalkit.report import failure_analysis, html, junit, page, records  # noqa: F401

    html.compile_templates()


def write_reports(material: Material, view: View) -> tuple[str, ...]:
    """Write report.html, summary.md, comment.json, junit.xml, release_decision.md and failure_analysis.md.

    Returns:
        The records that were completed by a person and therefore not overwritten.

    Raises:
        StoreError: one of them cannot be written.
    """
    from evalkit.report.failure_analysis import failure_analysis_markdown
    from evalkit.report.html import write_html
    from evalkit.report.junit import write_junit
    from evalkit.report.markdown import page_of
    from evalkit.report.page import markdown, to_json
    from evalkit.report.records import release_decision_markdown

    folder = material.folder
    record = release_decision_markdown(view, material.manifest)
    try:
        rows = material.rows, material.baseline_rows
        write_html(folder.file(REPORT), view, *rows, labels=material.labels, record=record)
        write_junit(folder.file(JUNIT), material.rows, material.summary, view.advisory, view.repeat_rule)
    except OSError as error:
        raise StoreError(f"{folder.path}: a report cannot be written ({error}); free the disk") from error
    page = page_of(view)
    folder.write_text(MARKDOWN, markdown(page))
    folder.write_text(COMMENT, to_json(page))
    records = {RECORD: record, FAILURES: failure_analysis_markdown(view)}
    return tuple(name for name, text in records.items() if not _write_record(folder, name, text))


def newer(name: str) -> str:
    """Return the path for a record whose own file was completed by a person."""
    return name.removesuffix(".md") + ".new.md"


def _write_record(folder: RunFolder, name: str, text: str) -> bool:
    """Write a record; one that was completed by a person stays, and the new one is written beside it."""
    from evalkit.report.stamp import is_edited, stamped

    try:
        kept = is_edited(read_file(folder.file(name)).decode("utf-8", "backslashreplace"))
    except FileNotFoundError:
        kept = False
    except OSError as error:
        raise StoreError(f"{folder.file(name)}: {error.strerror}; check its permissions") from error
    folder.write_text(newer(name) if kept else name, stamped(text))
    return not kept


def junit_to(target: Path, material: Material, view: View) -> None:
    """Write junit.xml to another path as well; its folder is created.

    Raises:
        StoreError: it cannot be written.
    """
    from evalkit.report.junit import write_junit

    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        write_junit(target, material.rows, material.summary, view.advisory, view.repeat_rule)
    except OSError as error:
        raise StoreError(f"{target}: {error.strerror}; name a file that can be written") from error


def table_to(target: Path, material: Material, view: View) -> None:
    """Write the cases as CSV to the given path; its folder is created.

    Raises:
        StoreError: it cannot be written.
    """
    from evalkit.report.table import write_table

    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        write_table(target, view, material.rows, material.baseline_rows)
    except OSError as error:
        raise StoreError(f"{target}: {error.strerror}; name a file that can be written") from error


def append_to(target: Path, view: View) -> None:
    """Append the summary to a file that others write to as well, such as a job summary; its folder is created.

    Raises:
        StoreError: it cannot be written.
    """
    from evalkit.report.markdown import summary_markdown

    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with target.open("a", encoding="utf-8", newline="\n", errors="replace") as file:
            file.write(summary_markdown(view) + "\n")
    except OSError as error:
        raise StoreError(f"{target}: {error.strerror}; name a file that can be written") from error
