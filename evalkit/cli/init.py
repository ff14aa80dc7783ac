"""`evalkit init`: write a first suite."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from evalkit.operations.init_project import Started
    from evalkit.report.next_steps import NextStep

_NAME_CHARS = 60
_EXAMPLE = "run the suite; one of the five answers is wrong, and the report shows which"
_AGENT_EXAMPLE = (
    "run the suite; in one of the six conversations the agent changes what it should not, and the report shows the step"
)


def init(
    folder: Annotated[Path, typer.Argument(help="Folder to write to; created if missing.")] = Path("evals"),
    table: Annotated[
        Path | None,
        typer.Option("--from", metavar="FILE", help="Your own cases: xlsx, CSV, JSON Lines, YAML, Parquet."),
    ] = None,
    sheet: Annotated[str | None, typer.Option(metavar="NAME", help="Sheet of the workbook that --from names.")] = None,
    encoding: Annotated[
        str | None, typer.Option(metavar="NAME", help="Encoding of the file that --from names, such as cp1252.")
    ] = None,
    separator: Annotated[
        str | None, typer.Option(metavar="SIGN", help="Separator of the CSV file that --from names: , ; | or tab.")
    ] = None,
    agent: Annotated[
        bool, typer.Option("--agent", help="Six conversations with a small agent, its tools and a policy.")
    ] = False,
) -> None:
    """Write a suite, five cases, a small system and a workflow.

    They run without editing. With --from, the cases are those of your table. Its columns are matched by name, and
    the suite shows the result. With --agent, they are conversations with an agent that has tools and asks a person
    for approval. Lines for run folders and caches are added to .gitignore.

    Example: evalkit init evals && evalkit run evals/suite.yaml
    """
    from evalkit.cli.output import CommandOutput
    from evalkit.disk.paths import shown_path
    from evalkit.errors import InputError, Problem
    from evalkit.operations.init_project import init_project
    from evalkit.operations.table_suite import TAB, CaseTable
    from evalkit.report.console import print_steps

    settings = {"sheet": sheet, "encoding": encoding, "separator": "\t" if separator == TAB else separator}
    if table is None and (flag := next((f"--{name}" for name, value in settings.items() if value), "")):
        raise InputError(Problem(flag, "needs --from", "name the table with --from FILE"))
    if agent and table is not None:
        raise InputError(Problem("--agent", "does not go with --from", "leave one of the two out"))
    given = None if table is None else CaseTable(file=table, **settings)
    started = init_project(folder, given, agent=agent)
    for word, files in (("wrote", started.wrote), ("added to", started.added), ("kept", started.kept)):
        for file in files:
            typer.echo(f"{word:<8} {shown_path(file)}" + (" (it was there)" if word == "kept" else ""))
    if started.ignores_baselines:
        typer.echo("warning .gitignore: `reports/` ignores baselines too; write `reports/*` instead")
    console = CommandOutput().results
    for line in _columns(started, console.width):
        typer.echo(line)
    print_steps(list(_next(started, agent=agent)), console)


def _columns(started: Started, width: int) -> Iterator[str]:
    """Yield how each column is read, in lines of a width."""
    from textwrap import TextWrapper

    from evalkit.text.printable import one_line

    if started.made is not None:
        yield ""
        names = [one_line(each.column, _NAME_CHARS) for each in started.made.columns]
        longest = max(map(len, names))
        folded = TextWrapper(width, subsequent_indent=" " * (longest + 2), break_long_words=False).fill
        for name, each in zip(names, started.made.columns, strict=True):
            yield folded(f"{name:<{longest}}  {each.field}" + ("" if each.sure else f": {each.reason}"))
        if started.made.unused:
            unused = ", ".join(one_line(name, _NAME_CHARS) for name in started.made.unused)
            fix = "name one under `cohorts:` to report by it, or in `columns:` as a field"
            yield folded(f"not used: {unused}; {fix}")
        for doubt in started.made.doubts:
            yield f"warning {doubt}"


def _next(started: Started, *, agent: bool) -> Iterator[NextStep]:
    import shlex

    from evalkit.disk.paths import shown_path
    from evalkit.operations.init_project import WORKFLOW
    from evalkit.report.next_steps import NextStep

    suite = shlex.quote(shown_path(started.suite))
    if started.made is None:
        yield NextStep(_AGENT_EXAMPLE if agent else _EXAMPLE, f"evalkit run {suite}")
        if agent:
            mocks = started.suite.with_name("mocks.yaml")
            yield NextStep(f"then put your agent in {shown_path(started.bot)}, and its tools in {shown_path(mocks)}")
    else:
        here = f"call your system in {shown_path(started.bot)}, or name its URL in {shown_path(started.suite)}, then"
        text = "check the suite, and run it" if started.made.replays else here
        yield NextStep(text, f"evalkit check {suite} && evalkit run {suite}")
    if started.needs_source:
        yield NextStep(f"in {WORKFLOW}, replace OWNER/evalkit@000... with the repository and commit of evalkit")
    if started.no_repository:
        yield NextStep(
            "the folder is not in a git repository, so it is a project of its own; to make it part of a larger one, "
            "run `git init` there before `evalkit init`"
        )
