"""Print a run of several systems."""

from __future__ import annotations

from typing import TYPE_CHECKING

from evalkit.cli.child_process import promise
from evalkit.cli.output import NO_FILES, CommandOutput, Files
from evalkit.disk.paths import shown_path
from evalkit.operations.run_systems import SystemsResult
from evalkit.text.numbers import estimated, style_of
from evalkit.text.printable import one_line

if TYPE_CHECKING:
    from rich.table import Table

DECISION = "decision.json"
_NAME_CHARS = 60


def show_systems(result: SystemsResult, output: CommandOutput, *, reports: bool, files: Files = NO_FILES) -> None:
    """Write the reports of each system, print what they came to, and write the requested files."""
    folder = result.folder.path
    promise(folder / DECISION, result.sha256)
    from evalkit.report.write import append_to, junit_to, table_to

    shown = result.run.release or tuple(result.results)
    for name, each in result.results.items():
        material, view = output.write_reports(each, reports=reports)
        if files.summary is not None and name in shown:
            append_to(files.summary, view)
        if files.junit is not None and [name] == list(shown):
            junit_to(files.junit, material, view)
        if files.csv is not None and [name] == list(shown):
            table_to(files.csv, material, view)
    for file in (files.junit, files.csv) if len(shown) > 1 else ():
        if file is not None:
            fix = f"`evalkit report {shown_path(result.results[shown[0]].folder.path)}` writes that of one"
            output.say(f"skipped {file}: it shows one system, and here are {len(shown)}; {fix}")
    if output.json:
        output.results.out((folder / DECISION).read_text(encoding="utf-8"), end="", highlight=False)
        return
    output.results.print(_table(result))
    for reason in result.reasons:
        output.results.print(f"  {one_line(reason, 300)}", soft_wrap=True)
    if not output.quiet:
        output.messages.print(f"\nsystems {shown_path(folder)}/systems", soft_wrap=True)


def _table(result: SystemsResult) -> Table:
    """Return a line for each system: the primary metric, errors, and the decision of a released one."""
    from rich.table import Table
    from rich.text import Text

    run, primary = result.run, result.run.primary
    table = Table(box=None, padding=(0, 2, 0, 0), show_edge=False, header_style="dim")
    for heading in ("system", primary, "errors", "n", ""):
        table.add_column(heading, overflow="fold")
    for name, each in result.results.items():
        cell = each.summary.cell(primary)
        said = each.decision.outcome if name in run.release else "reference" if name == run.reference else "compared"
        cells = (
            one_line(name, _NAME_CHARS),
            estimated(None if cell is None else cell.estimate, style_of(primary)),
            str(each.summary.states.get("system_error", 0)),
            str(each.summary.n_cases),
            said,
        )
        table.add_row(*map(Text, cells))
    return table
