"""`evalkit golden`: describe a golden set, find near-duplicates and leaks, add cases and prove them."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from evalkit.cli.golden_draft import accept, draft
from evalkit.cli.golden_items import items
from evalkit.cli.golden_lock import lock
from evalkit.cli.golden_report import report
from evalkit.cli.golden_rotate import rotate
from evalkit.cli.suite_file import SuiteFile, named_or_nearest
from evalkit.text.escaping import visible

if TYPE_CHECKING:
    from evalkit.operations.coverage import GoldenCoverage

golden = typer.Typer(
    name="golden",
    help="Check, lock and describe golden sets, and add cases.",
    rich_markup_mode=None,
    no_args_is_help=True,
)


@golden.callback()
def _group() -> None:
    """Inspect golden sets."""


@golden.command()
def coverage(
    suite: SuiteFile = None,
    production: Annotated[Path | None, typer.Option(help="Calls of production: JSON Lines with the cohorts.")] = None,
    mix: Annotated[str | None, typer.Option(help="Declared shares instead: aml=0.3,privacy=0.7")] = None,
    by: Annotated[list[str] | None, typer.Option(help="Cohort names; default: the suite's first.")] = None,
    json: Annotated[bool, typer.Option("--json", help="Print the figures as JSON.")] = False,
) -> None:
    """Show the share of production that the golden set covers.

    The output names the cells with too few cases. A cell with 30 cases counts as covered. The share of kinds that
    the sample never saw is estimated after Good and Turing, and counts as not covered.

    Example: evalkit golden coverage suites/compliance.yaml --mix aml=0.4,privacy=0.6 --by domain

    Exit codes: 0, 2 if suite, file or mix cannot be used.
    """
    from evalkit.operations.coverage import golden_coverage

    found = golden_coverage(named_or_nearest(suite), by, production=production, mix=mix)
    if json:
        _print_json(found)
    else:
        _print(found)


GoldenFile = Annotated[Path, typer.Argument(help="Golden set, such as golden/cases.jsonl.")]


@golden.command()
def dedup(
    set: GoldenFile,
    accept: Annotated[
        Path | None, typer.Option(help="Pairs that you accept, as --json prints them: put each into one cluster.")
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="Print the pairs as JSON.")] = False,
) -> None:
    """List pairs of cases with nearly the same input.

    A pair that differs in a number, a negation, a capitalised word or the contexts is a `variant`: another meaning is
    likely. Any other is `same`. No case is removed. With --accept, the cases of the listed pairs get the same
    `cluster`, so that they are not counted as independent.

    Example: evalkit golden dedup golden/cases.jsonl --json > pairs.json

    Exit codes: 0, 2 if set or pairs cannot be used.
    """
    from evalkit.cli.golden_pairs import print_pairs, print_pairs_json
    from evalkit.operations.dedup import accept_duplicates, find_duplicates
    from evalkit.text.numbers import plural

    if accept is not None:
        done = accept_duplicates(set, accept)
        for name, ids in done.clusters.items():
            typer.echo(visible(f"{name}: {', '.join(ids)}"))
        typer.echo(
            f"{plural(done.n_pairs, 'pair')} accepted, {plural(done.n_changed, 'row')} of {set} changed", err=True
        )
        return
    found = find_duplicates(set)
    (print_pairs_json if json else print_pairs)(set, found)


@golden.command()
def leaks(
    suite: SuiteFile = None,
    run: Annotated[
        str | None, typer.Option(help="Stored run: compare the pass rate of the cases that are found with the others'.")
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="Print the findings as JSON.")] = False,
) -> None:
    """Find cases in the prompts, the corpus or the training data.

    The files are those under `prompts`, `corpus` and `trained_on` of the suite's `golden:`. A case is found if its
    question occurs whole or for the most part, if 13 words in a row of question and answer do, or, in prompts, if its
    answer does. No text of a case is printed.

    Example: evalkit golden leaks suites/compliance.yaml --run latest

    Exit codes: 0, 1 if a case occurs in the prompts, 2 if suite, files or run cannot be used.
    """
    from evalkit.cli.golden_leaks import print_leaks, print_leaks_json
    from evalkit.operations.leaks import golden_leaks

    found = golden_leaks(named_or_nearest(suite), run)
    (print_leaks_json if json else print_leaks)(found)
    if found.leaks.cases_in("prompts"):
        raise typer.Exit(1)


@golden.command()
def check_lock(
    set: GoldenFile,
    json: Annotated[bool, typer.Option("--json", help="Print the changes as JSON.")] = False,
) -> None:
    """Compare a golden set with its lock.

    Changed, added and removed cases are listed. A removed case is named by the start of its digest, because the lock
    holds no id.

    Example: evalkit golden check-lock golden/cases.jsonl

    Exit codes: 0, 1 if they differ, 2 if there is no lock, or set or lock cannot be read.
    """
    from evalkit.cli.golden_lock import print_lock_changes
    from evalkit.operations.lock import check_lock as compare

    found = compare(set)
    print_lock_changes(found, json=json)
    if found.differs:
        raise typer.Exit(1)


@golden.command()
def card(
    set: GoldenFile,
    json: Annotated[bool, typer.Option("--json", help="Print the card as JSON.")] = False,
) -> None:
    """Print the data card of a golden set, in Markdown.

    SET.card.yaml beside the set holds what a person has to say: owner, source, usage_rights, sensitivity,
    personal_data, retention, deletion, approved_by, approved_on and labels; and, if you like, description, languages
    and known_gaps. Counts, lock and a scan for personal data are added.

    Example: evalkit golden card golden/cases.jsonl > golden/README.md

    Exit codes: 0, 1 if a required field is empty, if personal data is found although the card says none, or if the lock
    does not name the readers of held-out cases, 2 if set or card cannot be read.
    """
    import shlex

    from evalkit.operations.data_card import READERS, card_file, card_markdown, golden_card

    found = golden_card(set)
    if json:
        import dataclasses
        from json import dumps

        typer.echo(dumps(dataclasses.asdict(found), indent=1, ensure_ascii=False))
    else:
        typer.echo(visible(card_markdown(found)), nl=False)
    if found.gaps:
        if gaps := [name for name in found.gaps if name != READERS]:
            typer.echo(f"missing or wrong in {card_file(set).name}: {', '.join(gaps)}", err=True)
        if READERS in found.gaps:
            fix = f"name them with `evalkit golden lock {shlex.quote(str(set))} --reader-held NAME`"
            typer.echo(visible(f"the lock has no {READERS}: {fix}"), err=True)
        raise typer.Exit(1)


@golden.command("diff")
def diff_sets(
    old: Annotated[str, typer.Argument(help="Old version: a set, its lock, or git:REF:PATH.")],
    new: Annotated[str, typer.Argument(help="New version.")],
    run: Annotated[
        str | None, typer.Option(help="Stored run of the old version: did the removed cases fail more often?")
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="Print the differences as JSON.")] = False,
) -> None:
    """Compare two versions of a golden set.

    Added, removed and changed cases are listed. Of a changed case, the names of the fields are shown, and both values
    of its kind, severity, cluster and cohorts. No text of a case is printed. A lock names its cases by the start of
    their digests.

    Example: evalkit golden diff git:main:golden/cases.jsonl golden/cases.jsonl --run main

    Exit codes: 0, 2 if a version or the run cannot be read.
    """
    from evalkit.cli.golden_diff import print_diff, print_diff_json
    from evalkit.operations.golden_diff import golden_diff

    found = golden_diff(old, new, run)
    (print_diff_json if json else print_diff)(found)


@golden.command()
def variants(
    suite: SuiteFile = None,
    out: Annotated[Path, typer.Option(help="File to write, replaced if it exists.")] = Path("variants.jsonl"),
) -> None:
    """Write the variants that the suite makes of its cases.

    The transforms are listed under `variants:`. Each variant has the id `ORIGINAL~TRANSFORM~NUMBER`, the cluster of
    its original, and the field `variant` with what was changed.

    Example: evalkit golden variants suites/compliance.yaml --out variants.jsonl

    Exit codes: 0, 2 if suite, set or file cannot be used.
    """
    from evalkit.operations.golden_variants import write_variants
    from evalkit.text.numbers import plural

    found = write_variants(named_or_nearest(suite), out)
    for name, count in found.variants.items():
        typer.echo(f"{name}: {plural(count, 'variant')}")
    for (name, reason), count in found.left_out.items():
        typer.echo(visible(f"{name}: {plural(count, 'variant')} not made: {reason}"))
    typer.echo(visible(f"{plural(found.variants.total(), 'variant')} written to {out}"), err=True)


golden.command()(lock)
golden.command()(items)
golden.command()(report)
golden.command()(rotate)
golden.command()(draft)
golden.command()(accept)


Because = Annotated[str, typer.Option(help="Why it is added, such as INC-42.")]
ReviewedBy = Annotated[str, typer.Option("--reviewed-by", metavar="NAME", help="Who looked at the case.")]
SeverityOption = Annotated[str, typer.Option(help="low, medium, high or critical.")]
ReferenceOption = Annotated[str | None, typer.Option(help="The right answer.")]
NeedsReference = Annotated[
    bool, typer.Option("--needs-reference", help="The right answer is written later; until then the case never counts.")
]
NamesFile = Annotated[
    Path | None, typer.Option("--names", help="Names that are personal data, one a line; implies --deidentify.")
]
CohortsOption = Annotated[
    list[str] | None, typer.Option("--cohort", metavar="NAME=VALUE", help="Cohort of the case; repeatable.")
]
NewId = Annotated[str | None, typer.Option("--id", help="Id of the case in the set. Default: the one that it has.")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Show what would be added, and write nothing.")]


@golden.command()
def add(  # noqa: PLR0913 - each is a flag
    set: GoldenFile,
    from_: Annotated[str, typer.Option("--from", metavar="RUN:CASE", help="Stored run and id of its case.")],
    because: Because,
    reviewed_by: ReviewedBy,
    kind: Annotated[str, typer.Option(help="golden, adversarial, regression or canary.")] = "regression",
    severity: SeverityOption = "medium",
    origin: Annotated[str, typer.Option(help="incident, expert, production, synthetic or public.")] = "incident",
    reference: ReferenceOption = None,
    needs_reference: NeedsReference = False,
    deidentify: Annotated[
        bool, typer.Option("--deidentify", help="Replace personal data by placeholders such as [EMAIL_1].")
    ] = False,
    names: NamesFile = None,
    cohort: CohortsOption = None,
    id: NewId = None,
    dry_run: DryRun = False,
) -> None:
    """Add a case of a stored run to a golden set.

    The case is refused if nothing says what a right answer is, if personal data or secrets are in it, or if it is
    nearly the same as a case of the set.

    Example: evalkit golden add golden/cases.jsonl --from latest:aml-01 --because INC-42 --reviewed-by ana

    Exit codes: 0, 2 with every reason why the case is refused.
    """
    from datetime import UTC, datetime

    from evalkit.cli.added_case import add_and_show
    from evalkit.operations.add_case import Review, case_of_run

    review = Review(
        because=because,
        reviewed_by=reviewed_by,
        today=datetime.now(UTC).date(),
        severity=severity,
        kind=kind,
        origin=origin,
        reference=reference,
        needs_reference=needs_reference,
        names=names,
        replace_data=deidentify,
        id=id,
        cohorts=tuple(cohort or ()),
    )
    add_and_show(case_of_run(from_, review, set), dry_run=dry_run)


@golden.command()
def prove(
    set: GoldenFile,
    case: Annotated[str | None, typer.Argument(help="Id of the case. Default: list all regression cases.")] = None,
    failed: Annotated[str | None, typer.Option(metavar="RUN", help="Run of the version before the fix.")] = None,
    passed: Annotated[str | None, typer.Option(metavar="RUN", help="Run of the fixed version.")] = None,
) -> None:
    """Record that a fix turned a failed case into a passed one.

    The version before the fix must have failed the regression case, and the fixed one passed it. Without a case,
    list the regression cases and whether they are proven.

    Example: evalkit golden prove golden/cases.jsonl aml-01 --failed before --passed latest

    Exit codes: 0, 2 if the runs do not prove it.
    """
    from datetime import UTC, datetime

    from evalkit.errors import InputError, Problem
    from evalkit.operations.add_case import prove_case, regression_cases

    if case is None:
        if failed is not None or passed is not None:
            raise InputError(Problem("CASE", "no case given", "name the id of the case that the runs prove"))
        found = regression_cases(set)
        if not found:
            typer.echo(visible(f"no regression cases in {set}"))
        for each in found:
            since = f"since {each.since}" if each.since else "no day in `since`"
            proof = each.proof
            state = f"proven on {proof.at} by {proof.failed.run} and {proof.passed.run}" if proof else "not proven"
            typer.echo(visible(f"{each.case.id}: {state}, {since}"))
        return
    if failed is None or passed is None:
        fix = "name the run of the version before the fix, and that of the fixed one"
        raise InputError(Problem("--failed" if failed is None else "--passed", "not given", fix))
    proof, file = prove_case(set, case, failed, passed, datetime.now(UTC).date())
    typer.echo(visible(f"{proof.id}: failed in {proof.failed.run}, passed in {proof.passed.run}; kept in {file}"))


def _print(found: "GoldenCoverage") -> None:
    from rich.table import Table

    from evalkit.cli.output import CommandOutput, share_of

    table = Table(box=None, pad_edge=False, header_style="bold")
    for heading in ("cell", "production", "golden cases", ""):
        table.add_column(heading, justify="left" if heading in ("cell", "") else "right", overflow="fold")
    for each in found.cells:
        note = f"{each.n_missing} more to cover it" if each.n_missing else ""
        table.add_row(visible(" · ".join(each.cell)), f"{each.share:.1%}", str(each.n_cases), note)
    CommandOutput().results.print(table)
    bound = f", at least {share_of(found.estimate.low)} (95 %)" if found.estimate.n else ""
    typer.echo(f"covers {share_of(found.estimate.value)} of production{bound}")
    typer.echo(f"weighted to it, the cases are worth {found.effective_n:.0f} of {found.n_cases}")
    if found.n_foreign:
        typer.echo(f"{found.n_foreign} cases are of kinds that production does not have")


def _print_json(found: "GoldenCoverage") -> None:
    import dataclasses
    import json

    cells = [{"cell": list(each.cell), "production": each.share, "golden_cases": each.n_cases} for each in found.cells]
    record = {"coverage": dataclasses.asdict(found.estimate), "effective_n": found.effective_n, "cells": cells}
    typer.echo(json.dumps(record, indent=2))
