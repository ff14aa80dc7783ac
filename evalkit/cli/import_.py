"""`evalkit import`: make a suite from another tool's file."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from evalkit.operations.import_ import FinishedImport

_WIDTH = 80
_SHOWN = 20


def import_(  # noqa: PLR0913 - the options of a command
    sources: Annotated[
        list[Path], typer.Argument(metavar="SOURCE...", help="File of another tool; traces may be in several files.")
    ],
    out: Annotated[Path, typer.Option("--out", metavar="DIR", help="Folder to write to; it must be empty or new.")],
    format: Annotated[
        str | None, typer.Option(metavar="NAME", help="Format of the file. Default: found by its content.")
    ] = None,
    answers: Annotated[
        Path | None, typer.Option(metavar="FILE", help="LangSmith runs with the outputs of the examples in SOURCE.")
    ] = None,
    limit: Annotated[int | None, typer.Option(min=1, metavar="N", help="Read at most this many cases.")] = None,
    strict: Annotated[
        bool, typer.Option("--strict", help="Exit with 2 and write nothing if anything is lost.")
    ] = False,
    expect_observed: Annotated[
        bool, typer.Option("--expect-observed", help="Expect the tool calls that succeeded in a trace.")
    ] = False,
) -> None:
    """Make a suite from another eval tool's file.

    It writes golden rows and stored outputs too. Nothing is run or fetched. The output and DIR/IMPORT.md list what
    cannot be carried over: its place, the reason, and what to do instead.

    Example: evalkit import promptfooconfig.yaml --out evals

    Exit codes: 0 imported, 2 the file is unreadable, nothing was carried over, or --strict and a loss.
    """
    import asyncio
    import os

    from evalkit.cli.output import CommandOutput
    from evalkit.errors import InputError, Problem
    from evalkit.operations.import_ import NAMES, ImportRequest, import_source
    from evalkit.text.escaping import visible

    if format is not None and format not in NAMES:
        raise InputError(Problem("--format", f"no format {format!r}", f"choose from {', '.join(NAMES)}"))
    source, *more = sources
    request = ImportRequest(
        source=source,
        out=out,
        format=format,
        answers=answers,
        limit=limit,
        strict=strict,
        more=tuple(more),
        expect_observed=expect_observed,
    )
    written = asyncio.run(import_source(request, os.environ))
    output = CommandOutput()
    for line in _lines(written, source):
        output.results.print(visible(line), soft_wrap=True)


def _lines(written: FinishedImport, source: Path) -> Iterator[str]:
    import shlex
    import textwrap

    from evalkit.disk.paths import shown_path
    from evalkit.text.escaping import on_one_line

    def wrapped(text: str, first: str, rest: str) -> list[str]:
        return textwrap.wrap(on_one_line(text), _WIDTH, initial_indent=first, subsequent_indent=rest)

    yield f"{source.name}: {written.kind}"
    width = max(len(each.part) for each in written.counts) + 2
    for each in written.counts:
        yield f"  {each.part + 's':<{width}} {each.carried:,} of {each.found:,}"
    if written.losses:
        yield "not carried over, or in part:"
    for loss in written.losses[:_SHOWN]:
        yield from wrapped(loss.place, "  ", "  ")
        yield from wrapped(f"{loss.what}; {loss.fix}", "    ", "    ")
    if len(written.losses) > _SHOWN:
        yield f"  ... and {len(written.losses) - _SHOWN:,} more in IMPORT.md"
    yield from wrapped("wrote " + ", ".join(shown_path(file) for file in written.files), "", "      ")
    for name, what in written.variables.items():
        yield from wrapped(f"set {name}: {what}", "", "    ")
    suite = shlex.quote(shown_path(written.suites[0]))
    if written.needs_bot:
        yield f"next: call your system in {shown_path(written.suites[0].with_name('bot.py'))}, then"
        yield f"      evalkit run {suite}"
    else:
        yield f"next: evalkit run {suite}"
