"""`evalkit run`: call the system, grade, aggregate, gate, report."""

import enum
import inspect
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from evalkit.cli.engine_flags import CALLS, Engine, InsecureScheduler, Scheduler, ShardSize, Workers, engine_flags
from evalkit.cli.suite_file import SuiteFile, named_or_nearest

if TYPE_CHECKING:
    from evalkit.operations.run import Replies, Request

ENV_PREFIX = "EVALKIT"
"""Prefix of environment variables for flags: `EVALKIT_LIMIT` sets `--limit`."""
_WHERE, _PART, _SHOWN = "Run", "Run a part of the cases (not gated)", "Output"
"""Groups of options in the help."""
_UNREAD = {"suite", "dry_run", "watch", "unlocked"}
"""Parameters that no environment variable sets."""


class Progress(enum.StrEnum):
    """How a run shows its progress."""

    AUTO = "auto"
    BAR = "bar"
    LINES = "lines"
    NONE = "none"


def run(  # noqa: PLR0913 - typer reads the flags from the signature
    suite: SuiteFile = None,
    out: Annotated[
        Path | None,
        typer.Option(help="Folder for the run; must be empty. Default: reports/<run-id>.", rich_help_panel=_WHERE),
    ] = None,
    baseline: Annotated[
        str | None,
        typer.Option(
            help="Baseline: a name, folder, artifact or git:REF:PATH; `none` for none.", rich_help_panel=_WHERE
        ),
    ] = None,
    resume: Annotated[
        bool, typer.Option("--resume", help="Resume the interrupted run in --out.", rich_help_panel=_WHERE)
    ] = False,
    retry_errors: Annotated[
        bool,
        typer.Option(
            "--retry-errors",
            help="Resume, and run again the cases that ended in an error or could not be graded.",
            rich_help_panel=_WHERE,
        ),
    ] = False,
    dry_run: Annotated[
        bool,
        typer.Option(
            "--dry-run",
            help="Check everything, estimate calls and cost, and send nothing.",
            allow_from_autoenv=False,  # a forgotten variable would end a gate with 0
            rich_help_panel=_WHERE,
        ),
    ] = False,
    watch: Annotated[
        bool,
        typer.Option(
            "--watch",
            help="Run, then run again what a saved file changes, until Ctrl-C (not gated).",
            allow_from_autoenv=False,  # a forgotten variable would end a gate with 0
            rich_help_panel=_PART,
        ),
    ] = False,
    limit: Annotated[
        int | None,
        typer.Option(min=1, metavar="N", help="Run N cases, drawn at random (seeded).", rich_help_panel=_PART),
    ] = None,
    sample: Annotated[
        int | None,
        typer.Option(
            min=1,
            metavar="N",
            help="Run a stratified sample of N cases. For a gated sample, set `sample:` in the suite.",
            rich_help_panel=_PART,
        ),
    ] = None,
    case: Annotated[
        list[str] | None, typer.Option(metavar="ID", help="Run only this case; repeatable.", rich_help_panel=_PART)
    ] = None,
    cohort: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME=VALUE", help="Run only this cohort; !NAME=VALUE leaves one out.", rich_help_panel=_PART
        ),
    ] = None,
    failed_from: Annotated[
        str | None,
        typer.Option(
            metavar="RUN", help="Run only the cases that failed or have no result in this run.", rich_help_panel=_PART
        ),
    ] = None,
    shard: Annotated[
        str | None,
        typer.Option(
            metavar="K/N",
            help="Run shard K of N, in one of N parallel jobs; `evalkit merge` decides on all.",
            rich_help_panel=_PART,
        ),
    ] = None,
    unlocked: Annotated[
        bool,
        typer.Option(
            "--unlocked",
            help="Allow a golden set that differs from its lock (not gated).",
            allow_from_autoenv=False,  # a forgotten variable would end every gate without a decision
            rich_help_panel=_PART,
        ),
    ] = False,
    repeat: Annotated[
        int | None, typer.Option(min=1, metavar="N", help="Run each case this many times.", rich_help_panel=CALLS)
    ] = None,
    concurrency: Annotated[
        int | None, typer.Option(min=1, metavar="N", help="Calls in flight.", rich_help_panel=CALLS)
    ] = None,
    timeout: Annotated[
        float | None,
        typer.Option(min=0.001, metavar="SECONDS", help="Limit for one call of the system.", rich_help_panel=CALLS),
    ] = None,
    deadline: Annotated[
        float | None,
        typer.Option(
            min=0.001,
            metavar="SECONDS",
            help="Limit for all calls; then calls in flight are cancelled, and --resume continues.",
            rich_help_panel=CALLS,
        ),
    ] = None,
    budget: Annotated[
        float | None,
        typer.Option(min=0.0001, metavar="USD", help="Stop making calls once this is spent.", rich_help_panel=CALLS),
    ] = None,
    fail_fast: Annotated[
        int | None,
        typer.Option(min=1, metavar="N", help="Start no new case after N failed ones.", rich_help_panel=CALLS),
    ] = None,
    engine: Engine = None,
    workers: Workers = None,
    shard_size: ShardSize = None,
    scheduler: Scheduler = None,
    insecure_scheduler: InsecureScheduler = False,
    seed: Annotated[
        int | None, typer.Option(metavar="N", help="Seed of every random draw.", rich_help_panel=CALLS)
    ] = None,
    cache: Annotated[
        bool, typer.Option("--cache/--no-cache", help="Reuse cached judge replies.", rich_help_panel=CALLS)
    ] = True,
    refresh_cache: Annotated[
        bool, typer.Option("--refresh-cache", help="Ask judges again and cache the replies.", rich_help_panel=CALLS)
    ] = False,
    report: Annotated[
        bool,
        typer.Option(
            "--report/--no-report", help="Write report.html, summary.md, junit.xml ...", rich_help_panel=_SHOWN
        ),
    ] = True,
    summary: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Append summary.md to this file, such as $GITHUB_STEP_SUMMARY.",
            rich_help_panel=_SHOWN,
        ),
    ] = None,
    junit: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Write junit.xml to this file as well.", rich_help_panel=_SHOWN),
    ] = None,
    json: Annotated[
        bool,
        typer.Option("--json", help="Print decision.json on stdout, and nothing else.", rich_help_panel=_SHOWN),
    ] = False,
    progress: Annotated[
        Progress, typer.Option(help="How to show progress on stderr.", rich_help_panel=_SHOWN)
    ] = Progress.AUTO,
    verbose: Annotated[
        bool, typer.Option("--verbose", "-v", help="List every check and cohort.", rich_help_panel=_SHOWN)
    ] = False,
    quiet: Annotated[
        bool,
        typer.Option(
            "--quiet", "-q", help="Print the decision and what failed, without progress.", rich_help_panel=_SHOWN
        ),
    ] = False,
    no_color: Annotated[bool, typer.Option("--no-color", help="Print without colour.", rich_help_panel=_SHOWN)] = False,
) -> None:
    """Run a suite: call the system, grade every answer, decide.

    Example: evalkit run suites/compliance.yaml --out reports/latest

    Each option but --dry-run, --watch, --unlocked and --help can also be set in the environment:
    EVALKIT_REPEAT=3 is --repeat 3.

    Exit codes: 0 approved, 1 blocked, 2 invalid input, 3 no decision, 4 evalkit or disk failure, 5 nothing selected,
    129, 130, 143 stopped by SIGHUP, Ctrl-C, SIGTERM (continue with --resume).
    """
    import shlex

    from evalkit.cli.child_process import must_decide
    from evalkit.cli.output import CommandOutput, Files
    from evalkit.cli.signals import run_each_stoppable
    from evalkit.operations.run import Request, Result, shard_of
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
            shard=None if shard is None else shard_of(shard),
            seed=seed or 0,
            unlocked=unlocked,
        ),
        overrides={key: value for key, value in given.items() if value is not None},
        baseline=baseline,
        fail_fast=fail_fast,
        engine=engine_flags(engine, workers, shard_size, scheduler, insecure=insecure_scheduler),
        replies=_replies(cache=cache, refresh=refresh_cache),
        written=tuple(files.named()),
        command=shlex.join([*_environment(), "evalkit", *sys.argv[1:]]),
        meanwhile=_prepare_reports if report else lambda: None,
    )
    if watch:
        asked_too = {
            "--out": out,
            "--baseline": baseline,
            "--resume": resume,
            "--retry-errors": retry_errors,
            "--dry-run": dry_run,
            "--summary": summary,
            "--junit": junit,
            "--json": json,
            "--engine": engine,
            "--workers": workers,
            "--shard-size": shard_size,
            "--scheduler": scheduler,
            "--insecure-scheduler": insecure_scheduler,
        }
        return _watch(request, [flag for flag, value in asked_too.items() if value], progress, quiet=quiet)
    output = CommandOutput(json=json, verbose=verbose, quiet=quiet, no_color=no_color)
    if dry_run:
        from evalkit.cli.estimate import show_dry_run

        return show_dry_run(request, output)
    must_decide()
    result = run_each_stoppable(request, output, "none" if quiet else progress.value)
    if isinstance(result, Result):
        output.show_run(result, reports=report, files=files)
    else:
        from evalkit.cli.several_systems import show_systems

        show_systems(result, output, reports=report, files=files)
    raise typer.Exit(int(result.exit_code))


def _watch(request: "Request", asked_too: list[str], progress: Progress, *, quiet: bool) -> None:
    """Watch the suite of a request.

    Raises:
        InputError: flags in `asked_too` have no effect on these runs.
    """
    import dataclasses

    from evalkit.cli.watch import watch_suite
    from evalkit.errors import InputError, Problem
    from evalkit.operations.watch import RoundRequest

    if asked_too:
        what = "--watch has its own folder, and neither decides, compares nor reports"
        raise InputError(Problem(flag, what, "leave one of them out") for flag in asked_too)
    watch_suite(
        RoundRequest(
            suite=str(request.suite),
            selection=dataclasses.replace(request.selection, watched=True),
            overrides=request.overrides,
            fail_fast=request.fail_fast,
            replies=request.replies,
            progress="none" if quiet else progress.value,
        )
    )


def _replies(*, cache: bool, refresh: bool) -> "Replies":
    from evalkit.errors import InputError, Problem

    if refresh and not cache:
        raise InputError(Problem("--refresh-cache", "--no-cache keeps no reply", "give one of them"))
    return "renewed" if refresh else "taken" if cache else "none"


def _prepare_reports() -> None:
    from evalkit.report.write import prepare_reports

    prepare_reports()


def _environment() -> list[str]:
    """Return the flags set in the environment as arguments, so that the run's command can be repeated."""
    names = {f"{ENV_PREFIX}_{name.upper()}" for name in inspect.signature(run).parameters.keys() - _UNREAD}
    given = [f"{name}={os.environ[name]}" for name in sorted(names & os.environ.keys()) if os.environ[name]]
    return ["env", *given] if given else []


def _failed(run: str, named: list[str] | None) -> tuple[str, ...]:
    """Return the ids of the cases that failed in a run."""
    from evalkit.errors import InputError, NothingSelected, Problem
    from evalkit.operations.find_run import find_run
    from evalkit.operations.run import failed_ids

    if named:
        raise InputError(Problem("--failed-from", "--case chooses cases too", "give one of them"))
    found = failed_ids(find_run(run))
    if not found:
        raise NothingSelected(Problem("--failed-from", f"no case of {run} failed", "run the whole suite"))
    return found
