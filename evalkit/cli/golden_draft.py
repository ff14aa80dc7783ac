"""`evalkit golden draft` and `evalkit golden accept`: draft cases with a model, and add those that a person accepts."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from evalkit.cli.suite_file import SuiteFile, named_or_nearest
from evalkit.text.escaping import cut, on_one_line, visible

if TYPE_CHECKING:
    from evalkit.operations.draft import DraftedCases
    from evalkit.operations.draft_plan import DraftPlan

_WIDTH = 160
_SHOWN = 5


def draft(  # noqa: PLR0913 - each is a flag
    suite: SuiteFile = None,
    corpus: Annotated[Path | None, typer.Option(metavar="DIR", help="Documents to draft from.")] = None,
    from_logs: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Logged calls instead: JSON Lines with contexts.")
    ] = None,
    passages: Annotated[int, typer.Option("-n", "--passages", min=1, max=1000, help="Passages to draft from.")] = 20,
    by: Annotated[list[str] | None, typer.Option(help="Cohort names; default: those that every case has.")] = None,
    production: Annotated[Path | None, typer.Option(help="Calls of production: JSON Lines with the cohorts.")] = None,
    mix: Annotated[str | None, typer.Option(help="Declared shares instead: aml=0.3,privacy=0.7")] = None,
    names: Annotated[
        Path | None, typer.Option("--names", help="Names to replace besides other personal data, one a line.")
    ] = None,
    budget: Annotated[
        float | None, typer.Option(min=0.0001, metavar="USD", help="Stop asking once this is spent.")
    ] = None,
    seed: Annotated[int, typer.Option(min=0, help="Seed of the draw of passages.")] = 0,
    out: Annotated[Path, typer.Option(help="The page; an older one is replaced.")] = Path("drafts.html"),
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show what would be asked, and send nothing.")] = False,
    json: Annotated[bool, typer.Option("--json", help="Print the drafts and the rejected ones as JSON.")] = False,
) -> None:
    """Draft cases from documents or logs with the judge's model.

    Passages are drawn by a seed, for the kinds of cases that the set lacks. The model writes a question, a reference
    and a quote, which must be in the passage. Drafts that repeat a case are rejected. Personal data are replaced
    before anything is sent, and nothing but the judge's endpoint is called. The drafts are written to a page, on
    which a person accepts, edits or drops them. Replies are kept, so that an interrupted command can be repeated
    without paying twice.

    Example: evalkit golden draft evals/suite.yaml --corpus docs --budget 1

    Exit codes: 0, 2 if suite, set or documents cannot be used, 3 if there is no draft, or the budget was reached.
    """
    import asyncio
    import os

    from evalkit.cli.progress import counted
    from evalkit.errors import ExitCode, InputError, Problem
    from evalkit.operations.add_case import refuse_lost_folder
    from evalkit.operations.draft import write_drafts
    from evalkit.operations.draft_plan import DraftRequest, plan_drafts
    from evalkit.report.draft_page import write_draft_page

    request = DraftRequest(
        suite=named_or_nearest(suite),
        corpus=corpus,
        logs=from_logs,
        n=passages,
        by=tuple(by or ()),
        production=production,
        mix=mix,
        names=names,
        seed=seed,
        budget_usd=budget,
    )
    refuse_lost_folder(out, "--out")
    plan = plan_drafts(request)
    _print_plan(plan)
    if dry_run:
        for each in plan.questions:
            typer.echo(on_one_line(each.passage.place))
        return
    found = asyncio.run(write_drafts(plan, os.environ, progress=counted("passages drafted from")))
    if found.queue.items:
        try:
            write_draft_page(out, found.queue)
        except OSError as error:
            raise InputError(Problem(str(out), f"cannot be written ({error.strerror})", "name another --out")) from None
    (_print_json if json else _print)(found)
    if found.queue.items:
        _print_next(request.suite, out)
    if found.n_unasked or not found.queue.items:
        raise typer.Exit(ExitCode.NO_DECISION)


def accept(
    suite: Annotated[Path, typer.Argument(help="Suite whose golden set the cases join.")],
    reviewed: Annotated[list[Path], typer.Argument(help="Files that the page with the drafts exported.")],
) -> None:
    """Add the drafts that a person accepted to the golden set.

    All are added, or none. At most 20 % of the cases may be synthetic, and every cohort needs a case that is not.
    A draft is refused if it holds personal data or is nearly the same as a case of the set.

    Example: evalkit golden accept suites/compliance.yaml drafts-ana.jsonl

    Exit codes: 0, 2 with every reason why a draft is refused.
    """
    from datetime import UTC, datetime

    from evalkit.disk.paths import shown_path
    from evalkit.operations.accept_drafts import accept_drafts
    from evalkit.text.numbers import plural

    found = accept_drafts(suite, reviewed, datetime.now(UTC).date())
    for case in found.cases:
        typer.echo(visible(case.id))
    known = f", {found.n_known} were there already" if found.n_known else ""
    dropped = f", {found.n_dropped} dropped" if found.n_dropped else ""
    typer.echo(
        visible(f"{plural(len(found.cases), 'case')} added to {shown_path(found.file)}{known}{dropped}"), err=True
    )


def _print_plan(plan: "DraftPlan") -> None:
    from evalkit.text.numbers import Style, figure, plural

    price = "unknown" if plan.at_most_usd is None else f"at most about {figure(plan.at_most_usd, Style('usd'))}"
    budget = "" if plan.budget_usd is None else f"; the budget is {figure(plan.budget_usd, Style('usd'))}"
    lines = [
        f"asks {plan.judge.model} about {len(plan.questions)} of {plural(plan.n_passages, 'passage')}",
        f"cost {price}, without repairs of replies{budget}",
        f"the set has {plural(len(plan.known), 'case')}; at most {plural(plan.room, 'synthetic one')} can be added",
    ]
    if plan.names:
        lines.append(f"kinds that lack cases: {_listed([f'{label} {n}' for label, n in plan.lacking.items()])}")
    if plan.empty:
        lines.append(f"not drafted, write a first case by hand: {_listed(plan.empty)}")
    if plan.replaced:
        said = (plural(n, word.lower().replace("_", " ")) for word, n in plan.replaced.items())
        lines.append(f"replaced: {', '.join(said)}")
    if plan.n_without:
        lines.append(f"{plural(plan.n_without, 'call')} without question or contexts left out")
    for line in lines:
        typer.echo(visible(line), err=True)


def _listed(texts: Sequence[str]) -> str:
    """Write the first of some texts, and how many there are besides."""
    more = len(texts) - _SHOWN
    return ", ".join(texts[:_SHOWN]) + (f", and {more} more" if more > 0 else "")


def _print(found: "DraftedCases") -> None:
    from evalkit.text.numbers import plural

    for each in found.rejected:
        detail = f" ({each.detail})" if each.detail else ""
        typer.echo(cut(on_one_line(f"rejected {each.place}: {', '.join(each.reasons)}{detail}"), _WIDTH))
    typer.echo(f"{plural(len(found.queue.items), 'draft')} to review, {len(found.rejected)} rejected")
    for reason, n in found.reasons.items():
        typer.echo(f"  {n} {reason}")
    if found.n_unasked:
        left = f"budget reached: {plural(found.n_unasked, 'passage')} not asked about"
        typer.echo(f"{left}; raise --budget and repeat the command, which reuses the replies", err=True)
    if found.n_cached:
        typer.echo(f"{found.n_cached} {'reply' if found.n_cached == 1 else 'replies'} reused", err=True)
    for note in found.notes:
        typer.echo(visible(note), err=True)


def _print_next(suite: Path, out: Path) -> None:
    from shlex import quote

    typer.echo(visible(f"next: open {out}, review the drafts, and add the file that it exports:"), err=True)
    typer.echo(visible(f"      evalkit golden accept {quote(str(suite))} EXPORTED.jsonl"), err=True)


def _print_json(found: "DraftedCases") -> None:
    import dataclasses
    from json import dumps

    typer.echo(dumps(dataclasses.asdict(found), indent=1, ensure_ascii=False))
