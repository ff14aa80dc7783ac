"""Print a run of several systems."""

from __future__ import annotations

from typing import TYPE_CHECKING

from evalkit.cli.child_process import promise
from evalkit.cli.output import NO_FILES, CommandOutput, Files
from evalkit.disk.paths import shown_path
from evalkit.operations.run_systems import SystemsResult
from evalkit.store.folder import DECISION, REPORT

if TYPE_CHECKING:
    from evalkit.operations.compare_several import SeveralCompared


def show_systems(result: SystemsResult, output: CommandOutput, *, reports: bool, files: Files = NO_FILES) -> None:
    """Write the reports of each system, print what they came to, and write the requested files."""
    folder = result.folder.path
    promise(folder / DECISION, result.sha256)
    from evalkit.report.systems.console import print_systems
    from evalkit.report.systems.write import append_systems_to, compared_view
    from evalkit.report.write import junit_to, table_to

    released = result.run.release or tuple(result.results)
    for name, each in result.results.items():
        material, view = output.write_reports(each, reports=reports)
        if files.junit is not None and [name] == list(released):
            junit_to(files.junit, material, view)
        if files.csv is not None and [name] == list(released):
            table_to(files.csv, material, view)
    for file in (files.junit, files.csv) if len(released) > 1 else ():
        if file is not None:
            fix = f"`evalkit report {shown_path(result.results[released[0]].folder.path)}` writes that of one"
            output.say(f"skipped {file}: it shows one system, and here are {len(released)}; {fix}")
    suite, reasons = result.run.suite_file, result.shown_reasons
    comparison = compared_view(folder, result.comparison, suite=suite, reports=reports, reasons=reasons)
    if files.summary is not None:
        append_systems_to(files.summary, comparison)
    if output.json:
        output.results.out((folder / DECISION).read_text(encoding="utf-8"), end="", highlight=False)
        return
    print_systems(comparison, output.results)
    if not output.quiet:
        where = folder / REPORT if reports else folder / "systems"
        output.messages.print(f"\nreport  {shown_path(where)}", soft_wrap=True)


def show_comparison(found: SeveralCompared, output: CommandOutput, *, files: Files) -> None:
    """Write the page of a comparison of which nothing is decided, print it, and write the requested files."""
    from evalkit.report.systems.console import print_systems
    from evalkit.report.systems.write import append_systems_to, compared_view

    view = compared_view(found.folder, found.comparison, suite="", reports=True)
    if files.summary is not None:
        append_systems_to(files.summary, view)
    if files.junit is not None:
        output.say(f"skipped {files.junit}: it shows the checks of a decision, and nothing is decided here")
    if output.json:
        output.results.out(found.file.read_text(encoding="utf-8"), end="", highlight=False)
        return
    print_systems(view, output.results)
    if not output.quiet:
        output.messages.print(f"\nreport  {shown_path(found.folder / REPORT)}", soft_wrap=True)
