"""`evalkit compare`: compare the results of two systems, of any tool, and decide."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from collections.abc import Mapping

_COLUMNS, _FILES, _SHOWN = "Columns", "Files", "Output"
"""Groups of options in the help."""


def compare(  # noqa: PLR0913 - typer reads the flags from the signature
    before: Annotated[str, typer.Argument(help="Results of the old system: a file, run folder, baseline or `latest`.")],
    after: Annotated[
        str | None,
        typer.Argument(help="Results of the new system. Leave it out to compare two systems of one file (--system)."),
    ] = None,
    id: Annotated[str | None, typer.Option("--id", metavar="COLUMN", help="Column that names the cases.")] = None,
    passes: Annotated[
        list[str] | None,
        typer.Option("--pass", metavar="COLUMN", help="Column of pass or fail to compare; repeatable."),
    ] = None,
    metric: Annotated[
        list[str] | None, typer.Option(metavar="COLUMN", help="Column of grades to compare; repeatable.")
    ] = None,
    cohort: Annotated[
        list[str] | None, typer.Option(metavar="COLUMN", help="Column of cohorts to compare by; repeatable.")
    ] = None,
    cluster: Annotated[
        str | None, typer.Option(metavar="COLUMN", help="Column with a value that dependent cases share.")
    ] = None,
    repeat: Annotated[str | None, typer.Option(metavar="COLUMN", help="Column that numbers repeats of a case.")] = None,
    higher: Annotated[
        list[str] | None, typer.Option(metavar="COLUMN", help="In this column more is better; repeatable.")
    ] = None,
    lower: Annotated[
        list[str] | None, typer.Option(metavar="COLUMN", help="In this column less is better; repeatable.")
    ] = None,
    scale: Annotated[
        list[str] | None, typer.Option(metavar="COLUMN=LOW:HIGH", help="Range of a column of scores; repeatable.")
    ] = None,
    threshold: Annotated[
        list[str] | None, typer.Option(metavar="COLUMN=X", help="Score from which a case passes; repeatable.")
    ] = None,
    judge: Annotated[
        list[str] | None, typer.Option(metavar="COLUMN", help="Column that a model graded; repeatable.")
    ] = None,
    system: Annotated[
        str | None, typer.Option(metavar="COLUMN", help="Column that tells the systems of a file apart.")
    ] = None,
    before_value: Annotated[
        str | None,
        typer.Option("--before", metavar="VALUE", help="The old system in that column, or the reference of several."),
    ] = None,
    after_value: Annotated[
        str | None, typer.Option("--after", metavar="VALUE", help="The new system in that column.")
    ] = None,
    gate: Annotated[
        Path | None, typer.Option(metavar="FILE", help="YAML file with `gate:` as in a suite, for further checks.")
    ] = None,
    labels: Annotated[
        list[Path] | None,
        typer.Option(metavar="FILE", help="People's labels of the later answers, for a model that graded; repeatable."),
    ] = None,
    sheet: Annotated[str | None, typer.Option(help="Sheet of a workbook.")] = None,
    separator: Annotated[str | None, typer.Option(help="Separator of a CSV file.")] = None,
    encoding: Annotated[str | None, typer.Option(help="Encoding of a text file that is not UTF-8.")] = None,
    out: Annotated[Path | None, typer.Option(help="Folder to write; must be empty. Default: reports/<id>.")] = None,
    seed: Annotated[int, typer.Option(metavar="N", help="Seed of the sign flips.")] = 0,
    summary: Annotated[Path | None, typer.Option(metavar="FILE", help="Append summary.md to this file.")] = None,
    junit: Annotated[Path | None, typer.Option(metavar="FILE", help="Write junit.xml to this file as well.")] = None,
    json: Annotated[bool, typer.Option("--json", help="Print decision.json on stdout, and nothing else.")] = False,
    verbose: Annotated[bool, typer.Option("--verbose", "-v", help="List every check and cohort.")] = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Print the decision and what failed.")] = False,
) -> None:
    """Compare the results of two systems, and decide if one is worse.

    Example: evalkit compare before.csv after.csv --id question_id --pass correct

    Reads CSV, TSV, JSON Lines, JSON, YAML, Excel, Parquet and Arrow files, run folders and saved baselines. No
    suite is needed, and nothing is called.

    With --system alone, more than two systems of one file are compared with the first one, on one page. Nothing is
    decided then, so the exit code is 0.

    Exit codes: 0 no drop found, 1 dropped, 2 invalid input, 3 too little to say.
    """
    from evalkit.cli.child_process import must_decide
    from evalkit.cli.output import CommandOutput, Files
    from evalkit.operations.compare_files import ColumnFlags, Comparing, compare_files
    from evalkit.operations.compare_several import compare_several, systems_of
    from evalkit.operations.run import refuse_places

    files = Files(summary=summary, junit=junit)
    refuse_places(files.named())
    asked = ColumnFlags(
        id=id,
        passes=tuple(passes or ()),
        metrics=tuple(metric or ()),
        cohorts=tuple(cohort or ()),
        cluster=cluster,
        repeat=repeat,
        higher=tuple(higher or ()),
        lower=tuple(lower or ()),
        scales=_scales(scale or ()),
        thresholds=_thresholds(threshold or ()),
        judged=tuple(judge or ()),
    )
    request = Comparing(
        before=before,
        after=after,
        asked=asked,
        system=system,
        systems=_pair(system, before_value, after_value),
        reference=before_value,
        gate=gate,
        labels=tuple(labels or ()),
        sheet=sheet,
        separator=separator,
        encoding=encoding,
        seed=seed,
    )
    output = CommandOutput(json=json, verbose=verbose, quiet=quiet)
    if names := systems_of(request):
        from evalkit.cli.several_systems import show_comparison

        return show_comparison(compare_several(request, names, out), output, files=files)
    must_decide()
    result = compare_files(request, out)
    output.show_run(result, reports=True, files=files)
    raise typer.Exit(int(result.exit_code))


def _pair(system: str | None, before: str | None, after: str | None) -> tuple[str, str] | None:
    from evalkit.errors import InputError, Problem

    if before is not None and after is not None and system is not None:
        return before, after
    if (before, after) != (None, None) and (system is None or after is not None):
        flag = "--before" if before is not None else "--after"
        raise InputError(Problem(flag, "names a system of a column", "write --system COLUMN --before A --after B"))
    return None


def _scales(given: list[str] | tuple[()]) -> Mapping[str, tuple[float, float]]:
    found = {}
    for text in given:
        column, _, ends = text.rpartition("=")
        low, _, high = ends.partition(":")
        low_number, high_number = _number(low), _number(high)
        if not column or low_number is None or high_number is None or low_number >= high_number:
            raise _refused("--scale", text, "--scale score=1:5")
        found[column] = (low_number, high_number)
    return found


def _thresholds(given: list[str] | tuple[()]) -> Mapping[str, float]:
    found = {}
    for text in given:
        column, _, number = text.rpartition("=")
        value = _number(number)
        if not column or value is None:
            raise _refused("--threshold", text, "--threshold score=0.7")
        found[column] = value
    return found


def _number(text: str) -> float | None:
    import math

    try:
        value = float(text)
    except ValueError:
        return None
    return value if math.isfinite(value) else None


def _refused(flag: str, text: str, example: str) -> Exception:
    from evalkit.errors import InputError, Problem

    return InputError(Problem(flag, f"{text!r} cannot be read", f"write it as in `{example}`"))
