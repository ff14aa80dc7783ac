"""Print results on stdout, and everything else on stderr."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from evalkit.cli.child_process import promise
from evalkit.cli.streams import LISTENER
from evalkit.disk.paths import shown_path
from evalkit.errors import InputError, Problem
from evalkit.store.folder import DECISION, REPORT

if TYPE_CHECKING:
    from rich.console import Console

    from evalkit.operations.run import Result
    from evalkit.report.view import View
    from evalkit.report.write import Material


@dataclass(frozen=True)
class Files:
    """Files to write besides the run folder."""

    summary: Path | None = None
    """File to append the summary to."""
    junit: Path | None = None
    csv: Path | None = None

    def named(self) -> list[Path]:
        """Return the requested files."""
        return [file for file in (self.summary, self.junit, self.csv) if file is not None]


NO_FILES = Files()
_USUAL, _WIDEST = 80, 1000
"""Default width; `COLUMNS` may hold any text, and 0 is not a width."""


class CommandOutput:
    """The two output streams of a command, and how much to print."""

    def __init__(
        self, *, json: bool = False, verbose: bool = False, quiet: bool = False, no_color: bool = False
    ) -> None:
        """Choose the streams; colour is always off for pipes, `NO_COLOR` and `TERM=dumb`."""
        if verbose and quiet:
            raise InputError(Problem("--quiet", "--verbose asks for more", "give one of them"))
        self.json, self.verbose, self.quiet = json, verbose, quiet
        # Without colours, use no style at all, because bold is an escape sequence too.
        plain = no_color or bool(os.environ.get("NO_COLOR")) or os.environ.get("TERM") == "dumb"
        colours = {"color_system": None if plain else "auto"}
        self.results = _console(**colours)
        self.messages = _console(stderr=True, **colours)

    def say(self, text: str) -> None:
        """Print a message."""
        self.messages.print(text, soft_wrap=True)

    def show_run(self, result: Result, *, reports: bool, files: Files = NO_FILES) -> None:
        """Write the reports of a run, print its decision, and write the requested files."""
        promise(result.folder.file(DECISION), result.sha256)
        from evalkit.report.write import append_to, junit_to, table_to

        material, view = self.write_reports(result, reports=reports)
        self._print_decision(result, view, reports=reports)
        if files.summary is not None:
            append_to(files.summary, view)
        if files.junit is not None:
            junit_to(files.junit, material, view)
        if files.csv is not None:
            table_to(files.csv, material, view)

    def write_reports(self, result: Result, *, reports: bool) -> tuple[Material, View]:
        """Write the reports of a run, and return what they show."""
        from evalkit.report.write import material_of, newer, view_of, write_reports

        material = material_of(
            result.folder, result.manifest, result.summary, result.decision, result.baseline, result.labels
        )
        view = view_of(material, rows=reports)
        for name in write_reports(material, view) if reports else ():
            self.say(f"kept    {name}: it was completed by hand; the current version is in {newer(name)}")
        return material, view

    def _print_decision(self, result: Result, view: View, *, reports: bool) -> None:
        if self.json:
            self.results.out(result.folder.file(DECISION).read_text(encoding="utf-8"), end="", highlight=False)
            return
        from evalkit.report.console import print_comparison, print_failures, print_view

        if self.quiet:
            print_failures(view, self.results)
            return
        if view.caveat and not self.verbose:
            print_comparison(view, self.results)
        else:
            print_view(view, self.results, verbose=self.verbose)
        self._say_where(result, reports=reports)

    def _say_where(self, result: Result, *, reports: bool) -> None:
        shown = result.folder.file(REPORT if reports else DECISION)
        self.messages.print(f"\nreport  {shown_path(shown)}\nhead    {result.manifest.head}", soft_wrap=True)


def _console(**options: Any) -> Console:
    from rich.console import Console

    class Patient(Console):
        """A console that survives the end of its reader (`| head`), so that the exit code still tells the decision."""

        def on_broken_pipe(self) -> None:
            self.quiet = LISTENER.left = True
            os.dup2(os.open(os.devnull, os.O_WRONLY), self.file.fileno())

    made = Patient(highlight=False, markup=False, emoji=False, **options)
    made.width = min(made.width, _WIDEST) or _USUAL
    return made


def share_of(value: float | None) -> str:
    """Format a share; an unknown share is not a number."""
    return "unknown" if value is None else f"{value:.1%}"
