"""`evalkit monitor incident`: make a regression case of a sampled call."""

from pathlib import Path
from typing import Annotated

import typer

from evalkit.cli.golden import CohortsOption, DryRun, NeedsReference, ReferenceOption, ReviewedBy, SeverityOption
from evalkit.cli.monitor_status import MonitorFile


def incident(  # noqa: PLR0913 - each is a flag
    file: MonitorFile,
    id: Annotated[str, typer.Argument(metavar="ID", help="Id of a sampled call, or its hash as an alarm shows it.")],
    to: Annotated[Path, typer.Option(metavar="SET", help="Golden set that the case joins, in JSON Lines.")],
    reviewed_by: ReviewedBy,
    severity: SeverityOption = "high",
    because: Annotated[str, typer.Option(help="Why. Default: the alarm that names the call.")] = "",
    reference: ReferenceOption = None,
    needs_reference: NeedsReference = False,
    names: Annotated[Path | None, typer.Option("--names", help="Names that are personal data, one a line.")] = None,
    cohort: CohortsOption = None,
    dry_run: DryRun = False,
) -> None:
    """Make a regression case of a sampled call.

    Personal data and secrets are replaced by placeholders, and each change is shown. The case is refused if nothing
    says what a right answer is, or if it is nearly the same as a case of the set.

    Example: evalkit monitor incident support.yaml 6f0c21 --to golden.jsonl --needs-reference --reviewed-by ana

    Exit codes: 0, 2 with every reason why the case is refused.
    """
    from datetime import UTC, datetime

    from evalkit.cli.added_case import add_and_show
    from evalkit.operations.add_case import Review
    from evalkit.operations.monitor_incident import incident_case
    from evalkit.text.escaping import visible

    review = Review(
        because=because,
        reviewed_by=reviewed_by,
        today=datetime.now(UTC).date(),
        severity=severity,
        reference=reference,
        needs_reference=needs_reference,
        names=names,
        cohorts=tuple(cohort or ()),
    )
    found = incident_case(file, id, review, to)
    if found.failed:
        typer.echo(visible(f"failed   {', '.join(found.failed)}"))
    if dry_run:
        typer.echo(visible(f"question {found.question}"))
        typer.echo(visible(f"answer   {found.answer}"))
    add_and_show(found.case, dry_run=dry_run)
