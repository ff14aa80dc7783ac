"""`evalkit run`: call the system, grade, aggregate, gate, report."""

import enum
import inspect
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from evalkit.cli.suite_file import SuiteFile, named_or_nearest

if TYPE_CHECKING:
    from evalkit.runner.prepare import Replies

ENV_PREFIX = "EVALKIT"
"""Flags may stand in the environment: `EVALKIT_LIMIT` is `--limit`."""
_UNREAD = {"suite", "dry_run"}
"""Parameters that no variable sets."""


class Progress(enum.StrEnum):
    """How a run shows that it goes on."""

    AUTO = "auto"
    BAR = "bar"
    LINES = "lines"
    NONE = "none"


def run(  # noqa: PLR0913 - typer reads the flags from the signature
    suite: SuiteFile = None,
    out: Annotated[
        Path | None, typer.Option(help="Folder for the run; must be empty. Default: reports/<run-id>.")
    ] = None,
    baseline: Annotated[
        str | None, typer.Option(help="Baseline: a name, folder, artifact or git:REF:PATH; `none` for none.")
    ] = None,
    limit: Annotated[
        int | None, typer.Option(min=1, help="Draw this many cases (seeded): a partial run, not a gate.")
    ] = None,
    sample: Annotated[
        int | None,
        typer.Option(min=1, help="Draw a stratified sample of this size: a partial run; `sample:` in a suite is none."),
    ] = None,
    case: Annotated[list[str] | None, typer.Option(help="Only this case; repeatable. A partial run.")] = None,
    cohort: Annotated[
        list[str] | None, typer.Option(help="Only this cohort (name=value; !name=value leaves out). A partial run.")
    ] = None,
    failed_from: Annotated[
        Path | None, typer.Option(help="Only cases that failed or have no result in this run. A partial run.")
    ] = None,
    repeat: Annotated[int | None, typer.Option(min=1, help="Ask each case this often.")] = None,
    concurrency: Annotated[int | None, typer.Option(min=1, help="Calls in flight.")] = None,
    seed: Annotated[int | None, typer.Option(help="Seed of every random draw.")] = None,
    budget: Annotated[
        float | None, typer.Option(min=0.0001, help="US dollars to spend; then no new call is made.")
    ] = None,
    deadline: Annotated[
        float | None, typer.Option(min=0.001, help="Seconds; then calls in flight are cancelled: go on with --resume.")
    ] = None,
    timeout: Annotated[
        float | None, typer.Option(min=0.001, help="Seconds that one call of the system may take.")
    ] = None,
    fail_fast: Annotated[
        int | None, typer.Option(min=1, help="Ask no new case after this many failed ones: a partial run.")
    ] = None,
    cache: Annotated[bool, typer.Option("--cache/--no-cache", help="Take judges' replies of earlier runs.")] = True,
    refresh_cache: Annotated[
        bool, typer.Option("--refresh-cache", help="Ask judges anew, and keep what they reply.")
    ] = False,
    resume: Annotated[bool, typer.Option("--resume", help="Go on with the interrupted run in --out.")] = False,
    retry_errors: Annotated[
        bool, typer.Option("--retry-errors", help="Resume, and try again what ended as an error or ungraded.")
    ] = False,
    dry_run: Annotated[
        bool,
        typer.Option(
            "--dry-run",
            help="Check everything, say what the run would ask and cost, and send nothing.",
            allow_from_autoenv=False,  # a forgotten variable would end a gate with 0
        ),
    ] = False,
    report: Annotated[
        bool, typer.Option("--report/--no-report", help="Write report.html, summary.md, junit.xml ...")
    ] = True,
    summary: Annotated[
        Path | None, typer.Option(help="Append summary.md to this file, such as $GITHUB_STEP_SUMMARY.")
    ] = None,
    junit: Annotated[Path | None, typer.Option(help="Write junit.xml to this file as well.")] = None,
    json: Annotated[bool, typer.Option("--json", help="Print decision.json on stdout, and nothing else.")] = False,
    progress: Annotated[Progress, typer.Option(help="How to show progress on stderr.")] = Progress.AUTO,
    verbose: Annotated[bool, typer.Option("--verbose", "-v", help="List every check and cohort.")] = False,
    quiet: Annotated[
        bool, typer.Option("--quiet", "-q", help="Print the verdict and what failed, and no progress.")
    ] = False,
    no_color: Annotated[bool, typer.Option("--no-color", help="Print without colour.")] = False,
) -> None:
    """Run a suite: call the system, grade every answer, decide.

    Example: evalkit run suites/compliance.yaml --out reports/latest

    Exit codes: 0 approved, 1 blocked, 2 invalid input, 3 no decision, 4 evalkit or disk failure, 5 nothing selected,
    129, 130, 143 stopped by SIGHUP, Ctrl-C, SIGTERM (go on with --resume).
    """
    import shlex

    from evalkit.cli.output import CommandOutput, Files
    from evalkit.cli.signals import run_stoppable
    from evalkit.operations.run import Request
    from evalkit.runner.plan import Selection

    given = {
        "repeat": repeat,
        "concurrency": concurrency,
        "seed": seed,
        "budget_usd": budget,
        "deadline_s": deadline,
        "timeout_s": timeout,
    }
    files = Files(summary=summary, junit=junit)
    request = Request(
        suite=named_or_nearest(suite),
        out=out,
        resume=resume or retry_errors,
        retry_errors=retry_errors,
        selection=Selection(
            limit=limit,
            sample=sample,
            case_ids=tuple(case or ()) if failed_from is None else _failed(failed_from, case),
            ids_of="" if failed_from is None else f"--failed-from {failed_from}",
            cohorts=tuple(cohort or ()),
            seed=seed or 0,
        ),
        overrides={key: value for key, value in given.items() if value is not None},
        baseline=baseline,
        fail_fast=fail_fast,
        replies=_replies(cache=cache, refresh=refresh_cache),
        written=tuple(files.named()),
        command=shlex.join([*_environment(), "evalkit", *sys.argv[1:]]),
        meanwhile=_prepare_reports if report else lambda: None,
    )
    output = CommandOutput(json=json, verbose=verbose, quiet=quiet, no_color=no_color)
    if dry_run:
        from evalkit.cli.estimate import show_dry_run

        return show_dry_run(request, output)
    result = run_stoppable(request, output, "none" if quiet else progress.value)
    output.show_run(result, reports=report, files=files)
    raise typer.Exit(int(result.exit_code))


def _replies(*, cache: bool, refresh: bool) -> "Replies":
    from evalkit.errors import InputError, Problem

    if refresh and not cache:
        raise InputError(Problem("--refresh-cache", "--no-cache keeps no reply", "give one of them"))
    return "renewed" if refresh else "taken" if cache else "none"


def _prepare_reports() -> None:
    from evalkit.report.write import prepare_reports

    prepare_reports()


def _environment() -> list[str]:
    """Words that set the flags which stand in the environment, so that the command of a run can be repeated."""
    names = {f"{ENV_PREFIX}_{name.upper()}" for name in inspect.signature(run).parameters.keys() - _UNREAD}
    given = [f"{name}={os.environ[name]}" for name in sorted(names & os.environ.keys()) if os.environ[name]]
    return ["env", *given] if given else []


def _failed(run: Path, named: list[str] | None) -> tuple[str, ...]:
    """Ids of the cases that failed in a run."""
    from evalkit.errors import InputError, NothingSelected, Problem
    from evalkit.store.folder import RunFolder
    from evalkit.store.stored_run import failed_ids

    if named:
        raise InputError(Problem("--failed-from", "--case chooses cases too", "give one of them"))
    found = failed_ids(RunFolder(run))
    if not found:
        raise NothingSelected(Problem("--failed-from", f"no case of {run} failed", "run the whole suite"))
    return found
